"""Trains and fine-tunes networks, as a stream of optimizer steps that ends when it is closed.

Every step draws its samples, augmentation and noise from (seed, step), so a resumed run continues
exactly as if it had not been stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine import locks
from engine.diffusion.model import Model
from engine.diffusion.noise import Purpose
from engine.diffusion.sampling import denoise
from engine.diffusion.schedule import add_noise, alpha_bars, clean_from, network_input
from engine.errors import DatasetProblem, Diverged, NotFinite
from engine.files import sweep_parts
from engine.metrics import dice
from engine.networks import checkpoint
from engine.networks.budget import expect_affordable
from engine.networks.device import DeviceChoice, alone, choose, in_memory, share_out
from engine.networks.network import Outputs, Target, Tensors
from engine.networks.table import build
from engine.training import parallel, training_state
from engine.training.batches import Batch, BatchSource, reference
from engine.training.gradient import give_gradient
from engine.training.loss import LARGEST_LOSS, diffusion_loss
from engine.training.optimizer import optimizers
from engine.training.undo import StepBackup
from engine.types import (
    BEFORE_CHOICES,
    Dataset,
    Device,
    ModelSpec,
    SampleSettings,
    TrainSettings,
    TrainStep,
    evenly,
)

#: The validation set: pictures (3, rows, columns) in [0, 1] and masks (rows, columns) on the grid.
References = list[tuple[NDArray[np.float32], NDArray[np.bool_]]]

BEST, LAST, STATE = "best.safetensors", "last.safetensors", "state.safetensors"
#: Attributes of a run that its state file holds beside the arrays.
FACTS = (
    "done",
    "unjudged",
    "newest_dice",
    "best_dice",
    "start_dice",
    "skipped",
    "skipped_in_a_row",
)
#: Values of spec and settings that a resumed run may change.
CHANGEABLE = frozenset(("steps", "validate_every", "name", "training"))
SECONDS_BETWEEN_STATES = 120.0
#: So many steps in a row without a finite loss and gradient mean that the training has diverged.
#: Each has other samples, other noise and the same weights: one may have met an odd sample or an
#: overflow, but where five did, the weights are at fault, and a skipped step does not change them.
MOST_SKIPPED_IN_A_ROW = 5
#: Few steps and one member, so that validation takes a small share of the time.
VALIDATION = SampleSettings(steps=3, members=1, batch_size=1)


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
    TooLarge : before the first step.
    OutOfMemory : at a step, naming a smaller batch that may fit.
    Diverged : at the last of `MOST_SKIPPED_IN_A_ROW` steps to be skipped, or if the averaged
        weights give no finite mask. The state file holds the weights from before it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locks.holding(folder) if parallel.rank() == 0 else nullcontext():
        sweep_parts(folder)
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
    spec = replace(spec, size=settings.size, training=record)
    expect_affordable(spec)
    batches = BatchSource(learned, spec, settings, device.name)
    square = spec.framing == "square"
    references = [
        reference(sample, settings.size, spec.pixels_per_cell, square) for sample in judged
    ]
    run = _Run(spec, settings, folder, device, start, end())
    if resume:
        run.read_state(references)
    try:
        if not resume:
            # From here on a killed run can be resumed.
            run.write_state()
            if start is not None and references:
                with in_memory(1, settings.size, "members"):
                    run.start_dice = run.validate(references)
        while not run.ended:
            with in_memory(settings.batch_size, settings.size, "samples"):
                step = run.step(batches, references)
            yield step
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

    def reached(self, done: int) -> bool:
        """Whether the step just taken, of number `done`, is the last; the same in all processes."""
        if done >= self.last or self._at is None:
            return done >= self.last
        # The processes agree, because the others would wait for one that ended alone.
        return parallel.total(float(time.monotonic() >= self._at)) > 0


class _Run:
    """The state of one run: weights, their moving average, optimizers and the best Dice so far."""

    def __init__(
        self,
        spec: ModelSpec,
        settings: TrainSettings,
        folder: Path,
        device: DeviceChoice,
        start: training_state.Arrays | None,
        end: _End,
    ) -> None:
        self.spec, self.settings, self.folder, self.device = spec, settings, folder, device
        self.end, self.ended = end, False
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.network, self.average = build(spec), build(spec)
        if start is not None:
            training_state.fill(self.network, start, folder)
        self.network.to(device.name)
        self.average.load_state_dict(self.network.state_dict())
        self.judge = Model(self.average, device)
        self.optimizers = optimizers(self.network, settings.weight_decay, settings.optimizer)
        self.done = 0
        #: Whether the newest step has not been validated yet, as after a stop in the middle of it.
        self.unjudged = False
        #: Validation Dice of the newest weights, if they were validated.
        self.newest_dice: float | None = None
        self.start_dice: float | None = None
        self.best_dice: float | None = None
        self.best_path: Path | None = None
        #: Steps whose loss or gradient was of no use: all, and those since the last that was not.
        self.skipped = self.skipped_in_a_row = 0
        self.saved_at = time.monotonic()
        self._backup: StepBackup | None = None
        #: Held while the weights move: an interruption must not read them meanwhile.
        self._moving = Lock()

    def step(self, batches: BatchSource, references: References) -> TrainStep:
        """Take one optimizer step, and validate if it is due. Raises Diverged."""
        began = time.monotonic()
        batch = alone(batches.draw, self.done)

        def loss_of(places_k: Tensor) -> Tensor:
            return self._loss(batch.only(slice(int(places_k[0]), int(places_k[-1]) + 1)))

        mean_loss = give_gradient(self.network, loss_of, len(batch), self.device.name)
        rate = self._rate()
        # The means are over all processes, so all of them skip a step or none.
        usable = mean_loss <= LARGEST_LOSS
        if self.device.name == "cpu":
            usable = usable and alone(self._move, rate)
        else:
            usable = usable and self._move(rate)
        if not usable:
            self._skip(rate)
        self.ended = self.end.reached(self.done)
        elapsed = time.monotonic() - began
        try:
            validated = self._judge(references)
        except NotFinite as error:
            raise Diverged(self.done, rate, self.best_path) from error
        if time.monotonic() - self.saved_at > SECONDS_BETWEEN_STATES:
            self.write_state()
        return TrainStep(
            done=self.done,
            total=self.settings.steps,
            loss=mean_loss if usable else math.nan,
            learning_rate=rate,
            samples_per_s=self.settings.batch_size / elapsed,
            validation_dice=validated,
            best_dice=self.best_dice,
            best_path=self.best_path,
            start_dice=self.start_dice,
            skipped=self.skipped,
        )

    def _skip(self, rate: float) -> None:
        """Count a step that is not taken. Raises Diverged, and counts nothing, at the last."""
        if self.skipped_in_a_row + 1 >= MOST_SKIPPED_IN_A_ROW:
            raise Diverged(self.done + 1, rate, self.best_path)
        self.skipped_in_a_row += 1
        self.skipped += 1
        self.unjudged = True
        self.done += 1

    @torch.no_grad()
    def _move(self, rate: float) -> bool:
        """Update the weights by their gradients, at this learning rate, and the moving average.

        Returns False, and changes nothing, if the gradient is not finite. An interruption at any
        point leaves what `_undo_half_a_step` needs.
        """
        with self._moving:
            # Without clipping no gradient is too long, and its length is still known.
            longest = self.settings.clip or math.inf
            length = torch.nn.utils.clip_grad_norm_(self.network.parameters(), longest)
            if not math.isfinite(float(length)):
                return False
            facts = {name: getattr(self, name) for name in FACTS}
            self._backup = StepBackup(self.network, self.average, self.optimizers, facts)
            self._take(rate)
            self.unjudged, self.newest_dice, self.skipped_in_a_row = True, None, 0
            # From here on the step counts as taken.
            self.done += 1
        return True

    def _undo_half_a_step(self) -> None:
        """Restore what it was before a step that was begun and not finished, if there is one."""
        with self._moving:
            backup = self._backup
            if backup is not None and backup.facts["done"] == self.done:
                backup.restore(self.network, self.average, self.optimizers)
                for name, value in backup.facts.items():
                    setattr(self, name, value)

    def _take(self, rate: float) -> None:
        """Let the optimizers change the weights, and the moving average follow."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        # The decay is smaller at first, so that the initial weights are soon forgotten.
        taken = self.done + 1
        decay = min(self.settings.ema, (1 + taken) / (10 + taken))
        for mean, weight in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(weight.detach(), 1 - decay)

    def _loss(self, batch: Batch) -> Tensor:
        """The mean loss of these samples, a scalar: the diffusion's and the network's own terms."""
        spec, place = self.spec, self.device.name
        bars = torch.from_numpy(alpha_bars(spec.schedule, spec.timesteps).copy()).float().to(place)
        bar = bars[batch.timestep_n][:, None, None, None]
        clean = spec.mask_scale * (2 * batch.share_n1hw - 1)
        with self._precision():
            image_given = self.network.condition((2 * batch.image_n3hw - 1).to(place))
        noisy = add_noise(self._recycled(clean, image_given, batch), batch.noise_n1hw, bar)
        # The noise that leads from the true mask to this x_t, even if x_t was made from a guess.
        noise = (noisy - bar.sqrt() * clean) / (1 - bar).sqrt()
        outputs = self._predict(image_given, noisy, bar, batch, Purpose.CHANCE)
        share = batch.share_n1hw.to(place)
        prediction = outputs.prediction_n1hw.float()
        total = diffusion_loss(prediction, share, noise.to(place), bar.to(place), spec)
        target = Target(share, batch.timestep_n.to(place))
        for own in self.network.losses(outputs, image_given, target, self.settings):
            total = total + own
        return total

    @torch.no_grad()
    def _recycled(self, clean: Tensor, image_given: Tensors, batch: Batch) -> Tensor:
        """The clean masks, with those to be recycled replaced by the network's own predictions.

        The predictions are made from pure noise. A network trained on x_t from the truth alone
        learns to trust x_t, which in inference holds its own errors (Fu 2023, MELBA 2023:016).
        """
        if not batch.recycled:
            return clean
        spec, some = self.spec, batch.only(slice(batch.recycled))
        some = replace(some, timestep_n=torch.full_like(some.timestep_n, spec.timesteps))
        bar = float(alpha_bars(spec.schedule, spec.timesteps)[-1])
        noisy = some.noise_n1hw
        conditions = tuple(each[: batch.recycled] for each in image_given)
        at_bar = torch.full((1, 1, 1, 1), bar, device=noisy.device)
        outputs = self._predict(conditions, noisy, at_bar, some, Purpose.RECYCLING)
        output = outputs.prediction_n1hw.float()
        predicted_clean = clean_from(output, noisy, bar, spec.predicts, spec.mask_scale)
        return torch.cat([predicted_clean, clean[batch.recycled :]])

    def _predict(
        self, image_given: Tensors, noisy: Tensor, bar: Tensor, batch: Batch, purpose: Purpose
    ) -> Outputs:
        """The network's outputs for x_t, computed on the device in its precision."""
        spec, place = self.spec, self.device.name
        scaled = network_input(noisy, bar, spec.mask_scale).to(place)
        time = (batch.timestep_n / spec.timesteps).to(place)
        with self._precision():
            time_given = self.network.time_condition(time, (scaled.shape[2], scaled.shape[3]))
            chance = batch.chance_for(purpose)
            return self.network.predict(image_given, time_given, scaled, chance)

    def _precision(self) -> torch.autocast:
        low, place = self.device.precision == "bfloat16", self.device.name
        # On the CPU without autocast's cache, which all threads would share.
        return torch.autocast(place, torch.bfloat16, enabled=low, cache_enabled=place != "cpu")

    def _rate(self) -> float:
        """The learning rate: a linear rise, a plateau, then a cosine down to 1 % of it.

        Without a warm-up there is no rise, without a cool-down no fall.
        """
        settings = self.settings
        warm = min(settings.warm_up, max(1, settings.steps // 10))
        falling = max(1, round(settings.cooldown * (settings.steps - warm)))
        rise = min(1.0, (self.done + 1) / max(1, warm))
        share = max(0.0, (self.done - (settings.steps - falling)) / falling)
        fall = 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2
        return settings.learning_rate * rise * fall

    def _judge(self, references: References) -> float | None:
        """Validate if it is due, and write the weights if they are the best; the Dice, or None."""
        if not self.ended and self.done % self.settings.validate_every:
            self.unjudged = False
            return None
        found = self.validate(references) if references else None
        self.newest_dice = found
        if found is None or self.best_dice is None or found > self.best_dice:
            self._write_model(BEST)
            self.best_dice, self.best_path = found, self.folder / BEST
        self.unjudged = False
        return found

    def validate(self, references: References) -> float:
        """The mean Dice of the averaged weights on the validation set, measured on the grid."""

        def judged(reference: tuple[NDArray[np.float32], NDArray[np.bool_]]) -> float:
            image_chw, mask_hw = reference
            *_, last = denoise(self.judge, image_chw, VALIDATION, [0])
            return dice(last.clean_nhw[0] >= 0.5, mask_hw)

        mine = references[parallel.rank() :: parallel.size()]
        # On a GPU only this thread computes: each thread has a current device of its own.
        found = share_out(judged, mine) if self.device.name == "cpu" else list(map(judged, mine))
        return parallel.total(sum(found)) / len(references)

    def _write_model(self, name: str) -> None:
        """Write the averaged weights as they are now as a model file, atomically."""
        if parallel.rank() > 0:
            return
        seen = {"steps_done": self.done, "validation_dice": self.newest_dice}
        spec = replace(self.spec, training={**self.spec.training, **seen})
        checkpoint.write(self.folder / name, training_state.arrays(self.average), spec)

    def write_ending(self) -> None:
        """Write the state, and the averaged weights as a model if at least one step was taken."""
        self.write_state()
        if self.done:
            self._write_model(LAST)

    @property
    def _recipe(self) -> dict[str, object]:
        """The values of spec and settings that a resumed run may not change."""
        whole = {**BEFORE_CHOICES, **self.spec.flat, **asdict(self.settings)}
        return {name: value for name, value in whole.items() if name not in CHANGEABLE}

    def write_state(self) -> None:
        """Write the state file that `read_state` reads, atomically."""
        if parallel.rank() > 0:
            return
        self._undo_half_a_step()
        facts = {name: getattr(self, name) for name in FACTS}
        path = self.folder / STATE
        training_state.write(path, self.network, self.average, self.optimizers, facts, self._recipe)
        self.saved_at = time.monotonic()

    def read_state(self, references: References) -> None:
        """Continue from the state file. Raises UnreadableModel if it cannot be used."""
        path = self.folder / STATE
        facts = training_state.read(path, self.network, self.average, self.optimizers, self._recipe)
        for name in FACTS:
            # Not every state is of a run that told all of them.
            setattr(self, name, facts.get(name, getattr(self, name)))
        self.ended = self.done >= self.end.last
        best = self.folder / BEST
        self.best_path = best if best.exists() else None
        if self.unjudged:
            self._judge(references)
