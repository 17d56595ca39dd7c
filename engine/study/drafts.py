"""Keeps drafts, masks that were drawn and not saved: one file for each image and window."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from engine import locks
from engine.errors import FolderInUse
from engine.files import name_with_room, sweep_parts, write_together
from engine.locks import Lock
from engine.masks.arrays import Mask
from engine.masks.files import encode_mask
from engine.study.records import modified_ns, record_path, record_text
from engine.types import Base, Origin

#: The folder for drafts among the masks.
DRAFTS = "drafts"
_ENDING = "_segmentation.png"
_NAME = re.compile(rf"(?P<image>.*?)(\.~(?P<token>[0-9a-f]{{8}}))?{_ENDING}", re.DOTALL)


#: Those of this process. It has one window: where there are two, the first was dropped unclosed.
_OWN: weakref.WeakSet[Writer] = weakref.WeakSet()


class Writer:
    """A window that draws: while it is open, no other window takes its drafts.

    It holds a lock on a file beside the drafts, which the system releases however the window ends.
    """

    def __init__(self) -> None:
        self.token = uuid4().hex[:8]
        self._locks: dict[Path, Lock] = {}
        _OWN.add(self)

    def claim(self, folder: Path) -> None:
        """Tell others that the drafts of this writer in a folder are in use.

        Where the file system has no locks others find them, too.
        """
        if folder in self._locks:
            return
        # Whoever looks whether it is held holds it for that moment, and removes its file.
        for _ in range(5):
            with suppress(FolderInUse):
                self._locks[folder] = Lock(folder, self.token)
                if _lock_path(folder, self.token).exists():
                    return
                self._locks[folder].release()

    def close(self) -> None:
        """Draw no more: what drafts are left are anybody's."""
        for folder, lock in self._locks.items():
            lock.release()
            with suppress(OSError):
                _lock_path(folder, self.token).unlink(missing_ok=True)
        self._locks.clear()


def draft_path(folder: Path, image_name: str, writer: Writer | None) -> Path:
    """The file of a writer's draft of an image; without a writer, the one that all share."""
    # By the full name: drafts of a.jpg and a.png do not touch each other.
    token = f".~{writer.token}" if writer is not None else ""
    return folder / f"{_stem(image_name)}{token}{_ENDING}"


def found_drafts(folders: Iterable[Path], writer: Writer | None) -> dict[str, list[Path]]:
    """Find all drafts in some folders: for each image, by its `draft_key`, the newest first.

    For a writer, drafts of windows that are open in other processes are left out.
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


def sweep_drafts(folder: Path) -> None:
    """Remove what killed windows left in a folder of drafts: half-written files and locks."""
    sweep_parts(folder)
    own = _own_tokens()
    for token in locks.kinds(folder):
        if token not in own:
            _is_alive(folder, token)


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
    """Write a draft and its record; the folder above the drafts' own must be there.

    Parameters
    ----------
    path : as `draft_path` gives it.
    mask_hw : bool (rows, columns), of the image's size.
    image_name : the file name of the image.
    origin : how the mask came to be, None where that is not known.
    over : the versions of image and mask that it is drawn over.
    writer : claims the draft as its own, where there is one.

    Raises OSError.
    """
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
    return folder / locks.NAME.format(token)


def _is_alive(folder: Path, token: str) -> bool:
    path = _lock_path(folder, token)
    if path.exists() and locks.is_held(folder, token):
        return True
    with suppress(OSError):
        path.unlink(missing_ok=True)
    return False
