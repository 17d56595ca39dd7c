"""Converts (row, column) of arrays to Qt's (x, y) and back; no other module does."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QPainterPath, QPolygonF

from nca_seg_app.state.tools import Point
from nca_seg_app.ui.canvas.overlay import Contour, Window


def to_rc(x: float, y: float) -> Point:
    """A point of the image, (x, y), as (row, column)."""
    return y, x


def to_point(row: float, column: float) -> QPointF:
    """A point (row, column) as Qt has it."""
    return QPointF(column, row)


def to_window(rect: QRect) -> Window:
    """A rectangle of pixels as (rows, columns)."""
    return (
        slice(rect.top(), rect.top() + rect.height()),
        slice(rect.left(), rect.left() + rect.width()),
    )


def to_path(contours: Iterable[Contour]) -> QPainterPath:
    """Lines through points (row, column), one subpath each."""
    path = QPainterPath()
    for contour_rc in contours:
        path.addPolygon(QPolygonF([to_point(row, column) for row, column in contour_rc.tolist()]))
    return path
