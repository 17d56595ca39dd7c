"""The engine's functions that need torch or the installed models, behind one door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from engine.files import write_atomic
from engine.folders import home_folder
from engine.images.formats import IMAGE_SUFFIXES
from engine.masks import outlines
from engine.networks import library
from engine.networks.library import ModelEntry
from engine.networks.preload import for_good, load_libraries, load_optimizer
from engine.training.leftovers import Leftover, unfinished
from engine.types import (
    CellStep,
    Dataset,
    Device,
    EnsembleResult,
    Float,
    Image,
    SampleSettings,
    TrainSettings,
    TrainStep,
    Views,
)


@dataclass(frozen=True)
class Engine:
    """The engine's functions that need torch or the installed models; tests put small fakes here.

    A loaded model is an opaque handle. Each imports what it needs when it is called, in the thread
    that calls it, so that the window is up before torch.
    """

    #: The installed models.
    installed: Callable[[], tuple[ModelEntry, ...]]
    #: (file, device) → handle.
    load_model: Callable[[Path, Device], Any]
    #: The hash of a handle's weights.
    fingerprint: Callable[[Any], str]
    #: Where a handle runs, as "CPU · bf16".
    device_text: Callable[[Any], str]
    #: (handle, image, settings) → a growing ensemble.
    segment: Callable[[Any, Image, SampleSettings], Iterator[EnsembleResult]]
    #: (handle, image, noisy_hw, timestep, seed, member, views) → every cell update of that step.
    replay: Callable[[Any, Image, Float, int, int, int, Views], Iterator[CellStep]]
    #: (handle, data set, settings, folder for the new files) → one event a step.
    finetune: Callable[[Any, Dataset, TrainSettings, Path], Iterator[TrainStep]]
    #: A fresh folder for a fine-tuning of this model.
    training_folder: Callable[[ModelEntry], Path]
    #: (weights, model they were fine-tuned from) → the new model, in the list beside its parent.
    install: Callable[[Path, ModelEntry], ModelEntry]
    #: A model's file → the model, in the list.
    add_model: Callable[[Path], ModelEntry]
    #: The name of a person's own model → where its file lies now, out of the list.
    remove_model: Callable[[str], Path]
    #: The folder of sample images.
    sample_folder: Callable[[], Path]
    #: What a fine-tuning that was killed had learned, or None.
    unfinished: Callable[[], Leftover | None] = lambda: None


def real_engine() -> Engine:
    """The engine itself. Nothing of it that needs torch is imported before it is called."""
    return Engine(
        installed=library.installed,
        load_model=_load_model,
        fingerprint=lambda handle: str(handle.fingerprint),
        device_text=_device_text,
        segment=_segment,
        replay=_replay,
        finetune=_finetune,
        training_folder=_training_folder,
        install=library.adopt,
        add_model=library.add,
        remove_model=library.remove,
        sample_folder=_sample_folder,
        unfinished=unfinished,
    )


def warm_up() -> None:
    """Load what the first outline would wait a third of a second for; in any thread."""
    with for_good():
        outlines.warm_up()


@cache
def _load_torch() -> None:
    with for_good():
        load_libraries()
        from engine.diffusion import ensemble  # noqa: F401


@cache
def _load_training() -> None:
    with for_good():
        from engine.training import loop  # noqa: F401

        load_optimizer()


def _load_model(path: Path, device: Device) -> Any:
    _load_torch()
    from engine.diffusion.model import load

    return load(path, device)


def _device_text(model: Any) -> str:
    name, precision = model.device.name, model.device.precision
    return f"{name.upper()} · {'bf16' if precision == 'bfloat16' else precision}"


def _segment(model: Any, image: Image, settings: SampleSettings) -> Iterator[EnsembleResult]:
    from engine.diffusion.ensemble import segment

    return segment(model, image, settings)


def _replay(
    model: Any, image: Image, noisy_hw: Float, timestep: int, seed: int, member: int, views: Views
) -> Iterator[CellStep]:
    from engine.diffusion.ensemble import replay

    return replay(model, image, noisy_hw, timestep, seed, member, views)


def _finetune(
    model: Any, dataset: Dataset, settings: TrainSettings, folder: Path
) -> Iterator[TrainStep]:
    _load_training()
    from engine.training.loop import finetune

    return finetune(model, dataset, settings, folder)


def _training_folder(parent: ModelEntry) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return home_folder() / "training" / f"{library.unused_name(parent.name)}-{moment}"


def _sample_folder() -> Path:
    # A copy: masks are written beside the images, and the program's own folder is not the place.
    target = home_folder() / "samples"
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(Path(str(resources.files("resources"))).glob("samples/*")):
        copy = target / source.name
        if source.suffix.lower() in IMAGE_SUFFIXES and not copy.exists():
            write_atomic(copy, source.read_bytes())
    return target
