"""What a person drew reaches the disk: saved when asked, as a draft every few seconds otherwise."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine.dataset import export_dataset
from engine.errors import EngineError
from engine.images import read_image
from engine.masks import mask_name, replace, write_mask
from engine.study import Status, Study
from engine.types import EnsembleResult, Image, Origin
from nca_seg_app.document import Mask, MaskDocument

if TYPE_CHECKING:
    from nca_seg_app.session import Session


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


class Keeping(QObject):
    """Saving, drafts and exports of the open document. All writing happens off the main thread."""

    #: A file that was asked for is on disk; carries its path.
    saved = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._drafted: int | None = None
        self._has_draft = False
        self._reviewed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.write_draft)

    def begin(self, document: MaskDocument, opened: OpenedImage) -> None:
        """Watch over a document just opened."""
        self._timer.stop()
        self._reviewed = opened.reviewed
        self._has_draft = opened.draft_hw is not None
        self._drafted = document.revision
        document.changed.connect(self._note_change)
        if not document.unsaved:
            self.drop_draft()

    def save(self, then: Callable[[], None] | None = None, *, reviewed: bool | None = None) -> None:
        """Write the mask and where it came from to the study; `then` once that is done.

        `reviewed` None keeps the image's status if it was reviewed.
        """
        session, document, path = self._session, self._session.document, self._session.path
        study = session.study
        if study is None or document is None or path is None:
            return
        document.rollback()
        mask_hw, source, revision = document.mask_hw.copy(), document.note, document.revision
        keeps = self._reviewed if reviewed is None else reviewed

        def work() -> Path:
            return study.save(path, mask_hw, _origin(source, mask_hw), keeps)

        def done(mask_path: Path) -> None:
            if document is session.document and document.revision == revision:
                document.mark_saved()
                self._has_draft = False
                self._timer.stop()
            if path == session.path:
                self._reviewed = keeps
            session.set_row(path, status="reviewed" if keeps else "saved", has_mask=True)
            session.message.emit(f"Saved {mask_path.name}")
            self.saved.emit(mask_path)
            if then is not None:
                then()

        session.lane.run(work, done, session.fail)

    def may_close(self) -> bool:
        """Ask about unsaved work, and save it or let it go before returning; False to stay."""
        session, document, path = self._session, self._session.document, self._session.path
        if document is not None and document.unsaved:
            document.rollback()
        if document is None or not document.unsaved:
            return True
        answer = session.prompts.ask_save(path.name if path else "")
        try:
            if answer == "save":
                self._save_now(document)
        except Exception as error:
            session.fail(error)
            return False
        if answer == "discard":
            self.drop_draft()
        return answer != "cancel"

    def _save_now(self, document: MaskDocument) -> None:
        session, study, path = self._session, self._session.study, self._session.path
        if study is not None and path is not None:
            mask_hw, source, keeps = document.mask_hw, document.note, self._reviewed
            session.lane.wait(lambda: study.save(path, mask_hw, _origin(source, mask_hw), keeps))
            document.mark_saved()

    def save_as(self) -> None:
        """Ask for a file and write the mask there."""
        session, document, path = self._session, self._session.document, self._session.path
        if document is None or path is None:
            return
        target = session.prompts.ask_path("mask", path.with_name(mask_name(path.stem)))
        if target is None:
            return
        mask_hw, file = document.mask_hw.copy(), target.with_suffix(".png")

        def done(_: object) -> None:
            session.message.emit(f"Exported {file.name}")
            self.saved.emit(file)

        session.lane.run(lambda: write_mask(file, mask_hw), done, session.fail)

    def export_dataset(self) -> None:
        """Ask for a folder and write the study's saved masks there as a data set."""
        session, study = self._session, self._session.study
        if study is None:
            return
        folder = session.prompts.ask_path("dataset", study.folder.with_name("dataset"))
        if folder is None:
            return

        def done(count: int) -> None:
            noun = "sample" if count == 1 else "samples"
            session.message.emit(f"Exported {count} {noun} to {folder}")
            self.saved.emit(folder)

        def work() -> int:
            return sum(1 for _ in export_dataset(study.saved_samples(), folder))

        session.lane.run(work, done, session.fail)

    def mark_reviewed(self, then: Callable[[], None] | None = None) -> None:
        """Save what is unsaved and mark the image as reviewed."""
        session, document, path = self._session, self._session.document, self._session.path
        study, row = session.study, session.row
        if study is None or document is None or path is None or row is None:
            return
        if document.unsaved or not row.has_mask:
            self.save(then, reviewed=True)
            return

        def done(_: object) -> None:
            if path == session.path:
                self._reviewed = True
            session.set_row(path, status="reviewed")
            session.message.emit(f"{path.name} is reviewed")
            if then is not None:
                then()

        session.lane.run(lambda: study.set_reviewed(path, True), done, session.fail)

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

    def write_draft(self) -> None:
        """Keep what is drawn and not saved, strokes under way included."""
        session, document, path = self._session, self._session.document, self._session.path
        study = session.study
        if study is None or document is None or path is None:
            return
        if document.revision == self._drafted:
            return
        self._drafted = document.revision
        if not document.unsaved:
            self.drop_draft()
            return
        self._has_draft = True
        mask_hw, source = document.mask_hw.copy(), document.note
        session.lane.run(
            lambda: study.save_draft(path, mask_hw, _origin(source, mask_hw)), None, session.fail
        )

    def drop_draft(self) -> None:
        """Forget the draft, as when its changes are discarded or undone."""
        session, study, row = self._session, self._session.study, self._session.row
        self._timer.stop()
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


def _origin(source: object, mask_hw: Mask) -> Origin | None:
    """Where the mask came from; without a source, from a person's hand alone."""
    if isinstance(source, Source):
        return source.origin_of(mask_hw)
    return Origin(pixels_changed=int(np.count_nonzero(mask_hw)))
