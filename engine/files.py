"""Atomic writing: under its final name a file is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file whose content takes the place of `path` when the block ends without error.

    The content goes to a hidden neighbour `.<name>.<pid>.part`, is synced to disk, and is renamed
    over `path`. After an error nothing of it stays. OSError passes through.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_folder(path.parent)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) so that `path` is never seen half-written."""
    with replacing(path) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder; tried, for permission bits tell little on Windows."""
    # Not by tempfile: where Windows refuses, that takes it for a name in use and tries for hours.
    probe = folder / f".{uuid4().hex}.part"
    try:
        with probe.open("xb"):
            pass
        probe.unlink()
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    # Windows has no way to sync a folder; there the rename alone must do.
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
