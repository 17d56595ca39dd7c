"""Shows small pictures in a row or grid; draws those that are seen, tells which is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPalette, QPen, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from nca_seg_app.ui.widgets.plain_text import tip

MARGIN_PX = 4
Index = QModelIndex | QPersistentModelIndex
Draw = Callable[[int], QPixmap]
Tell = Callable[[int], str]


class TileModel(QAbstractListModel):
    """Gives as many pictures as `set_count` said, each drawn when it is first looked at.

    Parameters
    ----------
    draw
        Gives the picture at a place.
    label
        Gives the words below it.
    explain
        Gives its tool tip, which a screen reader reads as well.
    """

    def __init__(
        self, draw: Draw, label: Tell, explain: Tell, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._draw, self._label, self._explain = draw, label, explain
        self._pictures: dict[int, QPixmap] = {}
        self._count = 0

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else self._count

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = index.row()
        if role == Qt.ItemDataRole.DecorationRole:
            if row not in self._pictures:
                self._pictures[row] = self._draw(row)
            return self._pictures[row]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._label(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(self._explain(row))
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._explain(row)
        return None

    def set_count(self, count: int, stale: int = 0) -> None:
        """Show `count` pictures; those from place `stale` on are drawn anew."""
        for row in [row for row in self._pictures if row >= stale]:
            del self._pictures[row]
        if count > self._count:
            self.beginInsertRows(QModelIndex(), self._count, count - 1)
        elif count < self._count:
            self.beginRemoveRows(QModelIndex(), count, self._count - 1)
        before, self._count = self._count, count
        if count > before:
            self.endInsertRows()
        elif count < before:
            self.endRemoveRows()
        if stale < min(before, count):
            self.dataChanged.emit(self.index(stale), self.index(count - 1))


class TileDelegate(QStyledItemDelegate):
    """Draws a picture with its words below; the chosen one gets a frame, so its greys stay true."""

    def __init__(self, picture_px: QSize, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._picture_px = picture_px

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        height = self._picture_px.height() + option.fontMetrics.height() + 2 * MARGIN_PX
        return QSize(self._picture_px.width() + 2 * MARGIN_PX, height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        picture: QPixmap = index.data(Qt.ItemDataRole.DecorationRole)
        size = picture.deviceIndependentSize().toSize()
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(option.rect.center())
        # Close to its words, whatever its shape.
        place.moveBottom(option.rect.top() + MARGIN_PX + self._picture_px.height() - 1)
        painter.save()
        painter.drawPixmap(place, picture)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        role = QPalette.ColorRole.Highlight if chosen or hovered else QPalette.ColorRole.Mid
        painter.setPen(QPen(option.palette.color(role), 3 if chosen else 1))
        painter.drawRect(place.adjusted(-1, -1, 0, 0))
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(
                QPen(option.palette.color(QPalette.ColorRole.Text), 1, Qt.PenStyle.DotLine)
            )
            painter.drawRect(option.rect.adjusted(0, 0, -1, -1))
        painter.setPen(option.palette.color(QPalette.ColorRole.Text))
        # A single row is as high as the view, so the words must not be centred in the rest.
        words = option.rect.adjusted(0, self._picture_px.height() + MARGIN_PX + 2, 0, 0)
        align = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
        painter.drawText(words, align, index.data())
        painter.restore()


class TileList(QListView):
    """Shows pictures in a row or a grid; `chosen` tells what was clicked or reached by key."""

    #: Place of the picture, and whether its upper half was clicked; None for an arrow key.
    chosen = Signal(int, object)

    def __init__(self, model: TileModel, picture_px: QSize, *, wrap: bool) -> None:
        super().__init__()
        self.pictures = model
        model.setParent(self)
        self.setModel(model)
        self.setItemDelegate(TileDelegate(picture_px, self))
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(wrap)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def select(self, row: int) -> None:
        """Frame the picture at `row`, or none with -1; `chosen` is not emitted."""
        if row == self.currentIndex().row():
            return
        self.setCurrentIndex(self.model().index(row, 0) if row >= 0 else QModelIndex())
        if row < 0:
            self.clearSelection()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        # Not Qt's: it would frame what any button presses, also where nothing comes of it. The
        # frame follows what is shown instead, by `select()`.
        point = event.position().toPoint()
        index = self.indexAt(point)
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(index.row(), point.y() < self.visualRect(index).center().y())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        # Nor does the frame go along with a button that is held.
        if not event.buttons():
            super().mouseMoveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        before = self.currentIndex().row()
        super().keyPressEvent(event)
        after = self.currentIndex().row()
        if after not in (before, -1):
            self.chosen.emit(after, None)

    def focusInEvent(self, event: QFocusEvent) -> None:
        # Qt would make the first picture the current one, as if a person had chosen it.
        before = self.currentIndex().row()
        super().focusInEvent(event)
        if before < 0:
            self.select(-1)

    def keep_one_row(self) -> None:
        """Fix the height to one row of pictures and its scroll bar."""
        hint = self.itemDelegate().sizeHint(QStyleOptionViewItem(), QModelIndex())
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        self.setFixedHeight(hint.height() + bar + MARGIN_PX)
