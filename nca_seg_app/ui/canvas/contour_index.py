"""Cuts outlines into short pieces and finds those near a place.

So a stroke costs what is near it, however long the whole outline is.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainterPath

from nca_seg_app.ui.canvas.coordinates import to_path
from nca_seg_app.ui.canvas.overlay import Contour

#: Points of a piece. Qt's time for a path grows faster than its points, also where it is clipped
#: away: a ring of 5,000 in one path takes 77 ms to paint, in pieces 5.
POINTS = 32


class ContourIndex:
    """Contours in pieces of at most `POINTS` lines, with the box that each lies in."""

    def __init__(self, contours: Iterable[Contour] = ()) -> None:
        # Each begins with the last point of the one before, so that there is no gap.
        self._pieces = [
            contour_rc[first : first + POINTS + 1]
            for contour_rc in contours
            for first in range(0, max(1, len(contour_rc) - 1), POINTS)
        ]
        low = [piece_rc.min(axis=0) for piece_rc in self._pieces]
        high = [piece_rc.max(axis=0) for piece_rc in self._pieces]
        self._boxes = np.array([low, high]).reshape(2, -1, 2)
        self._paths: dict[int, QPainterPath] = {}

    def within(self, rect: QRectF) -> list[QPainterPath]:
        """The pieces that touch a rectangle of the image (x = column, y = row)."""
        (top, left), (bottom, right) = (rect.top(), rect.left()), (rect.bottom(), rect.right())
        low, high = self._boxes
        touches = ((low <= (bottom, right)) & (high >= (top, left))).all(axis=1)
        near = np.flatnonzero(touches).tolist()
        for place in near:
            if place not in self._paths:
                self._paths[place] = to_path([self._pieces[place]])
        return [self._paths[place] for place in near]
