"""Scales values of more than eight bits to eight: by the range a file states, else by use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

#: Depths that cameras and scanners store in sixteen bits without saying so.
_USUAL_BITS = (8, 10, 12, 14)


@dataclass(frozen=True)
class Range:
    """The values of black and of white that a file states.

    What `clips` is a choice of what to show; else a value beyond it proves the statement wrong.
    """

    black: float
    white: float
    clips: bool = False

    def holds(self, low: float, high: float) -> bool:
        return self.clips or (self.black <= low and high <= self.white)


@dataclass(frozen=True)
class Scale:
    """How values become levels of 0 to 255, and what a person should know about it."""

    black: float
    white: float
    note: str = ""

    def levels(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Levels from 0 to 255, not rounded."""
        scaled = (values.astype(np.float32) - self.black) * np.float32(255)
        levels: NDArray[np.float32] = np.clip(scaled / np.float32(self.white - self.black), 0, 255)
        return levels


def range_of_bits(bits: int, low_bits: int) -> Range | None:
    """The range of sixteen bits of which `bits` are significant.

    A writer that follows the standard has moved them up, so that they reach full scale: `low_bits`,
    the union of all samples, then has none that is not significant, or copies of the high ones.
    Other writers leave the numbers as they are, and nothing above them is set.
    """
    if not 8 <= bits < 16:
        return None
    if low_bits >= 2**bits:
        return Range(0, 65_535)
    # Else it is a picture that was moved up and is nearly black, or one in steps: nobody can tell.
    return Range(0, 2**bits - 1) if low_bits & (2 ** (16 - bits) - 1) else None


def scale_of(low: float, high: float, bits: int, stated: Range | None) -> Scale:
    """Choose how whole numbers become levels of 0 to 255.

    Parameters
    ----------
    low, high : the least and the greatest value of the picture.
    bits : the values are from 0 to 2^bits - 1.
    stated : the range that the file states, or None.

    What the file states goes first. Else sixteen bits whose highest quarters stay unused are taken
    for as many of 8, 10, 12 or 14 as hold the largest value: a camera's twelve bits would be nearly
    black, and a truly dark picture becomes at most four times as bright. The note says so.
    """
    if stated is not None and stated.holds(low, high):
        return Scale(stated.black, stated.white)
    if bits == 16 and high > 0:
        for fewer in _USUAL_BITS:
            if high < 2**fewer:
                note = f"its 16-bit values end at {high:,.0f}: read as {fewer} bits"
                return Scale(0, 2**fewer - 1, note)
    return Scale(0, 2**bits - 1)


def grey_levels(
    picture: PillowImage.Image, bits: int, stated: Range | None
) -> tuple[NDArray[np.float32], str]:
    """Scale grey of more than eight bits to levels of 0 to 255, (rows, columns), not rounded.

    Parameters
    ----------
    picture : of mode F, I or one of its kinds.
    bits : of its whole numbers; 0 for floats and for whole numbers of no known range.
    stated : the range that the file states, or None.

    Returns the levels and a note on them, "" for none. Raises ValueError with the reason where
    nothing says what is white.
    """
    values_hw: NDArray[Any] = np.asarray(picture)
    low, high = float(values_hw.min()), float(values_hw.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its values are infinite or not numbers")
    if bits:
        scale = scale_of(low, high, bits, stated)
    elif stated is not None and stated.holds(low, high):
        scale = Scale(stated.black, stated.white)
    elif picture.mode != "F":
        raise ValueError("its whole numbers are signed or of 32 bits, of no known full scale")
    elif low < 0 or 1 < high < 16 or high > 255:
        raise ValueError(f"its values run from {low:g} to {high:g}, not 0 to 1 or 0 to 255")
    else:
        scale = Scale(0, 1 if high <= 1 else 255)
    levels_hw = scale.levels(values_hw)
    key = picture.info.get("transparency")
    if isinstance(key, int):
        # What is transparent is black, as in pictures of eight bits.
        levels_hw[values_hw == key] = 0
    return levels_hw, scale.note


def colour_of(
    values_hwc: NDArray[np.uint16], stated: Range | None
) -> tuple[PillowImage.Image, str]:
    """Scale colour of sixteen bits, (rows, columns, 3 or 4), to a picture of eight, with a note.

    `stated` is the range that the file states, or None. The fourth band is opacity; it has the
    scale of the colours where it fits.
    """
    colours_hwc = values_hwc[..., :3]
    scale = scale_of(float(colours_hwc.min()), float(colours_hwc.max()), 16, stated)
    levels_hwc = scale.levels(values_hwc)
    if values_hwc.shape[2] == 4:
        opaque = scale.white if values_hwc[..., 3].max() <= scale.white else 65_535
        levels_hwc[..., 3] = Scale(0, opaque).levels(values_hwc[..., 3])
    return PillowImage.fromarray(np.rint(levels_hwc).astype(np.uint8)), scale.note
