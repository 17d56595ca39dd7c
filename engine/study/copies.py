"""Keeps masks that were replaced, and drafts that cannot be shown, as copies."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from engine.files import put_in_place, write_together
from engine.masks.files import mask_name
from engine.study.records import record_path

#: The folder for them among the masks; what is there counts as no annotation.
COPIES = "copies"


def write_copy(folder: Path, image: str, content: bytes, record: str) -> Path:
    """Write a copy of a mask into the copies of a folder of masks, and return its file.

    Parameters
    ----------
    folder : the folder of masks, which is there.
    image : the file name of the mask's image; the copy is called by it and the time.
    content : the mask's PNG.
    record : the text of its record.

    Raises OSError.
    """
    path = _free(folder, image)
    write_together({path: content, record_path(path): record})
    return path


def move_aside(mask_path: Path, folder: Path, image: str) -> Path:
    """Move a mask or a draft of an image, with its record, to the copies of a folder of masks.

    Returns where it is now. Raises OSError.
    """
    path = _free(folder, image)
    put_in_place(mask_path, path)
    with suppress(FileNotFoundError):
        put_in_place(record_path(mask_path), record_path(path))
    return path


def move_others(mask_paths: Iterable[Path], image: str) -> None:
    """Move masks of an image that another mask replaces to the copies beside them, if possible."""
    for mask_path in mask_paths:
        with suppress(OSError):
            move_aside(mask_path, mask_path.parent, image)


def _free(folder: Path, image: str) -> Path:
    """A name that nothing has; the folder for copies is made."""
    (folder / COPIES).mkdir(exist_ok=True)
    moment = datetime.now().astimezone().strftime("%Y-%m-%d %H.%M.%S.%f")
    return folder / COPIES / mask_name(f"{Path(image).stem[:120]} {moment}")
