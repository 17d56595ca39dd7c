"""Measures for how long the window does not answer, and logs it where a person would notice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal

log = logging.getLogger(__name__)

#: A person does not notice less.
BOUND_MS = 50
_LOOK_MS = 10


class StallWatch(QObject):
    """Measures how long events of the main thread wait, while it runs.

    Each wait beyond `BOUND_MS` is logged and counted; `longest_ms` is that of them all.
    """

    stalled = Signal(float)

    def __init__(
        self, parent: QObject | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__(parent)
        self._clock = clock
        self.longest_ms, self.count = 0.0, 0
        self._last = self._clock()
        self._timer = QTimer(self, interval=_LOOK_MS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._look)

    def set_running(self, runs: bool) -> None:
        """Begin to measure, or stop."""
        if runs != self._timer.isActive():
            self._last = self._clock()
            if runs:
                self._timer.start()
            else:
                self._timer.stop()

    def _look(self) -> None:
        now = self._clock()
        waited_ms = max(0.0, 1e3 * (now - self._last) - _LOOK_MS)
        self._last = now
        self.longest_ms = max(self.longest_ms, waited_ms)
        if waited_ms > BOUND_MS:
            self.count += 1
            log.warning("the window did not answer for %.0f ms", waited_ms)
            self.stalled.emit(waited_ms)
