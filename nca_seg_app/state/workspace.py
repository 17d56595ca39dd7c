"""Holds what is open: the study, its images, the open image and its mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.study.study import Status, Study
from engine.types import Image
from nca_seg_app.state.document import MaskDocument


@dataclass(frozen=True)
class ImageRow:
    """An image as the images panel lists it.

    `status`: "new" (no mask), "draft" (drawn, not saved), "saved", "reviewed". `expected_error`
    is that of the newest result, in [0, 1], or None. `has_mask` tells of a saved mask, which
    a draft may lie over. `readable` is False once opening failed.
    """

    path: Path
    status: Status = "new"
    expected_error: float | None = None
    has_mask: bool = False
    readable: bool = True


class Workspace(QObject):
    """What is open. Services change it; panels and canvas read it."""

    #: Another folder, or other images of one, are open; `image_changed` follows.
    study_changed = Signal()
    #: Another image, or none; `image` and `document` are both new.
    image_changed = Signal()
    #: Images came or went.
    images_listed = Signal()
    #: The list of images, their status or expected error, or the place in it.
    images_changed = Signal()
    #: A step of the document was taken, undone or redone.
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        """A workspace with nothing open."""
        super().__init__(parent)
        self._study: Study | None = None
        self._is_whole_folder = False
        self._rows: tuple[ImageRow, ...] = ()
        self._index = -1
        self._image: Image | None = None
        self._document: MaskDocument | None = None

    @property
    def study(self) -> Study | None:
        """The folder under annotation."""
        return self._study

    @property
    def is_whole_folder(self) -> bool:
        """Whether `images` are all of the folder, not some that were chosen."""
        return self._is_whole_folder

    @property
    def images(self) -> tuple[ImageRow, ...]:
        """The images of the open folder, or those opened, by name."""
        return self._rows

    @property
    def index(self) -> int:
        """The place of the open image in `images`, or -1."""
        return self._index

    @property
    def row(self) -> ImageRow | None:
        """The open image as `images` lists it."""
        return self._rows[self._index] if self._index >= 0 else None

    @property
    def path(self) -> Path | None:
        """The file of the open image."""
        return self.row.path if self.row is not None else None

    @property
    def image(self) -> Image | None:
        """The open image."""
        return self._image

    @property
    def document(self) -> MaskDocument | None:
        """The mask of the open image."""
        return self._document

    def place_of(self, path: Path | None) -> int | None:
        """The place of an image in `images` as they are now, or None."""
        return next((place for place, row in enumerate(self._rows) if row.path == path), None)

    def set_study(
        self, study: Study, images: Sequence[ImageRow], index: int, *, whole_folder: bool
    ) -> None:
        """List a folder's images; the one at `index` is about to be shown.

        Together with its images: the place of the image that was open may not be among them.
        """
        self._study, self._is_whole_folder = study, whole_folder
        self._rows, self._index = tuple(images), index
        self.study_changed.emit()

    def set_image(self, index: int, image: Image, document: MaskDocument) -> None:
        """Show the image at `index` of `images` with its mask; told by `announce_image()`."""
        self._index, self._image, self._document = index, image, document
        document.history_changed.connect(self.history_changed)
        self.set_row(self._rows[index].path, readable=True)

    def announce_image(self) -> None:
        """Tell that another image is shown, once all that belongs to it is in place."""
        self.image_changed.emit()
        self.images_changed.emit()

    def set_row(self, path: Path, **changes: Any) -> None:
        """Change what `images` say about the image at `path`."""
        changed = tuple(
            dataclasses.replace(row, **changes) if row.path == path else row for row in self._rows
        )
        if changed != self._rows:
            self._rows = changed
            self.images_changed.emit()

    def set_images(self, images: Sequence[ImageRow]) -> None:
        """List images as they were found on disk now; the open one is among them."""
        now = tuple(images)
        if now == self._rows:
            return
        path, before = self.path, [row.path for row in self._rows]
        self._rows = now
        self._index = next((place for place, row in enumerate(now) if row.path == path), -1)
        # Statuses alone move nothing under a person's hand.
        if before != [row.path for row in now]:
            self.images_listed.emit()
        self.images_changed.emit()
