"""Saves the open mask when asked, and keeps drafts of it every few seconds otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from engine.errors import ChangedOutside
from engine.study.study import Status
from engine.types import EnsembleResult
from nca_seg_app.services.annotation import OpenedImage
from nca_seg_app.services.conflicts import Conflicts
from nca_seg_app.services.context import Context
from nca_seg_app.services.mask_writing import OnDisk, OpenMask, draft_task, save_task
from nca_seg_app.services.questions import Questions
from nca_seg_app.state.document import MaskDocument


class Saving(QObject):
    """Saving and drafts of the open document. All writing happens off the main thread."""

    #: A file that was asked for is on disk; carries its path.
    saved = Signal(object)
    #: The open mask was not saved, or not marked as reviewed; told or asked about after this.
    refused = Signal()
    #: What is on disk is to be shown in place of the open mask.
    reload_wanted = Signal()

    def __init__(self, context: Context, questions: Questions) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace
        self._questions, self._conflicts = questions, Conflicts(context, questions)
        self._saves = 0
        self._on_disk: OnDisk | None = None
        #: Revisions of the document: of the newest draft, and of the newest known to be written.
        self._drafted: int | None = None
        self._written: int | None = None
        self._draft_file: Path | None = None
        self._has_draft = self._told_of_home = self._reviewed = False
        #: What the open image is without its draft.
        self._saved_as: Status = "new"
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.write_draft)

    @property
    def open_mask(self) -> OpenMask | None:
        """The mask that is open now, or None."""
        workspace = self._workspace
        study, path, document = workspace.study, workspace.path, workspace.document
        if study is None or path is None or document is None or self._on_disk is None:
            return None
        return OpenMask(study, path, document, self._on_disk)

    @property
    def was_reviewed(self) -> bool:
        """Whether the open mask is reviewed, or was before it was drawn on."""
        return self._reviewed

    def begin(self, document: MaskDocument, opened: OpenedImage) -> None:
        """Watch over a document just opened."""
        self._timer.stop()
        self._told_of_home = False
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
        if self._workspace.path is not None:
            status: Status = "draft" if self._has_draft else self._saved_as
            self._workspace.set_row(
                self._workspace.path, status=status, has_mask=opened.mask_hw is not None
            )
        document.changed.connect(self._note_change)
        if not document.unsaved:
            self.drop_draft()

    def save(self, then: Callable[[], None] | None = None, *, reviewed: bool | None = None) -> None:
        """Write the mask and where it came from to the study; `then` once that is done.

        `reviewed` None keeps the image's status if it was reviewed.
        """
        mask = self.open_mask
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
            if document is self._workspace.document and number == self._saves:
                document.mark_saved(state)
                if not document.unsaved:
                    # One may have been written since, of a step undone and done again.
                    self.drop_draft()
            self._set_status(path, "reviewed" if keeps else "saved", has_mask=True)
            self._context.message.emit(f"Saved {mask_path.name}")
            self.saved.emit(mask_path)
            if then is not None:
                then()

        # Until it ends, and where it fails, nobody knows what is on disk.
        document.mark_unsaved()
        self._context.lane.run(save_task(mask, keeps), done, refuse)

    def may_close(self) -> bool:
        """Ask about unsaved work and do what is answered; False where the person stays."""
        mask = self.open_mask
        if mask is None:
            return True
        answer = self._questions.ask_save(mask)
        try:
            while answer == "save" and not self._conflicts.saved_at_last(mask, self._reviewed):
                pass
        except Exception as error:
            self._context.fail(error)
            return False
        if answer != "cancel":
            self.drop_draft()
        return answer != "cancel"

    def toggle_reviewed(self) -> None:
        """Save what is unsaved and mark the image as reviewed; where it is, take the mark away."""
        mask, row = self.open_mask, self._workspace.row
        done = row is not None and row.status == "reviewed"
        if mask is not None and done and not mask.document.unsaved:
            self._set_reviewed(mask, False, None)
        else:
            self.mark_reviewed()

    def mark_reviewed(self, then: Callable[[], None] | None = None) -> None:
        """Save what is unsaved and mark the image as reviewed."""
        mask, row = self.open_mask, self._workspace.row
        if mask is None or row is None:
            return
        if mask.document.unsaved or not row.has_mask:
            self.save(then, reviewed=True)
        else:
            self._set_reviewed(mask, True, then)

    def _set_reviewed(
        self, mask: OpenMask, reviewed: bool, then: Callable[[], None] | None
    ) -> None:
        path, on_disk = mask.path, mask.on_disk
        refuse = self._refusal(mask, then, reviewed)
        self._reviewed = reviewed

        def work() -> None:
            on_disk.base = mask.study.set_reviewed(path, reviewed, on_disk.base)

        def done(_: object) -> None:
            self._set_status(path, "reviewed" if reviewed else "saved")
            self._context.message.emit(f"{path.name} is {'' if reviewed else 'no longer '}reviewed")
            if then is not None:
                then()

        self._context.lane.run(work, done, refuse)

    def _refusal(
        self, mask: OpenMask, then: Callable[[], None] | None, reviewed: bool
    ) -> Callable[[BaseException], None]:
        """What is done where writing fails: all is as it was, or a person says whose mask holds."""

        def refuse(error: BaseException) -> None:
            is_open = mask.document is self._workspace.document
            if is_open:
                self._reviewed = mask.on_disk.base.reviewed
                self.refused.emit()
            if is_open and isinstance(error, ChangedOutside):
                self._conflicts.settle(
                    mask,
                    error,
                    mine=lambda: self.save(then, reviewed=reviewed),
                    theirs=lambda: self._show_theirs(mask),
                )
            else:
                self._context.fail(error)

        return refuse

    def _show_theirs(self, mask: OpenMask) -> None:
        if not mask.document.unsaved:
            self.drop_draft()
        self.reload_wanted.emit()

    def _set_status(self, path: Path, status: Status, **more: bool) -> None:
        """What the list says of a mask on disk; a draft that lies over it comes first."""
        if path == self._workspace.path:
            self._saved_as = status
        drafted = path == self._workspace.path and self._has_draft
        self._workspace.set_row(path, **more, **({} if drafted else {"status": status}))

    def keep_expected_error(
        self, path: Path, result: EnsembleResult, *, quietly: bool = False
    ) -> None:
        """Keep the expected error of a finished run on an image, in the study and in the list.

        `quietly` leaves a failure to the log.
        """
        study = self._workspace.study
        if study is None:
            return

        def work() -> float:
            error = result.expected_error
            study.set_expected_error(path, error)
            return error

        self._context.lane.run(
            work,
            lambda error: self._workspace.set_row(path, expected_error=error),
            None if quietly else self._context.fail,
        )

    # Drafts

    @property
    def is_drafted(self) -> bool:
        """Whether the mask as it is now lies on disk as a draft."""
        document, file = self._workspace.document, self._draft_file
        # Where there are no locks, another window may have shown it and let it go.
        return (
            document is not None
            and document.revision == self._written
            and file is not None
            and file.exists()
        )

    def write_draft(self, then: Callable[[], None] | None = None) -> None:
        """Keep what is drawn and not saved, strokes under way included; `then` when it is done."""
        mask = self.open_mask
        if mask is None or (mask.document.revision == self._drafted and then is None):
            return
        document, revision = mask.document, mask.document.revision
        self._drafted = revision
        if not mask.document.unsaved:
            self.drop_draft()
            return
        self._has_draft = True
        self._workspace.set_row(mask.path, status="draft")

        def done(draft: Path) -> None:
            if document is self._workspace.document:
                self._written, self._draft_file = revision, draft
                self._tell_of_home(mask, draft)
            if then is not None:
                then()

        def failed(error: BaseException) -> None:
            if document is self._workspace.document and self._drafted == revision:
                # So that it is tried again.
                self._drafted = None
                self._note_change()
            self._context.fail(error)

        self._context.lane.run(draft_task(mask), done, failed)

    def write_at_end(self) -> None:
        """Write what is drawn and not saved, and what was asked for before, in this thread.

        For a program that may be about to end; it can go on as well, as where the end of a login is
        called off. Qt's loop is not needed. Raises what writing raises.
        """
        lane = self._context.lane
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
            self._context.message.emit(
                f"{mask.path} {gone}. What you draw is kept in {draft.parent} meanwhile; "
                "Export Mask saves it elsewhere."
            )

    def drop_draft(self) -> None:
        """Forget the draft, as when its changes are discarded or undone."""
        study, row = self._workspace.study, self._workspace.row
        self._timer.stop()
        self._written = None
        if self._has_draft and study is not None and row is not None and self._on_disk is not None:
            self._has_draft = False
            shown, self._on_disk.draft = self._on_disk.draft, None
            path = row.path
            if row.status == "draft":
                self._workspace.set_row(path, status=self._saved_as)
            self._context.lane.run(lambda: study.drop_draft(path, shown), None, self._context.fail)

    def _note_change(self) -> None:
        # Not restarted by each change: someone who never pauses is kept safe as well.
        if not self._timer.isActive():
            self._timer.start(round(self._context.settings.autosave_s * 1000))
