"""Opens images and folders, off the main thread; where that fails nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal

from engine.errors import Vanished
from engine.images.preview import read_preview
from nca_seg_app.services.annotation import OpenedImage, read_opened
from nca_seg_app.services.context import Context
from nca_seg_app.services.image_cache import ImageCache
from nca_seg_app.services.prompts import PathKind
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.questions import Questions
from nca_seg_app.services.saving import Saving
from nca_seg_app.services.study_reader import Opened, open_listed, told_skipped
from nca_seg_app.state.image_order import ImageOrder


class Opening(QObject):
    """Reads what a person asks for and shows it, once unsaved work is safe.

    A newer request replaces one that is not done yet.
    """

    #: Read `preview_hwc`.
    preview_changed = Signal()
    #: Another image is about to be shown in place of the open one.
    leaving = Signal()
    #: The open image and its mask are about to be replaced, also by themselves read anew.
    replacing = Signal()
    # From the thread that reads: which opening, and the image it reads now.
    _reads = Signal(int, object)

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
        self._ticket = self._request_id = 0
        self._waits = False
        self._preview_hwc: NDArray[np.uint8] | None = None
        self._previewed: Path | None = None
        self._reads.connect(self._preview, Qt.ConnectionType.QueuedConnection)
        questions.asked.connect(self._give_up)
        saving.reload_wanted.connect(self.reload)

    @property
    def preview_hwc(self) -> NDArray[np.uint8] | None:
        """A large image that is being read, in small: uint8 (rows, columns, 3), or None."""
        return self._preview_hwc

    @property
    def request_id(self) -> int:
        """Another number whenever something else was asked for, or was opened."""
        return self._request_id

    @property
    def under_way(self) -> bool:
        """Whether another image is being read, to take the place of the open one."""
        return self._waits

    def ask_image(self) -> None:
        """Ask for an image and open it."""
        self._ask("image")

    def ask_folder(self) -> None:
        """Ask for a folder and open it."""
        self._ask("folder")

    def open_path(self, paths: Path | Sequence[Path]) -> None:
        """Open an image, a folder, or a list of images; nothing changes where that fails."""
        listed = [paths] if isinstance(paths, Path) else list(paths)
        if not listed:
            return
        writer = self._context.writer
        self._when_safe(
            lambda: self._begin(
                lambda tell: open_listed(listed, tell, writer),
                self._show_study,
                self._context.fail,
                self._when_safe,
            )
        )

    def open_recent(self, place: int = 0) -> None:
        """Open the file or folder at `place` of the recent ones."""
        recent = self._context.settings.recent
        if place < len(recent):
            self.open_path(Path(recent[place]))

    def open_sample(self) -> None:
        """Open the sample images that come with the program."""
        context = self._context
        context.lane.run(context.engine.sample_folder, self.open_path, context.fail)

    def _ask(self, kind: PathKind) -> None:
        study, recent = self._workspace.study, self._context.settings.recent
        start = study.folder if study else Path(recent[0]) if recent else Path.home()
        chosen = self._context.prompts.ask_path(kind, start)
        if chosen is not None:
            self.open_path(chosen)

    def _show_study(self, opened: Opened) -> None:
        study, settings = opened.study, self._context.settings
        self.leaving.emit()
        self._workspace.set_study(study, opened.rows, opened.index, whole_folder=opened.whole)
        self._show(opened.index, opened.opened)
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
                f"Left out, since they are not read: {told_skipped(opened.skipped)}."
            )
        for notice in study.notices[-1:]:
            self._context.message.emit(f"{notice.path.name}: {notice.reason}.")
        for error in opened.refused[:1]:
            self._context.fail(error)

    def _show(self, index: int, opened: OpenedImage) -> None:
        """Show an image that has been read in place of the open one."""
        workspace = self._workspace
        self.replacing.emit()
        old, document = workspace.document, opened.document(workspace)
        workspace.set_image(index, opened.image, document)
        self._saving.begin(document, opened)
        workspace.announce_image()
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

    def open_row(self, index: int) -> None:
        """Open the image at `index` of the list, where it is not the open one."""
        workspace, study = self._workspace, self._workspace.study
        if study is None or not 0 <= index < len(workspace.images) or index == workspace.index:
            return
        path = workspace.images[index].path

        def refuse(error: BaseException) -> None:
            # So that stepping through the images does not stop here for ever.
            workspace.set_row(path, readable=False)
            self._context.fail(error)

        def show(opened: OpenedImage) -> None:
            # Images may have come or gone meanwhile, and the place with them.
            place = workspace.place_of(path)
            if place is None:
                self._context.fail(Vanished(path))
                return
            self.leaving.emit()
            self._show(place, opened)

        def work(tell: Callable[[Path], None]) -> OpenedImage:
            tell(path)
            return read_opened(study, path, self._image_cache.read)

        # This is asked for now, whatever was being opened.
        self._end()
        ticket = self._ticket

        def leave() -> None:
            if ticket == self._ticket:
                self._when_kept(lambda: self._begin(work, show, refuse, self._when_kept))

        self._proposal.when_settled(leave)

    def reload(self) -> None:
        """Read the open image and its mask anew; unsaved changes are asked about first."""
        study, path = self._workspace.study, self._workspace.path
        if study is None or path is None:
            return

        def show(opened: OpenedImage) -> None:
            self._show(self._workspace.index, opened)

        def work(tell: Callable[[Path], None]) -> OpenedImage:
            tell(path)
            return read_opened(study, path)

        self._when_safe(lambda: self._begin(work, show, self._context.fail, self._when_safe))

    def open_next(self) -> None:
        """Open the next image of the list that can be read."""
        self.way_to(self._image_order.neighbour(1), "This is the last image.")()

    def open_previous(self) -> None:
        """Open the image before in the list that can be read."""
        self.way_to(self._image_order.neighbour(-1), "This is the first image.")()

    def way_to(self, place: int | None, end: str) -> Callable[[], None]:
        """What opens the image at that place of the list as it is now, whenever called.

        Where there is no such place it tells `end`.
        """
        workspace = self._workspace
        path = workspace.images[place].path if place is not None else None

        def go() -> None:
            now = workspace.place_of(path)
            if now is not None:
                self.open_row(now)
            elif path is None and workspace.images:
                self._context.message.emit(end)

        return go

    def _when_kept(self, go: Callable[[], None]) -> None:
        """Call `go` once unsaved changes lie on disk as a draft: the image is only put aside.

        Nor does it come to that where something else is asked for before.
        """
        mask = self._saving.open_mask
        saving, ticket = self._saving, self._ticket
        if self._questions.is_open:
            return
        if mask is not None:
            mask.document.rollback()

        def again() -> None:
            # More may have been drawn while the draft was written.
            if ticket == self._ticket:
                self._when_kept(go)

        if mask is None or not mask.document.unsaved:
            saving.drop_draft()
            go()
        elif saving.is_drafted:
            go()
            self._context.message.emit(f"{mask.path.name} is kept as a draft; it is not saved yet.")
        else:
            saving.write_draft(lambda: mask.document.when_still(again))

    def _when_safe(self, go: Callable[[], None]) -> None:
        """Call `go` once unsaved changes are saved or let go; not where the person stays.

        Nor does it come to that where something else is asked for before they are saved.
        """
        saving, mask = self._saving, self._saving.open_mask
        if self._questions.is_open:
            return
        answer = self._questions.ask_save(mask) if mask is not None else "discard"
        ticket = self._ticket

        def again() -> None:
            # More may have been drawn while the mask was written.
            if ticket == self._ticket:
                self._when_safe(go)

        if answer == "save" and mask is not None:
            saving.save(lambda: mask.document.when_still(again))
        elif answer == "discard":
            saving.drop_draft()
            go()

    def _begin(
        self,
        work: Callable[[Callable[[Path], None]], Any],
        show: Callable[[Any], None],
        refuse: Callable[[BaseException], None],
        leave: Callable[[Callable[[], None]], None],
    ) -> None:
        self._end()
        self._waits = True
        ticket, document = self._ticket, self._workspace.document
        revision = document.revision if document is not None else 0

        def done(opened: Any) -> None:
            if ticket != self._ticket:
                return
            if document is not None and document.drawing:
                document.when_still(lambda: done(opened))
                return
            self._end()
            if document is not None and document.revision != revision:
                # Drawn on while the other image was read.
                leave(lambda: show(opened))
            else:
                show(opened)

        def failed(error: BaseException) -> None:
            if ticket == self._ticket:
                self._end()
                refuse(error)

        self._context.lane.run(
            lambda: work(lambda path: self._reads.emit(ticket, path)), done, failed
        )

    def _end(self) -> None:
        """Something else was asked for, or was opened."""
        self._request_id += 1
        self._give_up()

    def _give_up(self) -> None:
        """Nothing is being opened any more; what is still read is not wanted."""
        self._ticket += 1
        self._waits = False
        self._show_preview(None)

    def _preview(self, ticket: int, path: Path) -> None:
        def show_preview(preview_hwc: NDArray[np.uint8] | None) -> None:
            if ticket == self._ticket and self._waits and path == self._previewed:
                self._show_preview(preview_hwc)

        def preview() -> NDArray[np.uint8] | None:
            return None if self._image_cache.holds(path) else read_preview(path)

        if ticket == self._ticket and self._waits:
            self._previewed = path
            self._context.aside.run(preview, show_preview)

    def _show_preview(self, preview_hwc: NDArray[np.uint8] | None) -> None:
        if preview_hwc is not self._preview_hwc:
            self._preview_hwc = preview_hwc
            self.preview_changed.emit()
