"""Prepares standard output and error so that printing to them never stops the program."""

from __future__ import annotations

import io
import os
import sys


class Nowhere(io.TextIOBase):
    """A stream to print to that nobody reads."""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        return len(text)


def prepare_streams() -> None:
    """Have a standard output and error that can be printed to, whatever the program was given.

    One that is closed, or missing (a program without a console on Windows), leads nowhere from then
    on. A character that the encoding lacks is printed as its number.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Or the next file that is opened gets this number, and warnings are written into it.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            setattr(sys, name, Nowhere())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def end_output() -> OSError | None:
    """Write what is still waiting to be printed; why that failed, or None.

    Afterwards nothing is left that could fail when the interpreter ends.
    """
    trouble = None
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError) as error:
            setattr(sys, name, Nowhere())
            if name == "stdout" and isinstance(error, OSError):
                trouble = error
    return trouble
