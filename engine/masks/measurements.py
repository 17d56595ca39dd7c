"""Measures an outline: area, perimeter, diameters, circularity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.masks.arrays import Mask
from engine.masks.outlines import outline, shrunk

#: Lengths are measured on a raster of at most this many pixels a side.
RASTER_PX = 1024
#: Directions in which extents are measured, over half a turn.
DIRECTIONS = 180


@dataclass(frozen=True)
class Measurements:
    """An outline's size and form, lengths in pixels of the image.

    `share` is that of the image's area, `perimeter_px` the length of all borders, those of holes
    included. `diameter_px` is the greatest extent in any direction (maximal Feret diameter),
    `breadth_px` the least one. `circularity` is 4π · area / perimeter², 1 for a circle.
    """

    area_px: int
    share: float
    parts: int
    perimeter_px: float
    diameter_px: float
    breadth_px: float
    circularity: float


def measure(mask_hw: Mask) -> Measurements | None:
    """What the mask, bool (height, width), measures; None where it is empty.

    Lengths are those of the border at half a pixel, so a staircase counts as the slope it stands
    for; of large images they are taken on a coarser raster. May be called in any thread.
    """
    area = int(np.count_nonzero(mask_hw))
    if not area:
        return None
    height, width = mask_hw.shape
    scale = min(1.0, RASTER_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    share_hw = shrunk(mask_hw, size)
    pixel_rc = np.array([height / size[1], width / size[0]])
    # What is lost on the raster counts as one pixel of it.
    level = min(0.5, float(share_hw.max()) / 2)
    borders = [border_rc * pixel_rc for border_rc in outline(share_hw, level)]
    perimeter = sum(_length(border_rc) for border_rc in borders)
    extents = _extents(np.concatenate(borders))
    parts = sum(_turns(border_rc) < 0 for border_rc in borders)
    return Measurements(
        area_px=area,
        share=area / mask_hw.size,
        parts=parts,
        perimeter_px=perimeter,
        diameter_px=float(extents.max()),
        breadth_px=float(extents.min()),
        circularity=min(1.0, 4 * math.pi * area / perimeter**2),
    )


def _length(border_rc: NDArray[np.float64]) -> float:
    return float(np.hypot(*np.diff(border_rc, axis=0).T).sum())


def _turns(border_rc: NDArray[np.float64]) -> float:
    """Twice the area within a border, negative around a part and positive around a hole."""
    row, column = border_rc.T
    return float(np.dot(row[:-1], column[1:]) - np.dot(column[:-1], row[1:]))


def _extents(points_rc: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = np.arange(DIRECTIONS) * (np.pi / DIRECTIONS)
    along = points_rc @ np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(np.ptp(along, axis=0))
