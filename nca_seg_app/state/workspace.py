"""Holds what is open: the study, its images, the open image and its mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.study.study import Status, Study
from engine.types import Image, StyleChoice
from nca_seg_app.state.document import MaskDocument


@dataclass(frozen=True)
class ImageRow:
    """An image as the images panel lists it.

    Parameters
    ----------
    path : its file.
    status : "new" (no mask), "draft" (drawn, not saved), "saved" or "reviewed".
    expected_error : that of its newest result, in [0, 1], or None.
    has_mask : whether a mask is saved, also if a newer draft exists.
    readable : False once opening it failed.
    """

    path: Path
    status: Status = "new"
    expected_error: float | None = None
    has_mask: bool = False
    readable: bool = True


class Workspace(QObject):
    """Holds what is open. Services change it; panels and canvas read it."""

    #: Another image was opened; `image` and `document` are both new.
    image_changed = Signal()
    #: Images were added to the list or removed.
    images_listed = Signal()
    #: The list of images changed, or what it says of one, or which one is open.
    images_changed = Signal()
    #: `style` is another one, of the same study.
    style_changed = Signal()
    #: An edit of the document was made, undone or redone, or the mask was saved.
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._study: Study | None = None
        self._style = StyleChoice()
        self._is_whole_folder = False
        self._rows: tuple[ImageRow, ...] = ()
        self._index = -1
        self._image: Image | None = None
        self._document: MaskDocument | None = None

    @property
    def study(self) -> Study | None:
        """The open folder as a study, or None."""
        return self._study

    @property
    def style(self) -> StyleChoice:
        """In which style and width the study's outlines are drawn, where a model can be told."""
        return self._style

    @style.setter
    def style(self, style: StyleChoice) -> None:
        if style != self._style:
            self._style = style
            self.style_changed.emit()

    @property
    def is_whole_folder(self) -> bool:
        """Whether `images` are all images of the folder, not only some that were chosen."""
        return self._is_whole_folder

    @property
    def images(self) -> tuple[ImageRow, ...]:
        """The images of the open folder, or those of it that were opened, by name."""
        return self._rows

    @property
    def index(self) -> int:
        """The place of the open image in `images`, or -1."""
        return self._index

    @property
    def row(self) -> ImageRow | None:
        """The row of the open image in `images`, or None."""
        return self._rows[self._index] if self._index >= 0 else None

    @property
    def path(self) -> Path | None:
        """The file of the open image, or None."""
        return self.row.path if self.row is not None else None

    @property
    def image(self) -> Image | None:
        """The open image, or None."""
        return self._image

    @property
    def document(self) -> MaskDocument | None:
        """The mask of the open image, or None."""
        return self._document

    def place_of(self, path: Path | None) -> int | None:
        """The place of the image `path` in `images`, or None."""
        return next((place for place, row in enumerate(self._rows) if row.path == path), None)

    def set_study(
        self,
        study: Study,
        images: Sequence[ImageRow],
        index: int,
        *,
        whole_folder: bool,
        style: StyleChoice | None = None,
    ) -> None:
        """Set the open study and its images; the one at `index` must be shown next.

        Parameters
        ----------
        study : the folder.
        images : the rows of its list.
        index : the place of the image that is opened; that of the image open before may not exist.
        whole_folder : whether `images` are all images of the folder.
        style : the style that the study has kept; None for the usual one.
        """
        self._study, self._is_whole_folder = study, whole_folder
        self._style = style or StyleChoice()
        self._rows, self._index = tuple(images), index

    def set_image(self, index: int, image: Image, document: MaskDocument) -> None:
        """Set the open image, at `index` of `images`, and the document of its mask.

        `announce_image` signals it afterwards.
        """
        self._index, self._image, self._document = index, image, document
        document.history_changed.connect(self.history_changed)
        self.set_row(self._rows[index].path, readable=True)

    def announce_image(self) -> None:
        """Signal that another image is open, once everything that belongs to it is set."""
        self.image_changed.emit()
        self.images_changed.emit()

    def set_row(self, path: Path, **changes: Any) -> None:
        """Change fields of the row of the image `path`, by name."""
        changed = tuple(
            dataclasses.replace(row, **changes) if row.path == path else row for row in self._rows
        )
        if changed != self._rows:
            self._rows = changed
            self.images_changed.emit()

    def set_images(self, images: Sequence[ImageRow]) -> None:
        """Replace the list of images; the open one must be among them."""
        now = tuple(images)
        if now == self._rows:
            return
        path, before = self.path, [row.path for row in self._rows]
        self._rows = now
        self._index = next((place for place, row in enumerate(now) if row.path == path), -1)
        # A change of statuses alone does not sort the list again while a person uses it.
        if before != [row.path for row in now]:
            self.images_listed.emit()
        self.images_changed.emit()
