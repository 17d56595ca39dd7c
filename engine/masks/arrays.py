"""What a mask in memory is: its type, its check, and the window around what is true in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: True is lesion: bool (height, width), of the image's size.
Mask = NDArray[np.bool_]
#: The rows and the columns of a part of a mask; `mask_hw[window]` is that part.
Window = tuple[slice, slice]

#: Pixels that touch at a corner are neighbours in a lesion, so they are not in the holes of it.
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.int8)


def expect_mask(mask_hw: Mask) -> None:
    """Raise ValueError unless an array is a mask of at least one pixel."""
    if mask_hw.dtype != np.bool_ or mask_hw.ndim != 2 or not mask_hw.size:
        raise ValueError(f"a mask is bool (height, width), got {mask_hw.dtype} {mask_hw.shape}")


def bounding_window(mask_hw: Mask, margin_px: int = 0) -> Window | None:
    """The window around all that is true, with a margin as far as the mask goes.

    None where nothing is true.
    """
    rows = np.flatnonzero(mask_hw.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(mask_hw[rows[0] : rows[-1] + 1].any(axis=0))
    rows_end, columns_end = rows[-1] + 1 + margin_px, columns[-1] + 1 + margin_px
    return (
        slice(max(0, int(rows[0]) - margin_px), min(mask_hw.shape[0], int(rows_end))),
        slice(max(0, int(columns[0]) - margin_px), min(mask_hw.shape[1], int(columns_end))),
    )
