"""Rates of training and inference against the plain form, and as shares of the matrix rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model, load
from engine.images.reading import read_image
from engine.networks.automaton.config import config_of
from engine.networks.device import choose
from engine.networks.library import find
from engine.networks.table import preset
from engine.study.dataset import read_dataset
from engine.training.loop import train
from engine.types import Dataset, Image, ModelSpec, SampleSettings, TrainSettings, evenly
from tests.bench.inference import picture, useful
from tests.bench.plain import PlainModel, plain, trained_like
from tests.bench.training import step
from tests.gpu.parts import Given, Result

#: Side of the matrices whose product is timed, samples in a step, and images of a run.
MATRIX, BATCH, IMAGES = 8192, 256, 20
#: How many images' members are computed together where images are reckoned in batches.
TOGETHER = 32
#: The paper's protocol for one image, and how much of it the plain form does.
PROTOCOL = SampleSettings(sampler="ddpm", steps=100, members=10, views="plain")


def matrix(given: Given) -> Iterator[Result]:
    """The rate of products of large square matrices."""
    for dtype in (torch.float32, torch.bfloat16):
        rate = matrix_rate(given.device, given.quick, dtype)
        yield Result(f"matrices in {dtype}", {"TFLOP_per_s": rate / 1e12})


@cache
def matrix_rate(device: str, quick: bool, dtype: torch.dtype = torch.bfloat16) -> float:
    """Floating-point operations a second of products of matrices."""
    choose(device)  # type: ignore[arg-type] # sets how float32 is rounded
    side = 256 if quick else MATRIX
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2.0 * side**3 / best(lambda: one @ other, device, rounds=2 if quick else 20)


def training_rate(given: Given) -> Iterator[Result]:
    """Samples a second of whole training steps, and of the network alone on both sides."""
    spec = find("MultiCBAM").spec
    batch, size = (2, 16) if given.quick else (BATCH, spec.size)
    low = choose(given.device).precision == "bfloat16"
    network = trained_like(spec)
    rate = matrix_rate(given.device, given.quick)
    # Forward and backward pass; a third of it is forward alone.
    work = 3 * forward_work(spec, size)
    settings = TrainSettings(
        steps=10**6, batch_size=batch, size=size, learning_rate=1e-4, validate_every=10**6
    )
    _forget_peak(given)
    per_s = _whole_steps(given, spec, settings)
    # What is recycled goes forward once more.
    share = per_s * (1 + settings.recycle / 3) * work / rate
    figures = {"samples_per_s": per_s, "memory_gb": _peak_gb(given), "share": share}
    yield Result(f"whole steps of {batch} at {size} cells", figures, _held(given, per_s >= 2000))
    yield Result("share of the matrix rate", {"share": share}, _held(given, share >= 0.1))
    for what, each, precise in (("own", network, low), ("plain, float32", plain(network), False)):
        act = step(each.to(given.device), size, precise, batch, given.device)
        _forget_peak(given)
        per_s = batch / best(act, given.device, rounds=1 if given.quick else 5)
        figures = {"samples_per_s": per_s, "memory_gb": _peak_gb(given)}
        yield Result(f"network alone, {what}", {**figures, "share": per_s * work / rate})


def _whole_steps(given: Given, spec: ModelSpec, settings: TrainSettings) -> float:
    """Samples a second of a training, after its first steps."""
    whole = read_dataset(given.data)
    learned = Dataset(whole.root, whole.split("train"))
    most_s = 0.5 if given.quick else 20.0
    with TemporaryDirectory() as folder:
        steps = train(spec, learned, settings, Path(folder), device=given.device)
        with closing(steps):  # type: ignore[type-var]
            # What is set up or recorded once for each shape comes first.
            _steps_per_s(given, steps, most_s)
            return settings.batch_size * _steps_per_s(given, steps, most_s)


def _steps_per_s(given: Given, steps: Iterator[object], most_s: float) -> float:
    taken, began = 0, time.perf_counter()
    while time.perf_counter() - began < most_s:
        next(steps)
        taken += 1
    _wait(given.device)
    return taken / (time.perf_counter() - began)


def inference_rate(given: Given) -> Iterator[Result]:
    """The default ensemble of images one after another, from pixels to mask, on both sides.

    No command computes images together; what that would give is reckoned from one image with as
    many members as they have.
    """
    own = load(find("MultiCBAM").path, given.device)
    samples = evenly(read_dataset(given.data).split("val"), 1 if given.quick else IMAGES)
    images = [read_image(sample.image_path) for sample in samples]
    settings = SampleSettings(steps=1, members=2) if given.quick else SampleSettings()
    for what, model in (("plain", PlainModel(own.network, given.device)), ("own", own)):

        def every(model: Model = model) -> None:
            for image in images:
                _segmented(model, image, settings)

        _forget_peak(given)
        seconds = best(every, given.device, rounds=1 if given.quick else 3)
        first = partial(_begun, model, images[0], settings)
        figures = {
            "images_per_s": len(images) / seconds,
            "first_outline_ms": 1e3 * best(first, given.device, rounds=2),
            "memory_gb": _peak_gb(given),
        }
        yield Result(f"default ensemble, one image at a time, {what}", figures)
    together = settings.members * (2 if given.quick else TOGETHER)
    many = replace(settings, members=together, batch_size=together)
    _forget_peak(given)
    took = best(partial(_segmented, own, images[0], many), given.device, rounds=2)
    per_s = together / settings.members / took
    figures = {"images_per_s": per_s, "memory_gb": _peak_gb(given)}
    what = f"default ensemble, {together} members at once, reckoned"
    yield Result(what, figures, _held(given, per_s >= 300))


def protocol_rate(given: Given) -> Iterator[Result]:
    """The paper's protocol for one image of 256×256 pixels."""
    pixels = 32 if given.quick else 256
    image = picture(pixels, pixels)
    whole = replace(PROTOCOL, steps=1, members=1) if given.quick else PROTOCOL
    for what, spec in (
        ("a cell for each pixel", preset("multicbam")),
        ("a cell sees 4×4 pixels", find("MultiCBAM").spec),
    ):
        network = trained_like(replace(spec, size=pixels // spec.pixels_per_cell))
        few = replace(whole, steps=min(2, whole.steps))
        side = PlainModel(network, given.device)
        took = best(partial(_segmented, side, image, few), given.device, rounds=1)
        yield Result(f"{what}, plain, reckoned", {"seconds": took * whole.steps / few.steps})
        own = Model(network, choose(given.device))
        _forget_peak(given)
        took = best(partial(_segmented, own, image, whole), given.device, rounds=1, warm_ups=0)
        figures = {"seconds": took, "memory_gb": _peak_gb(given)}
        yield Result(f"{what}, own", figures, _held(given, took < 5))


def forward_work(spec: ModelSpec, size: int) -> float:
    """Floating-point operations of a forward pass of one sample on a square grid.

    Only of cells that fire, though a GPU computes the others as well.
    """
    config, work = config_of(spec), 0.0
    levels = 2
    for level in (1, levels):
        cells = (size // config.factor ** (levels - level)) ** 2
        firing = round(cells * config.fire_probability)
        one = useful(cells, firing, config.channels, config.hidden)
        work += config.updates_of(level, levels) * one
    return work


def best(act: Callable[[], object], device: str, rounds: int, warm_ups: int = 1) -> float:
    """The best of some rounds, in seconds, after those that do not count."""
    times = []
    for _ in range(warm_ups + rounds):
        _wait(device)
        began = time.perf_counter()
        act()
        _wait(device)
        times.append(time.perf_counter() - began)
    return min(times[warm_ups:])


def _segmented(model: Model, image: Image, settings: SampleSettings) -> None:
    *_, result = segment(model, image, settings)
    result.mask()


def _begun(model: Model, image: Image, settings: SampleSettings) -> None:
    stream = segment(model, image, settings)
    next(stream).mask()
    stream.close()  # type: ignore[attr-defined]


def _held(given: Given, fact: bool) -> bool | None:
    """A fact to be judged; None where the rates are not those of a GPU."""
    return fact if given.device == "cuda" and not given.quick else None


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _forget_peak(given: Given) -> None:
    if given.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_gb(given: Given) -> float:
    """The most memory that tensors had on the GPU since `_forget_peak`."""
    return torch.cuda.max_memory_allocated() / 1e9 if given.device == "cuda" else 0.0
