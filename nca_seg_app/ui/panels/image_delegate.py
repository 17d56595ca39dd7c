"""Draws a line of the images list; a shape tells its status, so that colour is never needed."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPalette, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from engine.study.study import Status
from nca_seg_app.state.workspace import ImageRow
from nca_seg_app.ui.panels.image_list_model import (
    OPEN_ROLE,
    ROW_ROLE,
    THUMBNAIL_PX,
    Index,
    wordings,
)

GAP_PX = 6
MARK_PX = 12


class ImageDelegate(QStyledItemDelegate):
    """Draws thumbnail, name, and a mark of another shape for each status."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(4 * THUMBNAIL_PX, THUMBNAIL_PX + GAP_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row: ImageRow = index.data(ROW_ROLE)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole
        ink = option.palette.color(role.HighlightedText if chosen else role.Text)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if chosen:
            painter.fillRect(option.rect, option.palette.color(role.Highlight))
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
            painter.drawRect(QRectF(option.rect).adjusted(1.5, 1.5, -1.5, -1.5))
        area = option.rect.adjusted(GAP_PX, GAP_PX // 2, -GAP_PX, -(GAP_PX // 2))
        frame = QRect(area.left(), area.top(), THUMBNAIL_PX, THUMBNAIL_PX)
        _draw_thumbnail(painter, frame, index.data(Qt.ItemDataRole.DecorationRole), option.palette)
        words = area.adjusted(THUMBNAIL_PX + GAP_PX + 2, 0, 0, 0)
        upper, lower = QRect(words), QRect(words)
        upper.setBottom(words.center().y())
        lower.setTop(words.center().y() + 1)
        font = QFont(option.font)
        font.setBold(bool(index.data(OPEN_ROLE)))
        painter.setFont(font)
        painter.setPen(ink)
        name = painter.fontMetrics().elidedText(
            index.data(), Qt.TextElideMode.ElideMiddle, upper.width()
        )
        left = Qt.AlignmentFlag.AlignLeft
        painter.drawText(upper, left | Qt.AlignmentFlag.AlignBottom, name)
        mark = QRectF(lower.left(), lower.top() + 3, MARK_PX, MARK_PX)
        draw_mark(painter, mark, row.status, ink)
        painter.setFont(option.font)
        soft = QColor(ink)
        soft.setAlpha(190)
        painter.setPen(soft)
        room_px, fits = lower.width() - MARK_PX - GAP_PX, painter.fontMetrics().horizontalAdvance
        # The mark tells the status already; half a number would tell nothing.
        said = next((each for each in wordings(row) if fits(each) <= room_px), wordings(row)[-1])
        said = painter.fontMetrics().elidedText(said, Qt.TextElideMode.ElideRight, room_px)
        painter.drawText(lower.adjusted(MARK_PX + GAP_PX, 2, 0, 0), left, said)
        painter.restore()


def draw_mark(painter: QPainter, area: QRectF, status: Status, ink: QColor) -> None:
    """Draw a ring (new), half-filled ring (draft), disc (saved) or tick (reviewed)."""
    painter.setPen(QPen(ink, 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    inner = area.adjusted(1, 1, -1, -1)
    if status == "reviewed":
        painter.setPen(QPen(ink, 2.2))
        shares = ((0.0, 0.55), (0.38, 0.95), (1.0, 0.1))
        corners = [
            QPointF(inner.left() + x * inner.width(), inner.top() + y * inner.height())
            for x, y in shares
        ]
        painter.drawPolyline(QPolygonF(corners))
        return
    if status == "saved":
        painter.setBrush(ink)
    painter.drawEllipse(inner)
    if status == "draft":
        painter.setBrush(ink)
        # In sixteenths of a degree: the left half.
        painter.drawPie(inner, 90 * 16, 180 * 16)


def _draw_thumbnail(
    painter: QPainter, frame: QRect, picture: QPixmap | None, palette: QPalette
) -> None:
    if picture is None or picture.isNull():
        painter.fillRect(frame, palette.color(QPalette.ColorRole.Mid))
        if picture is not None:
            painter.setPen(palette.color(QPalette.ColorRole.Text))
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "?")
        return
    size = picture.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
    place = QRect(frame.topLeft(), size)
    place.moveCenter(frame.center())
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawPixmap(place, picture)
