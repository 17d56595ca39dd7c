"""What an automaton leaves open, and how many parameters and how much work that makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.networks.architecture import Cost
from engine.settings import Flag, bounded
from engine.types import ModelSpec, NetworkConfig


@dataclass(frozen=True)
class AutomatonConfig(NetworkConfig):
    """The automaton's channels, the width of its hidden layer, and its updates in a step.

    `updates` are the cell updates of the last level, and of the coarse level too unless
    `coarse_updates` says otherwise; the coarse level's grid is smaller by `factor`. A cell fires
    with `fire_probability` in each update. `detail` is the side in pixels of what a cell sees of
    its own place.
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
        if self.detail > 1 and 6 + 3 * self.detail**2 > self.channels:
            raise ValueError(f"detail is {self.detail}, too much for {self.channels} channels")
        if not self.fire_probability:
            raise ValueError("fire_probability must be more than 0")

    @property
    def pixels_per_cell(self) -> int:
        """Side in pixels of what a cell sees of its own place."""
        return self.detail

    def joined(self, of_spec: Mapping[str, Any]) -> dict[str, Any]:
        """As `NetworkConfig.joined`, `detail` last."""
        # It came after all others, and the fingerprints of files from then stay as they were.
        whole = super().joined(of_spec)
        return whole | {"detail": whole.pop("detail")}

    def updates_of(self, level: int, levels: int) -> int:
        """Cell updates of a level, counted from 1, of so many."""
        return (level < levels and self.coarse_updates) or self.updates


def config_of(spec: ModelSpec) -> AutomatonConfig:
    """An automaton's config. Raises TypeError where the spec is not an automaton's."""
    if not isinstance(spec.config, AutomatonConfig):
        raise TypeError(f"the config of {spec.name!r} is not an automaton's")
    return spec.config


def parameters(spec: ModelSpec, *, levels: int, attention: bool) -> int:
    """How many parameters the automaton of a spec has, counted by formula."""
    config = config_of(spec)
    channels, hidden = config.channels, config.hidden
    cell = 2 * (9 * channels**2 + channels) + (3 * channels + 1) * hidden + hidden * channels
    narrow = max(1, channels // 16)
    attending = 2 * channels * narrow + narrow + channels + 98
    return levels * (cell + (attending if attention else 0))


def cost(spec: ModelSpec, *, levels: int, attention: bool) -> Cost:
    """What a step of a spec's automaton takes: two states, the neighbours of each cell, the image.

    The cells of one level share its parameters.
    """
    config, counted = config_of(spec), range(1, levels + 1)
    updates = [config.updates_of(level, levels) for level in counted]
    each = parameters(spec, levels=1, attention=attention)
    # As updates of the last level.
    work = sum(
        count / config.factor ** (2 * (levels - level))
        for level, count in zip(counted, updates, strict=True)
    )
    return Cost(
        memory_bytes=spec.size**2 * (6 * config.channels + 100 + 12 * config.detail**2),
        multiplications=spec.size**2 * work * each,
        updates=sum(updates),
    )
