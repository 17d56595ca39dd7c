"""What a person drew reaches the disk: saved when asked, as a draft every few seconds otherwise."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine.errors import EngineError
from engine.images import read_image
from engine.masks import replace
from engine.study import Status, Study
from engine.types import EnsembleResult, Image, Origin
from nca_seg_app.document import Mask, MaskDocument

if TYPE_CHECKING:
    from nca_seg_app.session import Session

Written = TypeVar("Written")


@dataclass(frozen=True)
class Source:
    """Where a mask came from (None: not known), and the mask as it came, one bit a pixel."""

    origin: Origin | None
    bits: bytes

    @classmethod
    def of(cls, origin: Origin | None, mask_hw: Mask) -> Source:
        """The source of a mask that is `mask_hw` at this moment."""
        return cls(origin, zlib.compress(np.packbits(mask_hw).tobytes(), 1))

    def origin_of(self, mask_hw: Mask) -> Origin | None:
        """The origin of what the mask has become; counts the pixels changed since.

        What is not known stays so.
        """
        if self.origin is None:
            return None
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
        first = np.unpackbits(packed, count=mask_hw.size).view(np.bool_)
        changed = int(np.count_nonzero(first != mask_hw.ravel()))
        return dataclasses.replace(self.origin, pixels_changed=self.origin.pixels_changed + changed)


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image as it comes from the disk, with what was drawn on it before.

    `source` describes `mask_hw`; `draft_source` describes `draft_hw`, a newer unsaved mask.
    `trouble` tells why a draft could not be used.
    """

    image: Image
    mask_hw: Mask | None = None
    source: Source | None = None
    draft_hw: Mask | None = None
    draft_source: Source | None = None
    reviewed: bool = False
    trouble: EngineError | None = None

    def document(self, parent: QObject) -> MaskDocument:
        """The mask to edit: a draft lies over the saved mask as an undoable, unsaved step."""
        shape = (self.image.height, self.image.width)
        document = MaskDocument(shape, self.mask_hw, self.source, parent)
        if self.draft_hw is not None:
            draft_hw = self.draft_hw
            document.edit(
                "Recover drawing", lambda mask_hw: replace(mask_hw, draft_hw), self.draft_source
            )
        return document


def read_opened(
    study: Study, path: Path, read: Callable[[Path], Image] = read_image
) -> OpenedImage:
    """The image at `path` with mask and draft. Raises what the engine's readers raise."""
    return with_annotation(study, read(path), path)


def with_annotation(study: Study, image: Image, path: Path) -> OpenedImage:
    """An image already read, with its mask and, where it holds something newer, its draft."""
    shape = (image.height, image.width)
    opened = OpenedImage(image)
    saved = study.load(path, shape)
    if saved is not None:
        source, reviewed = Source.of(saved.record.origin, saved.mask_hw), saved.record.reviewed
        opened = OpenedImage(image, saved.mask_hw, source, reviewed=reviewed)
    try:
        draft = study.load_draft(path, shape)
    except EngineError as error:
        # A draft is not worth keeping anyone from the image, but its loss must be told.
        return dataclasses.replace(opened, trouble=error)
    if draft is not None and draft.newer:
        source = Source.of(draft.record.origin, draft.mask_hw)
        opened = dataclasses.replace(opened, draft_hw=draft.mask_hw, draft_source=source)
    return opened


@dataclass(frozen=True, eq=False)
class OpenMask:
    """A mask under a person's hand and the image it belongs to, whatever is opened meanwhile."""

    study: Study
    path: Path
    document: MaskDocument


class Keeping(QObject):
    """Saving and drafts of the open document. All writing happens off the main thread."""

    #: A file that was asked for is on disk; carries its path.
    saved = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._saves = 0
        #: Revisions of the document: of the newest draft, and of the newest known to be written.
        self._drafted: int | None = None
        self._on_disk: int | None = None
        self._has_draft = False
        self._reviewed = self._moving_on = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.write_draft)

    @property
    def open_mask(self) -> OpenMask | None:
        """The mask that is open now, or None."""
        study, path, document = self._session.study, self._session.path, self._session.document
        if study is None or path is None or document is None:
            return None
        return OpenMask(study, path, document)

    @property
    def moving_on(self) -> bool:
        """Whether the mask is being saved as reviewed, to open the next image then."""
        return self._moving_on

    def begin(self, document: MaskDocument, opened: OpenedImage) -> None:
        """Watch over a document just opened."""
        self._timer.stop()
        self._moving_on = False
        self._reviewed = opened.reviewed
        self._has_draft = opened.draft_hw is not None
        self._drafted = document.revision
        self._on_disk = document.revision if self._has_draft else None
        document.changed.connect(self._note_change)
        if not document.unsaved:
            self.drop_draft()

    def save(self, then: Callable[[], None] | None = None, *, reviewed: bool | None = None) -> None:
        """Write the mask and where it came from to the study; `then` once that is done.

        `reviewed` None keeps the image's status if it was reviewed.
        """
        session, mask = self._session, self.open_mask
        if mask is None:
            return
        document, path = mask.document, mask.path
        document.rollback()
        self._saves += 1
        number, state = self._saves, document.state
        keeps = self._reviewed if reviewed is None else reviewed
        refuse = self._refusal(mask)
        self._reviewed = keeps

        def done(mask_path: Path) -> None:
            # A newer save is about to write something else.
            if document is session.document and number == self._saves:
                document.mark_saved(state)
                if not document.unsaved:
                    # One may have been written since, of a step undone and done again.
                    self.drop_draft()
            self._set_status(path, "reviewed" if keeps else "saved", has_mask=True)
            session.message.emit(f"Saved {mask_path.name}")
            self.saved.emit(mask_path)
            if then is not None:
                then()

        # Until it ends, and where it fails, nobody knows what is on disk.
        document.mark_unsaved()
        session.lane.run(_writing(mask, partial(mask.study.save, reviewed=keeps)), done, refuse)

    def may_close(self) -> bool:
        """Ask about unsaved work and do what is answered; False where the person stays."""
        session, mask = self._session, self.open_mask
        if mask is None:
            return True
        answer = session.opening.ask_save(mask)
        try:
            if answer == "save":
                session.lane.wait(_writing(mask, partial(mask.study.save, reviewed=self._reviewed)))
                mask.document.mark_saved(mask.document.state)
        except Exception as error:
            session.fail(error)
            return False
        if answer == "discard":
            self.drop_draft()
        return answer != "cancel"

    def toggle_reviewed(self) -> None:
        """Save what is unsaved and mark the image as reviewed; where it is, take the mark away."""
        mask, row = self.open_mask, self._session.row
        done = row is not None and row.status == "reviewed"
        if mask is not None and done and not mask.document.unsaved:
            self._set_reviewed(mask, False, None)
        else:
            self.mark_reviewed()

    def mark_reviewed(self, then: Callable[[], None] | None = None) -> None:
        """Save what is unsaved and mark the image as reviewed."""
        mask, row = self.open_mask, self._session.row
        if mask is None or row is None:
            return
        if mask.document.unsaved or not row.has_mask:
            self.save(then, reviewed=True)
        else:
            self._set_reviewed(mask, True, then)

    def _set_reviewed(
        self, mask: OpenMask, reviewed: bool, then: Callable[[], None] | None
    ) -> None:
        session, path, refuse = self._session, mask.path, self._refusal(mask)
        self._reviewed = reviewed

        def done(_: object) -> None:
            self._set_status(path, "reviewed" if reviewed else "saved")
            session.message.emit(f"{path.name} is {'' if reviewed else 'no longer '}reviewed")
            if then is not None:
                then()

        session.lane.run(lambda: mask.study.set_reviewed(path, reviewed), done, refuse)

    def review_and_next(self, notice: str = "") -> None:
        """Save as reviewed and open the next image that is not; `notice` is told last.

        From one that was reviewed before, the next image whatever its status.
        """
        session, mask = self._session, self.open_mask
        if mask is None or self._moving_on:
            return
        self._moving_on = True
        # Found before: saving takes a moment, in which the person may sort the list anew.
        listing = session.listing
        if self._reviewed:
            open_next = session.opening.way_to(listing.neighbour(1), "This is the last image.")
        else:
            end = "Every image of the list is reviewed."
            open_next = session.opening.way_to(listing.unfinished(), end)

        wish = session.opening.wish

        def go() -> None:
            self._moving_on = False
            if wish == session.opening.wish:
                open_next()
            if notice:
                session.message.emit(notice)

        mask.document.when_still(lambda: self.mark_reviewed(go))

    def _refusal(self, mask: OpenMask) -> Callable[[BaseException], None]:
        """What is done where writing fails: all is as it was."""
        before = self._reviewed

        def refuse(error: BaseException) -> None:
            if mask.document is self._session.document:
                self._reviewed, self._moving_on = before, False
            self._session.fail(error)

        return refuse

    def _set_status(self, path: Path, status: Status, **more: bool) -> None:
        """What the list says of a mask on disk; a draft that lies over it comes first."""
        session = self._session
        drafted = path == session.path and self._has_draft
        session.set_row(path, **more, **({} if drafted else {"status": status}))

    def note_doubt(self, path: Path, result: EnsembleResult, *, quietly: bool = False) -> None:
        """Keep the doubt of a finished run on the image at `path`.

        `quietly` leaves a failure to the log.
        """
        session, study = self._session, self._session.study
        if study is None:
            return

        def work() -> float:
            doubt = result.doubt
            study.set_doubt(path, doubt)
            return doubt

        session.lane.run(
            work,
            lambda doubt: session.set_row(path, doubt=doubt),
            None if quietly else session.fail,
        )

    # Drafts

    @property
    def is_drafted(self) -> bool:
        """Whether the mask as it is now lies on disk as a draft."""
        document = self._session.document
        return document is not None and document.revision == self._on_disk

    def write_draft(self, then: Callable[[], None] | None = None) -> None:
        """Keep what is drawn and not saved, strokes under way included; `then` when it is done."""
        session, mask = self._session, self.open_mask
        if mask is None or (mask.document.revision == self._drafted and then is None):
            return
        document, revision = mask.document, mask.document.revision
        self._drafted = revision
        if not mask.document.unsaved:
            self.drop_draft()
            return
        self._has_draft = True
        session.set_row(mask.path, status="draft")

        def done(_: object) -> None:
            if document is session.document:
                self._on_disk = revision
            if then is not None:
                then()

        def failed(error: BaseException) -> None:
            if document is session.document and self._drafted == revision:
                # So that it is tried again.
                self._drafted = None
                self._note_change()
            session.fail(error)

        session.lane.run(_writing(mask, mask.study.save_draft), done, failed)

    def drop_draft(self) -> None:
        """Forget the draft, as when its changes are discarded or undone."""
        session, study, row = self._session, self._session.study, self._session.row
        self._timer.stop()
        self._on_disk = None
        if self._has_draft and study is not None and row is not None:
            self._has_draft = False
            path = row.path
            if row.status == "draft":
                before: Status = "reviewed" if self._reviewed else "saved"
                session.set_row(path, status=before if row.has_mask else "new")
            session.lane.run(lambda: study.drop_draft(path), None, session.fail)

    def _note_change(self) -> None:
        # Not restarted by each change: someone who never pauses is kept safe as well.
        if not self._timer.isActive():
            self._timer.start(round(self._session.settings.autosave_s * 1000))


def _writing(
    mask: OpenMask, write: Callable[[Path, Mask, Origin | None], Written]
) -> Callable[[], Written]:
    """What gives `write` the image, its mask as it is now and where that came from."""
    snapshot, source = mask.document.snapshot(), mask.document.note

    def work() -> Written:
        mask_hw = snapshot()
        return write(mask.path, mask_hw, _origin(source, mask_hw))

    return work


def _origin(source: object, mask_hw: Mask) -> Origin | None:
    """Where the mask came from; without a source, from a person's hand alone."""
    if isinstance(source, Source):
        return source.origin_of(mask_hw)
    return Origin(pixels_changed=int(np.count_nonzero(mask_hw)))
