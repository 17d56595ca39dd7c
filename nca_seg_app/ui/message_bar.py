"""Tells above the canvas what went wrong, until it is dismissed; nothing modal while working."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QStyle,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.plaintext import one_line
from nca_seg_app.ui.widgets.plain_text import PlainLabel

DETAILS_HEIGHT_PX = 160


class MessageBar(QFrame):
    """Shows the newest trouble in a sentence, and the details of all since the last dismissal."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAccessibleName("Message")
        sign = PlainLabel()
        warning = self.style().standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
        sign.setPixmap(warning.pixmap(20, 20))
        self._sentence = PlainLabel(wraps=True)
        self._sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._more = QPushButton("Details")
        self._more.setCheckable(True)
        self._more.setToolTip("Show what the program knows about it.")
        copy = QPushButton("Copy")
        copy.setToolTip("Copy sentence and details, for a report.")
        close = QToolButton()
        close.setText("✕")
        close.setAutoRaise(True)
        close.setToolTip("Dismiss.")
        close.setAccessibleName("Dismiss the message")
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setFixedHeight(DETAILS_HEIGHT_PX)
        self._details.hide()
        # Buttons here must not take the keyboard from the canvas.
        for button in (self._more, copy, close):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row = QHBoxLayout()
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._sentence, 1)
        for widget in (self._more, copy, close):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(row)
        layout.addWidget(self._details)
        self._more.toggled.connect(self._details.setVisible)
        copy.clicked.connect(self.copy)
        close.clicked.connect(self.dismiss)
        self.hide()

    @property
    def sentence(self) -> str:
        """What is told; "" after it was dismissed."""
        return self._sentence.text()

    def show_trouble(self, sentence: str, details: str) -> None:
        """Tell `sentence`; `details` go before those of earlier trouble."""
        earlier = self._details.toPlainText()
        self._sentence.setText(one_line(sentence))
        told = f"{sentence}\n{details}".strip()
        self._details.setPlainText(f"{told}\n\n{earlier}".strip())
        self.show()

    def copy(self) -> None:
        """Put all that is told on the clipboard."""
        QGuiApplication.clipboard().setText(self._details.toPlainText())

    def dismiss(self) -> None:
        """Take the message away."""
        self.hide()
        self._more.setChecked(False)
        self._sentence.clear()
        self._details.clear()
