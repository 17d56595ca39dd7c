"""The automaton's config, and the parameter count and the cost that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.networks.architecture import Cost
from engine.settings import Flag, bounded
from engine.types import ModelSpec, NetworkConfig

#: Hidden channels that hold what a person asks for: four tools, the width, what they painted.
STEERING = 6


@dataclass(frozen=True)
class AutomatonConfig(NetworkConfig):
    """The sizes of an automaton.

    Parameters
    ----------
    channels : channels of a cell's state.
    hidden : width of the hidden layer of the cell's MLP.
    updates : cell updates of the last level in a diffusion step, and of the coarse level too if
        `coarse_updates` is 0.
    coarse_updates : cell updates of the coarse level, or 0.
    fire_probability : the probability that a cell fires in an update, more than 0.
    factor : how many times smaller the side of the coarse level's grid is.
    detail : side in pixels of the part of the image that each cell is given.
    """

    channels: int = bounded(64, low=7, high=1024, flag=Flag("Channels of a cell's state.", low=7))
    hidden: int = bounded(
        512,
        low=1,
        high=16_384,
        flag=Flag("Width of the cell's hidden layer.", low=1, usual="512, of basic 256"),
    )
    updates: int = bounded(
        10, low=1, high=1000, flag=Flag("Cell updates of the last level.", low=1)
    )
    coarse_updates: int = bounded(
        0,
        low=0,
        high=1000,
        flag=Flag("Cell updates of the coarse level.", low=1, usual="as --updates"),
    )
    fire_probability: float = bounded(
        0.5,
        low=0.0,
        high=1.0,
        flag=Flag("How probable it is that a cell fires in an update.", low=0.001, high=1),
    )
    factor: int = bounded(4, low=1, high=64)
    detail: int = bounded(
        1,
        low=1,
        high=8,
        flag=Flag("Side in pixels of what a cell sees of its own place.", low=1, high=4),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 6 + self.detailed > self.channels:
            raise ValueError(f"detail is {self.detail}, too much for {self.channels} channels")
        if not self.fire_probability:
            raise ValueError("fire_probability must be more than 0")

    @property
    def detailed(self) -> int:
        """How many of the hidden channels begin with the detail of the image."""
        return 3 * self.detail**2 if self.detail > 1 else 0

    @property
    def can_be_steered(self) -> bool:
        """Whether the detail leaves enough hidden channels for what a person asks for."""
        return self.channels >= 6 + self.detailed + STEERING

    @property
    def pixels_per_cell(self) -> int:
        """Side in pixels of the part of the image that each cell is given: `detail`."""
        return self.detail

    def joined(self, of_spec: Mapping[str, Any]) -> dict[str, Any]:
        """The values in the order of a fingerprint, `detail` last; see `NetworkConfig.joined`."""
        # `detail` was added later than all others. Last, it leaves older fingerprints unchanged.
        whole = super().joined(of_spec)
        return whole | {"detail": whole.pop("detail")}

    def updates_of(self, level: int, levels: int) -> int:
        """Cell updates in a diffusion step of level `level` (from 1) of `levels`."""
        return (level < levels and self.coarse_updates) or self.updates


def config_of(spec: ModelSpec) -> AutomatonConfig:
    """The config of an automaton's spec. Raises TypeError if the spec is of another network."""
    if not isinstance(spec.config, AutomatonConfig):
        raise TypeError(f"the config of {spec.name!r} is not an automaton's")
    return spec.config


def parameters(spec: ModelSpec, *, levels: int, attention: bool) -> int:
    """How many parameters the automaton of a spec has, by formula.

    Parameters
    ----------
    spec : an automaton's. Raises TypeError for another one.
    levels : 1 or 2.
    attention : whether its cells have CBAM.
    """
    config = config_of(spec)
    channels, hidden = config.channels, config.hidden
    cell = 2 * (9 * channels**2 + channels) + (3 * channels + 1) * hidden + hidden * channels
    narrow = max(1, channels // 16)
    attending = 2 * channels * narrow + narrow + channels + 98
    return levels * (cell + (attending if attention else 0))


def cost(spec: ModelSpec, *, levels: int, attention: bool) -> Cost:
    """The cost of one diffusion step of the automaton of a spec.

    The memory is that of two states, the neighbours of each cell and the image. Every cell of a
    level multiplies by each of the level's parameters once in an update.

    Parameters
    ----------
    spec, levels, attention : as for `parameters`.
    """
    config, counted = config_of(spec), range(1, levels + 1)
    updates = [config.updates_of(level, levels) for level in counted]
    each = parameters(spec, levels=1, attention=attention)
    # In updates of the full grid: a coarse one counts for the share of cells that it has.
    work = sum(
        count / config.factor ** (2 * (levels - level))
        for level, count in zip(counted, updates, strict=True)
    )
    return Cost(
        memory_bytes=spec.size**2 * (6 * config.channels + 100 + 12 * config.detail**2),
        multiplications=spec.size**2 * work * each,
        updates=sum(updates),
    )
