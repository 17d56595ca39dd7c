"""Puts the canvas together: viewport, layers, painter, input handler and empty state.

Data flows one way. The session's image, mask and result become layers; the painter shows them
where the viewport puts them. The input handler turns what the hand does into edits of the
document and moves of the viewport, and the painter follows their signals.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QVBoxLayout, QWidget

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas import painting
from nca_seg_app.ui.canvas.doubtful_places import DoubtfulPlaces
from nca_seg_app.ui.canvas.empty_state import EmptyState
from nca_seg_app.ui.canvas.input import CanvasInput
from nca_seg_app.ui.canvas.layers import Layers
from nca_seg_app.ui.canvas.painter import CanvasPainter
from nca_seg_app.ui.canvas.viewport import Viewport


def dropped_paths(event: QDropEvent) -> list[Path]:
    """The files and folders that a drag brings."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]


class Canvas(QWidget):
    """Shows the image with mask, proposal and maps over it, and the tools that draw on it."""

    #: What is under the pointer, for the status bar; empty where there is nothing.
    pointed = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._dropping = False
        self.layers = Layers(session)
        self.viewport = Viewport(self)
        self._painter = CanvasPainter(self, session, self.layers, self.viewport)
        self.input = CanvasInput(self, session, self.layers, self.viewport)
        self._doubtful_places = DoubtfulPlaces(session, self.layers, self.viewport)
        self._empty = EmptyState(self)
        QVBoxLayout(self).addWidget(self._empty, 0, Qt.AlignmentFlag.AlignCenter)
        self._empty.adopt_surround(self._painter.surround)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(160, 120)
        self.setAcceptDrops(True)
        self.setAccessibleName("Canvas")
        self._connect()
        self._adopt_image()

    def _connect(self) -> None:
        session, view_state = self._session, self._session.view_state
        session.workspace.image_changed.connect(self._adopt_image)
        view_state.fit_requested.connect(self.viewport.fit)
        view_state.actual_size_requested.connect(self.viewport.show_actual_size)
        view_state.zoom_requested.connect(self.viewport.zoom_by)
        view_state.next_doubt_requested.connect(self._doubtful_places.show_next)
        self._painter.maps_changed.connect(self._doubtful_places.start_over)
        self._painter.maps_changed.connect(self.input.tell_pointed)
        self.input.pointed.connect(self.pointed)
        self._empty.linkActivated.connect(lambda _link: session.opening.open_sample())

    def _adopt_image(self) -> None:
        image = self._session.workspace.image
        self.viewport.set_image((image.width, image.height) if image is not None else None)
        self._painter.adopt_image()
        self.input.adopt_image()
        self._empty.setVisible(image is None)

    def _set_dropping(self, dropping: bool) -> None:
        self._dropping = dropping
        self.update()

    # Qt's events; those of mouse, wheel and keys go to the input handler

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._painter.paint(painter, event.rect(), None if self.input.bare else self.input.sketch)
        if self._dropping:
            painting.draw_drop_frame(painter, QRectF(self.rect()))
        elif self.viewport.image_size is None:
            self._empty.paint_frame(painter, self._painter.surround)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.viewport.follow_resize(event.oldSize(), event.size())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._painter.forget_backdrop()
            self._empty.adopt_surround(self._painter.surround)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event):
            event.acceptProposedAction()
            self._set_dropping(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._set_dropping(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self._set_dropping(False)
        if paths := dropped_paths(event):
            event.acceptProposedAction()
            self._session.opening.open_path(paths)
