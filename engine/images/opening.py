"""Opens image files: regular files only, in one format, with Pillow's warnings kept quiet."""

from __future__ import annotations

import os
import re
import stat
import threading
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image as PillowImage
from PIL import ImageFile

from engine.errors import UnreadableImage
from engine.files import open_at_once
from engine.images.limits import MAX_BYTES, MAX_HELD_BYTES, too_long

#: What Pillow decodes with: codec, box, offset and arguments. (Older releases have plain tuples.)
TILE: Any = getattr(ImageFile, "_Tile", lambda *parts: parts)

_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_QUIET_LOCK = threading.Lock()


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading; what waits or never ends is refused.

    Raises UnreadableImage for a folder, a device, and a file that is empty or too long, and
    OSError.
    """
    # Looked at before opening, which can set a device going.
    status = path.stat()
    if stat.S_ISREG(status.st_mode):
        # What has taken its place since does not block either.
        stream = os.fdopen(open_at_once(path), "rb")
        status = os.fstat(stream.fileno())
        # In /proc, files of no length can wait, too.
        if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_BYTES:
            return stream
        stream.close()
    if stat.S_ISDIR(status.st_mode):
        reason = "it is a folder"
    elif not stat.S_ISREG(status.st_mode):
        reason = "it is not a file"
    else:
        reason = too_long(MAX_BYTES) if status.st_size else "the file is empty"
    raise UnreadableImage(path, reason)


def open_picture(stream: BinaryIO, name: str) -> PillowImage.Image:
    """A file's picture, not decoded yet, by Pillow's reader of the format of that name."""
    stream.seek(0)
    return PillowImage.open(stream, formats=(name,))


def whole_content(stream: BinaryIO) -> bytes:
    """All bytes of a file that is not longer than what is held in memory."""
    stream.seek(0)
    return stream.read(MAX_HELD_BYTES)


def silence_pillow() -> None:
    """Keep Pillow's warnings of odd files quiet, in all threads."""
    # Not catch_warnings, which swaps the filters of all threads and may put back another's.
    with _QUIET_LOCK:
        if warnings.filters[:1] != [_QUIET]:
            warnings.filterwarnings("ignore", module=r"PIL\.")
