"""Opens images and folders, off the main thread; where that fails nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal

from engine.errors import Vanished
from engine.images.preview import read_preview
from nca_seg_app.services.annotation import OpenedImage, read_opened
from nca_seg_app.services.context import Context
from nca_seg_app.services.image_cache import ImageCache
from nca_seg_app.services.mask_writing import OpenMask
from nca_seg_app.services.prompts import PathKind
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.questions import Questions
from nca_seg_app.services.saving import Saving
from nca_seg_app.services.study_reader import Opened, describe_skipped, open_listed
from nca_seg_app.state.image_order import ImageOrder

#: Reads what is opened, in a thread; is given a function to announce each image before it is read.
Reader = Callable[[Callable[[Path], None]], Opened | OpenedImage]


@dataclass(eq=False)
class OpenRequest:
    """What a person wants to open, and how far that has come.

    `path` is the image of the list to open, the open one itself where it is read anew, and None
    where another list is opened. `unsaved` says what becomes of work on the open image. `write` is
    the number of the save or draft that is waited for, `opened` what was read, and `revision` the
    open document's when reading began.
    """

    read: Reader
    unsaved: Literal["ask", "keep as draft"]
    path: Path | None = None
    step: Literal["settle", "secure", "read"] = "settle"
    write: int | None = None
    revision: int = 0
    opened: Opened | OpenedImage | None = None


class Opening(QObject):
    """Opens what a person asks for, in steps, once unsaved work is safe.

    One request is under way at a time, and goes through these steps, each a method:

    1. settle: an image that is put aside is first what the proposal is about to make of it;
    2. secure: unsaved work is saved or let go, as a person answers, or kept as a draft;
    3. read: in the lane, with a preview of a large image meanwhile;
    4. show; but step 2 comes once more where the open image was drawn on while reading.

    A newer request replaces one that is not done, and a question about the open mask drops it.
    """

    #: Something is to be opened; whatever was being opened is not wanted any more.
    requested = Signal()
    #: Read `preview_hwc`.
    preview_changed = Signal()
    #: Another image is about to be shown in place of the open one.
    leaving = Signal()
    #: The open image and its mask are about to be replaced, also by themselves read anew.
    replacing = Signal()
    #: Another image is shown, or the open one anew, and all who follow the workspace know it.
    shown = Signal()
    # From the thread that reads: the request, and the image it reads now.
    _reads = Signal(object, object)

    def __init__(
        self,
        context: Context,
        image_order: ImageOrder,
        image_cache: ImageCache,
        questions: Questions,
        proposal: Proposal,
        saving: Saving,
    ) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace
        self._image_order, self._image_cache = image_order, image_cache
        self._questions, self._proposal, self._saving = questions, proposal, saving
        self._request: OpenRequest | None = None
        self._preview_hwc: NDArray[np.uint8] | None = None
        #: The image whose preview was asked for last.
        self._previewed: Path | None = None
        self._reads.connect(self._read_preview, Qt.ConnectionType.QueuedConnection)
        questions.asked.connect(self._drop)
        proposal.given_up.connect(self._note_given_up)
        saving.write_ended.connect(self._note_write)
        saving.reload_wanted.connect(self.reload)

    @property
    def preview_hwc(self) -> NDArray[np.uint8] | None:
        """A large image that is being read, in small: uint8 (rows, columns, 3), or None."""
        return self._preview_hwc

    @property
    def under_way(self) -> bool:
        """Whether something is being opened that is to take the place of the open image."""
        return self._request is not None

    def ask_image(self) -> None:
        """Ask for an image and open it."""
        self._ask_path("image")

    def ask_folder(self) -> None:
        """Ask for a folder and open it."""
        self._ask_path("folder")

    def open_path(self, paths: Path | Sequence[Path]) -> None:
        """Open an image, a folder, or a list of images; unsaved changes are asked about first."""
        listed = [paths] if isinstance(paths, Path) else list(paths)
        writer = self._context.writer
        if listed:
            self._start(OpenRequest(lambda announce: open_listed(listed, announce, writer), "ask"))

    def open_recent(self, place: int = 0) -> None:
        """Open the file or folder at `place` of the recent ones."""
        recent = self._context.settings.recent
        if place < len(recent):
            self.open_path(Path(recent[place]))

    def open_sample(self) -> None:
        """Open the sample images that come with the program."""
        context = self._context
        context.lane.run(context.engine.sample_folder, self.open_path, context.fail)

    def open_row(self, index: int) -> None:
        """Open the image at `index` of the list, where it is not the open one.

        Unsaved changes of the open image are kept as a draft; nothing is asked.
        """
        workspace, study = self._workspace, self._workspace.study
        if study is None or not 0 <= index < len(workspace.images) or index == workspace.index:
            return
        path = workspace.images[index].path

        def read(announce: Callable[[Path], None]) -> OpenedImage:
            announce(path)
            return read_opened(study, path, self._image_cache.read)

        self._start(OpenRequest(read, "keep as draft", path))

    def reload(self) -> None:
        """Read the open image and its mask anew; unsaved changes are asked about first."""
        study, path = self._workspace.study, self._workspace.path
        if study is None or path is None:
            return

        def read(announce: Callable[[Path], None]) -> OpenedImage:
            announce(path)
            return read_opened(study, path)

        self._start(OpenRequest(read, "ask", path))

    def open_next(self) -> None:
        """Open the next image of the list that can be read."""
        self._open_neighbour(1, "This is the last image.")

    def open_previous(self) -> None:
        """Open the image before in the list that can be read."""
        self._open_neighbour(-1, "This is the first image.")

    def _open_neighbour(self, step: int, end: str) -> None:
        place = self._image_order.neighbour(step)
        if place is not None:
            self.open_row(place)
        elif self._workspace.images:
            self._context.message.emit(end)

    def _ask_path(self, kind: PathKind) -> None:
        study, recent = self._workspace.study, self._context.settings.recent
        start = study.folder if study else Path(recent[0]) if recent else Path.home()
        chosen = self._context.prompts.ask_path(kind, start)
        if chosen is not None:
            self.open_path(chosen)

    # The steps of a request

    def _start(self, request: OpenRequest) -> None:
        """Begin a request in place of the one under way; not while a question is open."""
        if self._questions.is_open:
            return
        self._drop()
        self._request = request
        self.requested.emit()
        if request.unsaved == "ask":
            # A person who has asked to leave is answered at once.
            self._secure(request)
        else:
            self._proposal.when_settled(partial(self._secure, request))

    def _secure(self, request: OpenRequest) -> None:
        """Step 2: see to unsaved work on the open image."""
        if request is not self._request:
            return
        request.step, mask = "secure", self._saving.open_mask
        if mask is None:
            self._go_on(request)
        elif request.unsaved == "ask":
            self._ask_save(request, mask)
        else:
            self._keep_draft(request, mask)

    def _ask_save(self, request: OpenRequest, mask: OpenMask) -> None:
        answer = self._questions.ask_save(mask)
        # Asking drops what was being opened: this one, too, unless the answer lets it go on.
        self._request = request if answer != "cancel" else None
        if answer == "save":
            request.write = self._saving.save()
        elif answer == "discard":
            self._saving.drop_draft()
            self._go_on(request)

    def _keep_draft(self, request: OpenRequest, mask: OpenMask) -> None:
        mask.document.rollback()
        if not mask.document.unsaved:
            self._saving.drop_draft()
            self._go_on(request)
        elif self._saving.is_drafted:
            self._context.message.emit(f"{mask.path.name} is kept as a draft; it is not saved yet.")
            self._go_on(request)
        else:
            request.write = self._saving.write_draft()

    def _note_write(self, number: int, done: bool) -> None:
        """Go on when the save or draft that is waited for is on disk; else stay."""
        request, document = self._request, self._workspace.document
        if request is None or request.write != number or document is None:
            return
        request.write = None
        if done:
            # Once more from there: more may have been drawn while it was written.
            document.when_still(partial(self._secure, request))
        else:
            self._drop()

    def _go_on(self, request: OpenRequest) -> None:
        """Go on from step 2: read, or show what has been read already."""
        if request.opened is None:
            self._read(request)
        else:
            self._show(request, request.opened)

    def _read(self, request: OpenRequest) -> None:
        """Step 3: read in the lane."""
        document = self._workspace.document
        request.step = "read"
        request.revision = document.revision if document is not None else 0
        self._context.lane.run(
            lambda: request.read(lambda path: self._reads.emit(request, path)),
            partial(self._note_read, request),
            partial(self._refuse, request),
        )

    def _note_read(self, request: OpenRequest, opened: Opened | OpenedImage) -> None:
        """Show what was read, or see to what was drawn meanwhile, once no stroke is under way."""
        document = self._workspace.document
        if request is not self._request:
            return
        if document is not None and document.drawing:
            document.when_still(partial(self._note_read, request, opened))
            return
        request.opened = opened
        self._show_preview(None)
        if document is not None and document.revision != request.revision:
            self._secure(request)
        else:
            self._show(request, opened)

    def _refuse(self, request: OpenRequest, error: BaseException) -> None:
        """End a request for what cannot be read; the open image stays."""
        if request is not self._request:
            return
        self._drop()
        if request.path is not None and request.path != self._workspace.path:
            # So that stepping through the images does not stop here for ever.
            self._workspace.set_row(request.path, readable=False)
        self._context.fail(error)

    def _show(self, request: OpenRequest, opened: Opened | OpenedImage) -> None:
        """Step 4: show what was read in place of the open image."""
        self._drop()
        if isinstance(opened, Opened):
            self._show_study(opened)
        elif request.path is not None:
            self._show_listed(request.path, opened)

    def _note_given_up(self) -> None:
        """Stay where what the image was to become first does not come."""
        if self._request is not None and self._request.step == "settle":
            self._drop()

    def _drop(self) -> None:
        """Forget the request; what is still read for it is not wanted."""
        self._request = None
        self._show_preview(None)

    # What is shown

    def _show_study(self, opened: Opened) -> None:
        """List another folder, or other images, and show the one that was read."""
        study, settings = opened.study, self._context.settings
        self.leaving.emit()
        self._workspace.set_study(
            study, opened.rows, opened.index, whole_folder=opened.whole, style=opened.style
        )
        self._show_image(opened.index, opened.opened)
        whole = study.folder if len(opened.rows) > 1 else opened.rows[0].path
        self._context.change_settings(recent=settings.opened(whole).recent)
        if not study.is_beside_images:
            self._context.message.emit(
                f"This folder cannot be written; masks go to {study.masks_folder}."
            )
        elif study.home.is_dir() and any(study.home.glob("*_segmentation.png")):
            self._context.message.emit(
                f"Masks of a time when this folder could not be written are in {study.home}. They "
                "are shown, and saving puts them beside their images."
            )
        if opened.skipped:
            self._context.message.emit(
                f"Left out, since they are not read: {describe_skipped(opened.skipped)}."
            )
        for notice in study.notices[-1:]:
            self._context.message.emit(f"{notice.path.name}: {notice.reason}.")
        for error in opened.refused[:1]:
            self._context.fail(error)

    def _show_listed(self, path: Path, opened: OpenedImage) -> None:
        # Images may have come or gone meanwhile, and the place with them.
        place = self._workspace.place_of(path)
        if place is None:
            self._context.fail(Vanished(path))
            return
        if place != self._workspace.index:
            self.leaving.emit()
        self._show_image(place, opened)

    def _show_image(self, index: int, opened: OpenedImage) -> None:
        """Show an image that has been read in place of the open one."""
        workspace = self._workspace
        self.replacing.emit()
        old, document = workspace.document, opened.document(workspace)
        workspace.set_image(index, opened.image, document)
        self._saving.begin(document, opened)
        workspace.announce_image()
        self.shown.emit()
        if opened.image.note:
            self._context.message.emit(f"{workspace.images[index].path.name}: {opened.image.note}.")
        if opened.is_outdated:
            self._context.message.emit(
                "Recovered a drawing over an earlier mask; undo gives the saved one."
            )
        elif document.unsaved:
            self._context.message.emit(
                "Recovered what was drawn and not saved; undo gives the saved mask."
            )
        if opened.trouble is not None:
            self._context.fail(opened.trouble)
        if old is not None:
            old.deleteLater()

    def _read_preview(self, request: OpenRequest, path: Path) -> None:
        """Read a large image in small, while it is read for `request`."""

        def show(preview_hwc: NDArray[np.uint8] | None) -> None:
            if self._awaits(request) and path == self._previewed:
                self._show_preview(preview_hwc)

        def read() -> NDArray[np.uint8] | None:
            return None if self._image_cache.holds(path) else read_preview(path)

        if self._awaits(request):
            self._previewed = path
            self._context.aside.run(read, show)

    def _awaits(self, request: OpenRequest) -> bool:
        """Whether `request` is under way and being read."""
        return request is self._request and request.step == "read"

    def _show_preview(self, preview_hwc: NDArray[np.uint8] | None) -> None:
        if preview_hwc is not self._preview_hwc:
            self._preview_hwc = preview_hwc
            self.preview_changed.emit()
