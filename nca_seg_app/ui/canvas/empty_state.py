"""Says in an empty canvas how to begin."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QLabel, QWidget

from nca_seg_app.ui.canvas import painting

EMPTY_TEXT = "Drop images or a folder here, or {}try the samples{}."


class EmptyState(QLabel):
    """An invitation in the middle of `view`, with a dashed frame that is painted around it.

    `linkActivated` tells that the samples are wanted.
    """

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.setAccessibleName(EMPTY_TEXT.format("", ""))

    def adopt_surround(self, surround: QColor) -> None:
        """Take colours that can be read on `surround`."""
        text, link = ("#b8b8b8", "#4cc9f0") if _is_dark(surround) else ("#505050", "#00688b")
        opening = f'<a href="sample" style="color:{link}">'
        self.setText(
            f'<span style="font-size:13pt;color:{text}">{EMPTY_TEXT.format(opening, "</a>")}</span>'
        )

    def paint_frame(self, painter: QPainter, surround: QColor) -> None:
        """Paint the frame, with a painter on the view."""
        around = QRectF(self.geometry()).adjusted(-48, -56, 48, 56)
        painting.draw_drop_place(
            painter, around, QColor("#5c5c5c" if _is_dark(surround) else "#9a9a9a")
        )


def _is_dark(colour: QColor) -> bool:
    return colour.lightness() < 128
