"""Repaints a panel at most once in a turn of the event loop, and only while it is seen."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QWidget


class Refresh(QTimer):
    """Calls `paint` once in the turn of the loop after `ask()`, while its panel is seen."""

    def __init__(self, panel: QWidget, paint: Callable[[], None]) -> None:
        super().__init__(panel, singleShot=True, interval=0)
        self._panel, self._paint, self._owed = panel, paint, True
        self.timeout.connect(self._pay)
        panel.installEventFilter(self)

    def ask(self) -> None:
        """Have `paint` called: something to show has changed."""
        self._owed = True
        if self._panel.isVisible():
            self.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and self._owed:
            self._pay()
        return False

    def _pay(self) -> None:
        if self._owed:
            self._owed = False
            self._paint()
