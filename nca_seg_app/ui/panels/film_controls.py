"""Makes the controls beside the film: its member, frame before, play, next frame, back."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QPushButton, QSpinBox, QToolButton, QWidget

from nca_seg_app.ui.widgets.plain_text import PlainLabel


class FilmControls(QWidget):
    """Holds the member, the buttons that go through its film, and the one back to the result."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.member = QSpinBox()
        self.member.setPrefix("Member ")
        self.member.setSuffix(" of 1000")
        self.member.setRange(1, 1000)
        self.member.setToolTip("Whose film this is (Up and Down).")
        self.member.setAccessibleName("Member")
        self.before = _arrow(Qt.ArrowType.LeftArrow, "The frame before (Left, on the film).")
        self.after = _arrow(Qt.ArrowType.RightArrow, "The next frame (Right, on the film).")
        self.play = QToolButton()
        self.play.setCheckable(True)
        self.play.setText("Play")
        self.play.setToolTip("Play the film on the canvas; again to stop (Space when in focus).")
        self.back = QPushButton("Back to Result")
        # A click leaves the keys with the canvas.
        self.back.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.back.setToolTip("Show the result on the canvas again, in place of a frame.")
        self.legend = PlainLabel("above: noisy mask x_t\nbelow: clean prediction")
        self.legend.setToolTip("Click a frame's upper half for x_t, its lower half for the mask.")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.member, 0, 0, 1, 3)
        for column, button in enumerate((self.before, self.play, self.after)):
            button.setSizePolicy(self.member.sizePolicy())
            layout.addWidget(button, 1, column)
        layout.addWidget(self.back, 2, 0, 1, 3)
        layout.addWidget(self.legend, 3, 0, 1, 3)
        # As large as it ever needs to be: else each new member has the whole window laid out anew.
        self.setFixedSize(self.sizeHint())


def _arrow(direction: Qt.ArrowType, tip: str) -> QToolButton:
    button = QToolButton()
    button.setArrowType(direction)
    button.setToolTip(tip)
    return button
