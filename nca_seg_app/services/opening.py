"""A path becomes an image with its study, off the main thread, or an error that changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal

from engine.errors import Vanished
from engine.images.preview import read_preview
from nca_seg_app.services.annotation import OpenedImage, read_opened
from nca_seg_app.services.engine import Answer, PathKind
from nca_seg_app.services.mask_writing import OpenMask
from nca_seg_app.services.study_reader import Opened, open_listed, told_skipped

if TYPE_CHECKING:
    from nca_seg_app.session import Session


Reply = TypeVar("Reply")


class Opening(QObject):
    """The way from a wish to open something to the session having it, unsaved work first."""

    #: Read `preview_hwc`.
    preview_changed = Signal()
    # From the thread that reads: which opening, and the image it reads now.
    _reads = Signal(int, object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._ticket = 0
        self._waits = False
        self._asks = False
        self._whole = False
        self._reads.connect(self._preview, Qt.ConnectionType.QueuedConnection)
        self._preview_hwc: NDArray[np.uint8] | None = None
        self._previewed: Path | None = None

    @property
    def preview_hwc(self) -> NDArray[np.uint8] | None:
        """A large image that is being read, in small: uint8 (rows, columns, 3), or None."""
        return self._preview_hwc

    @property
    def wish(self) -> int:
        """Another number whenever something else is wished for, or was opened."""
        return self._ticket

    @property
    def under_way(self) -> bool:
        """Whether another image is being read, to take the place of the open one."""
        return self._waits

    @property
    def whole(self) -> bool:
        """Whether the list is a whole folder, not some images of it."""
        return self._whole

    def ask(self, kind: PathKind) -> None:
        """Ask for an image or a folder and open it."""
        session = self._session
        recent = [Path(each) for each in session.settings.recent[:1]]
        start = session.study.folder if session.study else (recent or [Path.home()])[0]
        chosen = session.prompts.ask_path(kind, start)
        if chosen is not None:
            self.open_listed([chosen])

    def open_listed(self, paths: list[Path]) -> None:
        """Open a folder, an image, or several images."""
        session = self._session
        self.when_safe(
            lambda: self._begin(
                lambda tell: open_listed(paths, tell, session.writer),
                self._adopt_study,
                session.fail,
                self.when_safe,
            )
        )

    def _adopt_study(self, opened: Opened) -> None:
        session, study = self._session, opened.study
        self._whole = opened.whole
        session.adopt_study(opened)
        if not study.is_beside_images:
            session.message.emit(
                f"This folder cannot be written; masks go to {study.masks_folder}."
            )
        elif study.home.is_dir() and any(study.home.glob("*_segmentation.png")):
            session.message.emit(
                f"Masks of a time when this folder could not be written are in {study.home}. They "
                "are shown, and saving puts them beside their images."
            )
        if opened.skipped:
            session.message.emit(
                f"Left out, since they are not read: {told_skipped(opened.skipped)}."
            )
        for notice in study.notices[-1:]:
            session.message.emit(f"{notice.path.name}: {notice.reason}.")
        for error in opened.refused[:1]:
            session.fail(error)

    def open_row(self, index: int) -> None:
        """Open the image at `index` of the list."""
        session, path = self._session, self._session.images[index].path
        study = session.study
        if study is None:
            return

        def refuse(error: BaseException) -> None:
            # So that stepping through the images does not stop here for ever.
            session.set_row(path, readable=False)
            session.fail(error)

        def adopt(opened: OpenedImage) -> None:
            # Images may have come or gone meanwhile, and the place with them.
            place = self._place(path)
            if place is None:
                session.fail(Vanished(path))
                return
            session.lookahead.remember()
            session.adopt(place, opened)

        def work(tell: Callable[[Path], None]) -> OpenedImage:
            tell(path)
            return read_opened(study, path, session.image_cache.read)

        # This is wished for now, whatever was being opened.
        self._end()
        wish = self.wish

        def leave() -> None:
            if wish == self.wish:
                self._when_kept(lambda: self._begin(work, adopt, refuse, self._when_kept))

        session.segmentation.when_settled(leave)

    def reload(self) -> None:
        """Read the open image and its mask anew; unsaved changes are asked about first."""
        session, study, path = self._session, self._session.study, self._session.path
        if study is None or path is None:
            return

        def adopt(opened: OpenedImage) -> None:
            session.adopt(session.index, opened)

        def work(tell: Callable[[Path], None]) -> OpenedImage:
            tell(path)
            return read_opened(study, path)

        self.when_safe(lambda: self._begin(work, adopt, session.fail, self.when_safe))

    def open_neighbour(self, step: int) -> None:
        """Open the next (1) or previous (-1) image that can be read, as the list has them."""
        end = "This is the last image." if step > 0 else "This is the first image."
        self.way_to(self._session.image_order.neighbour(step), end)()

    def way_to(self, place: int | None, end: str) -> Callable[[], None]:
        """What opens the image at that place of the list as it is now, whenever called.

        Where there is no such place it tells `end`.
        """
        session = self._session
        path = session.images[place].path if place is not None else None

        def go() -> None:
            now = self._place(path)
            if now is not None:
                self.open_row(now)
            elif path is None and session.images:
                session.message.emit(end)

        return go

    def _place(self, path: Path | None) -> int | None:
        """The place of an image in the list as it is now, or None."""
        rows = self._session.images
        return next((place for place, row in enumerate(rows) if row.path == path), None)

    def _when_kept(self, go: Callable[[], None]) -> None:
        """Call `go` once unsaved changes lie on disk as a draft: the image is only put aside.

        Nor does it come to that where something else is wished for before.
        """
        session, mask = self._session, self._session.saving.open_mask
        saving, ticket = session.saving, self._ticket
        if self._asks:
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
            session.message.emit(f"{mask.path.name} is kept as a draft; it is not saved yet.")
        else:
            saving.write_draft(lambda: mask.document.when_still(again))

    def when_safe(self, go: Callable[[], None]) -> None:
        """Call `go` once unsaved changes are saved or let go; not where the person stays.

        Nor does it come to that where something else is wished for before they are saved.
        """
        saving, mask = self._session.saving, self._session.saving.open_mask
        if self._asks:
            return
        answer = self.ask_save(mask) if mask is not None else "discard"
        ticket = self._ticket

        def again() -> None:
            # More may have been drawn while the mask was written.
            if ticket == self._ticket:
                self.when_safe(go)

        if answer == "save" and mask is not None:
            saving.save(lambda: mask.document.when_still(again))
        elif answer == "discard":
            saving.drop_draft()
            go()

    def ask_save(self, mask: OpenMask) -> Answer:
        """What a person wants with the unsaved changes of `mask`; "discard" where it has none."""
        mask.document.rollback()
        if not mask.document.unsaved:
            return "discard"
        return self.asking(lambda: self._session.prompts.ask_save(mask.path.name))

    def asking(self, question: Callable[[], Reply]) -> Reply:
        """The reply to a question about the open mask.

        The window lives on while the question is open, but no other image takes the place of the
        one it is about: what was being opened is given up, and nothing else begins to open.
        """
        self._end()
        self._asks = True
        try:
            return question()
        finally:
            self._asks = False

    @property
    def asks(self) -> bool:
        """Whether a question about the open mask is open."""
        return self._asks

    def _begin(
        self,
        work: Callable[[Callable[[Path], None]], Any],
        adopt: Callable[[Any], None],
        refuse: Callable[[BaseException], None],
        leave: Callable[[Callable[[], None]], None],
    ) -> None:
        self._end()
        self._waits = True
        ticket, document = self._ticket, self._session.document
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
                leave(lambda: adopt(opened))
            else:
                adopt(opened)

        def failed(error: BaseException) -> None:
            if ticket == self._ticket:
                self._end()
                refuse(error)

        self._session.lane.run(
            lambda: work(lambda path: self._reads.emit(ticket, path)), done, failed
        )

    def _end(self) -> None:
        """Nothing is being opened any more; what is still read is not wanted."""
        self._ticket += 1
        self._waits = False
        self._show_preview(None)

    def _preview(self, ticket: int, path: Path) -> None:
        def show(preview_hwc: NDArray[np.uint8] | None) -> None:
            if ticket == self._ticket and self._waits and path == self._previewed:
                self._show_preview(preview_hwc)

        def preview() -> NDArray[np.uint8] | None:
            return None if self._session.image_cache.holds(path) else read_preview(path)

        if ticket == self._ticket and self._waits:
            self._previewed = path
            self._session.aside.run(preview, show)

    def _show_preview(self, preview_hwc: NDArray[np.uint8] | None) -> None:
        if preview_hwc is not self._preview_hwc:
            self._preview_hwc = preview_hwc
            self.preview_changed.emit()
