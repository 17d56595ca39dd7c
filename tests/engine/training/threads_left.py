"""Runs the command line and writes down which threads are left where the interpreter ends.

`threads_left.py FOLDER ARGUMENT...`: their names, one a line, go to FOLDER/RANK, on Linux alone.
"""

from __future__ import annotations

import atexit
import os
import runpy
import sys
import time
from contextlib import suppress
from pathlib import Path

#: How long the system may list a thread that has ended.
LISTED_S = 10.0


def other_threads() -> list[str]:
    """The names of the system's threads of this process, without the main one."""
    names = []
    for thread in Path("/proc/self/task").iterdir():
        # One of them may end in between.
        with suppress(FileNotFoundError, ProcessLookupError):
            if thread.name != str(os.getpid()):
                names.append((thread / "comm").read_text().strip())
    return sorted(names)


def write_down(path: Path) -> None:
    end = time.monotonic() + LISTED_S
    while (left := other_threads()) and time.monotonic() < end:
        pass
    path.write_text("\n".join(left))


if __name__ == "__main__":
    file = Path(sys.argv.pop(1)) / os.environ["RANK"]
    if sys.platform == "linux":
        # Python's own threads have been joined when this is called.
        atexit.register(write_down, file)
    runpy.run_module("engine", run_name="__main__", alter_sys=True)
