"""Trains and fine-tunes networks, as a stream of optimizer steps that ends when it is closed.

Every step draws its samples, augmentation and noise from (seed, step), so a resumed run continues
exactly as if it had not been stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import torch

from engine import locks
from engine.diffusion.model import Model
from engine.errors import DatasetProblem, Diverged, NotFinite
from engine.files import sweep_parts
from engine.networks import checkpoint
from engine.networks.budget import expect_affordable
from engine.networks.device import DeviceChoice, choose, in_memory
from engine.networks.table import build, expect_trainable
from engine.study.styles import style_shares
from engine.training import parallel, training_state
from engine.training.batches import BatchSource, reference
from engine.training.optimizer import learning_rate
from engine.training.trainer import Trainer
from engine.training.validation import VALIDATION, Reference, scores
from engine.types import (
    BEFORE_CHOICES,
    Dataset,
    Device,
    ModelSpec,
    TrainSettings,
    TrainStep,
    evenly,
)

BEST, LAST, STATE = "best.safetensors", "last.safetensors", "state.safetensors"
#: Values of spec and settings that a resumed run may change.
CHANGEABLE = frozenset(("steps", "validate_every", "name", "training"))
SECONDS_BETWEEN_STATES = 120.0
#: So often is it asked on a GPU how the steps went: an answer waits for all steps begun before.
STEPS_BETWEEN_READS = 16
#: A training for a time validates so often, which is decided after so many steps.
VALIDATIONS, PACE_STEPS = 10, 8


def train(
    spec: ModelSpec,
    dataset: Dataset,
    settings: TrainSettings,
    folder: Path,
    *,
    start: training_state.Arrays | None = None,
    resume: bool = False,
    device: Device = "auto",
    precision: str = "auto",
    minutes: float | None = None,
    stop_at: int | None = None,
) -> Iterator[TrainStep]:
    """Train a network; yields every optimizer step.

    The averaged weights with the best validation Dice are written to `folder` as best.safetensors.
    However the run ends, the averaged weights after its last step are written as last.safetensors.
    A step whose loss or gradient is too large or not finite is skipped: it counts, but does not
    change the weights, their average or the optimizers.

    Parameters
    ----------
    spec : the network and its diffusion; the trained model's size is `settings.size`.
    dataset : its split `train` is trained on, its split `val` validates. Without `val` the newest
        weights count as the best.
    settings : steps, batch size, learning rate and so on.
    folder : where the files are written; made if absent.
    start : weights to begin from; without them they are initialised by `settings.seed`.
    resume : continue from the state in `folder`. Of `spec` and `settings` only the values in
        `CHANGEABLE` may differ from those of the run.
    device, precision : where to train, as `engine.networks.device.choose` takes them.
    minutes : the run ends after the first step at which this time is over.
    stop_at : the run ends after the step of this number. The learning rate still follows
        `settings.steps`.

    Yields
    ------
    TrainStep : the last one of a run that was not stopped before its end has validated.

    Raises
    ------
    ValueError : before the first step, for a device or precision that is none or is not there.
    DatasetProblem, UnreadableImage, UnreadableMask : before the first step.
    FolderInUse : before the first step, if another run writes to `folder`.
    UnreadableModel : if `resume` finds no state that fits.
    TooLarge, NotTrainable : before the first step.
    OutOfMemory : at a step, naming a smaller batch that may fit.
    Diverged : at the last of `MOST_SKIPPED_IN_A_ROW` steps to be skipped, or if the averaged
        weights give no finite mask. The state file holds the weights from before it.
    """
    expect_trainable(spec)
    with _own(folder):
        last = min(settings.steps, stop_at or settings.steps)
        yield from _train(
            spec,
            dataset,
            settings,
            folder,
            start,
            resume,
            choose(device, precision),
            lambda: _End(last, minutes),
        )


def train_for(
    minutes: float,
    spec: ModelSpec,
    dataset: Dataset,
    settings: TrainSettings,
    folder: Path,
    *,
    device: Device = "auto",
    precision: str = "auto",
) -> Iterator[TrainStep]:
    """Train a network from new weights for a time; yields every optimizer step.

    The number of steps follows from their pace, is estimated anew at each, and stands in
    `TrainStep.total`; the learning rate falls to its end at the end of the time.

    Parameters
    ----------
    minutes : how long steps and validations take together; a pause of the stream does not count.
    spec, dataset, folder, device, precision : as for `train`.
    settings : as for `train`, except `steps` and `validate_every`: it validates ten times.

    Yields
    ------
    TrainStep : as `train` does.

    Raises
    ------
    EngineError : as `train` does.
    """
    expect_trainable(spec)
    with _own(folder):
        chosen = choose(device, precision)
        yield from _train(
            spec, dataset, settings, folder, None, False, chosen, lambda: _TimedEnd(minutes)
        )


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """Makes a run's folder, locks it and removes what a killed run was writing there."""
    folder.mkdir(parents=True, exist_ok=True)
    with locks.holding(folder) if parallel.rank() == 0 else nullcontext():
        sweep_parts(folder)
        yield


def _train(
    spec: ModelSpec,
    dataset: Dataset,
    settings: TrainSettings,
    folder: Path,
    start: training_state.Arrays | None,
    resume: bool,
    device: DeviceChoice,
    end: Callable[[], _End],
) -> Iterator[TrainStep]:
    """Trains as `train` does, in a folder that is locked already."""
    learned = dataset.split("train")
    judged = evenly(dataset.split("val"), settings.validation_images)
    if not learned:
        raise DatasetProblem(dataset.root, "it has no samples to train on")
    parallel.expect_shares(settings.batch_size)
    begun_with = (spec.samples_seen or 0) if start is not None else 0
    record = {
        **asdict(settings),
        "train_images": len(learned),
        "samples_before": begun_with,
    }
    styles = (spec.steerable and style_shares(learned)) or spec.styles
    spec = replace(spec, size=settings.size, training=record, styles=styles)
    expect_affordable(spec)
    batches = BatchSource(learned, spec, settings, device.name)
    square = spec.framing == "square"
    references = [
        reference(sample, settings.size, spec.pixels_per_cell, square) for sample in judged
    ]
    run = _Run(spec, settings, folder, device, start, batches, references, end())
    if resume:
        run.read_state()
    try:
        if not resume:
            # From here on a killed run can be resumed.
            run.write_state()
            if start is not None and references:
                with in_memory(VALIDATION.members, settings.size, "members"):
                    run.start_dice = run.validate()
        while not run.ended:
            with in_memory(settings.batch_size, settings.size, "samples"):
                step = run.step()
            rests = time.monotonic()
            yield step
            run.end.put_off(time.monotonic() - rests)
    finally:
        try:
            run.write_ending()
        except KeyboardInterrupt:
            # The interruption came while the files were being written at the end, for example
            # because another process of the run failed. They are written again, whole.
            run.write_ending()
            raise


def finetune(
    model: Model,
    dataset: Dataset,
    settings: TrainSettings,
    folder: Path,
    *,
    minutes: float | None = None,
) -> Iterator[TrainStep]:
    """Fine-tune a model on a data set; yields every optimizer step. The model itself is unchanged.

    The new model keeps the grid size, the device and the precision of its parent, and records the
    parent's fingerprint.

    Parameters
    ----------
    model : the parent.
    dataset, folder, minutes : as for `train`.
    settings : as for `train`, except that `size` is the parent's.

    Yields
    ------
    TrainStep : as `train` does.

    Raises
    ------
    EngineError : as `train` does.
    """
    child = replace(model.spec, parent=model.fingerprint)
    settings = replace(settings, size=model.spec.size)
    start = training_state.arrays(model.network)
    device: Device = "cuda" if model.device.name == "cuda" else "cpu"
    yield from train(
        child, dataset, settings, folder,
        start=start, device=device, precision=model.device.precision, minutes=minutes,
    )  # fmt: skip


class _End:
    """Decides when a run ends: at the step `last`, or when the minutes from now are over."""

    def __init__(self, last: int, minutes: float | None) -> None:
        self.last = last
        self._at = None if minutes is None else time.monotonic() + 60 * minutes

    def planned(self, settings: TrainSettings, done: int) -> TrainSettings:
        """The settings from the step of number `done` on, which was just taken."""
        return settings

    def put_off(self, seconds: float) -> None:
        """Leave out a time in which the run rested."""

    def reached(self, done: int) -> bool:
        """Whether the step just taken, of number `done`, is the last; the same in all processes."""
        if done >= self.last or self._at is None:
            return done >= self.last
        # The processes agree, because the others would wait for one that ended alone.
        return parallel.total(float(time.monotonic() >= self._at)) > 0


class _TimedEnd(_End):
    """Ends a run after as many steps as there is time for, by the pace of those taken."""

    def __init__(self, minutes: float) -> None:
        super().__init__(last=1, minutes=None)
        self._began = time.monotonic()
        self._over = self._began + 60 * minutes

    def planned(self, settings: TrainSettings, done: int) -> TrainSettings:
        """The settings with so many steps, and validations spread over them."""
        now = time.monotonic()
        pace_s = max(1e-6, now - self._began) / max(1, done - 1)
        further = (self._over - now) / pace_s
        if done == 1:
            # The first step takes longer than the others, and is left out from here on.
            self._began = now
        # The processes agree, because the others would wait for one that ended alone.
        further = parallel.total(further) / parallel.size()
        self.last = done + max(0, round(further))
        every = max(1, self.last // VALIDATIONS) if done == PACE_STEPS else settings.validate_every
        return replace(settings, steps=self.last, validate_every=every)

    def put_off(self, seconds: float) -> None:
        self._began += seconds
        self._over += seconds


class _Run:
    """One run: its trainer, the best Dice so far, its files, and what is told of each step."""

    def __init__(
        self,
        spec: ModelSpec,
        settings: TrainSettings,
        folder: Path,
        device: DeviceChoice,
        start: training_state.Arrays | None,
        batches: BatchSource,
        references: Sequence[Reference],
        end: _End,
    ) -> None:
        self.spec, self.settings, self.folder = spec, settings, folder
        self.references, self.end, self.ended = references, end, False
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network, average = build(spec), build(spec)
        if start is not None:
            training_state.fill(network, start, folder)
        average.load_state_dict(network.state_dict())
        self.judge = Model(average, device)
        self.trainer = Trainer(spec, settings, device, network.to(device.name), average, batches)
        #: The step after which it was last decided whether to validate, and the Dice found then.
        self.judged = 0
        self.judged_dice: float | None = None
        self.start_dice: float | None = None
        self.best_dice: float | None = None
        self.best_path: Path | None = None
        self.saved_at = time.monotonic()
        #: How the steps went when the trainer was last asked, and samples per second until then;
        #: steps since then, and their seconds.
        self._news, self._speed = self.trainer.read(), 0.0
        self._unread, self._seconds = 0, 0.0
        #: On a CPU nobody waits for an answer.
        self._reads_every = 1 if device.name == "cpu" else STEPS_BETWEEN_READS

    @property
    def newest_dice(self) -> float | None:
        """Validation Dice of the newest weights, if they were validated."""
        return self.judged_dice if self.judged == self.trainer.done else None

    def step(self) -> TrainStep:
        """Take one optimizer step, and validate if it is due. Raises Diverged."""
        began = time.monotonic()
        trainer = self.trainer
        rate = learning_rate(self.settings, trainer.done)
        trainer.step()
        self._unread += 1
        self.settings = trainer.settings = self.end.planned(self.settings, trainer.done)
        self.ended = self.end.reached(trainer.done)
        self._read(began, whether=self._due or self._unread >= self._reads_every)
        try:
            validated = self._judge()
        except NotFinite as error:
            raise Diverged(trainer.done, rate, self.best_path) from error
        if time.monotonic() - self.saved_at > SECONDS_BETWEEN_STATES:
            self.write_state()
        return TrainStep(
            done=trainer.done,
            total=self.settings.steps,
            loss=self._news.loss,
            learning_rate=rate,
            samples_per_s=self._speed,
            validation_dice=validated,
            best_dice=self.best_dice,
            best_path=self.best_path,
            start_dice=self.start_dice,
            skipped=self._news.skipped,
        )

    def _read(self, began: float, *, whether: bool) -> None:
        """Ask how the steps went, if that is wanted or not yet known. Raises Diverged."""
        trainer = self.trainer
        if whether or not self._speed:
            self._news = trainer.read()
            seconds = self._seconds + time.monotonic() - began
            self._speed = self._unread * self.settings.batch_size / seconds
            self._unread, self._seconds = 0, 0.0
        else:
            self._seconds += time.monotonic() - began
        if self._news.diverged:
            rate = learning_rate(self.settings, trainer.done)
            raise Diverged(trainer.done + 1, rate, self.best_path)

    @property
    def _due(self) -> bool:
        """Whether the newest weights are to be validated."""
        return self.ended or self.trainer.done % self.settings.validate_every == 0

    def _judge(self) -> float | None:
        """Validate if it is due, and write the weights if they are the best; the Dice, or None."""
        found = None
        if self._due:
            found = self.validate() if self.references else None
            if found is None or self.best_dice is None or found > self.best_dice:
                self._write_model(BEST, found)
                self.best_dice, self.best_path = found, self.folder / BEST
        self.judged, self.judged_dice = self.trainer.done, found
        return found

    def validate(self) -> float:
        """The mean Dice of the averaged weights on the validation set, measured on the grid."""
        mine = self.references[parallel.rank() :: parallel.size()]
        return parallel.total(sum(scores(self.judge, mine))) / len(self.references)

    def _write_model(self, name: str, dice: float | None) -> None:
        """Write the averaged weights as they are now, of this Dice, as a model, atomically."""
        if parallel.rank() > 0:
            return
        planned = {"steps": self.settings.steps, "validate_every": self.settings.validate_every}
        seen = {**planned, "steps_done": self.trainer.done, "validation_dice": dice}
        spec = replace(self.spec, training={**self.spec.training, **seen})
        checkpoint.write(self.folder / name, training_state.arrays(self.trainer.average), spec)

    def write_ending(self) -> None:
        """Write the state, and the averaged weights as a model if at least one step was taken."""
        self.write_state()
        if self.trainer.done:
            self._write_model(LAST, self.newest_dice)

    @property
    def _recipe(self) -> dict[str, object]:
        """The values of spec and settings that a resumed run may not change."""
        whole = {**BEFORE_CHOICES, **self.spec.flat, **asdict(self.settings)}
        return {name: value for name, value in whole.items() if name not in CHANGEABLE}

    def write_state(self) -> None:
        """Write the state file that `read_state` reads, atomically."""
        if parallel.rank() > 0:
            return
        trainer = self.trainer
        trainer.settle()
        news = trainer.read()
        facts = {
            "done": trainer.done,
            "unjudged": self.judged != trainer.done,
            "newest_dice": self.newest_dice,
            "best_dice": self.best_dice,
            "start_dice": self.start_dice,
            "skipped": news.skipped,
            "skipped_in_a_row": news.skipped_in_a_row,
        }
        path = self.folder / STATE
        held = trainer.network, trainer.average, trainer.optimizers
        training_state.write(path, *held, facts, self._recipe)
        self.saved_at = time.monotonic()

    def read_state(self) -> None:
        """Continue from the state file. Raises UnreadableModel if it cannot be used."""
        trainer, path = self.trainer, self.folder / STATE
        held = trainer.network, trainer.average, trainer.optimizers
        facts = training_state.read(path, *held, self._recipe)
        trainer.remember(facts["done"], facts["skipped"], facts["skipped_in_a_row"])
        self._news = trainer.read()
        self.judged = -1 if facts["unjudged"] else trainer.done
        self.judged_dice, self.best_dice = facts["newest_dice"], facts["best_dice"]
        self.start_dice = facts["start_dice"]
        self.ended = trainer.done >= self.end.last
        best = self.folder / BEST
        self.best_path = best if best.exists() else None
        if facts["unjudged"]:
            self._judge()
