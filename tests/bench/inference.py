"""How fast inference is: every part beside its plain form and the processor's limit, in one run.

    python -m tests.bench.inference [--parts cell step ensemble protocol growth] [--full]
                                    [--data FOLDER]

The plain side is the automaton as its papers write it (tests/bench/plain.py), float32, one member
at a time with all cores inside each operation. Both sides take turns and each figure is the best
round, so that a busy machine wrongs neither. Each part runs in a process of its own, so that the
peak of memory is its own. `--data` also compares both sides' masks of 50 images of val.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model, load
from engine.images.reading import read_image
from engine.metrics import dice
from engine.networks.automaton.cell import Cell
from engine.networks.automaton.fast import DenseCell, FastCell
from engine.networks.device import choose, share_out, thread_count
from engine.networks.library import find
from engine.networks.table import preset
from engine.study.dataset import read_dataset
from engine.types import Image, ModelSpec, SampleSettings, evenly
from tests.bench.parts import results
from tests.bench.plain import PlainModel, trained_like

Line = list[str]
SIZES = (64, 128, 256)
#: As many updates follow one another in a level of the paper's models.
UPDATES = 10


def cell(_: argparse.Namespace) -> Iterator[Line]:
    """One update of one member's cells, in ms; the limit is useful work at the matrix rate."""
    chosen = choose("cpu")
    rate = matrix_rate(chosen.dtype)
    head = ["size", "attention", "plain, ms", "readable, ms", "fast, ms", "plain / fast"]
    yield [*head, "limit, ms", "limit / fast", f"difference ({rate / 1e9:.0f} GFLOP/s, {chosen})"]
    for size in SIZES:
        for attention in (False, True):
            torch.manual_seed(size)
            readable = Cell(64, 512, attention).requires_grad_(False)
            torch.nn.init.normal_(readable.act.weight, std=0.01)
            naive = DenseCell(readable)
            swift = FastCell(readable, chosen.dtype)
            state = torch.randn(1, 64, size, size)
            last = state.contiguous(memory_format=torch.channels_last)
            fires = torch.rand(1, 1, size, size) < 0.5

            times = best(
                partial(naive, state, fires),
                partial(in_low, readable, last, fires),
                partial(on_every_core, swift, last, fires),
                rounds=4,
            )
            times[2] /= UPDATES * thread_count()
            limit = useful(size * size, int(fires.sum())) / rate
            expected = naive(state, fires)
            difference = (swift(last, fires) - expected).norm() / expected.norm()
            shown = [f"{1e3 * seconds:.2f}" for seconds in times]
            ratios = [f"{times[0] / times[2]:.1f}", f"{1e3 * limit:.2f}"]
            share = f"{limit / times[2]:.0%}"
            yield [
                str(size),
                "yes" if attention else "no",
                *shown,
                *ratios,
                share,
                f"{difference:.0e}",
            ]


def step(_: argparse.Namespace) -> Iterator[Line]:
    """One diffusion step of as many members as there are cores, in ms for each member."""
    yield ["size", "plain, ms", "own, ms", "ratio"]
    for size in SIZES:
        plain, own = sides(size)
        image_chw = np.random.default_rng(0).random((3, size, size), dtype=np.float32)
        members = range(thread_count())
        noisy = torch.randn(len(members), 1, size, size)
        one, all_of_them = (
            model.denoiser(image_chw, SampleSettings(), which)
            for model, which in ((plain, [0]), (own, members))
        )
        times = best(partial(one, noisy[:1], 99), partial(all_of_them, noisy, 99))
        yield _compared(str(size), times[0], times[1] / len(members))


def ensemble(_: argparse.Namespace) -> Iterator[Line]:
    """The bundled model at the program's default settings, from pixels to the mean mask."""
    yield ["what", "plain, ms", "own, ms", "ratio"]
    own = shipped()
    plain = PlainModel(own.network)
    image = picture(1000, 750)
    settings = SampleSettings()
    size, steps, members = own.spec.size, settings.steps, settings.members
    asked = [(plain, image, replace(settings, batch_size=1)), (own, image, settings)]
    first = best(*(partial(begin, *each) for each in asked))
    yield _compared(f"first outline, {size} cells", *first)
    whole = best(*(partial(run, *each) for each in asked), rounds=3)
    yield _compared(f"ensemble, {size} cells, {steps} steps × {members} members", *whole)


def protocol(given: argparse.Namespace) -> Iterator[Line]:
    """The paper's protocol: 100 DDPM steps × 10 members at 256×256, in minutes.

    Reckoned from two steps of a member on each core (plain: of one member).
    """
    yield ["what", "plain, min", "own, min", "ratio"]
    image = picture(256, 256)
    settings = SampleSettings(sampler="ddpm", steps=100, members=10)
    few = replace(settings, steps=2, members=thread_count())
    one = replace(few, members=1)
    for name, (plain, own) in {
        "the paper's model: a cell for each pixel": sides(256),
        "the bundled form: a cell sees 4 × 4 of these pixels": sides(256, shipped().spec),
    }.items():
        times = best(partial(run, plain, image, one), partial(run, own, image, few), rounds=2)
        shares = [
            settings.steps * settings.members / (each.steps * each.members) * took / 60
            for each, took in zip((one, few), times, strict=True)
        ]
        yield [name, *(f"{share:.1f}" for share in shares), f"{shares[0] / shares[1]:.1f}"]
        if given.full:
            took = seconds(partial(run, own, image, settings))
            yield ["the same run in full", "", f"{took / 60:.2f}", ""]


def growth(_: argparse.Namespace) -> Iterator[Line]:
    """Seconds of an ensemble at the default steps by the side of the grid and the members."""
    counts = (1, 2, 5, 10, 20)
    yield ["size", *(f"{count} members" for count in counts)]
    for size in (32, 48, 64, 96, 128):
        _, own = sides(size)
        image = picture(size, size)
        run(own, image, SampleSettings(members=2))
        asked = [SampleSettings(members=count) for count in counts]
        times = [seconds(partial(run, own, image, settings)) for settings in asked]
        yield [str(size), *(f"{one:.2f}" for one in times)]


def agreement(given: argparse.Namespace) -> Iterator[Line]:
    """Default masks of 50 images of val: how far the two sides agree."""
    if given.data is None:
        yield ["not measured: no --data was given"]
        return
    yield ["images", "lowest Dice", "mean Dice", "below 0.999"]
    own = shipped()
    plain = PlainModel(own.network)
    agreed = []
    for sample in evenly(read_dataset(given.data).split("val"), 50):
        image = read_image(sample.image_path)
        masks = [run(model, image, SampleSettings()) for model in (own, plain)]
        agreed.append(dice(*masks))
    below = sum(one < 0.999 for one in agreed)
    yield [str(len(agreed)), f"{min(agreed):.4f}", f"{np.mean(agreed):.5f}", str(below)]


PARTS = {part.__name__: part for part in (cell, step, ensemble, protocol, growth, agreement)}


def useful(cells: int, firing: int, channels: int = 64, hidden: int = 512) -> float:
    """Floating-point operations of an update: perception of all cells, the MLP of firing ones."""
    perception = 2 * cells * 9 * channels * 2 * channels
    return perception + 2.0 * firing * (3 * channels * hidden + hidden * channels)


def in_low(cell: Cell, state: torch.Tensor, fires: torch.Tensor) -> None:
    """The readable cell in the precision that this processor is fastest in."""
    with torch.autocast("cpu", torch.bfloat16, choose("cpu").precision == "bfloat16"):
        cell(state, fires)


def on_every_core(cell: FastCell, state: torch.Tensor, fires: torch.Tensor) -> None:
    """`UPDATES` updates of a member of its own on every core."""

    def member(_: int) -> None:
        walked = state.clone(memory_format=torch.channels_last)
        for _ in range(UPDATES):
            cell.update_(walked, fires)

    share_out(member, range(thread_count()))


def matrix_rate(dtype: torch.dtype) -> float:
    """Operations a second of products in the shapes of the MLP, every core on its own."""
    rows, weight = torch.randn(2048, 512, dtype=dtype), torch.randn(512, 512, dtype=dtype)

    def products(_: int) -> None:
        for _ in range(20):
            torch.nn.functional.linear(rows, weight)

    (took,) = best(lambda: share_out(products, range(thread_count())), rounds=10)
    return 20 * thread_count() * 2.0 * rows.numel() * len(weight) / took


def shipped() -> Model:
    """The bundled model."""
    return load(find("MultiCBAM").path, "cpu")


def sides(pixels: int, spec: ModelSpec | None = None) -> tuple[PlainModel, Model]:
    """A model of that form with weights as if trained, for so many pixels a side.

    Without a `spec` MultiCBAM as in the paper.
    """
    spec = spec or preset("multicbam")
    network = trained_like(replace(spec, size=pixels // spec.pixels_per_cell))
    return PlainModel(network), Model(network, choose("cpu"))


def picture(height: int, width: int) -> Image:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image(pixels, Path("noise.png"))


def begin(model: Model, image: Image, settings: SampleSettings) -> None:
    """The first event of an ensemble, and its outline."""
    stream = segment(model, image, settings)
    next(stream).mask()
    stream.close()  # type: ignore[attr-defined]


def run(model: Model, image: Image, settings: SampleSettings) -> NDArray[np.bool_]:
    """The mask of a whole ensemble."""
    *_, result = segment(model, image, settings)
    return result.mask()


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def best(*acts: Callable[[], object], rounds: int = 5) -> list[float]:
    """The best of some rounds, in seconds, after one that does not count."""
    times = [[seconds(act) for act in acts] for _ in range(rounds + 1)][1:]
    return [min(one) for one in zip(*times, strict=True)]


def _compared(name: str, plain: float, own: float) -> Line:
    return [name, f"{1e3 * plain:.0f}", f"{1e3 * own:.0f}", f"{plain / own:.1f}"]


def main() -> None:
    """Each part in a process of its own; this one prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="run the protocol in full: minutes")
    parser.add_argument("--data", type=Path, help="a data set whose val the masks are compared on")
    print(f"{thread_count()} cores, torch {torch.__version__.split('+')[0]}, {choose('cpu')}")
    for name, found, peak in results("tests.bench.inference", parser, PARTS):
        head, *lines = found or [["failed"]]
        print(f"\n{name}: {(PARTS[name].__doc__ or '').splitlines()[0]}\n")
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for line in lines:
            print(f"| {' | '.join(line)} |")
        print(f"\nPeak memory, both sides: {peak:.2f} GB")


if __name__ == "__main__":
    main()
