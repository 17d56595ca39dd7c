"""How well two masks agree, counted in pixels at the image's own size; no torch, no settings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

#: ISIC 2018 counts an image as failed where its IoU is below this.
JACCARD_THRESHOLD = 0.65


def dice(mask_hw: Mask, truth_hw: Mask) -> float:
    """Twice the shared area over the sum of both areas, in [0, 1].

    Two empty masks agree fully: 1. One empty mask: 0. The masks are bool (height, width) of one
    shape, else ValueError.
    """
    shared, areas = _areas(mask_hw, truth_hw)
    return 2 * shared / areas if areas else 1.0


def iou(mask_hw: Mask, truth_hw: Mask) -> float:
    """The shared area over the area of either, in [0, 1]; conventions as in `dice`."""
    shared, areas = _areas(mask_hw, truth_hw)
    return shared / (areas - shared) if areas else 1.0


def threshold_jaccard(mask_hw: Mask, truth_hw: Mask) -> float:
    """The IoU, or 0 where it is below 0.65: the ranking score of ISIC 2018."""
    found = iou(mask_hw, truth_hw)
    return found if found >= JACCARD_THRESHOLD else 0.0


def _areas(mask_hw: Mask, truth_hw: Mask) -> tuple[int, int]:
    """Pixels in both masks, and the sum of both areas."""
    for one_hw in (mask_hw, truth_hw):
        if one_hw.dtype != np.bool_ or one_hw.ndim != 2:
            raise ValueError(f"a mask is bool (height, width), got {one_hw.dtype} {one_hw.shape}")
    if mask_hw.shape != truth_hw.shape:
        raise ValueError(f"masks of {mask_hw.shape} and {truth_hw.shape} cannot be compared")
    shared = int(np.count_nonzero(mask_hw & truth_hw))
    return shared, int(np.count_nonzero(mask_hw)) + int(np.count_nonzero(truth_hw))
