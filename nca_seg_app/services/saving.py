"""Saves the open mask when asked, and keeps drafts of it every few seconds otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from engine.errors import ChangedOutside
from engine.study.study import Status
from engine.types import EnsembleResult
from nca_seg_app.services.annotation import OpenedImage
from nca_seg_app.services.conflicts import Conflicts
from nca_seg_app.services.context import Context
from nca_seg_app.services.mask_writing import OnDisk, OpenMask, draft_task, save_task
from nca_seg_app.services.prompts import Whose
from nca_seg_app.services.questions import Questions
from nca_seg_app.state.document import MaskDocument


@dataclass(frozen=True, eq=False)
class _Write:
    """A save, or a mark of review, that was asked for: of which mask, and whether as reviewed."""

    number: int
    mask: OpenMask
    reviewed: bool


class Saving(QObject):
    """Saving and drafts of the open document. All writing happens off the main thread.

    What writes gives a number, and `write_ended` carries it when that write is over. Where somebody
    else changed what is saved over, a person says whose mask is kept, and the write ends after what
    follows from the answer.
    """

    #: A mask that was asked to be saved is on disk; carries its path.
    saved = Signal(object)
    #: A save, a mark of review or a draft is over: its number, and whether it is on disk.
    write_ended = Signal(int, bool)
    #: What is on disk is to be shown in place of the open mask.
    reload_wanted = Signal()

    def __init__(self, context: Context, questions: Questions) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace
        self._questions, self._conflicts = questions, Conflicts(context, questions)
        self._writes = 0
        self._newest_save: _Write | None = None
        self._on_disk: OnDisk | None = None
        #: Revisions of the document: of the newest draft, and of the newest known to be written.
        self._drafted: int | None = None
        self._written: int | None = None
        self._draft_file: Path | None = None
        self._has_draft = self._is_home_told = self._reviewed = False
        #: What the open image is without its draft.
        self._saved_as: Status = "new"
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._autosave)

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
        self._is_home_told = False
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

    def save(self) -> int:
        """Write the mask and where it came from to the study; a reviewed image stays reviewed.

        Gives the number of the write, 0 where nothing is open.
        """
        mask = self.open_mask
        return self._save(self._begin_write(mask, self._reviewed)) if mask is not None else 0

    def _begin_write(self, mask: OpenMask, reviewed: bool) -> _Write:
        self._writes += 1
        return _Write(self._writes, mask, reviewed)

    def _save(self, write: _Write) -> int:
        """Save the mask as it is now."""
        mask, document = write.mask, write.mask.document
        document.rollback()
        self._newest_save, state = write, document.state

        def done(mask_path: Path) -> None:
            # A newer save is about to write something else.
            if document is self._workspace.document and write is self._newest_save:
                document.mark_saved(state)
                if not document.unsaved:
                    # One may have been written since, of a step undone and done again.
                    self.drop_draft()
            self._set_status(mask.path, "reviewed" if write.reviewed else "saved", has_mask=True)
            self._context.message.emit(f"Saved {mask_path.name}")
            self.saved.emit(mask_path)
            self.write_ended.emit(write.number, True)

        self._reviewed = write.reviewed
        # Until it ends, and where it fails, nobody knows what is on disk.
        document.mark_unsaved()
        self._context.lane.run(save_task(mask, write.reviewed), done, partial(self._refuse, write))
        return write.number

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
            self._set_reviewed(self._begin_write(mask, False))
        else:
            self.mark_reviewed()

    def mark_reviewed(self) -> int:
        """Save what is unsaved and mark the image as reviewed.

        Gives the number of the write, 0 where nothing is open.
        """
        mask, row = self.open_mask, self._workspace.row
        if mask is None or row is None:
            return 0
        write = self._begin_write(mask, True)
        if mask.document.unsaved or not row.has_mask:
            return self._save(write)
        return self._set_reviewed(write)

    def _set_reviewed(self, write: _Write) -> int:
        """Mark the image as reviewed or not, where its mask is saved as it is."""
        path, study, on_disk = write.mask.path, write.mask.study, write.mask.on_disk
        self._reviewed = write.reviewed

        def work() -> None:
            on_disk.base = study.set_reviewed(path, write.reviewed, on_disk.base)

        def done(_: object) -> None:
            self._set_status(path, "reviewed" if write.reviewed else "saved")
            no_longer = "" if write.reviewed else "no longer "
            self._context.message.emit(f"{path.name} is {no_longer}reviewed")
            self.write_ended.emit(write.number, True)

        self._context.lane.run(work, done, partial(self._refuse, write))
        return write.number

    def _refuse(self, write: _Write, error: BaseException) -> None:
        """Leave all as it was where writing fails, or ask whose mask holds."""
        is_open = write.mask.document is self._workspace.document
        if is_open:
            self._reviewed = write.mask.on_disk.base.reviewed
        if is_open and isinstance(error, ChangedOutside):
            self._conflicts.settle(write.mask, error, partial(self._note_settled, write))
        else:
            self._context.fail(error)
            self.write_ended.emit(write.number, False)

    def _note_settled(self, write: _Write, whose: Whose) -> None:
        """Go on with a write as a person has answered, once the way is free."""
        if whose in ("mine", "both"):
            self._save(write)
            return
        if whose == "theirs":
            if not write.mask.document.unsaved:
                self.drop_draft()
            self.reload_wanted.emit()
        self.write_ended.emit(write.number, False)

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

    def write_draft(self) -> int:
        """Keep what is drawn and not saved as a draft, strokes under way included.

        Gives the number of the write, 0 where nothing is unsaved.
        """
        mask = self.open_mask
        if mask is None:
            return 0
        document, revision = mask.document, mask.document.revision
        self._drafted = revision
        if not document.unsaved:
            self.drop_draft()
            return 0
        self._has_draft = True
        self._workspace.set_row(mask.path, status="draft")
        write = self._begin_write(mask, self._reviewed)

        def done(draft: Path) -> None:
            if document is self._workspace.document:
                self._written, self._draft_file = revision, draft
                self._tell_of_home(mask, draft)
            self.write_ended.emit(write.number, True)

        def failed(error: BaseException) -> None:
            if document is self._workspace.document and self._drafted == revision:
                # So that it is tried again.
                self._drafted = None
                self._note_change()
            self._context.fail(error)
            self.write_ended.emit(write.number, False)

        self._context.lane.run(draft_task(mask), done, failed)
        return write.number

    def _autosave(self) -> None:
        mask = self.open_mask
        if mask is not None and mask.document.revision != self._drafted:
            self.write_draft()

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
        if not self._is_home_told and not draft.is_relative_to(mask.study.masks_folder):
            self._is_home_told = True
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
