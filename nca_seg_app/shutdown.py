"""However the program is told to end, what is drawn and not saved is written first."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from PySide6.QtCore import QObject, QSocketNotifier, QTimer
from PySide6.QtWidgets import QApplication

log = logging.getLogger(__name__)

#: What ends a program from outside, where there is such a signal.
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGBREAK")
#: A shell's number for a program that ended by a signal is this much more than the signal's.
BY_SIGNAL = 128


class Endings(QObject):
    """Ends the process after a signal, or without its display, once what is drawn is written.

    Made as soon as there is an application: a signal that met Python's own handler inside one of
    Qt's calls would be lost.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._write: Callable[[], None] = lambda: None
        self._is_closed: Callable[[], bool] = lambda: False
        self._number = 0
        for name in SIGNALS:
            number = getattr(signal, name, None)
            # What `nohup` or a shell has the program ignore stays ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)
        self._let_python_run()
        # The login ends, on Windows and on X11.
        app.commitDataRequest.connect(lambda _: self._rescue())

    def guard(self, write: Callable[[], None], is_closed: Callable[[], bool]) -> None:
        """Call `write` before the end from now on, unless `is_closed`: all was asked and done.

        It is called in the main thread and may not need Qt's loop.
        """
        self._write, self._is_closed = write, is_closed

    def leave(self, status: int) -> None:
        """Qt's loop has ended; where the window was not closed before, end with this status.

        So Qt does where the display is gone. (A lost Wayland compositor ends the process at once.)
        """
        if not self._is_closed():
            self._rescue()
            self._end(status)

    def _let_python_run(self) -> None:
        """Python's handlers wait for Python code to run, and Qt's loop alone never runs any."""
        if sys.platform == "win32":
            # Qt listens there to sockets only.
            self._timer = QTimer(self, interval=500)
            self._timer.timeout.connect(self._obey)
            self._timer.start()
            return
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._notifier = QSocketNotifier(reading, QSocketNotifier.Type.Read, self)

        def wake() -> None:
            os.read(reading, 64)
            self._obey()

        self._notifier.activated.connect(wake)

    def _note(self, number: int, _: object) -> None:
        # It may have come in the middle of anything: Qt's loop calls what obeys.
        self._number = number

    def _obey(self) -> None:
        if self._number:
            self._rescue()
            self._end(BY_SIGNAL + self._number)

    def _rescue(self) -> None:
        if self._is_closed():
            return
        try:
            self._write()
        except Exception:
            log.exception("what was drawn could not be written at the end")

    def _end(self, status: int) -> None:
        # Without a farewell: threads may compute for seconds, and every file is whole.
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(status)
