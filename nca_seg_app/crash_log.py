"""Writes the log, and reports errors that nothing caught, so that the window stays open."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from engine.folders import home_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)
LOG_BYTES = 1_000_000
#: The most windows at the same time that have a log; others have none.
MOST_LOGS = 9
LOG_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"

#: Files that stay open as long as the program runs.
_held: list[BinaryIO] = []


def start_log() -> None:
    """Log to a file of bounded size, and critical errors also to the terminal if there is one.

    Windows that run at the same time have logs of their own, "nca-seg-app.log",
    "nca-seg-app-2.log" and so on. A crash of the interpreter itself is written to a file of that
    name with the suffix ".crash".
    """
    # A log that cannot be written (the disk is full, the file is gone) would else print an error
    # for each line.
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = []
    # A program without a console, as on Windows, has no stderr.
    if sys.stderr is not None:
        terminal = logging.StreamHandler()
        terminal.setLevel(logging.CRITICAL)
        handlers.append(terminal)
    # If no log can be written, the program runs without one.
    with suppress(OSError):
        home_folder().mkdir(parents=True, exist_ok=True)
        file = _own_log(home_folder())
        if file is not None:
            handlers.append(_rotating(file))
            _catch_crashes(file.with_suffix(".crash"))
    logging.basicConfig(level=logging.INFO, handlers=handlers, format=LOG_FORM)


def _own_log(folder: Path) -> Path | None:
    """The first log that no other running window writes to; None if all are taken.

    Two windows that rotate one file would lose lines, and on Windows could not rotate it.
    """
    for number in range(1, MOST_LOGS + 1):
        file = folder / f"nca-seg-app{f'-{number}' if number > 1 else ''}.log"
        lock = _lock(file.with_suffix(".lock"))
        if lock is not None:
            _held.append(lock)
            return file
    return None


def _lock(path: Path) -> BinaryIO | None:
    """Open and lock a file, as long as it is open and the process runs; None if it is locked."""
    stream = path.open("ab")
    try:
        if sys.platform == "win32":
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        stream.close()
        return None
    except OSError:
        # The file system has no locks: one log for all windows is better than none.
        pass
    return stream


def _rotating(file: Path) -> logging.Handler:
    return RotatingFileHandler(
        file, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace"
    )


def _catch_crashes(file: Path) -> None:
    """Let a crash of the interpreter, or an abort of Qt, write every thread's stack to `file`."""
    long = file.exists() and file.stat().st_size > LOG_BYTES
    stream = file.open("wb" if long else "ab")
    _held.append(stream)
    faulthandler.enable(stream)


def catch_everything(report: Callable[[BaseException], object]) -> None:
    """Log exceptions that nothing caught, in any thread, and pass them to `report`."""

    def caught(
        _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
    ) -> None:
        log.critical("Nobody caught this", exc_info=error)
        report(error)

    def caught_in_thread(event: threading.ExceptHookArgs) -> None:
        if event.exc_value is not None:
            caught(event.exc_type, event.exc_value, event.exc_traceback)

    sys.excepthook = caught
    threading.excepthook = caught_in_thread
