"""Selects the area around a place in an image whose colours are like that place's."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFilter

from engine.masks.arrays import EIGHT_NEIGHBOURS, Mask
from engine.masks.outlines import outline

#: Colours are compared on a picture of about this many pixels a side.
SIDE_PX = 512
#: Hairs and pores are narrower than this blur, as a share of the picture's longer side.
BLUR_SHARE = 1 / 256
#: Of a border: a ragged one takes longer to fill than to see.
MOST_POINTS = 1000
#: Half the side of the square around the place whose mean is its colour.
AROUND_PX = 1


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


def _part_at(mask_hw: Mask, row: int, column: int) -> Mask:
    """The connected part of the mask that holds a pixel, with its holes filled; empty if none."""
    # Loaded at first use: the window is to be painted before it.
    from scipy import ndimage  # type: ignore[import-untyped]

    if not mask_hw[row, column]:
        return np.zeros_like(mask_hw)
    labels_hw, _ = ndimage.label(mask_hw, EIGHT_NEIGHBOURS)
    part_hw: Mask = ndimage.binary_fill_holes(labels_hw == labels_hw[row, column])
    return part_hw
