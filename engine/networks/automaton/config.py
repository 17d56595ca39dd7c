"""The automaton's config, and the parameter count and the cost that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.networks.architecture import Cost
from engine.settings import Flag, bounded
from engine.types import ModelSpec, NetworkConfig

#: Hidden channels that hold what a person asks for: four tools, the width, what they painted.
STEERING = 6
#: Hidden channels that begin with what the condition network tells: its guess, and features.
TOLD = 4
#: Halvings of the image in the condition network.
DEPTH = 4


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
    condition : width of the condition network (`engine.networks.automaton.condition`), or 0 for
        none.
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

    condition: int = bounded(
        0,
        low=0,
        high=256,
        flag=Flag("Width of the network that sees the whole image first; 0: none.", low=0),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 6 + self.detailed > self.channels:
            raise ValueError(f"detail is {self.detail}, too much for {self.channels} channels")
        if 6 + self.detailed + self.told > self.channels:
            raise ValueError(f"{self.channels} channels have no room for a condition network")
        if not self.fire_probability:
            raise ValueError("fire_probability must be more than 0")

    @property
    def detailed(self) -> int:
        """How many of the hidden channels begin with the detail of the image."""
        return 3 * self.detail**2 if self.detail > 1 else 0

    @property
    def told(self) -> int:
        """How many of the hidden channels begin with what the condition network tells."""
        return TOLD if self.condition else 0

    @property
    def can_be_steered(self) -> bool:
        """Whether what is seen leaves enough hidden channels for what a person asks for."""
        return self.channels >= 6 + self.detailed + self.told + STEERING

    @property
    def pixels_per_cell(self) -> int:
        """Side in pixels of the part of the image that each cell is given: `detail`."""
        return self.detail

    def joined(self, of_spec: Mapping[str, Any]) -> dict[str, Any]:
        """The values in the order of a fingerprint, `detail` last; see `NetworkConfig.joined`."""
        # Both were added later than all others. Last, and left out where it is as it was before,
        # they leave older fingerprints unchanged.
        whole = super().joined(of_spec)
        condition = whole.pop("condition")
        whole |= {"detail": whole.pop("detail")}
        return whole | ({"condition": condition} if condition else {})

    def updates_of(self, level: int, levels: int) -> int:
        """Cell updates in a diffusion step of level `level` (from 1) of `levels`."""
        return (level < levels and self.coarse_updates) or self.updates


def config_of(spec: ModelSpec) -> AutomatonConfig:
    """The config of an automaton's spec. Raises TypeError if the spec is of another network."""
    if not isinstance(spec.config, AutomatonConfig):
        raise TypeError(f"the config of {spec.name!r} is not an automaton's")
    return spec.config


def seeing_parameters(width: int, features: int) -> int:
    """How many parameters a condition network has, without building it."""
    doubles = sum(_in_two(into, out) for into, out in levels_down(width))
    for below, carried, beside, out in levels_up(width):
        doubles += 4 * below * carried + carried + _in_two(beside + carried, out)
    return doubles + (width + 1) * (1 + features)


def _in_two(into: int, out: int) -> int:
    return 9 * out * (into + out) + 4 * out


def levels_down(width: int) -> Iterator[tuple[int, int]]:
    """Channels into and out of the convolutions of each level, downwards."""
    yield 3, width
    for level in range(DEPTH):
        yield width * max(1, 2**level // 2), width * 2**level


def levels_up(width: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each level, upwards: channels below, enlarged, of the same level downwards, and out."""
    for level in reversed(range(1, DEPTH)):
        below = width * 2**level
        yield below, below // 2, below // 2, below // 2
    yield width, width, width, width


def parameters(spec: ModelSpec, *, levels: int, attention: bool) -> int:
    """How many parameters the automaton of a spec has, by formula.

    Parameters
    ----------
    spec : an automaton's. Raises TypeError for another one.
    levels : 1 or 2.
    attention : whether its cells have CBAM.
    """
    config = config_of(spec)
    seeing = seeing_parameters(config.condition, TOLD - 1) if config.condition else 0
    return levels * _cell_parameters(config, attention) + seeing


def _cell_parameters(config: AutomatonConfig, attention: bool) -> int:
    """How many parameters the cell of one level has."""
    channels, hidden = config.channels, config.hidden
    cell = 2 * (9 * channels**2 + channels) + (3 * channels + 1) * hidden + hidden * channels
    narrow = max(1, channels // 16)
    attending = 2 * channels * narrow + narrow + channels + 98
    return cell + (attending if attention else 0)


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
    each = _cell_parameters(config, attention)
    # In updates of the full grid: a coarse one counts for the share of cells that it has.
    work = sum(
        count / config.factor ** (2 * (levels - level))
        for level, count in zip(counted, updates, strict=True)
    )
    return Cost(
        memory_bytes=spec.size**2
        * (6 * config.channels + 100 + (12 + 14 * config.condition) * config.detail**2),
        multiplications=spec.size**2 * (work * each + 80 * (config.condition * config.detail) ** 2),
        updates=sum(updates),
    )
