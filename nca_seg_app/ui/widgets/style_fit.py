"""A button that fits the style to the saved masks, its progress, and what it found."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from nca_seg_app.actions import find_action, plain_text
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.widgets.form import finish_typing
from nca_seg_app.ui.widgets.plain_text import PlainLabel

#: Of what a fit has found, in a panel of usual width.
LINES = 3


class StyleFitRow(QWidget):
    """Begins and stops a fit of the style; hidden where the model cannot be told one."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        fit, stop = find_action("study.fit_style"), find_action("study.stop_fit")
        self._needs = fit.needs
        self.start, self.stop = QPushButton(plain_text(fit)), QPushButton("Stop")
        for button, action in ((self.start, fit), (self.stop, stop)):
            button.setToolTip(action.tip)
            # So that no narrow dock cuts the words off.
            button.setMinimumWidth(0)
            button.clicked.connect(lambda _=False, action=action: self._do(action.method))
        self.bar = QProgressBar()
        self._places = QStackedWidget()
        running = QWidget()
        row = QHBoxLayout(running)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.stop)
        self._places.addWidget(self.start)
        self._places.addWidget(running)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._places)
        for signal in (
            session.capabilities_changed,
            session.styling.changed,
            session.style_fitting.running_changed,
            session.style_fitting.progressed,
        ):
            signal.connect(self._show)
        self._show()

    def _do(self, method: object) -> None:
        finish_typing()
        if callable(method):
            method(self._session)

    def _show(self) -> None:
        fitting, state = self._session.style_fitting, self._session.capabilities
        self.setVisible(bool(self._session.styling.offered))
        self.start.setEnabled(self._needs in state)
        self._places.setCurrentIndex(1 if Has.FITTING in state else 0)
        done, total = fitting.progress
        self.bar.setRange(0, total)
        self.bar.setValue(done)


class StyleFitLabel(PlainLabel):
    """Says what the newest fit found, and `words` before one; hidden where there is nothing."""

    def __init__(self, session: Session, words: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent=parent, wraps=True)
        self._session, self._words = session, words
        if words:
            # So that nothing below it moves when there is more to say.
            self.setMinimumHeight(LINES * self.fontMetrics().lineSpacing())
            self.setAlignment(Qt.AlignmentFlag.AlignTop)
        session.style_fitting.told_changed.connect(self._show)
        session.styling.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        self.setText(self._session.style_fitting.told or self._words)
        self.setVisible(bool(self._session.styling.offered) and bool(self.text()))
