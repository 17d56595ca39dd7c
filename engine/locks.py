"""Locks a folder for one program at a time; a lock ends with its process, however that ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import FolderInUse

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: The file whose lock it is. It stays, empty: another program may have opened it just now.
NAME = ".{}.lock"


class Lock:
    """A lock of a folder, held until `release()` or the end of the process.

    `kind` names it: a folder may have several. Where the file system has no locks it keeps nobody
    out. Raises FolderInUse where another process, or this one, holds it.
    """

    def __init__(self, folder: Path, kind: str = "training") -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = os.open(folder / NAME.format(kind), os.O_RDWR | os.O_CREAT, 0o666)
        if self._descriptor is not None and not _taken(self._descriptor):
            self.release()
            raise FolderInUse(folder, "another training writes to it")

    def release(self) -> None:
        """Let others have it; a second time it does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def holding(folder: Path, kind: str = "training") -> Iterator[None]:
    """Hold the lock of a folder while the block runs. Raises FolderInUse."""
    lock = Lock(folder, kind)
    try:
        yield
    finally:
        lock.release()


def in_use(folder: Path) -> bool:
    """Whether somebody holds any lock of a folder."""
    return any(is_held(folder, kind) for kind in kinds(folder))


def kinds(folder: Path) -> list[str]:
    """The kinds of lock that a folder has a file for, held or not."""
    found = folder.glob(NAME.format("*"))
    return [path.name.removeprefix(".").removesuffix(".lock") for path in found]


def is_held(folder: Path, kind: str) -> bool:
    """Whether somebody holds this lock of a folder, whose file is there."""
    try:
        Lock(folder, kind).release()
    except FolderInUse:
        return True
    return False


def _taken(descriptor: int) -> bool:
    """Whether the lock is now ours, or no lock can be had here at all."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Windows says so of a lock that is held.
        return not isinstance(error, PermissionError)
    return True
