"""The configs of MedSegDiff-V2 and its relatives, which say what each network is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from engine.settings import Flag, bounded
from engine.types import NetworkConfig

#: How the anchor's feature gates the diffusion network's: not at all, as it is, or widened where it
#: is unsure.
Anchor = Literal["none", "sa", "u-sa"]
#: What the first layer of the diffusion network sees: x_t alone, or image and x_t.
Sees = Literal["noisy", "both"]

#: The most levels of a U-Net, and the largest factor of a level's width.
MOST_LEVELS, MOST_MULTIPLIER = 6, 16


@dataclass(frozen=True)
class UNetConfig(NetworkConfig):
    """The sizes of the diffusion network D, a residual U-Net.

    Parameters
    ----------
    base : channels at full size, a multiple of 4. The time embedding has 4 × base numbers.
    multipliers : channels of each level in units of `base`, from full size down. Each level has
        half the side of the one before.
    blocks : residual blocks in a level of the encoder; the decoder has one more.
    """

    base: int = bounded(64, low=4, high=256)
    multipliers: tuple[int, ...] = bounded((1, 1, 2, 3, 4))
    blocks: int = bounded(2, low=1, high=4)

    def __post_init__(self) -> None:
        self._check_multipliers("multipliers")
        super().__post_init__()
        _expect_multiple("base", self.base)

    def _check_multipliers(self, name: str) -> None:
        """Make the field a tuple, which JSON knows as a list, and check it."""
        value: Any = getattr(self, name)
        whole = isinstance(value, list | tuple) and all(type(each) is int for each in value)
        if not whole or not 2 <= len(value) <= MOST_LEVELS:
            raise ValueError(f"{name} is {value!r}, not 2 to {MOST_LEVELS} whole numbers")
        if not 1 <= min(value) <= max(value) <= MOST_MULTIPLIER:
            raise ValueError(f"{name} is {value!r}, not all of 1 to {MOST_MULTIPLIER}")
        object.__setattr__(self, name, tuple(value))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level of D, from full size down."""
        return tuple(self.base * each for each in self.multipliers)

    @property
    def time_width(self) -> int:
        """Numbers in the embedding of t."""
        return 4 * self.base

    @property
    def reduction(self) -> int:
        """How many times smaller the side of the deepest level is."""
        return int(2 ** (len(self.multipliers) - 1))


@dataclass(frozen=True)
class MedSegDiffConfig(UNetConfig):
    """The sizes of MedSegDiff: D, and an encoder of the image that meets D's at every level.

    Parameters
    ----------
    condition_base : channels of the image's encoder at full size, a multiple of 4; it has the
        levels of D.
    spectrum : side of the grid for which the spectra of the FF-Parsers are stored.
    """

    condition_base: int = bounded(32, low=4, high=256)
    spectrum: int = bounded(256, low=64, high=512)

    def __post_init__(self) -> None:
        super().__post_init__()
        _expect_multiple("condition_base", self.condition_base)
        if self.spectrum % 64:
            raise ValueError(f"spectrum is {self.spectrum}, not a multiple of 64")

    @property
    def condition_widths(self) -> tuple[int, ...]:
        """Channels of each level of the image's encoder, from full size down."""
        return tuple(self.condition_base * each for each in self.multipliers)


@dataclass(frozen=True)
class MedSegDiffV2Config(UNetConfig):
    """The sizes of MedSegDiff-V2 and the switches of its parts (Table 4 of the paper).

    Parameters
    ----------
    condition_base, condition_multipliers : as `base` and `multipliers`, of the condition network C;
        it has as many levels as D, and one block in each.
    tokens : numbers in a token of the SS-Former.
    depth : blocks of the SS-Former.
    anchor : how C's last feature gates D's first: "u-sa" widens it by a Gaussian where it is
        unsure, "sa" takes it as it is, "none" leaves it out, and with it C's decoder and loss.
    transformer : whether the SS-Former mixes C's deepest feature into D's.
    filters : whether the SS-Former filters its affinity by frequency and t.
    sees : what the first layer of D sees.
    """

    condition_base: int = bounded(32, low=4, high=256)
    condition_multipliers: tuple[int, ...] = bounded((1, 2, 4, 8, 8))
    tokens: int = bounded(256, low=4, high=1024)
    depth: int = bounded(4, low=1, high=16)
    anchor: Anchor = bounded(
        "u-sa",
        choices=get_args(Anchor),
        flag=Flag("How the anchor gates the diffusion network: none, sa or u-sa."),
    )
    transformer: bool = bounded(
        True, flag=Flag("Mix the image into the diffusion network by the SS-Former.")
    )
    filters: bool = bounded(True, flag=Flag("Filter the SS-Former's affinity by frequency and t."))
    sees: Sees = bounded(
        "noisy",
        choices=get_args(Sees),
        flag=Flag("What the diffusion network sees itself: noisy (x_t) or both (image and x_t)."),
    )

    def __post_init__(self) -> None:
        self._check_multipliers("condition_multipliers")
        super().__post_init__()
        _expect_multiple("condition_base", self.condition_base)
        _expect_multiple("tokens", self.tokens)
        if len(self.condition_multipliers) != len(self.multipliers):
            raise ValueError("condition_multipliers and multipliers differ in their number")
        if self.anchor == "none" and not self.transformer and self.sees == "noisy":
            raise ValueError("without anchor and transformer, sees must be both")

    @property
    def condition_widths(self) -> tuple[int, ...]:
        """Channels of each level of C, from full size down."""
        return tuple(self.condition_base * each for each in self.condition_multipliers)


def _expect_multiple(name: str, value: int) -> None:
    if value % 4:
        raise ValueError(f"{name} is {value}, not a multiple of 4")
