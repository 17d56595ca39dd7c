"""Small real stand-ins without torch: a model that answers a disk or fails, and a person."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.errors import ChangedOutside
from engine.framing import Box, Frame
from engine.masks.arrays import Mask
from engine.networks.automaton.config import AutomatonConfig
from engine.networks.library import ModelEntry
from engine.types import (
    CellStep,
    Dataset,
    DenoiseStep,
    Device,
    EnsembleResult,
    Fitting,
    Float,
    Image,
    ModelSpec,
    Outline,
    Outlines,
    Prompt,
    SampleSettings,
    StyleChoice,
    StyleFit,
    TrainSettings,
    TrainStep,
)
from nca_seg_app.services.engine import Engine
from nca_seg_app.services.prompts import Answer, PathKind, Whose


def disk(shape: tuple[int, int], radius: float = 0.3) -> NDArray[np.bool_]:
    """A disk in the middle, (rows, columns) bool; `radius` is a share of the shorter side."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    row, column = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    distance_squared = (rows - row) ** 2 + (columns - column) ** 2
    return np.asarray(distance_squared <= (radius * min(shape)) ** 2)


def write_image(path: Path, shape: tuple[int, int] = (48, 64)) -> Path:
    """A picture of a dark disk on pale skin, written to `path`."""
    pixels_hwc = np.full((*shape, 3), (220, 180, 160), np.uint8)
    pixels_hwc[disk(shape)] = (90, 60, 50)
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels_hwc).save(path)
    return path


def image_of(shape: tuple[int, int] = (48, 64)) -> Image:
    """A picture of a dark disk that lies nowhere on disk."""
    pixels_hwc = np.full((*shape, 3), 200, np.uint8)
    pixels_hwc[disk(shape)] = 60
    return Image(pixels_hwc)


#: Somebody who sets points by hand, close to the lesion.
A_HAND = StyleFit(StyleChoice("T1", -0.25), 0, -0.1, -0.1, 0.9, 0.92, 0.92)


@dataclass
class DiskModel:
    """A loaded model that answers every image with a disk, of another radius for each member.

    It stops before step `holds_at` until `gate` is set, and raises `error` at step `fails_at`.
    `runs` counts its ensembles, `most_at_once` its streams that were open at the same time.
    With `fits`, which a fit of a style finds, it can be told a style, and draws wider disks for a
    greater width. It holds to what was painted. `asked` are the settings of its ensembles,
    `prompts` what else they were told, `trained` the specs of models that it trained anew.
    `coarse_updates` and `updates` are the
    cell updates of its two levels, `start_dice` its own Dice before a fine-tuning.
    """

    size: int = 16
    coarse_updates: int = 5
    updates: int = 3
    start_dice: float | None = None
    fits: StyleFit | None = None
    asked: list[SampleSettings] = field(default_factory=list)
    trained: list[ModelSpec] = field(default_factory=list)
    prompts: list[Prompt | None] = field(default_factory=list)
    holds_at: int = -1
    fails_at: int = -1
    error: Exception = field(default_factory=lambda: RuntimeError("the model broke"))
    gate: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    threads: set[int] = field(default_factory=set)
    runs: int = 0
    most_at_once: int = 0
    at_once: int = 0

    def truth(self, frame: Frame, member: int) -> Float:
        """The clean prediction of member `member` on the grid, in [0, 1]."""
        return disk(frame.grid_shape, 0.25 + 0.02 * (member % 3)).astype(np.float32)

    def segment(
        self, image: Image, settings: SampleSettings, prompt: Prompt | None = None
    ) -> Iterator[EnsembleResult]:
        """An ensemble whose members come nearer to the truth with each step."""
        box: Box | None = prompt.box if prompt is not None else None
        frame = Frame(image.height, image.width, self.size, box=box)
        batch = settings.batch_size or 2
        firsts = range(0, settings.members, batch)
        finished = np.zeros((0, *frame.grid_shape), np.float32)
        done = 0
        self.runs += 1
        self.asked.append(settings)
        self.prompts.append(prompt)
        self._enter()
        try:
            for first in firsts:
                members = range(first, min(first + batch, settings.members))
                truth_nhw = np.stack([self.truth(frame, member) for member in members])
                if settings.width:
                    truth_nhw[:] = disk(frame.grid_shape, 0.27 + 0.1 * settings.width)
                if prompt is not None and prompt.hint_hw is not None:
                    truth_nhw[:, frame.apply_mask(prompt.hint_hw > 0) > 0] = 1.0
                    truth_nhw[:, frame.apply_mask(prompt.hint_hw < 0) > 0] = 0.0
                for step in range(1, settings.steps + 1):
                    self._obey(done)
                    done += 1
                    share = np.float32(step / settings.steps)
                    clean_nhw = 0.5 + (truth_nhw - 0.5) * share
                    noisy_nhw = clean_nhw * 2 - 1
                    timestep = (settings.steps - step) * 10
                    members_nhw = np.concatenate([finished, clean_nhw])
                    last = step == settings.steps
                    yield EnsembleResult(
                        done,
                        len(firsts) * settings.steps,
                        frame,
                        members_nhw,
                        len(members_nhw) if last else first,
                        first,
                        DenoiseStep(step, settings.steps, timestep, noisy_nhw, clean_nhw),
                    )
                finished = members_nhw
        finally:
            self._leave()

    def outlines(
        self, image: Image, settings: SampleSettings, prompt: Prompt | None = None
    ) -> Iterator[Outlines]:
        """Three outlines, of two members each: as asked, tighter and wider."""
        found: list[Outline] = []
        few = dataclasses.replace(settings, members=2)
        for done, width in enumerate((settings.width, -1.0, 1.0), start=1):
            choice = StyleChoice(settings.style, width)
            *_, result = self.segment(image, choice.applied(few), prompt)
            found = sorted([*found, Outline(choice, result)], key=lambda each: each.area)
            yield Outlines(done, 3, tuple(found))

    def replay(
        self,
        image: Image,
        noisy_hw: Float,
        timestep: int,
        settings: SampleSettings,
        member: int,
        prompt: Prompt | None = None,
    ) -> Iterator[CellStep]:
        """Updates of seven channels, level by level; channel 4 is x_t, channel 6 the timestep."""
        levels = ((1, self.coarse_updates, noisy_hw[::4, ::4]), (2, self.updates, noisy_hw))
        total = sum(updates + 1 for _, updates, _ in levels)
        done = 0
        self._enter()
        try:
            for level, updates, given_hw in levels:
                for update in range(updates + 1):
                    done += 1
                    state_chw = np.zeros((7, *given_hw.shape), np.float32)
                    state_chw[0], state_chw[4], state_chw[6] = update, given_hw, timestep
                    fires_hw = np.full(given_hw.shape, update > 0)
                    names = ("noise", "R", "G", "B", "x_t", "hidden 1", "t")
                    yield CellStep(done, total, level, update, state_chw, fires_hw, names)
        finally:
            self._leave()

    def fit_style(self, pairs: Sequence[tuple[Image, Mask]], threshold: float) -> Iterator[Fitting]:
        """Two events an image; the answer is `fits`."""
        assert self.fits is not None
        total, found = 2 * len(pairs), dataclasses.replace(self.fits, images=len(pairs))
        self._enter()
        try:
            for done in range(1, total + 1):
                self._obey(done - 1)
                yield Fitting(done, total, found if done == total else None)
        finally:
            self._leave()

    def finetune(
        self, dataset: Dataset, settings: TrainSettings, folder: Path
    ) -> Iterator[TrainStep]:
        """Losses that fall; a new best file at each validation."""
        folder.mkdir(parents=True, exist_ok=True)
        best_dice: float | None = None
        best_path: Path | None = None
        self._enter()
        try:
            for done in range(1, settings.steps + 1):
                self._obey(done - 1)
                validation_dice = None
                if done % settings.validate_every == 0 or done == settings.steps:
                    validation_dice = best_dice = 1 - 1 / (1 + done)
                    best_path = folder / "best.safetensors"
                    best_path.write_bytes(f"{len(dataset.samples)} samples, {done}".encode())
                loss = 1 / done
                yield TrainStep(
                    done,
                    settings.steps,
                    loss,
                    settings.learning_rate,
                    10.0,
                    validation_dice,
                    best_dice,
                    best_path,
                    self.start_dice,
                )
        finally:
            self._leave()

    def train(
        self, minutes: float, spec: ModelSpec, dataset: Dataset, folder: Path
    ) -> Iterator[TrainStep]:
        """Two steps a minute, as `finetune` takes them, of a model that has no parent."""
        self.trained.append(spec)
        settings = TrainSettings(steps=round(2 * minutes), validate_every=2)
        for step in self.finetune(dataset, settings, folder):
            yield dataclasses.replace(step, start_dice=None)

    def _enter(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)

    def _leave(self) -> None:
        self.at_once -= 1
        self.closed.set()

    def _obey(self, done: int) -> None:
        self.threads.add(threading.get_ident())
        if done == self.holds_at and not self.gate.wait(20):
            raise TimeoutError("nobody opened the gate")
        if done == self.fails_at:
            raise self.error


@dataclass
class Person:
    """Answers questions with what was prepared, and remembers them."""

    save: Answer = "cancel"
    whose: Whose = "cancel"
    path: Path | None = None
    agrees: bool = True
    asked: list[str] = field(default_factory=list)

    def ask_save(self, name: str) -> Answer:
        self.asked.append(f"save {name}")
        return self.save

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        self.asked.append(f"whose {changed.what} {name}")
        return self.whose

    def ask_path(self, kind: PathKind, suggestion: Path) -> Path | None:
        self.asked.append(f"path {kind} {suggestion.name}")
        return self.path

    def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.agrees


def model_entry(folder: Path, name: str = "oracle", steerable: bool = False) -> ModelEntry:
    """An installed model: a file in `folder` that only the fake engine can load.

    One that is steerable was trained with points by hand and with flood fill.
    """
    path = folder / f"{name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights of " + name.encode())
    spec = ModelSpec(name, "multicbam", AutomatonConfig(), size=16)
    if steerable:
        spec = spec.changed(steerable=True, styles={"T1": 0.75, "T2": 0.25})
    return ModelEntry(name, path, spec, f"print of {name}", 412_236, shipped=True)


def learnt(parent: ModelEntry, path: Path) -> ModelEntry:
    """The entry of a person's own model in that file, made from another."""
    spec = dataclasses.replace(parent.spec, name=path.stem, parent=parent.fingerprint)
    return ModelEntry(path.stem, path, spec, f"print of {path.stem}", 412_236, shipped=False)


def fake_engine(
    folder: Path, model: DiskModel | None = None, load: Callable[[Path], Any] | None = None
) -> Engine:
    """An engine without torch: `model` is what every installed file turns out to hold."""
    held = model or DiskModel()
    entry = model_entry(folder / "models", steerable=held.fits is not None)
    runs = itertools.count(1)

    def load_model(path: Path, device: Device) -> Any:
        return load(path) if load is not None else held

    def install(weights: Path, parent: ModelEntry) -> ModelEntry:
        name = f"{parent.name}+1"
        path = folder / "models" / f"{name}.safetensors"
        path.write_bytes(weights.read_bytes())
        return learnt(parent, path)

    def add_model(path: Path) -> ModelEntry:
        return learnt(entry, path)

    def remove_model(name: str) -> Path:
        path = folder / "models" / f"{name}.safetensors"
        return path.rename(path.with_suffix(".discarded"))

    return Engine(
        installed=lambda: (entry,),
        load_model=load_model,
        fingerprint=lambda handle: "abc123",
        device_text=lambda handle: "CPU · fake",
        segment=lambda handle, *rest: handle.segment(*rest),
        outlines=lambda handle, *rest: handle.outlines(*rest),
        replay=lambda handle, *rest: handle.replay(*rest),
        fit_style=lambda handle, *rest: handle.fit_style(*rest),
        finetune=lambda handle, *rest: handle.finetune(*rest),
        train=lambda minutes, spec, dataset, settings, where, device: held.train(
            minutes, spec, dataset, where
        ),
        training_folder=lambda base: folder / "training" / f"{base}{next(runs)}",
        install=install,
        add_model=add_model,
        remove_model=remove_model,
        sample_folder=lambda: write_image(folder / "samples" / "sample.png").parent,
    )
