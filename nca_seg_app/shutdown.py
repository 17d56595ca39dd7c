"""Writes what is drawn and not saved before a signal, or the end of the login, ends the program."""

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

#: The signals that end a program, as far as the system has them.
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGBREAK")
#: The exit status of a program that a signal ended is the signal's number plus this.
BY_SIGNAL = 128


class Endings(QObject):
    """Ends the process after a signal or the loss of its display, once what is drawn is written.

    It must be made as soon as there is an application: the exception of Python's own signal handler
    would be lost within a call of Qt.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._write: Callable[[], None] = lambda: None
        self._is_closed: Callable[[], bool] = lambda: False
        self._number = 0
        for name in SIGNALS:
            number = getattr(signal, name, None)
            # Signals that `nohup` or a shell made the program ignore stay ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)
        self._let_python_run()
        # Emitted at the end of the login, on Windows and on X11.
        app.commitDataRequest.connect(lambda _: self._rescue())

    def guard(self, write: Callable[[], None], is_closed: Callable[[], bool]) -> None:
        """From now on call `write` before the process ends, unless `is_closed()`.

        `is_closed` tells whether the window was closed, so that everything is saved or discarded.
        `write` is called in the main thread, and must not need Qt's event loop.
        """
        self._write, self._is_closed = write, is_closed

    def leave(self, status: int) -> None:
        """End the process with this status if Qt's event loop ended before the window was closed.

        Qt's loop ends so if the display is lost. (A lost Wayland compositor ends the process at
        once, so nothing can be written then.)
        """
        if not self._is_closed():
            self._rescue()
            self._end(status)

    def _let_python_run(self) -> None:
        """Make Qt's event loop run Python code after a signal.

        Python calls its signal handlers only between instructions of Python code, and Qt's loop
        alone runs none.
        """
        if sys.platform == "win32":
            # Qt's notifiers there take sockets only, not pipes.
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
        # Only noted here, because a signal can come at any moment; Qt's loop calls `_obey`.
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
        # Ends at once: threads may compute for seconds more, and every file is whole.
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(status)
