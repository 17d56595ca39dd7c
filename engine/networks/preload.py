"""Torch's libraries, loaded so that the other threads of the program go on meanwhile."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

#: dlopen's: symbols are looked up at their first use.
_LAZY = 1
_LOCK = Lock()
_under_way = 0


@contextmanager
def for_good() -> Iterator[None]:
    """Around imports, in any thread: what there is at their end is not looked through for garbage.

    Python looks through all objects each time they have become a quarter more, and holds every
    thread meanwhile: with torch a fifth of a second, in which no window answers.
    """
    global _under_way
    with _LOCK:
        _under_way += 1
        gc.disable()
    try:
        yield
    finally:
        with _LOCK:
            _under_way -= 1
            gc.freeze()
            if not _under_way:
                gc.enable()


def load_libraries() -> None:
    """Map torch's libraries into the process, before `import torch` does; for a thread of its own.

    The import holds the interpreter for a quarter of a second while the system's loader works, and
    no window answers then. A foreign function is called without holding it, and the loader's own
    is one. Where that cannot be done nothing is, and the import takes its time.
    """
    spec = None if "torch" in sys.modules else importlib.util.find_spec("torch")
    if spec is None or not sys.platform.startswith("linux"):
        return
    for folder in spec.submodule_search_locations or ():
        library = Path(folder) / "lib" / "libtorch_python.so"
        with suppress(OSError, AttributeError):
            load = ctypes.CDLL(None).dlopen
            load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
            load(str(library).encode(), _LAZY)


def load_optimizer() -> None:
    """Import what torch's optimizers import at their first use: half as much again as torch."""
    import torch._dynamo  # noqa: F401
