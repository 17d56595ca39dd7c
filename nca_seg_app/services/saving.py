"""What a person drew reaches the disk: saved when asked, as a draft every few seconds otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from engine.errors import ChangedOutside
from engine.study.study import Status
from engine.types import EnsembleResult
from nca_seg_app.services.annotation import OpenedImage
from nca_seg_app.services.conflicts import saved_last, settle
from nca_seg_app.services.mask_writing import OnDisk, OpenMask, draft_task, save_task
from nca_seg_app.state.capabilities import Has
from nca_seg_app.state.document import MaskDocument

if TYPE_CHECKING:
    from nca_seg_app.session import Session


#: Told where there were two outlines to choose from.
KEPT = "The outline you drew was saved; the model's proposal was not taken."


class Saving(QObject):
    """Saving and drafts of the open document. All writing happens off the main thread."""

    #: A file that was asked for is on disk; carries its path.
    saved = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._saves = 0
        self._on_disk: OnDisk | None = None
        #: Revisions of the document: of the newest draft, and of the newest known to be written.
        self._drafted: int | None = None
        self._written: int | None = None
        self._draft_file: Path | None = None
        self._has_draft = self._told_of_home = False
        self._reviewed = self._moving_on = False
        #: Of the opening when moving on was asked for: nothing else was wished for since.
        self._wish = 0
        #: What the open image is without its draft.
        self._saved_as: Status = "new"
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.write_draft)

    @property
    def open_mask(self) -> OpenMask | None:
        """The mask that is open now, or None."""
        study, path, document = self._session.study, self._session.path, self._session.document
        if study is None or path is None or document is None or self._on_disk is None:
            return None
        return OpenMask(study, path, document, self._on_disk)

    @property
    def moving_on(self) -> bool:
        """Whether the mask is being saved as reviewed, to open the next image then."""
        return self._moving_on

    def begin(self, document: MaskDocument, opened: OpenedImage) -> None:
        """Watch over a document just opened."""
        self._timer.stop()
        self._moving_on = self._told_of_home = False
        self._on_disk = OnDisk(opened.base, opened.draft_seen)
        # Somebody else's review is not one of a drawing over what was there before.
        self._reviewed = opened.base.reviewed
        self._has_draft = opened.draft_hw is not None
        self._drafted = document.revision
        self._written = document.revision if self._has_draft else None
        self._draft_file = opened.draft_seen[0] if opened.draft_seen is not None else None
        saved: Status = "reviewed" if opened.reviewed else "saved"
        self._saved_as = saved if opened.mask_hw is not None else "new"
        # Another window may have saved since the list was made.
        session = self._session
        if session.path is not None:
            status: Status = "draft" if self._has_draft else self._saved_as
            session.set_row(session.path, status=status, has_mask=opened.mask_hw is not None)
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
        refuse = self._refusal(mask, then, keeps)
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
        session.lane.run(save_task(mask, keeps), done, refuse)

    def may_close(self) -> bool:
        """Ask about unsaved work and do what is answered; False where the person stays."""
        session, mask = self._session, self.open_mask
        if mask is None:
            return True
        answer = session.opening.ask_save(mask)
        try:
            while answer == "save" and not saved_last(session, mask, self._reviewed):
                pass
        except Exception as error:
            session.fail(error)
            return False
        if answer != "cancel":
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
        session, path, on_disk = self._session, mask.path, mask.on_disk
        refuse = self._refusal(mask, then, reviewed)
        self._reviewed = reviewed

        def work() -> None:
            on_disk.base = mask.study.set_reviewed(path, reviewed, on_disk.base)

        def done(_: object) -> None:
            self._set_status(path, "reviewed" if reviewed else "saved")
            session.message.emit(f"{path.name} is {'' if reviewed else 'no longer '}reviewed")
            if then is not None:
                then()

        session.lane.run(work, done, refuse)

    def accept_and_next(self) -> None:
        """Accept the result if one is proposed, save as reviewed, open the next image.

        What a person drew since the result was put up, or taken, is kept and saved instead.
        """
        session, segmentation = self._session, self._session.segmentation
        if self._moving_on or session.opening.under_way:
            # Asked again before it is done: the next image is not meant.
            return
        if segmentation.proposed and segmentation.may_replace:
            segmentation.accept(self.review_and_next)
        elif Has.MASK in session.state or (session.row is not None and session.row.has_mask):
            self.review_and_next(KEPT if segmentation.proposed else "")
        else:
            session.message.emit("There is nothing to accept yet: segment the image or draw first.")

    def review_and_next(self, notice: str = "") -> None:
        """Save as reviewed and open the next image that is not; `notice` is told last.

        From one that was reviewed before, the next image whatever its status.
        """
        session, mask = self._session, self.open_mask
        if mask is None or self._moving_on:
            return
        self._moving_on = True
        # Found before: saving takes a moment, in which the person may sort the list anew.
        image_order, was_reviewed = session.image_order, self._reviewed
        place = image_order.neighbour(1) if was_reviewed else image_order.unfinished()
        end = "This is the last image." if was_reviewed else "Every image of the list is reviewed."
        open_next = session.opening.way_to(place, end)
        self._wish = session.opening.wish

        def go() -> None:
            self._moving_on = False
            if self._wish == session.opening.wish:
                open_next()
            if notice:
                session.message.emit(notice)

        def look_again() -> None:
            # Images may have come since the folder was opened.
            nonlocal open_next
            open_next = session.opening.way_to(image_order.unfinished(), end)
            go()

        seek = (
            go
            if was_reviewed or place is not None
            else lambda: session.folder_watch.look(look_again)
        )
        mask.document.when_still(lambda: self.mark_reviewed(seek))

    def _refusal(
        self, mask: OpenMask, then: Callable[[], None] | None, reviewed: bool
    ) -> Callable[[BaseException], None]:
        """What is done where writing fails: all is as it was, or a person says whose mask holds."""
        session = self._session

        def refuse(error: BaseException) -> None:
            is_open = mask.document is session.document
            if is_open:
                self._reviewed, self._moving_on = mask.on_disk.base.reviewed, False
            if is_open and isinstance(error, ChangedOutside):
                same = self._wish == session.opening.wish
                settle(session, mask, error, lambda: self.save(then, reviewed=reviewed))
                if same:
                    # The question gave up what was being opened, not what comes after saving.
                    self._wish = session.opening.wish
            else:
                session.fail(error)

        return refuse

    def _set_status(self, path: Path, status: Status, **more: bool) -> None:
        """What the list says of a mask on disk; a draft that lies over it comes first."""
        session = self._session
        if path == session.path:
            self._saved_as = status
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
        document, file = self._session.document, self._draft_file
        # Where there are no locks, another window may have shown it and let it go.
        return (
            document is not None
            and document.revision == self._written
            and file is not None
            and file.exists()
        )

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

        def done(draft: Path) -> None:
            if document is session.document:
                self._written, self._draft_file = revision, draft
                self._tell_of_home(mask, draft)
            if then is not None:
                then()

        def failed(error: BaseException) -> None:
            if document is session.document and self._drafted == revision:
                # So that it is tried again.
                self._drafted = None
                self._note_change()
            session.fail(error)

        session.lane.run(draft_task(mask), done, failed)

    def write_at_end(self) -> None:
        """Write what is drawn and not saved, and what was asked for before, in this thread.

        For a program that may be about to end; it can go on as well, as where the end of a login is
        called off. Qt's loop is not needed. Raises what writing raises.
        """
        lane = self._session.lane
        self._write_newest()
        if lane.pending:
            lane.wait(lambda: None)
            # A draft of before may have been written last.
            self._write_newest()

    def _write_newest(self) -> None:
        mask = self.open_mask
        if mask is not None and mask.document.unsaved and not self.is_drafted:
            draft_task(mask)()
            self._has_draft = True

    def _tell_of_home(self, mask: OpenMask, draft: Path) -> None:
        if not self._told_of_home and not draft.is_relative_to(mask.study.masks_folder):
            self._told_of_home = True
            gone = "is not there any more" if not mask.path.exists() else "cannot be saved there"
            self._session.message.emit(
                f"{mask.path} {gone}. What you draw is kept in {draft.parent} meanwhile; "
                "Export Mask saves it elsewhere."
            )

    def drop_draft(self) -> None:
        """Forget the draft, as when its changes are discarded or undone."""
        session, study, row = self._session, self._session.study, self._session.row
        self._timer.stop()
        self._written = None
        if self._has_draft and study is not None and row is not None and self._on_disk is not None:
            self._has_draft = False
            shown, self._on_disk.draft = self._on_disk.draft, None
            path = row.path
            if row.status == "draft":
                session.set_row(path, status=self._saved_as)
            session.lane.run(lambda: study.drop_draft(path, shown), None, session.fail)

    def _note_change(self) -> None:
        # Not restarted by each change: someone who never pauses is kept safe as well.
        if not self._timer.isActive():
            self._timer.start(round(self._session.settings.autosave_s * 1000))
