"""Starts nca-seg-app: reads the command line, checks that Qt can run, and opens the window."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.cli.console import end_output, prepare_streams
from nca_seg_app.crash_log import start_log
from nca_seg_app.startup_checks import without_qt, without_window


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with or without a window, and return the exit status.

    `arguments` are those of the command line by default.
    """
    prepare_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Before the window opens nothing can be lost, so Ctrl+C ends the program at once: raised
        # within Qt's start, a KeyboardInterrupt could get lost.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    chosen = parser().parse_args(arguments)
    # So the window's thread waits at most a millisecond for a thread that runs Python code.
    sys.setswitchinterval(0.001)
    start_log()
    out = chosen.headless or (None if has_display(os.environ, sys.platform) else Path("out"))
    try:
        application = importlib.import_module("nca_seg_app.application")
    except ImportError as error:
        reason = without_qt(error)
        if reason is None:
            raise
        return _refuse(reason)
    if out is None and sys.platform.startswith("linux"):
        reason = without_window(os.environ)
        if reason is not None:
            return _refuse(reason)
    status: int = application.run(chosen, out)
    return status if end_output() is None else 1


def _refuse(reason: str) -> int:
    """Print why the program cannot run, and return the exit status."""
    print(f"nca-seg-app: {reason}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="nca-seg-app",
        description="Outline skin lesions with a model's help. Research use only, not a medical "
        "device.",
    )
    made.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="images, or one folder")
    made.add_argument("--sample", action="store_true", help="open the samples of the program")
    made.add_argument(
        "--headless", type=Path, metavar="OUT",
        help="without a window: segment the first PATH, or a sample, and write the result and a "
        "picture of the window to the folder OUT (done by itself, to out, where no display is)",
    )  # fmt: skip
    return made


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a window can be shown: on Linux, `platform`, the environment must name a display."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return not platform.startswith("linux") or any(environment.get(name) for name in names)


if __name__ == "__main__":
    sys.exit(main())
