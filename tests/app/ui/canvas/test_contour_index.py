"""Law: the pieces of an outline are the outline, and only those near a place are given."""

from __future__ import annotations

import itertools

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainterPath

from nca_seg_app.ui.canvas.contour_index import POINTS, ContourIndex
from nca_seg_app.ui.canvas.overlay import Contour

WHOLE = QRectF(-1e6, -1e6, 2e6, 2e6)


def ring(points: int, radius: float = 100.0) -> Contour:
    angles = np.linspace(0, 2 * np.pi, points)
    return 200 + radius * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def lines(paths: list[QPainterPath]) -> set[tuple[float, float, float, float]]:
    """Every line of some paths, from x, y to x, y."""
    found, last = set(), (0.0, 0.0)
    for path in paths:
        for place in range(path.elementCount()):
            element = path.elementAt(place)
            here = (round(element.x, 6), round(element.y, 6))
            if element.isLineTo():
                found.add((*last, *here))
            last = here
    return found


def test_all_pieces_are_the_outline() -> None:
    for points in (2, POINTS, POINTS + 1, POINTS + 2, 5 * POINTS + 3):
        contour_rc = np.round(ring(points), 6)
        expected = {
            (*a[::-1].tolist(), *b[::-1].tolist()) for a, b in itertools.pairwise(contour_rc)
        }
        pieces = ContourIndex([contour_rc]).within(WHOLE)
        assert lines(pieces) == expected
        assert max(piece.elementCount() for piece in pieces) <= POINTS + 1


def test_only_what_is_near_is_given() -> None:
    pieces = ContourIndex([ring(4000), ring(500, 10.0)])
    some = pieces.within(QRectF(295, 195, 10, 10))
    assert 0 < len(some) <= 4
    assert min(piece.boundingRect().left() for piece in some) > 280
    assert not pieces.within(QRectF(0, 0, 5, 5))


def test_nothing_has_no_pieces() -> None:
    assert not ContourIndex().within(WHOLE)
