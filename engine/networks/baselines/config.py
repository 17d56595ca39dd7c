"""The configs of the plain networks, and what a step of them costs."""

from __future__ import annotations

from dataclasses import dataclass

from engine.networks.architecture import Cost
from engine.settings import bounded
from engine.types import ModelSpec, NetworkConfig


@dataclass(frozen=True)
class BasicUNetConfig(NetworkConfig):
    """The sizes of MONAI's BasicUNet, with five levels.

    Parameters
    ----------
    first : features of the uppermost level, down and up.
    width : features of the second level; each level below has twice as many.
    """

    first: int = bounded(14, low=1, high=256)
    width: int = bounded(14, low=1, high=512)

    @property
    def features(self) -> tuple[int, ...]:
        """Features of the five levels, then of the last level up, as MONAI takes them."""
        return (self.first, *(self.width * 2**level for level in range(4)), self.first)


@dataclass(frozen=True)
class DynUNetConfig(NetworkConfig):
    """The sizes of nnU-Net's network in its usual form.

    Parameters
    ----------
    first : features of the first stage; each further stage has twice as many, up to `most`.
    most : the most features of a stage.
    stages : how many there are.
    """

    first: int = bounded(32, low=1, high=128)
    most: int = bounded(512, low=1, high=1024)
    stages: int = bounded(6, low=3, high=8)

    @property
    def features(self) -> tuple[int, ...]:
        """Features of every stage."""
        return tuple(min(self.first * 2**stage, self.most) for stage in range(self.stages))


@dataclass(frozen=True)
class UNETRConfig(NetworkConfig):
    """The sizes of UNETR with ViT-B/16.

    Parameters
    ----------
    features : those of the uppermost level of the decoder.
    """

    features: int = bounded(16, low=1, high=128)


@dataclass(frozen=True)
class SwinUNETRConfig(NetworkConfig):
    """The sizes of Swin UNETR.

    Parameters
    ----------
    features : those of the first stage, a multiple of 12.
    """

    features: int = bounded(24, low=12, high=96)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features % 12:
            raise ValueError(f"features is {self.features}, not a multiple of 12")


def cost(spec: ModelSpec) -> Cost:
    """The cost of one step of a plain network, right to a factor of two.

    Both grow with the pixels and the features; the constants were counted with the presets.
    """
    config, pixels = spec.config, spec.size**2
    if isinstance(config, BasicUNetConfig):
        first, width = config.first, config.width
        work = 9 * (2 * first**2 + 2.5 * first * width + 4 * width**2)
        return Cost(pixels * 12 * (first + width), pixels * work)
    if isinstance(config, DynUNetConfig):
        return Cost(pixels * 60 * config.first, pixels * 210.0 * config.first**2)
    if isinstance(config, UNETRConfig):
        return Cost(pixels * 120 * config.features, pixels * (3.0e5 + 400.0 * config.features**2))
    if isinstance(config, SwinUNETRConfig):
        return Cost(pixels * 70 * config.features, pixels * 125.0 * config.features**2)
    raise TypeError(f"the config of {spec.name!r} is not that of a plain network")
