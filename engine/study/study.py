"""Keeps the annotations of a folder of images: masks, drafts and records as files, and an index."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.errors import ChangedOutside, StudyProblem, UnreadableImage, UnreadableMask, Vanished
from engine.files import is_writable, stamp, sweep_parts, write_atomic, write_together
from engine.folders import home_folder
from engine.images.listing import Listing, list_folder
from engine.images.reading import image_shape
from engine.masks.arrays import Mask
from engine.masks.files import encode_mask
from engine.study import drafts as draft_files
from engine.study import study_index
from engine.study.copies import move_aside, move_others, write_copy
from engine.study.dataset import assign_splits
from engine.study.drafts import DRAFTS, Writer
from engine.study.kinship import read_kin
from engine.study.mask_files import INDEX, MASKS, MaskFiles, image_version, mask_version, version_of
from engine.study.records import (
    Annotation,
    Seen,
    Status,
    StudyImage,
    is_text,
    read_annotation,
    read_record,
    record_path,
    record_text,
    study_trouble,
    write_record,
)
from engine.study.style_file import read_style, write_style
from engine.types import Base, Dataset, Origin, Sample, StyleChoice

__all__ = ["Annotation", "Base", "Mask", "Status", "Study", "StudyImage", "Writer"]

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Study:
    """The annotations of the images in `folder`, kept in `masks_folder`.

    The PNG masks and their records are what counts; the index only makes them fast to list and can
    be made anew from them. Nothing is held open between two calls, so any thread may call and there
    is nothing to close. Nothing is written before the first save, draft or score, and no folder
    above `masks_folder` is ever made. All methods raise StudyProblem. `notices` collects what was
    put aside or could not be used, for whoever shows it.
    """

    folder: Path
    masks_folder: Path
    #: Where masks are where the folder cannot be written, and drafts where it is gone.
    home: Path
    writer: Writer | None = field(default=None, compare=False)
    notices: list[StudyProblem] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def open(cls, folder: Path, writer: Writer | None = None) -> Study:
        """Open the study of a folder of images.

        Its masks lie in `segmentations` beside the images, or in the program's own folder where
        that cannot be written. A `writer` keeps its drafts apart from those of others.
        """
        folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would leave a symlink
        if not folder.is_dir():
            raise StudyProblem(folder, "is not a folder")
        beside = folder / MASKS
        if beside.exists() and not beside.is_dir():
            raise StudyProblem(beside, "is in the place of the folder for masks")
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        home = home_folder() / "studies" / name
        writable = is_writable(beside if beside.is_dir() else folder)
        study = cls(folder, beside if writable else home, home, writer)
        sweep_parts(study.masks_folder)
        draft_files.sweep_drafts(study.masks_folder / DRAFTS)
        return study

    @property
    def is_beside_images(self) -> bool:
        """Whether masks go beside the images; False where that folder cannot be written."""
        return self.masks_folder.parent == self.folder

    @property
    def style(self) -> StyleChoice:
        """The style and width that were kept last (`keep_style`); mixed and 0 before."""
        return read_style(self._masks_folders())

    def images(self, listing: Listing | None = None) -> tuple[StudyImage, ...]:
        """List all images of the folder with their status, in the order people count.

        `listing` spares reading the folder where that was just done.
        """
        paths = self._list(listing)
        files = self._files()
        if not files.places:
            return tuple(StudyImage(path) for path in paths)
        drafts = draft_files.found_drafts((each / DRAFTS for each in files.places), self.writer)
        try:
            rows = self._in_index(lambda index: study_index.reconcile(index, files, paths))
        except StudyProblem as error:
            if error.__cause__ is None:
                # It is a newer program's.
                raise
            # The masks tell it as well, if not as fast.
            self.notices.append(error)
            rows = {path.name: study_index.row_of(files, path) for path in paths}
        return tuple(_listed(path, rows, drafts, files) for path in paths)

    def base(self, image_path: Path) -> Base:
        """The versions of an image and its saved mask on disk now.

        A mask that is shown next is drawn over them; `save_over` compares with them.
        """
        self._own(image_path)
        return Base(image_version(image_path), self._files().version(image_path))

    def save(
        self, image_path: Path, mask_hw: Mask, origin: Origin | None, reviewed: bool = False
    ) -> Path:
        """Save a mask that a person decided on, over whatever mask is there; drop its draft.

        Parameters
        ----------
        image_path : an image of the folder.
        mask_hw : bool (rows, columns), of the image's size.
        origin : how the mask came to be, None where that is not known.
        reviewed : whether a person has looked at it again.

        Returns the mask's file. Raises ChangedOutside where the image has another size by now.
        """
        return self._save(image_path, mask_hw, origin, reviewed, None)[0]

    def save_over(
        self,
        base: Base,
        image_path: Path,
        mask_hw: Mask,
        origin: Origin | None,
        reviewed: bool = False,
    ) -> tuple[Path, Base]:
        """Save a mask unless image or saved mask were changed since it was begun.

        They are compared with `base`, and the mask is written, under one lock. The other arguments
        are those of `save`. Returns the mask's file and what is on disk now. Raises ChangedOutside
        where they were changed, unless the mask that lies there is the same; nothing is written
        then.
        """
        path, version = self._save(image_path, mask_hw, origin, reviewed, base)
        return path, Base(base.image, version)

    def load(self, image_path: Path, shape: tuple[int, int]) -> Annotation | None:
        """Read the saved mask of an image of `shape` (rows, columns); None where there is none.

        Raises UnreadableMask for a damaged one, or one of another size.
        """
        self._own(image_path)
        mask_path, owned = self._files().find(image_path)
        return read_annotation(mask_path, shape) if owned else None

    def set_reviewed(self, image_path: Path, reviewed: bool, base: Base | None = None) -> Base:
        """Mark a saved mask as looked at again, or take the mark away.

        Returns what is on disk now. With a `base`, raises ChangedOutside where image or mask are
        not what it names.
        """
        self._expect_there(image_path)

        def work(index: sqlite3.Connection) -> Base:
            # The lock of the index keeps mask and record of two programs from mixing.
            index.execute("BEGIN IMMEDIATE")
            mask_path, owned = self._files().find(image_path)
            if not owned:
                raise StudyProblem(image_path, "has no saved mask")
            self._expect(base, image_path)
            record = read_record(mask_path)
            if mask_path.parent != self.masks_folder:
                content, mask_path = mask_path.read_bytes(), self.masks_folder / mask_path.name
                write_atomic(mask_path, content)
            write_record(mask_path, image_path.name, record.origin, reviewed)
            self._put_older_aside(image_path, mask_path)
            study_index.reconcile(index, self._files(), [image_path])
            image = base.image if base is not None else image_version(image_path)
            return Base(image, mask_version(mask_path))

        return self._in_index(work)

    def keep_copy(
        self, image_path: Path, mask_hw: Mask | None = None, origin: Origin | None = None
    ) -> Path:
        """Write a copy of a mask, or of the saved mask with its record, and return its file.

        It gets a name of its own in the folder `copies` beside the masks, and counts as no
        annotation. Without `mask_hw` the saved mask is copied, and `origin` is that of its record.
        """
        self._expect_there(image_path)
        with study_trouble(image_path):
            if mask_hw is None:
                mask_path, _ = self._files().find(image_path)
                content, record = mask_path.read_bytes(), read_record(mask_path)
                origin, reviewed = record.origin, record.reviewed
            else:
                content, reviewed = encode_mask(mask_hw), False
            text = record_text(content, image_path.name, origin, reviewed)
            return write_copy(self._room(), image_path.name, content, text)

    def set_expected_error(self, image_path: Path, expected_error: float | None) -> None:
        """Keep the expected error of an image's newest result, for sorting; None forgets it."""
        # In the folder that is left where a share was, no index is made.
        self._expect_there(image_path)
        self._in_index(
            lambda index: study_index.keep_expected_error(index, image_path.name, expected_error)
        )

    def save_draft(
        self, image_path: Path, mask_hw: Mask, origin: Origin | None, over: Base | None = None
    ) -> Path:
        """Keep a mask that is still being drawn; it survives any end of the program.

        Where the folder is gone or cannot be written any more, the draft goes to `home`, where it
        is found as well. No lock is waited for.

        Parameters
        ----------
        image_path, mask_hw, origin : as in `save`.
        over : the versions that it is drawn over, by default those on disk.

        Returns the draft's file.
        """
        self._own(image_path)
        known = over if over is not None else self.base(image_path)

        def write(folder: Path) -> Path:
            path = self._draft_path(folder, image_path)
            with study_trouble(path):
                draft_files.write_draft(path, mask_hw, image_path.name, origin, known, self.writer)
            return path

        try:
            self._expect_there(image_path)
            path = write(self._room())
        except StudyProblem as error:
            try:
                with study_trouble(self.home):
                    self.home.mkdir(parents=True, exist_ok=True)
                return write(self.home)
            except StudyProblem:
                raise error from None
        if self.is_beside_images:
            # One of a time when it could not be written is older.
            with suppress(OSError):
                draft_files.remove_draft(self._draft_path(self.home, image_path))
        return path

    def load_draft(self, image_path: Path, shape: tuple[int, int]) -> Annotation | None:
        """Read the newest draft of an image of `shape` (rows, columns); None where there is none.

        The annotation's `newer` is False where the draft is the saved mask. A draft that is
        damaged, or of another size, is moved to the copies, so that it hides none behind it, and
        UnreadableMask is raised.
        """
        self._own(image_path)
        folders = (each / DRAFTS for each in self._masks_folders())
        found = draft_files.found_drafts(folders, self.writer)
        drafts = found.get(draft_files.draft_key(image_path.name))
        if not drafts:
            return None
        is_saved = self._files().is_saved(image_path, drafts[0])
        try:
            return read_annotation(drafts[0], shape, newer=not is_saved)
        except UnreadableMask as error:
            with suppress(OSError):
                error.path = move_aside(drafts[0], drafts[0].parents[1], image_path.name)
            raise

    def drop_draft(self, image_path: Path, shown: Seen | None = None) -> None:
        """Remove the draft of an image that this writer made, and the draft that was shown.

        `shown` names a draft's file as it was read (`Annotation.seen`); it may be another writer's.
        It stays where it has been written since.
        """
        self._own(image_path)
        with study_trouble(image_path):
            for folder in (self.masks_folder, self.home):
                draft_files.remove_draft(self._draft_path(folder, image_path))
            if shown is not None and stamp(shown[0]) == shown[1]:
                draft_files.remove_draft(shown[0])

    def saved_samples(self) -> tuple[Sample, ...]:
        """Every image with a saved mask, in order of id, each with its stable split."""
        files = self._files()
        saved = [
            # Of two images of one stem the second has its whole name there.
            (mask_path.name[: -len("_segmentation.png")], image, mask_path)
            for image in self.images()
            if image.saved_at is not None
            for mask_path in [files.find(image.path)[0]]
        ]
        names = [name for name, _, _ in saved]
        kin = read_kin(self.folder, names)
        splits = assign_splits(names, kin=kin)
        samples = [
            Sample(name, image.path, mask_path, splits[name], image.origin, kin=kin.get(name, ()))
            for name, image, mask_path in saved
        ]
        return tuple(sorted(samples, key=lambda sample: sample.id))

    # Inside

    def _save(
        self,
        image_path: Path,
        mask_hw: Mask,
        origin: Origin | None,
        reviewed: bool,
        base: Base | None,
    ) -> tuple[Path, str]:
        self._expect_there(image_path, mask_hw)
        content = encode_mask(mask_hw)
        record = record_text(content, image_path.name, origin, reviewed)
        version = version_of(hashlib.sha256(content).hexdigest(), reviewed)

        def work(index: sqlite3.Connection) -> Path:
            index.execute("BEGIN IMMEDIATE")
            files = self._files()
            self._expect(base, image_path, saving=version)
            mask_path = self.masks_folder / files.find(image_path)[0].name
            draft = self._draft_path(self.masks_folder, image_path)
            with study_trouble(mask_path):
                if draft.exists():
                    # A kill before it is removed leaves a draft that is what is saved.
                    write_atomic(draft, content)
                write_together({mask_path: content, record_path(mask_path): record})
            self._put_older_aside(image_path, mask_path)
            study_index.reconcile(index, self._files(), [image_path])
            return mask_path

        mask_path = self._in_index(work)
        self.drop_draft(image_path)
        return mask_path, version

    def _put_older_aside(self, image_path: Path, mask_path: Path) -> None:
        """Move an image's other masks, in places from before, to the copies.

        Of two masks only the clock would tell which is newer, and it may have been set back.
        """
        if self.is_beside_images:
            others = (each for each in self._files().own(image_path) if each != mask_path)
            move_others(others, image_path.name)

    def _expect_there(self, image_path: Path, mask_hw: Mask | None = None) -> None:
        """StudyProblem where an image is not there, or has not the size of its mask any more."""
        self._own(image_path)
        if not self.folder.is_dir():
            raise Vanished(self.folder)
        if not image_path.exists():
            raise Vanished(image_path)
        if mask_hw is not None and image_shape(image_path) not in (None, mask_hw.shape):
            raise ChangedOutside(image_path, "image", self.base(image_path), fits=False)

    def _expect(self, base: Base | None, image_path: Path, saving: str = "") -> None:
        """ChangedOutside where what lies on disk is neither `base` nor the mask being saved."""
        if base is None:
            return
        files, found = self._files(), self.base(image_path)
        if found.mask not in (base.mask, saving):
            mask_path, owned = files.find(image_path)
            reviewed = owned and read_record(mask_path).reviewed
            raise ChangedOutside(mask_path, "mask", found, reviewed)
        if found.image != base.image:
            raise ChangedOutside(image_path, "image", found)

    def _list(self, listing: Listing | None) -> list[Path]:
        try:
            # A name that is not text has no place in the index or in a record.
            images = (listing or list_folder(self.folder)).images
            return [path for path in images if is_text(path.name)]
        except UnreadableImage as error:
            raise StudyProblem(self.folder, error.reason) from error

    def _own(self, image_path: Path) -> None:
        if Path(os.path.abspath(image_path)).parent != self.folder:  # noqa: PTH100
            raise StudyProblem(image_path, f"is not an image in {self.folder}")
        if not is_text(image_path.name):
            raise StudyProblem(image_path, "has a name with characters that are not text")

    def _masks_folders(self) -> tuple[Path, ...]:
        """Where masks and drafts lie: the folder may have been read-only before, or be so now."""
        beside = self.folder / MASKS
        others = (each for each in (beside, self.home) if each != self.masks_folder)
        return tuple(each for each in (self.masks_folder, *others) if each.is_dir())

    def _draft_path(self, folder: Path, image_path: Path) -> Path:
        return draft_files.draft_path(folder / DRAFTS, image_path.name, self.writer)

    def _files(self) -> MaskFiles:
        return MaskFiles(self.folder, self._masks_folders(), self.masks_folder)

    def _room(self) -> Path:
        """The folder for masks, made where it is missing, but none above it beside images."""
        with study_trouble(self.masks_folder):
            if self.is_beside_images and not self.folder.is_dir():
                raise Vanished(self.folder)
            self.masks_folder.mkdir(parents=not self.is_beside_images, exist_ok=True)
        return self.masks_folder

    def _in_index(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """What `work` gives in one transaction; a damaged index is put aside and made anew."""
        path = self._room() / INDEX
        told = "a damaged index that was put aside; every mask is there"
        try:
            with study_trouble(path):
                return study_index.transact(
                    path, work, lambda aside: self.notices.append(StudyProblem(aside, told))
                )
        except sqlite3.Error as error:
            raise StudyProblem(path, str(error)) from error


def keep_style(study: Study, choice: StyleChoice, over: StyleChoice | None = None) -> StyleChoice:
    """Keep the style and width of a study for the next time, and return those that are kept now.

    Parameters
    ----------
    study : its folder for masks is made where it is missing.
    choice : what is to be kept.
    over : what the person had before them. Where another window has kept something else since then,
        that stays and is returned. None writes over whatever is there.

    Raises StudyProblem.
    """

    def work(index: sqlite3.Connection) -> StyleChoice:
        # The lock of the index keeps two programs apart.
        index.execute("BEGIN IMMEDIATE")
        found = study.style
        if over is not None and found not in (over, choice):
            return found
        with study_trouble(study.masks_folder):
            write_style(study.masks_folder, choice)
        return choice

    return study._in_index(work)


def study_dataset(study: Study) -> Dataset:
    """The saved masks of a study as a data set, where they lie."""
    return Dataset(study.folder, study.saved_samples())


def _listed(
    path: Path, rows: dict[str, study_index.Row], drafts: dict[str, list[Path]], files: MaskFiles
) -> StudyImage:
    row = rows.get(path.name, study_index.Row())
    draft = next(iter(drafts.get(draft_files.draft_key(path.name), ())), None)
    has_news = draft is not None and not files.is_saved(path, draft)
    status: Status = "draft" if has_news else row.status
    return StudyImage(path, status, row.origin, row.saved_at, row.expected_error)
