"""Reads files within a bound and writes them atomically: whole under their name, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

#: In bytes; the neighbour of a file with a longer name is called by a hash of it.
LONGEST_NAME_SHOWN = 64
#: In bytes, on nearly every file system.
LONGEST_NAME = 255
#: Windows' numbers for access denied, sharing violation and lock violation.
HELD_BY_ANOTHER = (5, 32, 33)
WAITS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5)
_wait = time.sleep


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Read a regular file of at most `most_bytes`.

    A pipe, socket or device is refused without waiting for it, and so is a longer file, also one
    that grows meanwhile. Raises OSError, which names `path`.
    """
    descriptor = open_at_once(path)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if status.st_size <= most_bytes:
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                content = stream.read(most_bytes + 1)
            if len(content) <= most_bytes:
                return content
        too_long = f"it is longer than the {most_bytes:,} bytes that are read"
        raise OSError(errno.EFBIG, too_long, str(path))
    finally:
        os.close(descriptor)


def open_at_once(path: Path) -> int:
    """Open a file for reading and return its descriptor; a pipe is not waited for.

    What was opened has to be asked of the descriptor: a look at the path before opening can be
    outdated. Raises OSError.
    """
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))


def name_with_room(name: str, room_bytes: int) -> str:
    """Shorten a file name so that an ending of `room_bytes` fits behind it.

    A name that leaves room is returned as it is; of a longer one the end is replaced by a hash of
    the whole name.
    """
    most_bytes = LONGEST_NAME - room_bytes
    # A character takes four bytes at most; a folder has many thousands of names.
    if 4 * len(name) <= most_bytes:
        return name
    content = os.fsencode(name)
    if len(content) <= most_bytes:
        return name
    kept = content[: most_bytes - 11].decode(errors="ignore")
    return f"{kept}~{hashlib.sha256(content).hexdigest()[:10]}"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file whose content takes the place of `path` when the block ends without error.

    The content goes to a hidden neighbour, `.<name>.<token>.part`, is synced to disk, and is
    renamed over `path`. After an error nothing of it stays. OSError passes through, naming `path`.
    """
    with _written(path) as (stream, part):
        yield stream
        _sync(stream)
        stream.close()
        put_in_place(part, path)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) so that `path` is never seen half-written."""
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes | str]) -> None:
    """Write several files, each atomically, in their order, and none before all are on the disk.

    A full disk or a name that is too long leaves all of them as they were. OSError passes through.
    """
    with ExitStack() as renames:
        # What is entered last is renamed first.
        for path, content in reversed(list(contents.items())):
            stream = renames.enter_context(replacing(path))
            stream.write(content.encode() if isinstance(content, str) else content)
            _sync(stream)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that was not there, atomically: of two writers at once one succeeds.

    Raises FileExistsError where something has that name. Other OSErrors pass through.
    """
    with _written(path) as (stream, part):
        stream.write(content)
        _sync(stream)
        stream.close()
        if os.name == "nt":
            # On Windows it never replaces.
            _patiently(lambda: part.rename(path))
            return
        try:
            path.hardlink_to(part)
        except FileExistsError:
            raise
        except OSError:
            # No hard links here: the name is taken first, and for a moment it is an empty file's.
            path.open("xb").close()
            put_in_place(part, path)
        else:
            part.unlink()


def put_in_place(source: Path, target: Path) -> None:
    """Rename a file or folder from `source` to `target`, over a file of that name.

    On Windows this fails while another program, such as a virus scanner, has one of them open; it
    is tried again for about a second. Raises OSError.
    """
    _patiently(lambda: source.replace(target))


def _patiently(rename: Callable[[], object]) -> None:
    for wait_s in WAITS_S:
        try:
            rename()
        except PermissionError as error:
            if getattr(error, "winerror", None) not in HELD_BY_ANOTHER:
                raise
            _wait(wait_s)
        else:
            return
    rename()


@contextmanager
def _written(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A hidden neighbour of `path`, open for writing, and its name; after an error it is gone."""
    path = Path(path)
    # A long name has no room for what is added to it.
    short = len(os.fsencode(path.name)) <= LONGEST_NAME_SHOWN
    shown = path.name if short else hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    part = path.with_name(f".{shown}.{uuid4().hex[:8]}.part")
    try:
        # Not at the end of all the work: whether the file system takes such a name.
        with suppress(FileNotFoundError):
            path.lstat()
        with part.open("wb") as stream:
            yield stream, part
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and str(error.filename) in ("None", str(part)):
            # A full disk names no file, and nobody knows the neighbour.
            error.filename = str(path)
            del error.filename2
        raise
    _sync_folder(path.parent)


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


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


#: What `_written` and `is_writable` leave when the program is killed.
_PART = re.compile(r"\.(.*\.[0-9a-f]{1,8}|[0-9a-f]{32})\.part", re.DOTALL)
#: In seconds: nothing is written for so long.
OLD_PART_S = 3600


def is_part(name: str) -> bool:
    """Whether a file of this name is one that was being written."""
    return _PART.fullmatch(name) is not None


def sweep_parts(folder: Path, older_s: float = OLD_PART_S) -> None:
    """Remove the `.part` files that a killed program left in a folder.

    Only those not written for `older_s` seconds: others may be in use. Errors are passed over.
    """
    with suppress(OSError):
        for part in list(folder.glob(".*.part")):
            with suppress(OSError):
                # Also where the clock was set back meanwhile.
                old = abs(time.time() - part.lstat().st_mtime) >= older_s
                if old and is_part(part.name) and part.is_file():
                    part.unlink()


#: What changes with a file, even where another of the same length is put in its place at once.
Stamp = tuple[int, int, int, int]


def stamp(path: Path | str) -> Stamp | None:
    """Times, size and inode of a file, which change with every write; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a path of thousands of names is text
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
