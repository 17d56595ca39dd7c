"""Shows panels as tabs beside the canvas, each in a scroll area of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QPushButton,
    QScrollArea,
    QSlider,
    QTabWidget,
    QWidget,
)

from nca_seg_app.session import Session


@dataclass(frozen=True)
class Tab:
    """A panel among the tabs.

    Attributes
    ----------
    name
        What the tab says, unless `called` says it.
    make
        Makes the panel, once, when the window is made.
    called
        What the tab says, "" where it is not there; asked again whenever another model is chosen.
    """

    name: str
    make: Callable[[Session], QWidget]
    called: Callable[[Session], str] | None = None


class PanelTabs(QTabWidget):
    """The panels of `rows` in their order; those that are not offered have no tab."""

    def __init__(
        self, session: Session, rows: Sequence[Tab], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._rows = session, tuple(rows)
        self.setDocumentMode(True)
        self.setUsesScrollButtons(False)
        for row in self._rows:
            self.addTab(_scrolled(row.make(session)), row.name)
        session.model_library.chosen_changed.connect(self._show_offered)
        self._show_offered()

    def _show_offered(self) -> None:
        for place, row in enumerate(self._rows):
            called = row.called(self._session) if row.called is not None else row.name
            # Qt would lay out all tabs anew.
            if bool(called) != self.isTabVisible(place):
                self.setTabVisible(place, bool(called))
            if called and called != self.tabText(place):
                self.setTabText(place, called)


class _WheelScrolls(QObject):
    """Lets the wheel scroll a panel, and turn a field in it only while that has the focus."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        for field in panel.findChildren(QWidget):
            if isinstance(field, (QAbstractSpinBox, QComboBox, QSlider)):
                # Qt would give it the focus for the wheel.
                field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                field.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        passes = isinstance(watched, QWidget) and not watched.hasFocus()
        if event.type() == QEvent.Type.Wheel and passes:
            event.ignore()
            return True
        return False


def _scrolled(panel: QWidget) -> QScrollArea:
    """The panel in a scroll area that never scrolls sideways."""
    _WheelScrolls(panel)
    area = QScrollArea()
    # A click beside its fields, or on a button, leaves the keyboard with the canvas.
    for button in panel.findChildren(QPushButton):
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    area.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(panel)
    area.setMinimumWidth(
        panel.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width()
    )
    return area
