"""Selects the area around a place in an image whose colours are like those of that place."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFilter

from engine.masks.arrays import EIGHT_NEIGHBOURS, Mask, Window
from engine.masks.outlines import outline

#: Colours are compared on a picture of about this many pixels a side.
SIDE_PX = 512
#: Hairs and pores are narrower than this blur, as a share of the picture's longer side.
BLUR_SHARE = 1 / 256
#: Of a border: a ragged one takes longer to fill than to see.
MOST_POINTS = 1000
#: Half the side of the square around the place whose mean is its colour.
AROUND_PX = 1
#: A disk is looked at with its radius at most so many cells.
DISK_CELLS = 24
#: Radius of the middle of a disk, whose mean is its colour, as a share of the disk's.
MIDDLE_SHARE = 0.25
#: Of the variance of the colours in a disk this share lies between two kinds at least, and by so
#: much (0 to 255) the kinds differ, where an edge runs through it.
TWO_KINDS, LEAST_CONTRAST = 0.65, 10.0


class Similar:
    """Finds areas of like colour in a picture, which is made small for it."""

    def __init__(self, pixels_hwc: NDArray[np.uint8]) -> None:
        """The picture of uint8 (height, width, 3) sRGB."""
        height, width = pixels_hwc.shape[:2]
        # Thinned out before it is blurred: the whole picture may have 24 million pixels.
        stride = math.ceil(max(height, width) / SIDE_PX)
        few = PillowImage.fromarray(np.ascontiguousarray(pixels_hwc[::stride, ::stride]))
        blurred = few.filter(ImageFilter.GaussianBlur(BLUR_SHARE * max(few.size)))
        self._colour_hwc = np.asarray(blurred, dtype=np.float32)
        self._pixel_rc = np.array([height / few.height, width / few.width])
        self._place: tuple[int, int] = (-1, -1)
        self._distance_hw = np.zeros((0, 0), np.float32)

    def around(self, place_rc: tuple[float, float], tolerance: float) -> NDArray[np.float64]:
        """Find the area around a place whose colours are like the place's.

        Parameters
        ----------
        place_rc : (row, column) in pixels of the picture.
        tolerance : by so much the colours differ at most from that of the place: the root of the
            mean square over red, green and blue, 0 to 255.

        Returns the area's border, (n, 2) (row, column), without holes; empty outside the picture.
        """
        shape = self._colour_hwc.shape[:2]
        row, column = (int(each) for each in np.floor(np.array(place_rc) / self._pixel_rc))
        if not (0 <= row < shape[0] and 0 <= column < shape[1]):
            return np.zeros((0, 2))
        if (row, column) != self._place:
            self._place = row, column
            around = np.s_[
                max(0, row - AROUND_PX) : row + AROUND_PX + 1,
                max(0, column - AROUND_PX) : column + AROUND_PX + 1,
            ]
            differs_hwc = self._colour_hwc - self._colour_hwc[around].mean(axis=(0, 1))
            self._distance_hw = np.sqrt((differs_hwc**2).mean(axis=2))
            # The place itself is like itself, whatever lies around it.
            self._distance_hw[row, column] = 0.0
        alike_hw = _part_at(self._distance_hw <= tolerance, row, column)
        # Of an area and the holes in it, the border around all is the longest.
        border_rc = max(outline(alike_hw), key=len)
        stride = math.ceil(len(border_rc) / MOST_POINTS)
        points_rc = np.concatenate([border_rc[:-1:stride], border_rc[-1:]])
        return np.asarray(points_rc * self._pixel_rc)


def up_to_edge(
    pixels_hwc: NDArray[np.uint8], centre_rc: tuple[float, float], radius_px: float
) -> tuple[Window, Mask]:
    """Find the part of a disk in a picture that no clear edge parts from its middle.

    Parameters
    ----------
    pixels_hwc : uint8 (height, width, 3) sRGB.
    centre_rc, radius_px : of the disk, in pixels of the picture.

    Returns the window (rows, columns) of the disk, and in it the part; all of the disk where its
    colours do not fall into two kinds.
    """
    low = np.clip(np.floor(np.array(centre_rc) - radius_px), 0, pixels_hwc.shape[:2]).astype(int)
    high = np.clip(np.ceil(np.array(centre_rc) + radius_px), 0, pixels_hwc.shape[:2]).astype(int)
    window = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
    stride = max(1, math.ceil(radius_px / DISK_CELLS))
    # Means of the cells would be better than samples, and take longer than a stroke has.
    colour_hwc = pixels_hwc[window][::stride, ::stride].astype(np.float32)
    shape = high - low
    if not colour_hwc.size:
        return window, np.zeros(shape, np.bool_)
    rows = np.arange(low[0], high[0])[::stride, None] + 0.5 - centre_rc[0]
    columns = np.arange(low[1], high[1])[None, ::stride] + 0.5 - centre_rc[1]
    away_hw = rows**2 + columns**2
    disk_hw = away_hw <= max(radius_px**2, float(away_hw.min()))
    middle_hw = away_hw <= max((MIDDLE_SHARE * radius_px) ** 2, float(away_hw.min()))
    differs_hw = np.sqrt(((colour_hwc - colour_hwc[middle_hw].mean(axis=0)) ** 2).mean(axis=2))
    tolerance = _two_kinds(differs_hw[disk_hw])
    if tolerance is not None:
        like_hw = (disk_hw & (differs_hw <= tolerance)) | middle_hw
        row, column = np.unravel_index(int(away_hw.argmin()), away_hw.shape)
        disk_hw = _part_at(like_hw, int(row), int(column)) & disk_hw
    larger_hw = disk_hw.repeat(stride, axis=0).repeat(stride, axis=1)
    return window, larger_hw[: shape[0], : shape[1]]


def _two_kinds(differences_n: NDArray[np.float32]) -> float | None:
    """The difference that parts two kinds of pixels best (Otsu 1979); None if they are of one."""
    ordered = np.sort(differences_n.astype(np.float64))
    count, spread = len(ordered), float(ordered.var())
    if count < 2 or not spread:
        return None
    below = np.arange(1, count)
    sums = np.cumsum(ordered)[:-1]
    means_low, means_high = sums / below, (ordered.sum() - sums) / (count - below)
    between = below * (count - below) / count**2 * (means_high - means_low) ** 2
    best = int(between.argmax())
    clear = between[best] / spread >= TWO_KINDS
    if not clear or means_high[best] - means_low[best] < LEAST_CONTRAST:
        return None
    return float((ordered[best] + ordered[best + 1]) / 2)


def _part_at(mask_hw: Mask, row: int, column: int) -> Mask:
    """The connected part of the mask that holds a pixel, with its holes filled; empty if none."""
    # Loaded at first use: the window is to be painted before it.
    from scipy import ndimage  # type: ignore[import-untyped]

    if not mask_hw[row, column]:
        return np.zeros_like(mask_hw)
    labels_hw, _ = ndimage.label(mask_hw, EIGHT_NEIGHBOURS)
    part_hw: Mask = ndimage.binary_fill_holes(labels_hw == labels_hw[row, column])
    return part_hw
