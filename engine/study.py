"""A study is a folder under annotation: its PNG masks are the truth, its index can be rebuilt."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine import studyindex
from engine.dataset import assign_splits
from engine.errors import StudyProblem, UnreadableImage
from engine.files import is_writable, write_atomic
from engine.folders import home_folder
from engine.images import IMAGE_SUFFIXES, list_images
from engine.masks import find_mask, mask_name, read_mask, write_mask
from engine.records import (
    Record,
    is_text,
    modified_ns,
    origin_from_json,
    origin_to_json,
    read_record,
    record_path,
    write_record,
)
from engine.types import Dataset, Origin, Sample

Status = Literal["new", "draft", "saved", "reviewed"]
Mask = NDArray[np.bool_]

#: The folder for masks beside the images, and the index in it.
MASKS, INDEX = "segmentations", "study.sqlite"


@dataclass(frozen=True)
class StudyImage:
    """An image of the study and how far its annotation is.

    A "draft" has strokes that were never saved. `doubt` is that of the newest result.
    """

    path: Path
    status: Status = "new"
    origin: Origin | None = None
    saved_at: datetime | None = None
    doubt: float | None = None


@dataclass(frozen=True, eq=False)
class Annotation:
    """A person's mask as it lies on disk: bool (rows, columns), the image's size, and its record.

    `newer` tells of a draft that it was written after the saved mask.
    """

    mask_hw: Mask
    record: Record
    newer: bool = False


@dataclass(frozen=True)
class Study:
    """The annotations of the images in `folder`, kept in `masks_folder`.

    Nothing is held open between two calls, so any thread may call and there is nothing to close.
    Nothing is written before the first save, draft or score. All methods raise StudyProblem.
    """

    folder: Path
    masks_folder: Path

    @classmethod
    def open(cls, folder: Path) -> Study:
        """The study of a folder of images, beside them if that can be written."""
        folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would leave a symlink
        if not folder.is_dir():
            raise StudyProblem(folder, "is not a folder")
        beside = folder / MASKS
        if beside.exists() and not beside.is_dir():
            raise StudyProblem(beside, "is in the place of the folder for masks")
        if not is_writable(beside if beside.is_dir() else folder):
            name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
            beside = home_folder() / "studies" / name
        study = cls(folder, beside)
        study._sweep()
        return study

    @property
    def is_beside_images(self) -> bool:
        """Whether masks go beside the images; False where that folder cannot be written."""
        return self.masks_folder.parent == self.folder

    def images(self) -> tuple[StudyImage, ...]:
        """All images of the folder as people count, with status, origin, scores and times."""
        paths = self._list()
        if not any(folder.is_dir() for folder in self._masks_folders()):
            return tuple(StudyImage(path) for path in paths)
        with self._index() as index:
            self._reconcile(index, paths)
            rows = {row[0]: row[1:] for row in index.execute("SELECT * FROM images")}
        return tuple(self._listed(path, rows.get(path.name)) for path in paths)

    def save(
        self, image_path: Path, mask_hw: Mask, origin: Origin | None, reviewed: bool = False
    ) -> Path:
        """Where the mask that a person decided on now lies; its draft is dropped.

        Refused where another image of the same stem (a.jpg, a.png) owns the mask's file.
        """
        mask_path, owner = self._mask(image_path)
        if owner is not None:
            raise StudyProblem(image_path, f"{mask_path.name} is the mask of {owner}")
        mask_path = self.masks_folder / mask_path.name
        with self._index() as index, _writing(mask_path):
            # The lock of the index keeps mask and record of two programs from mixing.
            index.execute("BEGIN IMMEDIATE")
            write_mask(mask_path, mask_hw)
            write_record(mask_path, image_path.name, origin, reviewed)
            self._remember(index, image_path.name, mask_path)
        self.drop_draft(image_path)
        return mask_path

    def load(self, image_path: Path, shape: tuple[int, int]) -> Annotation | None:
        """The saved mask of an image of `shape` (rows, columns), or None where there is none.

        Raises UnreadableMask for a damaged one.
        """
        mask_path, owner = self._mask(image_path)
        if owner is not None or not mask_path.exists():
            return None
        return _annotation(mask_path, shape)

    def set_reviewed(self, image_path: Path, reviewed: bool) -> None:
        """Mark a saved mask as looked at again, or take the mark away."""
        mask_path, owner = self._mask(image_path)
        if owner is not None or not mask_path.exists():
            raise StudyProblem(image_path, "has no saved mask")
        with self._index() as index, _writing(mask_path):
            index.execute("BEGIN IMMEDIATE")
            record = read_record(mask_path)
            if mask_path.parent != self.masks_folder:
                content, mask_path = mask_path.read_bytes(), self.masks_folder / mask_path.name
                write_atomic(mask_path, content)
            write_record(mask_path, image_path.name, record.origin, reviewed)
            self._remember(index, image_path.name, mask_path)

    def set_doubt(self, image_path: Path, doubt: float | None) -> None:
        """Keep how much the members of the newest result disagree, for sorting images."""
        self._own(image_path)
        with self._index() as index:
            index.execute(
                "INSERT INTO images (name, doubt) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET doubt = excluded.doubt",
                (image_path.name, doubt),
            )

    def save_draft(self, image_path: Path, mask_hw: Mask, origin: Origin | None) -> None:
        """Keep a mask that is still being drawn; it survives any end of the program."""
        path = self._draft(image_path)
        with self._index() as index, _writing(path):
            index.execute("BEGIN IMMEDIATE")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mask(path, mask_hw)
            write_record(path, image_path.name, origin, False)

    def load_draft(self, image_path: Path, shape: tuple[int, int]) -> Annotation | None:
        """The draft of an image of `shape` (rows, columns), or None where there is none.

        Its `newer` is False where the mask was saved after it. Raises UnreadableMask.
        """
        path = self._draft(image_path)
        if not path.exists():
            return None
        return _annotation(path, shape, newer=self._has_news(image_path))

    def drop_draft(self, image_path: Path) -> None:
        """Forget the draft of an image, if there is one."""
        path = self._draft(image_path)
        if not path.exists() and not record_path(path).exists():
            return
        with self._index() as index, _writing(path):
            index.execute("BEGIN IMMEDIATE")
            path.unlink(missing_ok=True)
            record_path(path).unlink(missing_ok=True)

    def saved_samples(self) -> tuple[Sample, ...]:
        """Every image with a saved mask, in order of id, each with its stable split."""
        saved = [image for image in self.images() if image.saved_at is not None]
        splits = assign_splits(image.path.stem for image in saved)
        samples = [
            Sample(path.stem, path, self._mask(path)[0], splits[path.stem], image.origin)
            for image in saved
            for path in [image.path]
        ]
        return tuple(sorted(samples, key=lambda sample: sample.id))

    def rebuild(self) -> None:
        """Make the index anew from masks and records; scores stay."""
        with self._index() as index:
            index.execute("UPDATE images SET stamp = 'stale'")
            self._reconcile(index, self._list())

    def _list(self) -> list[Path]:
        try:
            # A name that is not text has no place in the index or in a record.
            return [path for path in list_images(self.folder) if is_text(path.name)]
        except UnreadableImage as error:
            raise StudyProblem(self.folder, error.reason) from error

    def _own(self, image_path: Path) -> None:
        if Path(os.path.abspath(image_path)).parent != self.folder:  # noqa: PTH100
            raise StudyProblem(image_path, f"is not an image in {self.folder}")
        if not is_text(image_path.name):
            raise StudyProblem(image_path, "has a name with characters that are not text")

    def _masks_folders(self) -> tuple[Path, ...]:
        """Where masks are looked for; beside the images also where none can be written there."""
        if self.is_beside_images:
            return (self.masks_folder,)
        return self.masks_folder, self.folder / MASKS

    def _mask_path(self, image_path: Path) -> Path:
        self._own(image_path)
        for folder in self._masks_folders():
            if found := find_mask(folder, image_path.stem):
                return found
        return self.masks_folder / mask_name(image_path.stem)

    def _mask(self, image_path: Path) -> tuple[Path, str | None]:
        """Where an image's mask belongs, and the other image that owns that file, if one does."""
        path = self._mask_path(image_path)
        if not path.exists():
            return path, None
        owner = read_record(path).image
        if not owner or not (self.folder / owner).exists():
            stem = self.folder / image_path.stem
            suffixes = {x for suffix in IMAGE_SUFFIXES for x in (suffix, suffix.upper())}
            same = {f"{stem}{suffix}" for suffix in suffixes if Path(f"{stem}{suffix}").exists()}
            owner = Path(min(same, default=image_path)).name
        return path, owner if owner != image_path.name else None

    def _draft(self, image_path: Path) -> Path:
        self._own(image_path)
        # By the full name: drafts of a.jpg and a.png do not touch each other.
        return self.masks_folder / "drafts" / mask_name(image_path.name)

    def _has_news(self, image_path: Path) -> bool:
        draft_ns = modified_ns(self._draft(image_path))
        if not draft_ns:
            return False
        mask_path, owner = self._mask(image_path)
        # File times tick slowly: of two equal ones, better offer a draft than lose one.
        return owner is not None or draft_ns >= modified_ns(mask_path)

    def _listed(self, path: Path, row: tuple[Any, ...] | None) -> StudyImage:
        status, origin, saved_at, doubt, _ = row or ("new", None, None, None, "")
        return StudyImage(
            path,
            "draft" if self._has_news(path) else status,
            origin_from_json(json.loads(origin)) if origin else None,
            datetime.fromisoformat(saved_at) if saved_at else None,
            doubt,
        )

    def _remember(self, index: sqlite3.Connection, name: str, mask_path: Path) -> None:
        """Bring the index row of an image up to what its mask and record say."""
        record = read_record(mask_path)
        origin = origin_to_json(record.origin)
        index.execute(
            "INSERT INTO images (name, status, origin, saved_at, stamp) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET status = excluded.status, origin = excluded.origin,"
            " saved_at = excluded.saved_at, stamp = excluded.stamp",
            (
                name,
                "reviewed" if record.reviewed else "saved",
                json.dumps(origin) if origin else None,
                record.saved_at.isoformat(),
                _stamp(mask_path),
            ),
        )

    def _reconcile(self, index: sqlite3.Connection, paths: list[Path]) -> None:
        """Follow what other programs, or a kill, did to masks and records."""
        stamps = dict(index.execute("SELECT name, stamp FROM images"))
        for path in paths:
            if _stamp(self._mask_path(path)) == stamps.get(path.name, ""):
                continue
            mask_path, owner = self._mask(path)
            if owner is None and mask_path.exists():
                self._remember(index, path.name, mask_path)
            else:
                index.execute(
                    "UPDATE images SET status = 'new', origin = NULL, saved_at = NULL, stamp = ''"
                    " WHERE name = ?",
                    (path.name,),
                )

    @contextmanager
    def _index(self) -> Iterator[sqlite3.Connection]:
        """The index for one transaction; a damaged one is moved aside first."""
        path = self.masks_folder / INDEX
        try:
            with _writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                connection = studyindex.connect(path)
            with closing(connection):
                yield connection
                connection.commit()
        except sqlite3.Error as error:
            raise StudyProblem(path, str(error)) from error

    def _sweep(self) -> None:
        """Remove what a killed program left half-written, an hour later."""
        for folder in (self.masks_folder, self.masks_folder / "drafts"):
            for part in folder.glob(".*.part"):
                with suppress(OSError):
                    if time.time() - part.stat().st_mtime > 3600:
                        part.unlink()


def study_dataset(study: Study) -> Dataset:
    """The saved masks of a study as a data set, where they lie: nothing is copied."""
    return Dataset(study.folder, study.saved_samples())


def keeps_masks(folder: Path) -> bool:
    """Whether what is written into a folder counts as masks that a person saved, or soon could.

    It holds the index of a study, or is called as a study calls it beside images.
    """
    folder = Path(folder).resolve()
    if (folder / INDEX).exists():
        return True
    # In any case: many file systems take "A" and "a" for one name.
    if folder.name.casefold() != MASKS or not folder.parent.is_dir():
        return False
    return bool(list_images(folder.parent))


def _annotation(path: Path, shape: tuple[int, int], newer: bool = False) -> Annotation:
    mask_hw = read_mask(path, shape)
    return Annotation(mask_hw, read_record(path), newer)


def _stamp(mask_path: Path) -> str:
    """Text that changes with every write of a mask or its record; empty without a mask."""
    stamps = []
    for path in (mask_path, record_path(mask_path)):
        try:
            stat = path.stat()
        except OSError:
            stamps.append("")
        else:
            stamps.append(f"{stat.st_mtime_ns}.{stat.st_size}.{stat.st_ino}")
    return "/".join(stamps) if stamps[0] else ""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StudyProblem(error.filename or path, _reason(error)) from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
