"""Drafts: what was drawn and not saved, a file for each image and each window that draws."""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from engine.files import name_with_room, write_together
from engine.masks import Mask, encode_mask
from engine.records import modified_ns, record_path, record_text
from engine.types import Base, Origin

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: The folder for drafts among the masks.
DRAFTS = "drafts"
_ENDING = "_segmentation.png"
_NAME = re.compile(rf"(?P<image>.*?)(\.~(?P<token>[0-9a-f]{{8}}))?{_ENDING}", re.DOTALL)


#: Those of this process. It has one window: where there are two, the first was dropped unclosed.
_OWN: weakref.WeakSet[Writer] = weakref.WeakSet()


class Writer:
    """A window that draws: as long as it lives, its drafts are nobody else's.

    What says so is the lock on a file beside the drafts, which the system lets go however the
    window ends.
    """

    def __init__(self) -> None:
        self.token = uuid4().hex[:8]
        self._locks: dict[Path, int] = {}
        # Windows that are dropped without being closed let go as well.
        weakref.finalize(self, _release, self._locks)
        _OWN.add(self)

    def claim(self, folder: Path) -> None:
        """Tell others that the drafts of this writer in a folder are in use. OSError passes."""
        if folder in self._locks:
            return
        path = _lock_path(folder, self.token)
        # Locked before others can see it: who found it unlocked would take its owner for gone.
        hidden = path.with_suffix(".part")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT, 0o666)
        # Some network shares have no locks: then other windows find these drafts, too.
        with suppress(OSError):
            _lock(descriptor)
        if sys.platform != "win32":
            hidden.rename(path)
        self._locks[folder] = descriptor

    def close(self) -> None:
        """Draw no more: what drafts are left are anybody's."""
        for folder in self._locks:
            with suppress(OSError):
                _lock_path(folder, self.token).unlink(missing_ok=True)
        _release(self._locks)


def draft_path(folder: Path, image_name: str, writer: Writer | None) -> Path:
    """Where a writer keeps the draft of an image; without one, where any program may."""
    # By the full name: drafts of a.jpg and a.png do not touch each other.
    token = f".~{writer.token}" if writer is not None else ""
    return folder / f"{_stem(image_name)}{token}{_ENDING}"


def found_drafts(folders: Iterable[Path], writer: Writer | None) -> dict[str, list[Path]]:
    """All drafts in folders, by `draft_key`, the newest first.

    For a writer, those of windows that live in other processes are left out.
    """
    found: dict[str, list[tuple[int, Path]]] = {}
    lives: dict[tuple[Path, str], bool] = {}
    own = _own_tokens() | ({writer.token} if writer is not None else set())
    for folder in folders:
        try:
            names = [path.name for path in folder.iterdir()]
        except OSError:
            continue
        for name in names:
            parts = _NAME.fullmatch(name)
            if parts is None or name.startswith(".") or not (folder / name).is_file():
                continue
            token = parts["token"]
            if token and writer is not None and token not in own:
                if (folder, token) not in lives:
                    lives[folder, token] = _is_alive(folder, token)
                if lives[folder, token]:
                    continue
            path = folder / name
            found.setdefault(parts["image"], []).append((modified_ns(path), path))
    return {key: [path for _, path in sorted(each)[::-1]] for key, each in found.items()}


def draft_key(image_name: str) -> str:
    """What `found_drafts` calls an image."""
    return _stem(image_name)


def write_draft(
    path: Path,
    mask_hw: Mask,
    image_name: str,
    origin: Origin | None,
    over: Base | None,
    writer: Writer | None,
) -> None:
    """Write a draft and its record; the folder above its own is there. OSError passes through."""
    path.parent.mkdir(exist_ok=True)
    if writer is not None:
        writer.claim(path.parent)
    content = encode_mask(mask_hw)
    record = record_text(content, image_name, origin, False, over)
    write_together({path: content, record_path(path): record})


def remove_draft(path: Path) -> None:
    """Remove a draft and its record, where they are. OSError passes through."""
    path.unlink(missing_ok=True)
    record_path(path).unlink(missing_ok=True)


def _own_tokens() -> set[str]:
    return {writer.token for writer in _OWN}


def _stem(image_name: str) -> str:
    return name_with_room(image_name, len(".~01234567_segmentation.json"))


def _lock_path(folder: Path, token: str) -> Path:
    # Windows cannot rename a file that is open.
    return folder / f".{token}.{'part' if sys.platform == 'win32' else 'lock'}"


def _is_alive(folder: Path, token: str) -> bool:
    path = _lock_path(folder, token)
    try:
        with path.open("r+b" if sys.platform == "win32" else "rb") as stream:
            _lock(stream.fileno())
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        # There is none, or no way to know: a draft that nobody finds would be lost.
        return False
    # Whoever had it is gone, and so are the others that looked at this moment.
    with suppress(OSError):
        path.unlink()
    return False


def _lock(descriptor: int) -> None:
    """Take the lock on a file without waiting; OSError where another has it."""
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(locks: dict[Path, int]) -> None:
    while locks:
        os.close(locks.popitem()[1])
