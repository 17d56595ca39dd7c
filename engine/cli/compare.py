"""nca-seg compare: trains and evaluates methods on the same work, and writes tables of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.exit_codes import INTERRUPTED
from engine.cli.inputs import expect_device, open_training_data
from engine.cli.messages import Refusal, say, show
from engine.cli.options import DeviceOption, TrainingDataOption, command
from engine.cli.progress import progress
from engine.cli.training_run import follow
from engine.errors import UnknownArchitecture
from engine.files import write_atomic
from engine.types import Dataset, Device, Sample, Split, evenly

if TYPE_CHECKING:
    from engine.report.comparison.methods import Method
    from engine.report.comparison.results import Result
    from engine.report.comparison.runs import Budget, Regime, Trained

PAGE, PICTURE = "comparison.html", "comparison.png"


@dataclass(frozen=True)
class _Work:
    """What all methods of a comparison share."""

    dataset: Dataset
    split: Split
    samples: tuple[Sample, ...]
    runs: Path
    budget: Budget | None
    regime: Regime
    device: Device


@command()
def compare(
    data: TrainingDataOption,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the trainings, results, tables and pictures.")
    ],
    models: Annotated[
        str,
        typer.Option(
            "--models",
            help="Presets, with commas between; PRESET:paper is trained and asked as its paper "
            "says, PRESET:ddpm has PRESET's weights and is asked in 100 DDPM steps, PRESET:anchor "
            "answers with the anchor of a MedSegDiff-V2 alone.",
        ),
    ],
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            min=0.01,
            help="Train each so long: processor time on a CPU, wall time on a GPU.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=1, help="Train each on so many samples, at equal pixels."),
    ] = None,
    pixels: Annotated[
        int | None,
        typer.Option(
            "--pixels",
            min=8,
            max=1024,
            help="Side of the square of image pixels that each sees.  [default: the preset's own, "
            "with --samples 128]",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds, with commas between.")] = "1",
    split: Annotated[Split, typer.Option("--split", help="Which part is evaluated.")] = "test",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most this many images, spread over the split."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Write the tables into this Markdown file, between markers."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train and evaluate methods on the same work, and write tables of them.

    Each preset is trained from each seed into OUT/PRESET-sSEED, with the settings that its
    architecture begins with, and evaluated there into result.json. With --minutes a short probe
    chooses the steps that fill the time, so that the learning rate comes to its end with it; with
    --samples all see as many samples and as many pixels of an image. What is there is not done
    again: a training goes on where it stopped, and a result stays while its weights, settings and
    images do. Without --minutes and --samples nothing new is trained. A folder with the files of
    nca-seg train is taken as it is.

    OUT then holds comparison.html, with all tables, and comparison.png, six images with the
    outlines of all methods. --page FILE.md replaces what stands between the markers of a regime
    and leaves the rest of the page alone. The tables hold every result in OUT of the same images.

    \b
    Examples:
      nca-seg compare --data isic2018 --out runs/hour --minutes 60 --seeds 1,2 \\
          --models U-Net-0.4M,MultiCBAM-ours
      nca-seg compare --data isic2018 --out runs/equal --samples 30000 --models U-Net-0.4M,DynUNet
    """
    if minutes is not None and samples is not None:
        raise typer.BadParameter("--minutes and --samples make two comparisons; give one of them")
    if samples is not None and pixels is None:
        pixels = 128
    methods, numbers = _methods(models, pixels), _seeds(seeds)
    expect_device(device)
    dataset = open_training_data(data)
    chosen = evenly(dataset.split(split), limit)
    if not chosen:
        raise Refusal(f"The data has no split {split!r}.")

    from engine.report.comparison.runs import Budget

    budget = None
    if minutes is not None:
        budget = Budget("time", minutes)
    elif samples is not None:
        budget = Budget("samples", samples)
    regime: Regime = "samples" if samples is not None else "time"
    out.mkdir(parents=True, exist_ok=True)
    work = _Work(dataset, split, chosen, out, budget, regime, device)
    try:
        for method in methods:
            for seed in numbers:
                _do(work, method, seed)
    finally:
        # What is known is shown, whatever became of the rest.
        _show(work, [method.name for method in methods], page, _written(models, seeds, work, limit))


def _methods(names: str, pixels: int | None) -> tuple[Method, ...]:
    """The methods of those names. Raises BadParameter."""
    from engine.report.comparison.methods import method

    try:
        return tuple(method(name.strip(), pixels) for name in names.split(","))
    except UnknownArchitecture as error:
        known = ", ".join(error.known)
        raise typer.BadParameter(f"--models: {error.name!r} is none of {known}") from error
    except ValueError as error:
        raise typer.BadParameter(f"--models: {error}") from error


def _seeds(text: str) -> tuple[int, ...]:
    """The seeds of a list. Raises BadParameter."""
    try:
        seeds = tuple(int(each) for each in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--seeds: {text!r} is no list of numbers") from None
    if min(seeds) < 0:
        raise typer.BadParameter("--seeds: a seed is at least 0")
    return seeds


def _do(work: _Work, method: Method, seed: int) -> None:
    """Train and evaluate a method as far as that is not done."""
    from engine.report.comparison.runs import run_folder, trained

    folder = run_folder(work.runs, method, seed)
    found = trained(folder, method)
    if found is None and not _train(work, method, seed, folder):
        say(f"{folder.name} is not trained; give --minutes or --samples.")
        return
    found = found or trained(folder, method)
    if found is None:
        raise Refusal(f"{folder} did not come to the end of its training.")
    if found.steps < found.planned:
        say(f"{folder.name} is taken after {found.steps} of its {found.planned} steps.")
    _evaluate(work, method, seed, folder, found)


def _train(work: _Work, method: Method, seed: int, folder: Path) -> bool:
    """Train a method; whether there was a plan or a budget to train by. Raises Exit."""
    from engine.report.comparison.runs import plan, read_plan, train_run

    planned = read_plan(folder)
    if planned is None:
        if work.budget is None:
            return False
        planned = plan(method, work.dataset, work.budget, work.device)
    say(f"{folder.name}: {planned.steps} steps of {method.batch_size} samples.")
    steps = train_run(method, seed, planned, work.dataset, folder, work.device)
    last, interrupted = follow(steps, folder, folder.name)
    if interrupted:
        say(f"Interrupted after {last.done if last else 0} steps; the same command goes on.")
        raise typer.Exit(INTERRUPTED)
    return True


def _evaluate(work: _Work, method: Method, seed: int, folder: Path, found: Trained) -> None:
    """Measure a method, unless a result of the same is there."""
    from engine.diffusion.model import load
    from engine.report.comparison.results import asked, measure, read_result, result_path

    path = result_path(folder, method)
    wanted, before = asked(found, method, work.split, work.samples), read_result(path)
    if before is not None and before["asked"] == wanted:
        return
    model = load(found.weights, work.device)
    stream = measure(model, method, seed, found, work.regime, wanted, work.samples, path)
    label = f"{method.name} {seed}"
    with progress(label) as advance, closing(stream):  # type: ignore[type-var]
        for event in stream:
            newest = event.evaluation
            if advance is not None:
                advance(newest.done / newest.total, f"{newest.done}/{newest.total}")
    result = read_result(path)
    if result is None:
        raise Refusal(f"No image of the split {work.split!r} could be read.")
    if result["left_out"]:
        say(f"{label}: {len(result['left_out'])} images could not be read and are left out.")
    say(f"{label}: Dice {result['mean']['dice']:.4f} on {result['scored']} images")


def _written(models: str, seeds: str, work: _Work, limit: int | None) -> str:
    """The command as a reader gives it; DIR and RUNS stand for folders of this machine."""
    asked = ["--data", "DIR", "--out", "RUNS", "--models", models, "--seeds", seeds]
    if work.budget is not None:
        asked += [
            "--minutes" if work.budget.regime == "time" else "--samples",
            f"{work.budget.amount:g}",
        ]
    asked += [] if work.split == "test" else ["--split", work.split]
    asked += [] if limit is None else ["--limit", str(limit)]
    return shlex.join(["nca-seg", "compare", *asked, "--page", "docs/COMPARISON.md"])


def _show(work: _Work, first: Sequence[str], page: Path | None, written: str) -> None:
    """Write the tables and the picture of all results, and say where they are."""
    from engine.report.comparison.document import as_page, section, with_section
    from engine.report.comparison.results import images_asked, read_result
    from engine.report.comparison.tables import REGIMES, rows, tables

    asked = images_asked(work.split, work.samples)
    paths = sorted(work.runs.glob("*/result*.json"))
    found = {path: result for path in paths if (result := read_result(path)) is not None}
    alike = {path: one for path, one in found.items() if one["asked"]["images"] == asked}
    if len(alike) < len(found):
        say(f"{len(found) - len(alike)} results of other images are not in the tables.")
    if not alike:
        return
    text = page.read_text(encoding="utf-8") if page is not None and page.exists() else ""
    whole = {}
    for regime in REGIMES:
        results = [one for one in alike.values() if one["regime"] == regime]
        if not results:
            continue
        listed = rows(results, first)
        whole[regime] = tables(listed)
        ordered = [one for row in listed for one in row.results]
        try:
            text = with_section(text, regime, section(whole[regime], written, ordered))
        except ValueError as error:
            raise Refusal(f"{page}: {error}.") from error
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(page, text)
        print(show(page))
    picture = _picture(work, alike, first)
    if picture is not None:
        write_atomic(work.runs / PICTURE, picture)
    write_atomic(work.runs / PAGE, as_page(whole, picture))
    print(show(work.runs / PAGE))


def _picture(work: _Work, results: dict[Path, Result], first: Sequence[str]) -> bytes | None:
    """The same images by all methods, each from its first seed; None without matplotlib."""
    from engine.report.comparison.pictures import grid
    from engine.report.comparison.results import SHOWN, masks_folder

    folders: dict[str, Path] = {}
    for path, result in sorted(results.items(), key=lambda each: each[1]["seed"]):
        folders.setdefault(result["method"], masks_folder(path))
    order = [name for name in first if name in folders]
    order += sorted(folders.keys() - set(order))
    try:
        return grid(evenly(work.samples, SHOWN), [(name, folders[name]) for name in order])
    except ImportError:
        say(f"There is no {PICTURE}: it needs matplotlib; pip install 'nca-seg[report]' brings it.")
        return None
