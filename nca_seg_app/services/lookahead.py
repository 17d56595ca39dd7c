"""Segments upcoming images while idle; gives way to the user."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from engine.files import Stamp, stamp
from engine.images.reading import read_image
from engine.types import EnsembleResult, Image
from nca_seg_app.background.jobs import Job
from nca_seg_app.services.context import Context
from nca_seg_app.services.image_cache import ImageCache
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.run import Run
from nca_seg_app.services.segmentation import Segmentation
from nca_seg_app.services.survey import Survey
from nca_seg_app.state.image_order import ImageOrder

log = logging.getLogger(__name__)

#: How long nothing must change before a run starts, so that quick paging does not start many.
REST_MS = 250
#: The memory for kept results: enough for more than a hundred usual ones.
KEPT_BYTES = 64 * 1024 * 1024


class _Task:
    """A run on an image that need not be open; `result` is None before its end.

    Parameters
    ----------
    path : the image's file.
    run : model, settings, device and film.
    surveys : whether the run belongs to a survey.
    reader : reads the image.
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
        """The memory of result, hints and film in bytes."""
        members = self.result.members_nhw.nbytes if self.result is not None else 0
        prompt = self.run.prompt
        hint_hw = prompt.hint_hw if prompt is not None else None
        told = hint_hw.nbytes if hint_hw is not None else 0
        return members + told + self.run.film.nbytes

    def fits(self, image: Image) -> bool:
        """Whether the result belongs to `image` and the image's file is unchanged."""
        frame = self.result.frame if self.result is not None else None
        if frame is None or (frame.height, frame.width) != (image.height, image.width):
            return False
        return self.stamp is not None and stamp(self.path) == self.stamp

    def read(self) -> Image:
        """Read the image, and note the version of its file. Raises UnreadableImage."""
        self.stamp = stamp(self.path)
        return self._reader(self.path)


class Lookahead(QObject):
    """Segments the next image of the list, or those of a survey, while no other job runs.

    It begins once the person uses the model: the open image has the result of a finished run, or a
    mask that came from one. If another image is then opened without either, that one is segmented
    first. Results are kept, also those of a survey and those that the person left undecided, and
    proposed when their image is opened. Beyond `KEPT_BYTES` those with the least expected error are
    dropped. All are dropped if folder, model, settings, style or device
    change.
    """

    #: `path` changed.
    changed = Signal()
    #: A run ended; carries the image's path and the result.
    finished = Signal(object, object)

    def __init__(
        self,
        context: Context,
        models: ModelLibrary,
        image_order: ImageOrder,
        image_cache: ImageCache,
        segmentation: Segmentation,
        proposal: Proposal,
        survey: Survey,
    ) -> None:
        super().__init__(context)
        self._context, self._workspace, self._models = context, context.workspace, models
        self._image_order, self._image_cache = image_order, image_cache
        self._segmentation, self._proposal, self._survey = segmentation, proposal, survey
        self._terms = self._terms_now()
        self._used: set[Path] = set()
        self._failed: set[Path] = set()
        self._kept: list[_Task] = []
        self._task: _Task | None = None
        self._job: Job | None = None
        self._closed = False
        #: The version of the open image's file that was read.
        self._opened: Stamp | None = None
        self._timer = QTimer(self, singleShot=True, interval=REST_MS)
        self._timer.timeout.connect(self._look)
        segmentation.completed.connect(self._note_use)
        proposal.changed.connect(self._note_decision)
        survey.begun.connect(self._note_survey)
        survey.stopped.connect(self._drop_survey)
        workspace = context.workspace
        workspace.image_changed.connect(self._note_image)
        for signal in (
            context.settings_changed,
            models.chosen_changed,
            workspace.image_changed,
            workspace.images_changed,
            workspace.style_changed,
            image_order.changed,
            context.jobs.changed,
        ):
            signal.connect(self._follow)

    @property
    def path(self) -> Path | None:
        """The image that is being segmented, or None."""
        return self._task.path if self._task is not None else None

    @property
    def kept(self) -> tuple[Path, ...]:
        """The images whose results are kept."""
        return tuple(task.path for task in self._kept)

    def propose(self) -> None:
        """Show the kept result of the open image, unless a person has begun to work on it."""
        for task in self._kept:
            if task.path == self._workspace.path and self._is_untouched():
                self._kept.remove(task)
                result, image = task.result, self._workspace.image
                if result is not None and image is not None and task.fits(image):
                    self._segmentation.put_up(task.run, result)
                return

    def remember(self) -> None:
        """Keep the finished result of the open image, if nothing was decided or drawn yet."""
        document = self._workspace.document
        segmentation, chosen = self._segmentation, Run.chosen(self._context, self._models)
        run, result, row = segmentation.run, segmentation.result, self._workspace.row
        if run is None or result is None or row is None or document is None or chosen is None:
            return
        whole = result.done == result.total and run.terms == chosen.terms
        if whole and row.status == "new" and document.is_empty:
            task = _Task(row.path, run, surveys=False)
            task.result, task.stamp = result, self._opened
            if task.nbytes <= KEPT_BYTES:
                self._keep(task)

    def _note_image(self) -> None:
        # Taken now, because the file may have changed by the time the image is left.
        path = self._workspace.path
        self._opened = stamp(path) if path is not None else None

    def close(self) -> None:
        """Begin no more runs, and ask the present one to stop; `Jobs.close()` waits for it."""
        self._closed = True
        self._drop()

    # Inside

    def _terms_now(self) -> tuple[Any, ...]:
        run = Run.chosen(self._context, self._models)
        return self._workspace.study, run.terms if run is not None else None

    def _is_untouched(self) -> bool:
        row, document = self._workspace.row, self._workspace.document
        return (
            row is not None
            and row.status == "new"
            and document is not None
            and document.revision == 0
            and document.is_empty
            and self._segmentation.run is None
        )

    def _follow(self) -> None:
        terms = self._terms_now()
        if terms != self._terms:
            before, self._terms = self._terms, terms
            self._used.clear()
            self._drop()
            self._survey.forget(same_folder=terms[0] == before[0])
        if not self._context.settings.run_ahead and not self._survey.running:
            self._give_up()
        elif not self._closed:
            self._timer.start()

    def _drop(self) -> None:
        self._failed.clear()
        self._kept.clear()
        self._give_up()

    def _give_up(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self._set_task(None)

    def _note_use(self) -> None:
        run, path = self._segmentation.run, self._workspace.path
        chosen = Run.chosen(self._context, self._models)
        if run is None or path is None or chosen is None or self._segmentation.result is None:
            return
        if run.terms == chosen.terms:
            self._used.add(path)
            self._follow()

    def _note_decision(self) -> None:
        if self._segmentation.result is not None and not self._proposal.proposed:
            self._note_use()

    def _look(self) -> None:
        run = Run.chosen(self._context, self._models)
        if self._closed or self._task is not None or not self._context.jobs.free or run is None:
            return
        path, surveys = self._next(), False
        if path is None and self._survey.running:
            unknown, surveys = self._survey.unknown(), True
            path = unknown[0] if unknown else None
            if path is None and self._context.lane.pending:
                # The last expected error is still being written to the study.
                self._timer.start()
            elif path is None:
                self._survey.stop("Done")
        if path is not None:
            # The image cache holds only the images that are opened next.
            reader = read_image if surveys else self._image_cache.read
            task = _Task(path, run, surveys, reader)
            self._set_task(task)
            # Read before the job starts, so that the job can be stopped within one step.
            self._context.aside.run(
                task.read,
                lambda image: self._begin(task, image),
                lambda error: self._refuse(task, error),
            )

    def _begin(self, task: _Task, image: Image) -> None:
        if task is not self._task:
            return
        if not self._context.jobs.free:
            self._set_task(None)
            return
        job = self._job = self._context.jobs.start_idle(
            lambda: task.run.stream(self._models, image)
        )
        job.completed.connect(lambda result: self._end(job, task, result))
        job.cancelled.connect(lambda _: self._end(job))
        # The job has logged the error already.
        job.failed.connect(lambda error: self._break(job, task, error))

    def _refuse(self, task: _Task, error: BaseException) -> None:
        # An unreadable image is reported when the person opens it.
        log.info("%s is not segmented ahead: %s", task.path, error)
        if task is self._task:
            self._note_failed(task.path)
            self._set_task(None)
            self._follow()

    def _break(self, job: Job, task: _Task, error: BaseException) -> None:
        if self._survey.running and job is self._job:
            # The next image would fail as well, and the person is waiting for the survey.
            self._context.fail(error)
            self._survey.stop()
        self._end(job, task)

    def _next(self) -> Path | None:
        """The image to segment next, or None if that is done already or nothing is to be done."""
        document = self._workspace.document
        if not self._context.settings.run_ahead or document is None or not self._used:
            return None
        done_with = {*self._failed, *self.kept}
        if self._is_untouched() and self._workspace.path not in done_with:
            return self._workspace.path
        if self._workspace.path not in self._used:
            return None
        if self._segmentation.result is None and document.is_empty:
            return None
        rows = self._workspace.images
        places = self._image_order.way(1)
        first = next((rows[place] for place in places if rows[place].status == "new"), None)
        return first.path if first is not None and first.path not in done_with else None

    def _note_failed(self, path: Path) -> None:
        self._failed.add(path)
        self._survey.note_failed(path)

    def _note_survey(self) -> None:
        # Images that failed before are tried again.
        self._failed.clear()
        self._follow()

    def _drop_survey(self) -> None:
        if self._task is not None and self._task.surveys:
            self._give_up()

    def _end(
        self, job: Job, task: _Task | None = None, result: EnsembleResult | None = None
    ) -> None:
        """Handle the end of a job; without `task` it was cancelled, with no `result` it failed."""
        if job is not self._job:
            return
        self._job = None
        self._set_task(None)
        if task is not None and result is None:
            self._note_failed(task.path)
        elif task is not None and result is not None:
            task.result = result
            self._keep(task)
            self.finished.emit(task.path, result)
            # The list shows its expected error only a moment later.
            self._survey.note_done(task.path)
            # The image may have been opened meanwhile.
            self.propose()
        self._follow()
        if self._survey.running:
            self._survey.note_progress()
            # Without the usual delay: the person is not paging, which would have stopped the job.
            QTimer.singleShot(0, self, self._look)

    def _keep(self, task: _Task) -> None:
        others = [each for each in self._kept if each.path != task.path]
        room = KEPT_BYTES - task.nbytes
        errors = {row.path: row.expected_error or 0.0 for row in self._workspace.images}
        # Images with the highest expected error are opened first, so the others are dropped. The
        # newest result stays whatever its size, or it would be computed again and again.
        while others and sum(each.nbytes for each in others) > room:
            others.remove(min(others, key=lambda each: errors.get(each.path, 0.0)))
        self._kept = [*others, task]

    def _set_task(self, task: _Task | None) -> None:
        if task is not self._task:
            self._task = task
            self.changed.emit()
