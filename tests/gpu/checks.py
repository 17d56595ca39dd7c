"""Checks of what only a GPU can break; those that mean something on a CPU run there, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model, load
from engine.images.reading import read_image
from engine.metrics import dice
from engine.networks import checkpoint
from engine.networks.library import find
from engine.study.dataset import read_dataset
from engine.training.loop import finetune, train
from engine.types import (
    Dataset,
    EnsembleResult,
    Image,
    SampleSettings,
    TrainSettings,
    evenly,
)
from tests.gpu.parts import Given, Result

#: Masks that differ by rounding alone agree to this Dice at least, each of them.
AGREEMENT = 0.999
#: The images that masks are compared on.
IMAGES = 50

Weights = dict[str, NDArray[np.float32]]


def precision(given: Given) -> Iterator[Result]:
    """Masks in bfloat16 against those in float32, on every one of the images."""
    yield _agreement(given, "bfloat16 against float32", "bfloat16", given.device, IMAGES)


def processor(given: Given) -> Iterator[Result]:
    """Masks of the GPU in float32 against those of the processor, on some images."""
    yield _agreement(given, "CUDA against CPU, float32", "float32", "cpu", 8)


def _agreement(given: Given, what: str, precision: str, device: str, count: int) -> Result:
    """How masks of the bundled model agree with those in float32 of another device."""
    own, other = _model(given, precision), load(_bundled(), device, "float32")  # type: ignore[arg-type]
    agreed = {}
    for name, image in _images(given, count).items():
        masks = [_drawn(given, model, image).mask() for model in (own, other)]
        agreed[name] = dice(*masks)
    lowest = min(agreed, key=lambda name: agreed[name])
    figures = {
        "images": len(agreed),
        "mean": float(np.mean(list(agreed.values()))),
        "lowest": agreed[lowest],
        "lowest_of": lowest,
        "below_0.999": sum(each < AGREEMENT for each in agreed.values()),
    }
    return Result(what, figures, agreed[lowest] >= AGREEMENT)


def batch(given: Given) -> Iterator[Result]:
    """A member alone, among a few and among all: the same answer."""
    image = next(iter(_images(given, 1).values()))
    members = 3 if given.quick else 10
    for precision in ("float32", "bfloat16"):
        model = _model(given, precision)
        whole = _drawn(given, model, image, members=members, batch_size=members).members_nhw
        for size in (1, members - 1):
            parts = _drawn(given, model, image, members=members, batch_size=size).members_nhw
            agreed = [dice(a >= 0.5, b >= 0.5) for a, b in zip(whole, parts, strict=True)]
            figures = {"largest_difference": float(np.abs(whole - parts).max())}
            figures["lowest_dice"] = min(agreed)
            what = f"{members} members in rounds of {size}, {precision}"
            yield Result(what, figures, min(agreed) >= AGREEMENT)


def stale(given: Given) -> Iterator[Result]:
    """After a fine-tuning: the parent answers as before, and weights put into it are used."""
    image = next(iter(_images(given, 1).values()))
    model = _model(given, "float32")
    before = _drawn(given, model, image).mean_hw
    settings = TrainSettings(steps=2, batch_size=2, learning_rate=3e-3, validate_every=100, ema=0.0)
    with TemporaryDirectory() as folder:
        list(finetune(model, _few(given, 4), settings, Path(folder)))
        after = _drawn(given, model, image).mean_hw
        yield _same("the parent after it", before, after)
        child = load(Path(folder, "last.safetensors"), given.device, "float32")
    expected = _drawn(given, child, image).mean_hw
    figures = {"largest_difference": float(np.abs(expected - before).max())}
    yield Result("the child has learned something", figures, bool((expected != before).any()))
    with torch.no_grad():
        pairs = zip(model.network.parameters(), child.network.parameters(), strict=True)
        for weight, learned in pairs:
            weight.copy_(learned)
    yield _same("the child's weights in the parent", expected, _drawn(given, model, image).mean_hw)


def _same(what: str, one: NDArray[np.float32], other: NDArray[np.float32]) -> Result:
    """Whether two maps of probabilities are equal but for what a GPU adds up in another order."""
    largest = float(np.abs(one - other).max())
    return Result(what, {"largest_difference": largest}, largest <= 1e-5)


def repeatable(given: Given) -> Iterator[Result]:
    """Two trainings of the same seed, bit for bit."""
    once, again = _trained(given, 3), _trained(given, 3)
    yield _alike("trained twice", given, once, again, most=0.0)


def graph(given: Given) -> Iterator[Result]:
    """A training whose steps are replayed as a CUDA graph, against the same without graphs."""
    try:
        recording = import_module("engine.training.recording")
    except ModuleNotFoundError:
        yield Result("skipped: this training records no graphs")
        return
    replayed = _trained(given, 8)
    real = recording.Recordings.play
    recording.Recordings.play = lambda _self, _key, act, _undo: act()
    try:
        eager = _trained(given, 8)
    finally:
        recording.Recordings.play = real
    yield _alike("graph against eager, 8 steps", given, replayed, eager, most=0.01)


def _alike(what: str, given: Given, one: Weights, other: Weights, most: float) -> Result:
    """Whether two trained weights differ by a small share of how far the training moved them."""
    start = checkpoint.read(_bundled())[1]
    flat = [np.concatenate([each[name].ravel() for name in start]) for each in (start, one, other)]
    moved = float(np.linalg.norm(flat[1] - flat[0]))
    apart = float(np.linalg.norm(flat[1] - flat[2]))
    figures = {"moved": moved, "apart": apart, "share": apart / moved if moved else 1.0}
    return Result(what, figures, moved > 0 and apart <= most * moved)


def _trained(given: Given, steps: int) -> Weights:
    """The bundled weights after some steps of training."""
    spec, start = checkpoint.read(_bundled())
    batch_size = 2 if given.quick else 16
    settings = TrainSettings(
        steps=steps, batch_size=batch_size, size=spec.size, ema=0.0, validate_every=1000
    )
    with TemporaryDirectory() as folder:
        few = _few(given, 4 * batch_size)
        list(train(spec, few, settings, Path(folder), start=start, device=given.device))
        return checkpoint.read(Path(folder, "last.safetensors"))[1]


def _few(given: Given, count: int) -> Dataset:
    """Some samples to train on, and none to validate."""
    whole = read_dataset(given.data)
    return replace(whole, samples=evenly(whole.split("train"), count))


def _images(given: Given, count: int) -> dict[str, Image]:
    """Images of val by id, spread over it."""
    samples = evenly(read_dataset(given.data).split("val"), 2 if given.quick else count)
    return {sample.id: read_image(sample.image_path) for sample in samples}


def _bundled() -> Path:
    return find("MultiCBAM").path


def _model(given: Given, precision: str) -> Model:
    return load(_bundled(), given.device, precision)


def _drawn(given: Given, model: Model, image: Image, **changes: int) -> EnsembleResult:
    """The default ensemble of an image, with changes; a smaller one if it is to be quick."""
    small = SampleSettings(steps=1, members=2) if given.quick else SampleSettings()
    *_, result = segment(model, image, replace(small, **changes))
    return result
