"""Loads torch so that the other threads of the program, such as the window's, go on meanwhile."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

#: RTLD_LAZY of dlopen: symbols are looked up at their first use.
_LAZY = 1
_LOCK = Lock()
_under_way = 0


@contextmanager
def for_good() -> Iterator[None]:
    """Keep the garbage collector off during imports, and exempt what exists at their end for good.

    Used as a context manager, from any thread. The collector looks through all objects each time
    their number has grown by a quarter, and holds every thread meanwhile: with torch that takes a
    fifth of a second, in which the window does not answer.
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
    """Map torch's libraries into the process before `import torch` does; call it in a thread.

    The import holds the interpreter lock for a quarter of a second while the system's loader works,
    and the window does not answer meanwhile. ctypes releases the lock during a foreign call, and
    the loader's dlopen can be called that way. Does nothing where this is not possible (outside
    Linux, or if a library is missing); `import torch` then loads the libraries itself.
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
    """Import what torch's optimizers import at their first use, half as much again as torch."""
    import torch._dynamo  # noqa: F401
