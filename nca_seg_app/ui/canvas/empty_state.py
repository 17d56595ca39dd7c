"""An empty canvas says how to begin, and what is dropped on it is opened."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas import painting
from nca_seg_app.ui.canvas.canvas import Stage

EMPTY_TEXT = "Drop images or a folder here, or {}try the samples{}."


def dropped(event: QDropEvent) -> list[Path]:
    """The files and folders that a drag brings."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]


class Doorway(Stage):
    """The stage with an invitation where there is no image yet."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self._dropping = False
        self.setAcceptDrops(True)
        self._empty = QLabel(self)
        self._empty.setTextFormat(Qt.TextFormat.RichText)
        self._empty.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self._empty.setAccessibleName(EMPTY_TEXT.format("", ""))
        self._empty.linkActivated.connect(lambda _link: session.opening.open_sample())
        QVBoxLayout(self).addWidget(self._empty, 0, Qt.AlignmentFlag.AlignCenter)
        self._style_empty()

    def adopt_image(self) -> None:
        super().adopt_image()
        self._empty.setVisible(self.layers.picture is None)

    # Qt's events

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.forget_backdrop()
            self._style_empty()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped(event):
            event.acceptProposedAction()
            self._set_dropping(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._set_dropping(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self._set_dropping(False)
        if paths := dropped(event):
            event.acceptProposedAction()
            self.session.opening.open_path(paths)

    def _set_dropping(self, dropping: bool) -> None:
        self._dropping = dropping
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._dropping:
            painting.draw_drop_frame(painter, QRectF(self.rect()))
        elif self.layers.picture is None:
            around = QRectF(self._empty.geometry()).adjusted(-48, -56, 48, 56)
            grey = QColor("#5c5c5c" if self.surround.lightness() < 128 else "#9a9a9a")
            painting.draw_drop_place(painter, around, grey)
        painter.end()

    def _style_empty(self) -> None:
        dark = self.surround.lightness() < 128
        text, link = ("#b8b8b8", "#4cc9f0") if dark else ("#505050", "#00688b")
        opening = f'<a href="sample" style="color:{link}">'
        self._empty.setText(
            f'<span style="font-size:13pt;color:{text}">{EMPTY_TEXT.format(opening, "</a>")}</span>'
        )
