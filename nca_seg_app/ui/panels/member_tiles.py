"""Draws a member's tile: the lesion with the border that this member draws around it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap

from engine.masks.outlines import outline
from engine.types import EnsembleResult, Image
from nca_seg_app.ui.widgets.pixmaps import outlined
from nca_seg_app.ui.widgets.theme import PROPOSAL

#: Share of the outlined area's sides that is shown around it.
AROUND = 0.15
#: Of the mean probability: what any of the members might outline.
SOME = 0.05

Window = tuple[slice, slice]


def window_of(result: EnsembleResult) -> Window:
    """Rows and columns of the grid that hold what the members outline, once all have ended.

    The whole grid before, so that the tiles stay as they are while others join them.
    """
    rows, columns = result.frame.grid_shape
    if result.done < result.total:
        return slice(0, rows), slice(0, columns)
    outlined_hw = result.mean_hw >= SOME
    window = []
    for axis, side in ((1, rows), (0, columns)):
        places = np.flatnonzero(outlined_hw.any(axis=axis))
        first, last = (int(places[0]), int(places[-1]) + 1) if places.size else (0, side)
        margin = round(AROUND * (last - first)) + 1
        window.append(slice(max(0, first - margin), min(side, last + margin)))
    return window[0], window[1]


def member_tile(
    image: Image, result: EnsembleResult, member: int, threshold: float, side_px: int, ratio: float
) -> QPixmap:
    """A member's border on the photograph, cut to what the members outline.

    Parameters
    ----------
    image, result
        The photograph and the answers to it.
    member
        Whose border is drawn, counted from 0.
    threshold
        Probability, 0 to 1, from which the member outlines a cell.
    side_px, ratio
        The longer side of the picture, and the pixels of the screen for each of it.
    """
    crop = result.frame.crop
    corner = crop.top, crop.left
    cell = np.array([crop.height, crop.width]) / result.frame.grid_shape
    window = window_of(result)
    (top, left), (bottom, right) = (
        np.rint(corner + cell * [getattr(part, end) for part in window]).astype(int)
        for end in ("start", "stop")
    )
    # Thinned out rather than averaged: a tile must not cost what the whole picture costs.
    stride = max(1, int(max(bottom - top, right - left) / (2 * side_px * ratio)))
    pixels_hwc = image.pixels_hwc[top:bottom:stride, left:right:stride]
    border = [
        (corner + contour_rc * cell - (top, left)) / stride
        for contour_rc in outline(result.members_nhw[member], threshold)
    ]
    return outlined(pixels_hwc, [(border, PROPOSAL, Qt.PenStyle.SolidLine)], side_px, ratio)
