"""Collects the images with the lowest Dice, each with a small picture of both outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.evaluation.scoring import Examined, Scores
from engine.masks.outlines import outline
from engine.types import frozen_array

#: How many are kept, and the longer side of their pictures.
WORST, SIDE_PX = 10, 320

Outlines = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, eq=False)
class Worst:
    """An image that went badly.

    `pixels_hwc` is uint8 (rows, columns, 3), sRGB, the picture made small. The outlines are closed
    lines of (row, column), (n, 2) each, in its pixels' edges; none where a mask is empty.
    """

    id: str
    scores: Scores
    pixels_hwc: NDArray[np.uint8]
    truth_outlines: Outlines
    mask_outlines: Outlines

    def __post_init__(self) -> None:
        frozen_array(self.pixels_hwc)
        for outline_rc in (*self.truth_outlines, *self.mask_outlines):
            frozen_array(outline_rc)


def with_newest(worst: tuple[Worst, ...], examined: Examined) -> tuple[Worst, ...]:
    """The ten of lowest Dice among these and the newest image, the lowest first."""
    name, scores = examined.evaluation.images[-1]
    if len(worst) == WORST and scores.dice >= worst[-1].scores.dice:
        return worst
    pixels_hwc = small(examined.image.pixels_hwc)
    shape = pixels_hwc.shape[0], pixels_hwc.shape[1]
    newest = Worst(
        name,
        scores,
        pixels_hwc,
        _outlines(examined.truth_hw, shape),
        _outlines(examined.mask_hw, shape),
    )
    # Sorting keeps the order of equals, so that a run gives the same ten again.
    return tuple(sorted((*worst, newest), key=lambda one: one.scores.dice)[:WORST])


def small(pixels_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture, uint8 (rows, columns, 3), with its longer side at most `SIDE_PX`."""
    picture = PillowImage.fromarray(pixels_hwc)
    picture.thumbnail((SIDE_PX, SIDE_PX), reducing_gap=3.0)
    return np.array(picture)


def _outlines(mask_hw: NDArray[np.bool_], shape: tuple[int, int]) -> Outlines:
    """A mask's outlines in a picture of another shape."""
    return tuple(outline(share(mask_hw, shape)))


def share(mask_hw: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.float32]:
    """How much of each pixel of a picture of another shape the mask covers, in [0, 1]."""
    picture = PillowImage.fromarray(mask_hw.astype(np.uint8) * np.uint8(255))
    scaled = picture.resize(shape[::-1], PillowImage.Resampling.BOX, reducing_gap=3.0)
    return np.asarray(scaled, dtype=np.float32) / np.float32(255)
