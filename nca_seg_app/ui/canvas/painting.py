"""Draws lines and marks in view coordinates, two pixels wide at every magnification."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QPainter,
    QPainterPath,
    QPainterPathStroker,
    QPen,
)

from nca_seg_app.ui.widgets.theme import ANNOTATION, LESION, PROPOSAL, SKIN

CASING = QColor(0, 0, 0, 165)
LINE_WIDTH = 2.0
CASING_WIDTH = 4.0
#: Width and colour of the glow along a border that is a little, more, and very doubtful.
GLOWS = (
    (10.0, QColor(255, 176, 0, 60)),
    (16.0, QColor(255, 130, 0, 75)),
    (24.0, QColor(255, 70, 20, 90)),
)
#: How far it reaches over what lies under it, in pixels of the view.
GLOW_REACH = 14


def stroke_annotation(painter: QPainter, pieces: Sequence[QPainterPath]) -> None:
    """Draw the outline of the mask, given in pieces."""
    _cased(painter, pieces, ANNOTATION, Qt.PenStyle.SolidLine)


def stroke_glow(painter: QPainter, glow: Sequence[QPainterPath]) -> None:
    """Draw a glow where the members disagree: paths for a little, more, and very much."""
    for stretches, (width, colour) in zip(glow, GLOWS, strict=True):
        pen = _pen(colour, width)
        # Cut off square, its ends would look like borders of their own.
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.strokePath(stretches, pen)


def stroke_proposal(painter: QPainter, path: QPainterPath, sharpness: float) -> None:
    """Draw the outline a model proposes: dashed, or soft while it forms (`sharpness` below 1)."""
    if sharpness >= 1:
        _cased(painter, [path], PROPOSAL, Qt.PenStyle.DashLine)
        return
    softness = 1.0 - sharpness
    # Layers of haze, wide and faint to narrow and bright: the less is known, the wider.
    for width, opacity in ((20 * softness, 0.12), (12 * softness, 0.16), (5 * softness, 0.22)):
        painter.strokePath(path, _pen(_faint(PROPOSAL, opacity), LINE_WIDTH + width))
    painter.strokePath(path, _pen(_faint(CASING, 0.5 * sharpness), CASING_WIDTH))
    painter.strokePath(path, _pen(_faint(PROPOSAL, 0.4 + 0.6 * sharpness), LINE_WIDTH))


def stroke_member(painter: QPainter, path: QPainterPath, others: QPainterPath) -> None:
    """Draw the outline of the member that is shown, over thin ones of all the others."""
    painter.strokePath(others, _pen(_faint(CASING, 0.3), 2.2))
    painter.strokePath(others, _pen(_faint(PROPOSAL, 0.75), 1.0))
    _cased(painter, [path], PROPOSAL, Qt.PenStyle.SolidLine)


def stroke_sketch(painter: QPainter, path: QPainterPath, corners: Sequence[QPointF]) -> None:
    """Draw a line that is not in the mask yet, and its corners."""
    white = QColor("white")
    _cased(painter, [path], white, Qt.PenStyle.SolidLine)
    painter.setPen(_pen(CASING, 1.0))
    painter.setBrush(white)
    for place, corner in enumerate(corners):
        radius = 4.5 if place == 0 else 3.0
        painter.drawEllipse(corner, radius, radius)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def stroke_box(painter: QPainter, box: QRectF) -> None:
    """Draw a box that the model outlines a lesion in."""
    for colour, width in ((CASING, 3.0), (QColor("white"), 1.2)):
        painter.setPen(_pen(colour, width, Qt.PenStyle.DashLine))
        painter.drawRect(box)


def draw_hint(painter: QPainter, points: Sequence[QPointF], radius: float, lesion: bool) -> None:
    """Draw a stroke for the model to hear, with a plus for lesion or a minus for skin in it."""
    colour = LESION if lesion else SKIN
    path = QPainterPath(points[0])
    for point in points[1:]:
        path.lineTo(point)
    if len(points) == 1:
        # A line of no length would not be painted.
        path.lineTo(points[0] + QPointF(0.01, 0))
    stroker = QPainterPathStroker()
    stroker.setWidth(max(4.0, 2 * radius))
    stroker.setCapStyle(Qt.PenCapStyle.RoundCap)
    stroker.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    area = stroker.createStroke(path).simplified()
    painter.fillPath(area, _faint(colour, 0.4))
    painter.strokePath(area, _pen(_faint(colour, 0.9), 1.0))
    place, arm = points[len(points) // 2], 4.0
    for pen in (_pen(CASING, 4.0), _pen(QColor("white"), 1.8)):
        painter.setPen(pen)
        painter.drawLine(place - QPointF(arm, 0), place + QPointF(arm, 0))
        if lesion:
            painter.drawLine(place - QPointF(0, arm), place + QPointF(0, arm))


def draw_footprint(painter: QPainter, centre: QPointF, radius: float, adds: bool | None) -> None:
    """Draw the exact footprint of a tool, with a plus or a minus in its middle (None: neither)."""
    for colour, width in ((CASING, 3.0), (QColor("white"), 1.2)):
        painter.setPen(_pen(colour, width))
        painter.drawEllipse(centre, radius, radius)
        if adds is None:
            continue
        arm = 3.5
        # A sign inside a very small footprint would hide what is painted.
        place = centre if radius > 9 else centre + QPointF(radius + 8, radius + 8)
        painter.drawLine(place - QPointF(arm, 0), place + QPointF(arm, 0))
        if adds:
            painter.drawLine(place - QPointF(0, arm), place + QPointF(0, arm))


def draw_mark(painter: QPainter, place: QPointF) -> None:
    """Draw a cross around the pixel picked for its curves."""
    for colour, width in ((CASING, 3.5), (QColor("white"), 1.5)):
        painter.setPen(_pen(colour, width))
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            painter.drawLine(place + QPointF(4 * x, 4 * y), place + QPointF(11 * x, 11 * y))


def draw_caption(painter: QPainter, text: str, font: QFont) -> None:
    """Draw the name of what is shown over the picture, in the view's corner."""
    size = QFontMetricsF(font).size(0, text)
    box = QRectF(12, 12, size.width() + 20, size.height() + 10)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 20, 20, 200))
    painter.drawRoundedRect(box, 5, 5)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setFont(font)
    painter.setPen(QColor("#f0f0f0"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def draw_drop_frame(painter: QPainter, view: QRectF) -> None:
    """Draw a frame that says that what is dragged may be dropped here."""
    painter.setPen(_pen(ANNOTATION, 3.0, Qt.PenStyle.DashLine))
    painter.drawRoundedRect(view.adjusted(10, 10, -10, -10), 8, 8)


def draw_drop_place(painter: QPainter, around: QRectF, colour: QColor) -> None:
    """Draw a frame around the words of the empty canvas."""
    painter.setPen(_pen(colour, 1.5, Qt.PenStyle.DashLine))
    painter.drawRoundedRect(around, 12, 12)


def _faint(colour: QColor, opacity: float) -> QColor:
    faint = QColor(colour)
    faint.setAlphaF(opacity)
    return faint


def _cased(
    painter: QPainter, paths: Sequence[QPainterPath], colour: QColor, style: Qt.PenStyle
) -> None:
    # All casings first, or that of a path would lie on the line of the one before.
    for pen in (_pen(CASING, CASING_WIDTH, style), _pen(colour, LINE_WIDTH, style)):
        for path in paths:
            painter.strokePath(path, pen)


def _pen(colour: QColor, width: float, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    # Round joins look the same at these widths, and take twice as long.
    pen = QPen(colour, width, style, Qt.PenCapStyle.FlatCap, Qt.PenJoinStyle.BevelJoin)
    if style == Qt.PenStyle.DashLine:
        # Dashes count in widths of their pen; a line and its casing must break at the same places.
        pen.setDashPattern([10 / width, 6 / width])
    return pen
