"""What nobody foresaw is written down and told in the window; it never closes it."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from types import TracebackType

from engine.folders import home_folder

log = logging.getLogger(__name__)
LOG_BYTES = 1_000_000
LOG_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_log() -> None:
    """Log to a file of bounded size, and what is worst to the terminal where there is one."""
    handlers: list[logging.Handler] = []
    # A program without a console, as on Windows, has no stderr.
    if sys.stderr is not None:
        terminal = logging.StreamHandler()
        terminal.setLevel(logging.CRITICAL)
        handlers.append(terminal)
    # Where no log can be written the program still runs.
    with suppress(OSError):
        home_folder().mkdir(parents=True, exist_ok=True)
        file = home_folder() / "nca-seg-app.log"
        handlers.append(RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=1))
    logging.basicConfig(level=logging.INFO, handlers=handlers, format=LOG_FORM)


def catch_everything(tell: Callable[[BaseException], object]) -> None:
    """Log exceptions that nobody caught, in any thread, and hand them to `tell`."""

    def caught(
        _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
    ) -> None:
        log.critical("Nobody caught this", exc_info=error)
        tell(error)

    def caught_in_thread(event: threading.ExceptHookArgs) -> None:
        if event.exc_value is not None:
            caught(event.exc_type, event.exc_value, event.exc_traceback)

    sys.excepthook = caught
    threading.excepthook = caught_in_thread
