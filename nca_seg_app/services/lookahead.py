"""What runs ahead never delays, changes or blocks what the person does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from engine.files import Stamp, stamp
from engine.images.reading import read_image
from engine.types import EnsembleResult, Image
from nca_seg_app.background.jobs import Job, TimeLeft
from nca_seg_app.services.run import Run

if TYPE_CHECKING:
    from nca_seg_app.session import Session

log = logging.getLogger(__name__)

#: Someone who goes through the list quickly shall not start a run at every image.
REST_MS = 250
#: Memory for the results that wait for their images: more than a hundred usual ones.
KEPT_BYTES = 64 * 1024 * 1024


class Forerun:
    """A run on an image that need not be open. `result` is None before its end.

    `surveys` where the doubt of one image after the other is wanted.
    """

    def __init__(
        self, path: Path, run: Run, surveys: bool, reader: Callable[[Path], Image] = read_image
    ) -> None:
        self.path = path
        self.run = run
        self.surveys = surveys
        self._reader = reader
        self.result: EnsembleResult | None = None
        self.stamp: Stamp | None = None

    @property
    def nbytes(self) -> int:
        """The memory that result and film take."""
        members = self.result.members_nhw.nbytes if self.result is not None else 0
        return members + self.run.film.nbytes

    def fits(self, image: Image) -> bool:
        """Whether the result is one of this image, which is the file that was read."""
        frame = self.result.frame if self.result is not None else None
        if frame is None or (frame.height, frame.width) != (image.height, image.width):
            return False
        return self.stamp is not None and stamp(self.path) == self.stamp

    def read(self) -> Image:
        """The image. Raises what reading it raises."""
        self.stamp = stamp(self.path)
        return self._reader(self.path)


class Lookahead(QObject):
    """The result of the next image of the list, computed while nothing else is, and kept.

    It begins once the person uses the model: the open image has a result of a finished run, or a
    mask that came from one. Another image that is opened then without either comes first. Kept as
    well are results that were left undecided, and those of a survey; beyond `KEPT_BYTES` the least
    doubtful go. What is kept is proposed when its image is opened, and belongs to the folder,
    model, settings and device it began with: with others it is dropped.

    A survey goes on to all new images whose doubt is not known, which then can be sorted by it.
    """

    #: `path` is another one, or None.
    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._terms = self._terms_now()
        self._used: set[Path] = set()
        self._failed: set[Path] = set()
        self._kept: list[Forerun] = []
        self._forerun: Forerun | None = None
        self._job: Job | None = None
        self._closed = False
        self._survey: TimeLeft | None = None
        self._surveyed: set[Path] = set()
        #: Other settings held before, so that doubts already known may be of those.
        self._mixed = False
        self._to_survey = 0
        self._opened: Stamp | None = None
        self._timer = QTimer(self, singleShot=True, interval=REST_MS)
        self._timer.timeout.connect(self._look)
        session.image_changed.connect(self._note_image)
        segmentation = session.segmentation
        segmentation.completed.connect(self._note_use)
        segmentation.result_changed.connect(self._note_decision)
        for signal in (
            session.settings_changed,
            session.model_changed,
            session.image_changed,
            session.images_changed,
            session.image_order.changed,
            session.jobs.changed,
        ):
            signal.connect(self._follow)

    @property
    def path(self) -> Path | None:
        """The image that is worked on, or None."""
        return self._forerun.path if self._forerun is not None else None

    @property
    def kept(self) -> tuple[Path, ...]:
        """The images whose results wait to be opened."""
        return tuple(forerun.path for forerun in self._kept)

    @property
    def surveys(self) -> bool:
        """Whether the doubt of all new images is being found."""
        return self._survey is not None

    @property
    def progress(self) -> tuple[int, int]:
        """(images done, images in all) of the survey; (0, 0) where there is none."""
        total = self._to_survey if self.surveys else 0
        return total - len(self._unknown()) if total else 0, total

    @property
    def seconds_left(self) -> float | None:
        """Time the survey still needs, or None while that is unknown."""
        return self._survey.seconds if self._survey is not None else None

    def survey(self) -> None:
        """Find the doubt of all new images, one after the other; asked again, stop."""
        if self.surveys:
            self._end_survey("Stopped")
            return
        self._failed.clear()
        if unknown := len(self._unknown()):
            self._survey, self._to_survey = TimeLeft(), unknown
            self._survey.note(0, self._to_survey)
            self._session.update_state()
            self.changed.emit()
            self._follow()
        else:
            self._session.message.emit("The doubt of every new image is known.")

    def propose(self) -> None:
        """Put up what is kept for the open image, unless a person has begun with it."""
        for forerun in self._kept:
            if forerun.path == self._session.path and self._is_untouched():
                self._kept.remove(forerun)
                result, image = forerun.result, self._session.image
                if result is not None and image is not None and forerun.fits(image):
                    self._session.segmentation.propose(forerun.run, result)
                return

    def remember(self) -> None:
        """Keep the whole result of the open image, where nothing was decided or drawn yet."""
        session, document = self._session, self._session.document
        segmentation, chosen = session.segmentation, Run.chosen(session)
        run, result, row = segmentation.run, segmentation.result, session.row
        if run is None or result is None or row is None or document is None or chosen is None:
            return
        whole = result.done == result.total and run.terms == chosen.terms
        if whole and row.status == "new" and document.is_empty:
            forerun = Forerun(row.path, run, surveys=False)
            forerun.result, forerun.stamp = result, self._opened
            if forerun.nbytes <= KEPT_BYTES:
                self._keep(forerun)

    def _note_image(self) -> None:
        # Of the file as it was read: it may be another one when the image is left.
        path = self._session.path
        self._opened = stamp(path) if path is not None else None

    def close(self) -> None:
        """Begin nothing any more, and ask what is under way to stop; `Jobs.close()` waits."""
        self._closed = True
        self._drop()

    # Inside

    def _terms_now(self) -> tuple[Any, ...]:
        session, run = self._session, Run.chosen(self._session)
        return session.study, run.terms if run is not None else None

    def _is_untouched(self) -> bool:
        session, row, document = self._session, self._session.row, self._session.document
        return (
            row is not None
            and row.status == "new"
            and document is not None
            and document.revision == 0
            and document.is_empty
            and session.segmentation.run is None
        )

    def _follow(self) -> None:
        terms = self._terms_now()
        if terms != self._terms:
            before, self._terms = self._terms, terms
            self._used.clear()
            self._drop()
            # Doubts of two models, or of two numbers of members, are not to be compared.
            self._mixed = terms[0] == before[0]
            if self.surveys:
                why = "other settings hold" if self._mixed else "another folder is open"
                self._end_survey(f"Stopped, since {why}")
        if not self._session.settings.run_ahead and not self.surveys:
            self._give_up()
        elif not self._closed:
            self._timer.start()

    def _drop(self) -> None:
        self._failed.clear()
        self._surveyed.clear()
        self._kept.clear()
        self._give_up()

    def _give_up(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self._set_forerun(None)

    def _note_use(self) -> None:
        session, run, path = self._session, self._session.segmentation.run, self._session.path
        chosen = Run.chosen(session)
        if run is None or path is None or chosen is None or session.segmentation.result is None:
            return
        if run.terms == chosen.terms:
            self._used.add(path)
            self._follow()

    def _note_decision(self) -> None:
        segmentation = self._session.segmentation
        if segmentation.result is not None and not segmentation.proposed:
            self._note_use()

    def _look(self) -> None:
        session, run = self._session, Run.chosen(self._session)
        if self._closed or self._forerun is not None or not session.jobs.free or run is None:
            return
        path, surveys = self._next(), False
        if path is None and self.surveys:
            unknown, surveys = self._unknown(), True
            path = unknown[0] if unknown else None
            if path is None and session.lane.pending:
                # The last doubt is still being written.
                self._timer.start()
            elif path is None:
                self._end_survey("Done")
        if path is not None:
            # A survey's images are not those that are opened next.
            reader = read_image if surveys else session.image_cache.read
            forerun = Forerun(path, run, surveys, reader)
            self._set_forerun(forerun)
            # Before the job, which can then be stopped within one step from its beginning.
            session.aside.run(
                forerun.read,
                lambda image: self._begin(forerun, image),
                lambda error: self._refuse(forerun, error),
            )

    def _begin(self, forerun: Forerun, image: Image) -> None:
        session = self._session
        if forerun is not self._forerun:
            return
        if not session.jobs.free:
            self._set_forerun(None)
            return
        job = self._job = session.jobs.start_spare(lambda: forerun.run.stream(session, image))
        job.completed.connect(lambda result: self._end(job, forerun, result))
        job.cancelled.connect(lambda _: self._end(job))
        # The log has it already.
        job.failed.connect(lambda error: self._break(job, forerun, error))

    def _refuse(self, forerun: Forerun, error: BaseException) -> None:
        # The person meets the trouble in opening the image.
        log.info("%s is not segmented ahead: %s", forerun.path, error)
        if forerun is self._forerun:
            self._failed.add(forerun.path)
            self._set_forerun(None)
            self._follow()

    def _break(self, job: Job, forerun: Forerun, error: BaseException) -> None:
        if self.surveys and job is self._job:
            # It would fail at the next image as well, and the person waits for it.
            self._session.fail(error)
            self._end_survey("Stopped")
        self._end(job, forerun)

    def _next(self) -> Path | None:
        """The next image to work on: nothing if the first without a mask is done with."""
        session, document = self._session, self._session.document
        if not session.settings.run_ahead or document is None or not self._used:
            return None
        done_with = {*self._failed, *self.kept}
        if self._is_untouched() and session.path not in done_with:
            return session.path
        if session.path not in self._used:
            return None
        if session.segmentation.result is None and document.is_empty:
            return None
        rows = session.images
        places = session.image_order.way(1)
        first = next((rows[place] for place in places if rows[place].status == "new"), None)
        return first.path if first is not None and first.path not in done_with else None

    def _unknown(self) -> list[Path]:
        """The new images whose doubt is to be found."""
        return [
            row.path
            for row in self._session.images
            if row.status == "new"
            and (row.doubt is None or self._mixed)
            and row.readable
            and row.path not in self._failed
            and row.path not in self._surveyed
        ]

    def _end_survey(self, how: str) -> None:
        rows = self._session.images
        known = sum(row.doubt is not None for row in rows)
        failed = f", {len(self._failed):,} cannot be segmented" if self._failed else ""
        self._survey = None
        if self._forerun is not None and self._forerun.surveys:
            self._give_up()
        self._session.message.emit(
            f"{how}: the doubt of {known:,} of {len(rows):,} images is known{failed}. "
            "“Most doubt first” sorts by it."
        )
        self._session.update_state()
        self.changed.emit()

    def _end(
        self, job: Job, forerun: Forerun | None = None, result: EnsembleResult | None = None
    ) -> None:
        """What the job told last; without `forerun` it was stopped for a person's work."""
        if job is not self._job:
            return
        self._job = None
        self._set_forerun(None)
        if forerun is not None and result is None:
            self._failed.add(forerun.path)
        elif forerun is not None and result is not None:
            forerun.result = result
            self._keep(forerun)
            self._session.saving.note_doubt(forerun.path, result, quietly=True)
            # The list knows its doubt in a moment.
            self._surveyed.add(forerun.path)
            # It may have been opened meanwhile.
            self.propose()
        self._follow()
        if self._survey is not None:
            self._survey.note(*self.progress)
            self.changed.emit()
            # Nobody goes through the list meanwhile, or the job would have been stopped for it.
            QTimer.singleShot(0, self, self._look)

    def _keep(self, forerun: Forerun) -> None:
        others = [each for each in self._kept if each.path != forerun.path]
        room = KEPT_BYTES - forerun.nbytes
        doubts = {row.path: row.doubt or 0.0 for row in self._session.images}
        # The most doubtful are looked at first, and the newest, so it is the others that go. The
        # newest stays whatever its size: else it would be drawn again and again.
        while others and sum(each.nbytes for each in others) > room:
            others.remove(min(others, key=lambda each: doubts.get(each.path, 0.0)))
        self._kept = [*others, forerun]

    def _set_forerun(self, forerun: Forerun | None) -> None:
        if forerun is not self._forerun:
            self._forerun = forerun
            self.changed.emit()
