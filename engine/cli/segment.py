"""nca-seg segment and nca-seg evaluate: a model's masks, written down or held against others."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import (
    INTERRUPTED,
    NOTHING_DONE,
    SOME_FAILED,
    Advance,
    DataOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    Refusal,
    ThresholdOption,
    command,
    find_model,
    load_model,
    open_data,
    print_json,
    progress,
    say,
    sentence,
    show,
)
from engine.errors import EngineError, MaskKept, UnreadableImage
from engine.files import write_atomic
from engine.types import SampleSettings, Split, evenly

if TYPE_CHECKING:
    from engine.diffusion.model import Model
    from engine.evaluation.scoring import Evaluation
    from engine.networks.library import ModelEntry
    from engine.study.results import ResultFiles


@command(SampleSettings())
def segment(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    settings: SampleSettings,
    model: ModelOption = "",
    device: DeviceOption = "auto",
    threshold: ThresholdOption = 0.5,
    json_: JsonOption = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace masks that no model made, too.")
    ] = False,
) -> None:
    """Outline the lesion in each image.

    Writes <stem>_segmentation.png (0 and 255), <stem>_variance.png (0 to 0.25 as 0 to 255), both of
    the image's size, and <stem>.json, which says how they came to be. A mask that a person drew or
    changed is never replaced without --overwrite.

    \b
    Examples:
      nca-seg segment photo.jpg --out results
      nca-seg segment pictures/ --out results --members 20 --seed 7
      nca-seg segment photo.jpg --out results --sampler ddpm --steps 100
      nca-seg segment *.jpg --out results --json > results.json
    """
    from engine.study.results import expect_no_study

    paths = _image_files(images)
    expect_no_study(out)
    entry = find_model(model)
    loaded = load_model(entry, device)
    done: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    interrupted = False
    try:
        with progress("Segmenting") as advance:
            for number, path in enumerate(paths):
                try:
                    files = _segment_one(
                        path, out, loaded, entry, settings, threshold, overwrite,
                        None if advance is None else _part(advance, number, len(paths), path),
                    )  # fmt: skip
                except (UnreadableImage, MaskKept) as error:
                    problems.append({"image": str(path), "reason": sentence(error)})
                    say(sentence(error))
                    continue
                except (EngineError, OSError) as error:
                    problems.append({"image": str(path), "reason": sentence(error)})
                    say(sentence(error))
                    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                        continue
                    # The next image would fail for the same reason.
                    break
                done.append({**files.content, "image": str(path), "mask": str(files.mask)})
                if not json_:
                    print(_line(path, files), flush=True)
                elif advance is None:
                    say(_line(path, files))
    except KeyboardInterrupt:
        interrupted = True
    if json_:
        head = {"format": "nca-seg/results", "version": 1}
        print_json({**head, "results": done, "problems": problems})
    if interrupted:
        say(f"Interrupted. {len(done)} of {len(paths)} images are done and kept in {out}.")
        raise typer.Exit(INTERRUPTED)
    if problems:
        say(f"{len(done)} of {len(paths)} images are done.")
        raise typer.Exit(SOME_FAILED if done else NOTHING_DONE)


@command(SampleSettings())
def evaluate(
    data: DataOption,
    split: Annotated[Split, typer.Option("--split", help="Which part of the data.")],
    settings: SampleSettings,
    model: ModelOption = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most this many images, spread over the split."),
    ] = None,
    device: DeviceOption = "auto",
    threshold: ThresholdOption = 0.5,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to this file.")
    ] = None,
) -> None:
    """Hold a model's masks against expert masks.

    At each image's own size: Dice, IoU, threshold Jaccard (the IoU, 0 below 0.65), sensitivity,
    specificity, the 95 % Hausdorff distance, Dice of two other fusions, GED and CI of the members
    and four measures of their doubt, each mean with its 95 % bootstrap interval. Two empty masks
    agree fully. Samples that cannot be read are left out and listed at the end.

    \b
    Examples:
      nca-seg evaluate --data isic2018 --split val --limit 20
      nca-seg evaluate --data isic2018 --split test --model lesion --json test.json
    """
    entry = find_model(model)
    dataset = open_data(data)
    samples = dataset.split(split)
    if not samples:
        held = ", ".join(sorted({sample.split for sample in dataset.samples}))
        raise Refusal(f"{data} has no split {split!r}, only {held}.")
    samples = evenly(samples, limit)
    if json_ is not None:
        json_.parent.mkdir(parents=True, exist_ok=True)
    loaded = load_model(entry, device)

    from engine.evaluation.scoring import evaluate as evaluated

    newest: Evaluation | None = None
    problem: Exception | None = None
    interrupted, left_out = False, 0
    try:
        with (
            progress("Evaluating") as advance,
            closing(evaluated(loaded, samples, settings, threshold)) as stream,  # type: ignore[type-var]
        ):
            for newest in stream:
                if len(newest.left_out) > left_out:
                    # All that was left out is told at the end, where it is not overlooked.
                    left_out += 1
                    continue
                name, scores = newest.images[-1]
                text = f"{newest.done}/{newest.total} {name} Dice {scores.dice:.3f}"
                if advance is None:
                    say(f"{text}, mean {newest.mean.dice:.3f}, {scores.seconds:.1f} s")
                else:
                    mean = f"mean Dice {newest.mean.dice:.3f}"
                    advance(newest.done / newest.total, f"{newest.done}/{newest.total}, {mean}")
    except KeyboardInterrupt:
        interrupted = True
    except (EngineError, OSError, MemoryError) as error:
        problem = error
    scored = len(newest.images) if newest is not None else 0
    if newest is not None and scored:
        _show(newest)
        if json_ is not None:
            head = {
                "format": "nca-seg/evaluation",
                "version": 1,
                "model": {"name": entry.name, "fingerprint": loaded.fingerprint},
                "data": str(data),
                "split": split,
                "settings": asdict(settings),
                "threshold": threshold,
                "device": str(loaded.device),
                **newest.as_json(),
            }
            write_atomic(json_, json.dumps(head, indent=1) + "\n")
    for unreadable in newest.left_out if newest is not None else ():
        say(f"Left out. {sentence(unreadable)}")
    if left_out:
        say(f"The figures are of {scored} of {len(samples)} images; left out: {left_out}.")
    if problem is not None:
        say(sentence(problem))
    if interrupted:
        say(f"Interrupted after {newest.done if newest else 0} of {len(samples)} images.")
        raise typer.Exit(INTERRUPTED)
    if problem is not None or left_out:
        raise typer.Exit(SOME_FAILED if scored else NOTHING_DONE)


def _image_files(given: Sequence[Path]) -> list[Path]:
    """The images among files and folders, each once. Raises Refusal, BadParameter.

    Says what is left out of a folder because it cannot be read.
    """
    from engine.images.listing import list_folder

    paths: dict[Path, Path] = {}
    for path in given:
        inside = [path]
        if path.is_dir():
            listing = list_folder(path)
            inside = listing.images
            if not inside:
                say(f"{path} holds no images.")
            for kind, count in listing.skipped.items():
                pictures = "picture is" if count == 1 else "pictures are"
                say(f"{path}: {count:,} {kind} {pictures} left out, which cannot be read.")
        paths |= {one.absolute(): one for one in inside}
    if not paths:
        raise Refusal("There are no images to segment.")
    stems: dict[str, Path] = {}
    for path in paths.values():
        other = stems.setdefault(path.stem.casefold(), path)
        if other != path:
            raise typer.BadParameter(
                f"{other} and {path} would have the same result files; segment them into two "
                "--out folders."
            )
    return list(paths.values())


def _segment_one(
    path: Path,
    out: Path,
    loaded: Model,
    entry: ModelEntry,
    settings: SampleSettings,
    threshold: float,
    overwrite: bool,
    advance: Advance | None,
) -> ResultFiles:
    from engine.diffusion.ensemble import segment as ensemble
    from engine.images.reading import read_image
    from engine.study.results import expect_replaceable, write_result

    image = read_image(path)
    if image.note:
        say(f"{path}: {image.note}.")
    if not overwrite:
        # Before the work, not after it.
        expect_replaceable(out, path.stem, image)
    began = time.perf_counter()
    for result in ensemble(loaded, image, settings):
        if advance is not None:
            advance(result.done / result.total, f"step {result.done}/{result.total}")
    return write_result(
        out, path.stem, result, image, entry.name, loaded.fingerprint, settings, threshold,
        time.perf_counter() - began, overwrite,
    )  # fmt: skip


def _part(advance: Advance, number: int, count: int, path: Path) -> Advance:
    return lambda share, now: advance(
        (number + share) / count, f"{number + 1}/{count} {path.name}, {now}"
    )


def _line(path: Path, files: ResultFiles) -> str:
    content = files.content
    share = f"lesion {100 * content['lesion_share']:.1f} % of the picture"
    found = share if content["lesion_share"] else "nothing is outlined"
    return (
        f"{show(path)} -> {show(files.mask)} ({found}, doubt {content['doubt']:.3f}, "
        f"{content['seconds']:.1f} s)"
    )


def _show(evaluation: Evaluation) -> None:
    mean, intervals = evaluation.mean, evaluation.intervals
    print(f"{'Images':<19}{len(evaluation.images)} of {evaluation.total}")
    for score in fields(mean):
        label, digits = score.metadata["label"], score.metadata["digits"]
        low, high = intervals[score.name]
        value = getattr(mean, score.name)
        print(f"{label:<19}{value:.{digits}f}  ({low:.{digits}f} to {high:.{digits}f})")
    print(f"{'Dice below 0.8':<19}{100 * evaluation.failed:.1f} % of the images")
    print(f"{'ECE':<19}{evaluation.calibration.ece:.4f}")
