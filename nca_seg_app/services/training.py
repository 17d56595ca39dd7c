"""Fine-tunes the chosen model on the study's saved masks into a new model beside its parent."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from PySide6.QtCore import Signal

from engine.errors import FolderInUse
from engine.locks import Lock
from engine.networks.library import ModelEntry
from engine.study.study import study_dataset
from engine.training.leftovers import Leftover
from engine.types import ModelSpec, Sample, TrainSettings, TrainStep, evenly
from nca_seg_app.background.job_controller import JobController
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_comparison import ModelComparison
from nca_seg_app.services.model_library import ModelLibrary


class Curve:
    """Records the steps of a training; the job's thread writes, any thread may read.

    `judged` are the samples that validate it; empty before the first step.
    """

    def __init__(self) -> None:
        self.judged: tuple[Sample, ...] = ()
        self._lock = threading.Lock()
        self._steps: list[TrainStep] = []

    def record(self, step: TrainStep) -> None:
        """Record the newest step."""
        with self._lock:
            self._steps.append(step)

    def steps(self) -> tuple[TrainStep, ...]:
        """The recorded steps, oldest first."""
        with self._lock:
            return tuple(self._steps)


class Training(JobController):
    """Fine-tunes a model, and lets the person accept or discard the new model, the candidate.

    Weights that a killed fine-tuning left are offered in the same way when a window opens. While
    there is a candidate, a model comparison shows how its outlines differ from its parent's.
    """

    #: `curve` changed.
    curve_changed = Signal()
    #: `candidate` changed.
    candidate_changed = Signal()

    def __init__(self, context: Context, models: ModelLibrary, comparison: ModelComparison) -> None:
        super().__init__(context.jobs, context)
        self._context, self._workspace, self._models = context, context.workspace, models
        self._keeps = False
        self._parent: ModelEntry | None = None
        self._curve = Curve()
        self._candidate: Path | None = None
        self._folder: Path | None = None
        #: Locks the folder until the person has decided, so that another window does not take its
        #: run for killed.
        self._lock: Lock | None = None
        self._interrupted: ModelSpec | None = None
        self._comparison = comparison
        self._models.listed.connect(self._look_for_leftovers)

    @property
    def curve(self) -> tuple[TrainStep, ...]:
        """All steps of the newest run so far."""
        return self._curve.steps()

    @property
    def validation_images(self) -> int:
        """How many images the newest run is validated on."""
        return len(self._curve.judged)

    @property
    def parent_model(self) -> ModelEntry | None:
        """The model that the newest run started from, or None."""
        return self._parent

    @property
    def candidate(self) -> Path | None:
        """The file of a new model that the person has not decided about, or None."""
        return self._candidate

    @property
    def interrupted(self) -> ModelSpec | None:
        """The candidate's spec, if its fine-tuning was killed before it ended; else None."""
        return self._interrupted

    def finetune(self, settings: TrainSettings | None = None) -> None:
        """Fine-tune the chosen model on the study's saved masks, with these settings from now on.

        Without `settings` those of before are used. Asks first if a candidate would be dropped;
        does nothing while another job runs.
        """
        study, entry = self._workspace.study, self._models.chosen
        if study is None or entry is None or self._context.jobs.current is not None:
            return
        if self._candidate is not None and not self._context.prompts.confirm(
            "The new model has not been added to your models. Drop it and train another one?"
        ):
            return
        if settings is not None:
            self._context.change_settings(learn=settings)
        chosen, device = self._context.settings.learn, self._context.settings.device
        cache, engine, curve = self._models.cache, self._context.engine, Curve()
        folder = engine.training_folder(entry)

        def stream() -> Iterator[TrainStep]:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(folder, "window")
            handle = cache.get(entry, device).handle
            dataset = study_dataset(study)
            curve.judged = evenly(dataset.split("val"), chosen.validation_images)
            events = engine.finetune(handle, dataset, chosen, folder)
            with closing(events) as steps:  # type: ignore[type-var]
                for step in steps:
                    curve.record(step)
                    yield step

        self.discard()
        self._keeps, self._parent, self._curve, self._folder = False, entry, curve, folder
        self._begin(stream)
        self.curve_changed.emit()

    def stop_and_keep(self) -> None:
        """Stop the run; the best weights so far become the candidate."""
        if self._job is not None:
            self._keeps = True
            self._job.cancel()

    def cancel(self) -> None:
        """Stop the run, and remove what it made."""
        if self._job is not None:
            self._keeps = False
            self._job.cancel()

    def accept(self) -> None:
        """Install the candidate as a model beside its parent, and choose it."""
        candidate, parent = self._candidate, self._parent
        if candidate is None or parent is None:
            return

        def done(entry: ModelEntry) -> None:
            self.discard()
            self._models.add(entry)
            self._context.message.emit(
                f"{entry.name} is in the list beside {parent.name}, and chosen."
            )

        self._context.lane.run(
            lambda: self._context.engine.install(candidate, parent), done, self._context.fail
        )

    def discard(self) -> None:
        """Drop the candidate; the installed models stay as they are."""
        if self._candidate is not None:
            self._set_candidate(None)
            self._clean_up()

    def may_close(self) -> bool:
        """Whether the window may close; asks the person if a run or a candidate would be lost."""
        confirm = self._context.prompts.confirm
        if self.running:
            return confirm(
                "Training is under way. Stop it? What it has learned so far will be lost."
            )
        return self._candidate is None or confirm(
            "The new model has not been added to your models. Leave, and drop it?"
        )

    # Inside

    def _set_candidate(self, candidate: Path | None) -> None:
        if candidate != self._candidate:
            self._candidate = candidate
            if candidate is not None and self._parent is not None:
                self._comparison.begin(self._parent.path, candidate, self._curve.judged)
            else:
                self._comparison.forget()
            self.candidate_changed.emit()

    def _clean_up(self) -> None:
        """Remove the run's folder; an accepted model was copied from it."""
        folder, self._folder, self._interrupted = self._folder, None, None
        if self._lock is not None:
            self._lock.release()
        if folder is not None:
            self._context.lane.run(lambda: shutil.rmtree(folder, ignore_errors=True))

    def _look_for_leftovers(self) -> None:
        self._models.listed.disconnect(self._look_for_leftovers)
        self._context.lane.run(self._context.engine.unfinished, self._offer, self._context.fail)

    def _offer(self, left: Leftover | None) -> None:
        """Make the weights that a killed fine-tuning left the candidate."""
        entries = self._models.entries
        if left is None or self.running or self._candidate is not None or not entries:
            return
        with suppress(FolderInUse):
            self._lock = Lock(left.weights.parent, "window")
            parents = [each for each in entries if each.fingerprint == left.spec.parent]
            self._parent = (*parents, *entries)[0]
            self._folder, self._interrupted = left.weights.parent, left.spec
            self._set_candidate(left.weights)
            self._context.message.emit(
                f"A fine-tuning of {self._parent.name} was interrupted. What it had learned waits "
                "in the Training panel: add it to your models, or discard it."
            )

    def _show(self, step: TrainStep) -> None:
        self.curve_changed.emit()

    def _complete(self, step: TrainStep | None) -> None:
        self._keep(step)
        self.curve_changed.emit()

    def _stopped(self, step: TrainStep | None) -> None:
        if self._keeps:
            self._keep(step)
        else:
            self._clean_up()
        self.curve_changed.emit()

    def _fail(self, error: BaseException) -> None:
        # The best weights from before the failure are whole on disk, so the person may keep them.
        steps = self._curve.steps()
        if steps and steps[-1].best_path is not None:
            self._keep(steps[-1])
        else:
            self._clean_up()
        self.curve_changed.emit()
        self._context.fail(error)

    def _keep(self, step: TrainStep | None) -> None:
        if step is not None and step.best_path is not None:
            self._set_candidate(step.best_path)
        else:
            self._clean_up()
            self._context.message.emit(
                "Stopped before the first validation: there is no new model to keep."
            )
