"""The engine's functions that need torch or the installed models, as one value to pass around."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from engine.masks.arrays import Mask
from engine.networks import library
from engine.networks.library import ModelEntry
from engine.networks.preload import for_good, load_libraries, load_optimizer
from engine.training.leftovers import Leftover, unfinished
from engine.types import (
    CellStep,
    Dataset,
    Device,
    EnsembleResult,
    Fitting,
    Float,
    Image,
    ModelSpec,
    Outlines,
    Prompt,
    SampleSettings,
    TrainSettings,
    TrainStep,
)


@dataclass(frozen=True)
class Engine:
    """The engine's functions that need torch or the installed models; tests replace them by fakes.

    A loaded model is an opaque handle, which is passed back in. The functions import torch when
    they are called, in the calling thread, so that the window opens without waiting for it.
    """

    #: Lists the installed models.
    installed: Callable[[], tuple[ModelEntry, ...]]
    #: Loads a model: (file, device) → handle.
    load_model: Callable[[Path, Device], Any]
    #: The fingerprint of a handle's model.
    fingerprint: Callable[[Any], str]
    #: Where a handle's model runs, as "CPU · bf16".
    device_text: Callable[[Any], str]
    #: Segments an image: (handle, image, settings, prompt) → the growing ensemble.
    segment: Callable[[Any, Image, SampleSettings, Prompt | None], Iterator[EnsembleResult]]
    #: Outlines an image in all styles: (handle, image, settings, prompt) → the outlines so far.
    outlines: Callable[[Any, Image, SampleSettings, Prompt | None], Iterator[Outlines]]
    #: Replays a diffusion step: (handle, image, noisy_hw, timestep, settings, member, prompt) → its
    #: states.
    replay: Callable[
        [Any, Image, Float, int, SampleSettings, int, Prompt | None], Iterator[CellStep]
    ]
    #: Fits style and width to masks: (handle, images with their masks, threshold) → how far it is.
    fit_style: Callable[[Any, Sequence[tuple[Image, Mask]], float], Iterator[Fitting]]
    #: Fine-tunes a model: (handle, data set, settings, folder for the new files) → its steps.
    finetune: Callable[[Any, Dataset, TrainSettings, Path], Iterator[TrainStep]]
    #: Trains a new model: (minutes, spec, data set, settings, folder, device) → its steps.
    train: Callable[[float, ModelSpec, Dataset, TrainSettings, Path, Device], Iterator[TrainStep]]
    #: Names a new folder for the training of a model that is made from one of this name.
    training_folder: Callable[[str], Path]
    #: Installs a fine-tuned model: (its file, its parent) → the installed model.
    install: Callable[[Path, ModelEntry], ModelEntry]
    #: Installs a model from a file.
    add_model: Callable[[Path], ModelEntry]
    #: Removes a person's own model by name from the list, and gives its file's new path.
    remove_model: Callable[[str], Path]
    #: Gives the folder of sample images.
    sample_folder: Callable[[], Path]
    #: Finds the weights that a killed fine-tuning left, or gives None.
    unfinished: Callable[[], Leftover | None] = lambda: None


def real_engine() -> Engine:
    """The real functions; torch is imported at the first call of one that needs it."""
    return Engine(
        installed=library.installed,
        load_model=_load_model,
        fingerprint=lambda handle: str(handle.fingerprint),
        device_text=_device_text,
        segment=_segment,
        outlines=_outlines,
        replay=_replay,
        fit_style=_fit_style,
        finetune=_finetune,
        train=_train,
        training_folder=_training_folder,
        install=library.adopt,
        add_model=library.add,
        remove_model=library.remove,
        sample_folder=_sample_folder,
        unfinished=unfinished,
    )


def warm_up() -> None:
    """Import what drawing the first outline would wait a third of a second for; in any thread."""
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


def _segment(
    model: Any, image: Image, settings: SampleSettings, prompt: Prompt | None
) -> Iterator[EnsembleResult]:
    from engine.diffusion.ensemble import segment

    return segment(model, image, settings, prompt)


def _outlines(
    model: Any, image: Image, settings: SampleSettings, prompt: Prompt | None
) -> Iterator[Outlines]:
    from engine.diffusion.outlines import outlines

    return outlines(model, image, settings, prompt)


def _replay(
    model: Any,
    image: Image,
    noisy_hw: Float,
    timestep: int,
    settings: SampleSettings,
    member: int,
    prompt: Prompt | None,
) -> Iterator[CellStep]:
    from engine.diffusion.ensemble import replay

    return replay(model, image, noisy_hw, timestep, settings, member, prompt)


def _fit_style(
    model: Any, pairs: Sequence[tuple[Image, Mask]], threshold: float
) -> Iterator[Fitting]:
    from engine.evaluation.style_fit import fit_style

    return fit_style(model, pairs, threshold=threshold)


def _finetune(
    model: Any, dataset: Dataset, settings: TrainSettings, folder: Path
) -> Iterator[TrainStep]:
    _load_training()
    from engine.training.loop import finetune

    return finetune(model, dataset, settings, folder)


def _train(
    minutes: float,
    spec: ModelSpec,
    dataset: Dataset,
    settings: TrainSettings,
    folder: Path,
    device: Device,
) -> Iterator[TrainStep]:
    _load_torch()
    _load_training()
    from engine.training.loop import train_for

    return train_for(minutes, spec, dataset, settings, folder, device=device)


def _training_folder(base: str) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return home_folder() / "training" / f"{library.unused_name(base)}-{moment}"


def _sample_folder() -> Path:
    # Samples are copied, because masks are written beside the images, which must not happen in the
    # program's own folder.
    target = home_folder() / "samples"
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(Path(str(resources.files("resources"))).glob("samples/*")):
        copy = target / source.name
        if source.suffix.lower() in IMAGE_SUFFIXES and not copy.exists():
            write_atomic(copy, source.read_bytes())
    return target
