"""Prepares the folder of an export: a new one, or one that was exported before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import DatasetProblem
from engine.files import is_part, read_regular, sweep_parts, write_atomic
from engine.images.formats import IMAGE_SUFFIXES
from engine.masks.files import mask_name
from engine.study.dataset import files_by_id
from engine.study.dataset_index import (
    INDEX,
    SPLITS,
    Entries,
    index_files,
    plain,
    read_entries,
    reason_of,
)
from engine.types import Sample

_FOLDERS = ("images", "masks")
#: What systems put into a folder that a person looks at.
_SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def prepare(
    destination: Path, samples: Sequence[Sample]
) -> tuple[Entries, Mapping[str, list[Path]]]:
    """Prepare the folder for an export of these samples.

    Returns what its index holds already, and the images in it by id. A new or empty folder becomes
    that of a data set; what a killed export left half-written is removed. Raises DatasetProblem
    where the folder is not ours, is that of the samples, or has links where files would be written.
    """
    _expect_another_folder(destination, samples)
    _expect_no_links(destination, samples)
    folders = [destination / name for name in _FOLDERS]
    try:
        is_ours = (destination / INDEX).exists()
        if not is_ours and destination.exists() and _holds_work(destination):
            raise DatasetProblem(destination, f"is not empty and has no {INDEX}")
        entries = read_entries(destination / INDEX) if is_ours else {}
        destination.mkdir(parents=True, exist_ok=True)
        if not is_ours:
            # Marks the folder as ours before there is anything else in it.
            write_atomic(destination / INDEX, index_files(destination, {})[destination / INDEX])
        for folder in folders:
            folder.mkdir(exist_ok=True)
        for folder in (destination, *folders):
            # Nothing else writes there.
            sweep_parts(folder, older_s=0)
    except OSError as error:
        raise DatasetProblem(error.filename or destination, reason_of(error)) from error
    return entries, files_by_id(destination / "images", "", IMAGE_SUFFIXES)


def _expect_another_folder(destination: Path, samples: Sequence[Sample]) -> None:
    """Raise DatasetProblem where an export would write among what is exported."""
    root = destination.resolve()
    images = {sample.image_path.parent.resolve() for sample in samples}
    masks = {sample.mask_path.parent.resolve() for sample in samples}
    written = {root, *((destination / name).resolve() for name in _FOLDERS)}
    if images & written or masks & {*written, *root.parents}:
        reason = "holds what would be exported; a data set needs a folder of its own"
        raise DatasetProblem(destination, reason)


def _expect_no_links(destination: Path, samples: Sequence[Sample]) -> None:
    """Raise DatasetProblem where what is written would lie elsewhere, or take a link's place."""
    images, masks = (destination / name for name in _FOLDERS)
    own = {sample.id for sample in samples}
    try:
        root = destination.resolve()
        # Windows has links that is_symlink knows nothing of.
        links = [x for x in (images, masks) if x.exists() and x.resolve() != root / x.name]
        files = [images, masks, destination / INDEX, destination / SPLITS]
        for folder, names in ((images, own), (masks, {Path(mask_name(name)).stem for name in own})):
            if folder.is_dir() and not folder.is_symlink():
                files += (x for x in folder.iterdir() if plain(x.stem) in names)
        links += (path for path in files if path.is_symlink())
    except OSError as error:
        raise DatasetProblem(error.filename or destination, reason_of(error)) from error
    if links:
        reason = "is a link, and an export writes nothing outside its own folder"
        raise DatasetProblem(links[0], reason)


def _is_empty_index(file: Path) -> bool:
    try:
        return read_regular(file, 100) == b"id,split\n"
    except OSError:
        # A longer one, or no file at all.
        return False


def _holds_work(destination: Path) -> bool:
    """Whether a folder holds more than what an export leaves that was killed at its beginning."""
    for path in destination.iterdir():
        is_folder = path.name in _FOLDERS and path.is_dir()
        for file in path.iterdir() if is_folder else (path,):
            is_empty_index = file == destination / SPLITS and _is_empty_index(file)
            is_residue = file.name in _SYSTEM_FILES or is_part(file.name)
            if not (is_residue or is_empty_index):
                return True
    return False
