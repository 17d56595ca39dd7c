"""Outlines of masks and maps, as lines of points in the image's coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.masks.arrays import Mask, bounding_window, expect_mask


def outline(
    mask_or_map_hw: Mask | NDArray[np.floating[Any]], level: float = 0.5
) -> list[NDArray[np.float64]]:
    """Find the closed contours of a mask, or of a map at a level.

    Parameters
    ----------
    mask_or_map_hw : bool or float (height, width).
    level : what is above it is inside.

    Returns contours of float64 (n, 2), (row, column) in pixel-edge coordinates: the first pixel's
    centre lies at (0.5, 0.5). The first point comes again at the end. A lesion that touches the
    border of the image is closed along it.
    """
    window = bounding_window(mask_or_map_hw > level, margin_px=1)
    if window is None:
        return []
    crop_hw = np.pad(np.asarray(mask_or_map_hw[window], dtype=np.float64), 1, mode="edge")
    # Mirrored about the level, so that a contour along the border lies on the border itself.
    for side in (crop_hw[0], crop_hw[-1], crop_hw[:, 0], crop_hw[:, -1]):
        side[:] = np.minimum(side, 2 * level - side)
    corner_rc = np.array([window[0].start, window[1].start]) - 0.5
    contours = _measure().find_contours(crop_hw, level, fully_connected="high")
    return [contour_rc + corner_rc for contour_rc in contours]


def shrunk(mask_hw: Mask, size: tuple[int, int]) -> NDArray[np.float32]:
    """The share of the mask, 0 to 1, in each pixel of a picture of `size` (width, height)."""
    expect_mask(mask_hw)
    whole = PillowImage.fromarray(mask_hw.view(np.uint8) * 255)
    small_hw = np.asarray(whole.resize(size, PillowImage.Resampling.BOX), np.float32)
    return small_hw / np.float32(255)


def warm_up() -> None:
    """Load what the first outline would wait a third of a second for; in any thread."""
    from scipy import ndimage  # type: ignore[import-untyped]

    ndimage.label(np.ones((1, 1)))
    _measure().find_contours(np.zeros((2, 2)), 0.5)


def _measure() -> Any:
    # Loaded at first use: the window is to be painted before it.
    from skimage import measure

    return measure
