"""Ends a command that is told to end, or whose terminal closes, as Ctrl+C ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from engine.cli.exit_codes import INTERRUPTED

#: Those of the system's that are about ending; Windows has no SIGHUP.
NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")


class Ending:
    """The first signal interrupts; what follows lets the writing come to its end."""

    def __init__(self) -> None:
        self.exit_code = INTERRUPTED

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.exit_code != INTERRUPTED:
            return
        self.exit_code = 128 + number
        if number == getattr(signal, "SIGHUP", None):
            _leave_terminal()
        raise KeyboardInterrupt


@contextmanager
def ending() -> Iterator[Ending]:
    """Signals that ask for an end raise KeyboardInterrupt in the block; the exit code tells which.

    A signal that is ignored, as nohup has it, stays so.
    """
    told, before = Ending(), {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, told)
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Say the rest to nobody: a terminal that is gone would make every sentence an error."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            if os.isatty(descriptor := stream.fileno()):  # type: ignore[union-attr]
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
