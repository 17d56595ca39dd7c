"""Trains a model on the study's saved masks: the chosen one further, or a new one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal

from engine.errors import FolderInUse
from engine.locks import Lock
from engine.networks.library import ModelEntry
from engine.networks.table import architecture, preset
from engine.study.study import Study, study_dataset
from engine.training.leftovers import Leftover
from engine.types import Dataset, ModelSpec, Sample, TrainSettings, TrainStep, evenly
from nca_seg_app.background.job_controller import JobController
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_comparison import ModelComparison
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.state.settings import NewModel

#: Fewer saved masks say too little to a model that knows nothing yet.
FEWEST_FOR_NEW = 10
#: The most images that a new model is validated on each time: more would take the time to learn.
VALIDATION_IMAGES = 32

#: Yields the steps of a training on a data set.
Steps = Callable[[Dataset], Iterator[TrainStep]]


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
    """Trains a model, and lets the person accept or discard it while it is the candidate.

    A fine-tuning begins with the chosen model, its parent; a new model begins with nothing. What a
    killed training left is offered in the same way when a window opens. While there is a candidate,
    a model comparison shows how its outlines differ from those of its rival.
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
        self._rival: ModelEntry | None = None
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
        """The model that the newest run started from; None for a new model and before a run."""
        return self._parent

    @property
    def rival(self) -> ModelEntry | None:
        """What the newest run's model is compared with: its parent, or the model chosen then."""
        return self._rival

    @property
    def candidate(self) -> Path | None:
        """The file of a new model that the person has not decided about, or None."""
        return self._candidate

    @property
    def interrupted(self) -> ModelSpec | None:
        """The candidate's spec, if its training was killed before it ended; else None."""
        return self._interrupted

    def finetune(self, settings: TrainSettings | None = None) -> None:
        """Fine-tune the chosen model on the study's saved masks, with these settings from now on.

        Without `settings` those of before are used. Asks first if a candidate would be dropped;
        does nothing while another job runs.
        """
        study, entry = self._workspace.study, self._models.chosen
        if study is None or entry is None or not self._may_begin():
            return
        if settings is not None:
            self._context.change_settings(learn=settings)
        chosen, device = self._context.settings.learn, self._context.settings.device
        cache, engine = self._models.cache, self._context.engine
        folder = engine.training_folder(entry.name)

        def steps(dataset: Dataset) -> Iterator[TrainStep]:
            return engine.finetune(cache.get(entry, device).handle, dataset, chosen, folder)

        self._parent = entry
        self._train(study, folder, chosen.validation_images, steps)

    def train_new(self, wanted: NewModel | None = None) -> None:
        """Train a new model of a preset on the study's saved masks, as is wanted from now on.

        Without `wanted` that of before is used. Says so where there are too few masks. Asks first
        if a candidate would be dropped; does nothing while another job runs.
        """
        wanted = wanted or self._context.settings.new_model
        study = self._workspace.study
        if study is None or not wanted.preset or not self._may_begin(fewest=FEWEST_FOR_NEW):
            return
        self._context.change_settings(new_model=wanted)
        engine, device = self._context.engine, self._context.settings.device
        spec = preset(wanted.preset)
        usual = architecture(spec.architecture).training
        settings = replace(
            usual,
            size=spec.size,
            batch_size=wanted.batch_size or usual.batch_size,
            validation_images=VALIDATION_IMAGES,
        )
        folder = engine.training_folder(spec.name)

        def steps(dataset: Dataset) -> Iterator[TrainStep]:
            return engine.train(wanted.minutes, spec, dataset, settings, folder, device)

        self._parent = None
        self._train(study, folder, VALIDATION_IMAGES, steps)

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
        """Install the candidate as a model, named after its parent or preset, and choose it."""
        candidate, parent, engine = self._candidate, self._parent, self._context.engine
        if candidate is None:
            return

        def install() -> ModelEntry:
            return engine.install(candidate, parent) if parent else engine.add_model(candidate)

        def done(entry: ModelEntry) -> None:
            self.discard()
            self._models.add(entry)
            place = f"beside {parent.name}" if parent is not None else "of models"
            self._context.message.emit(f"{entry.name} is in the list {place}, and chosen.")

        self._context.lane.run(install, done, self._context.fail)

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

    def _may_begin(self, fewest: int = 0) -> bool:
        """Whether a training may begin now; asks the person if a candidate would be lost."""
        masks = sum(row.has_mask for row in self._workspace.images)
        if self._context.jobs.current is not None:
            return False
        if masks < fewest:
            self._context.message.emit(too_few(masks))
            return False
        return self._candidate is None or self._context.prompts.confirm(
            "The new model has not been added to your models. Drop it and train another one?"
        )

    def _train(self, study: Study, folder: Path, validation_images: int, steps: Steps) -> None:
        """Start the job that `steps` yields from the saved masks, in a folder of its own."""
        curve = Curve()

        def stream() -> Iterator[TrainStep]:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(folder, "window")
            dataset = study_dataset(study)
            curve.judged = evenly(dataset.split("val"), validation_images)
            events: Any = steps(dataset)
            with closing(events):
                for step in events:
                    curve.record(step)
                    yield step

        self.discard()
        self._keeps, self._curve, self._folder = False, curve, folder
        self._rival = self._models.chosen
        self._begin(stream)
        self.curve_changed.emit()

    def _set_candidate(self, candidate: Path | None) -> None:
        if candidate != self._candidate:
            self._candidate = candidate
            if candidate is not None and self._rival is not None:
                self._comparison.begin(self._rival.path, candidate, self._curve.judged)
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
        """Make the weights that a killed training left the candidate."""
        entries = self._models.entries
        if left is None or self.running or self._candidate is not None or not entries:
            return
        with suppress(FolderInUse):
            self._lock = Lock(left.weights.parent, "window")
            parents = [each for each in entries if each.fingerprint == left.spec.parent]
            self._parent = (*parents, *entries)[0] if left.spec.parent else None
            self._rival = self._parent or self._models.chosen
            self._folder, self._interrupted = left.weights.parent, left.spec
            self._set_candidate(left.weights)
            of = (
                f"A fine-tuning of {self._parent.name}"
                if self._parent
                else "A new model's training"
            )
            self._context.message.emit(
                f"{of} was interrupted. What it had learned waits "
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


def too_few(masks: int) -> str:
    """What a person is told whose saved masks are too few for a new model."""
    return (
        f"A new model learns from at least {FEWEST_FOR_NEW} saved masks; there are {masks} so far. "
        "Save some more, or fine-tune the chosen model, which knows much already."
    )
