"""nca-seg train, finetune and export: from masks to a model; the best weights are always kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import (
    INTERRUPTED,
    NOTHING_DONE,
    SOME_FAILED,
    DataOption,
    DeviceOption,
    MinutesOption,
    ModelOption,
    Refusal,
    command,
    expect_device,
    find_model,
    load_model,
    open_data,
    progress,
    say,
    sentence,
    show,
    tell_leftovers,
)
from engine.errors import EngineError, UnknownArchitecture
from engine.training.curves import LOG, draw_curves, logged
from engine.types import FINE_TUNING, Prediction, ScheduleName, TrainSettings, TrainStep

PICTURE = "curves.png"
#: A fine-tuned model with less than this share of its parent's Dice learned nothing.
COLLAPSED = 0.5
#: Without a terminal a line comes this often, and at each validation.
SECONDS_BETWEEN_LINES = 30.0


@command(TrainSettings())
def train(
    data: DataOption,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the models, state, log and curves.")
    ],
    settings: TrainSettings,
    architecture: Annotated[
        str | None,
        typer.Option("--architecture", help="basic, cbam, multi or multicbam (the default)."),
    ] = None,
    predicts: Annotated[
        Prediction | None,
        typer.Option(
            "--predicts", help="What the network says at each step.  [default: clean, or as --from]"
        ),
    ] = None,
    mask_scale: Annotated[
        float | None,
        typer.Option(
            "--mask-scale",
            min=0.01,
            max=1.0,
            help="The mask enters diffusion as plus and minus this.  [default: 0.2, or as --from]",
        ),
    ] = None,
    schedule: Annotated[
        ScheduleName | None,
        typer.Option(
            "--schedule", help="How noise grows over time.  [default: cosine, or as --from]"
        ),
    ] = None,
    updates: Annotated[
        int | None,
        typer.Option(
            "--updates",
            min=1,
            help="Cell updates of the last level.  [default: 10, or as --from]",
        ),
    ] = None,
    coarse_updates: Annotated[
        int | None,
        typer.Option(
            "--coarse-updates",
            min=1,
            help="Cell updates of the coarse level.  [default: as --updates, or as --from]",
        ),
    ] = None,
    detail: Annotated[
        int | None,
        typer.Option(
            "--detail",
            min=1,
            max=4,
            help="Side in pixels of what a cell sees of its own place.  [default: 1, or as --from]",
        ),
    ] = None,
    from_: Annotated[
        str, typer.Option("--from", help="Begin with the weights of this model or file.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run in --out stopped.")
    ] = False,
    minutes: MinutesOption = None,
    stop_at: Annotated[
        int | None,
        typer.Option("--stop-at", min=1, help="End after this step; the rate is that of --steps."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train a model on a data set folder.

    --data holds images/, masks/ and splits.csv or dataset.json. Learns from the split train and
    judges on val; test is never looked at. --out then holds best.safetensors (the best on val),
    last.safetensors (the newest), state.safetensors (for --resume), curves.csv and curves.png.
    Ctrl+C stops and keeps the best. --resume is refused where the flags make another model or
    another training than the first ones; only --steps, --validate-every, --minutes and --stop-at
    may change, and more --steps go on from there.

    \b
    Examples:
      nca-seg train --data isic2018 --out runs/a --size 32 --batch-size 16 --steps 5000
      nca-seg train --data isic2018 --out runs/a --size 32 --batch-size 16 --steps 5000 --resume
      nca-seg train --data isic2018 --out runs/b --size 64 --from runs/a/best.safetensors
      nca-seg segment photo.jpg --out results --model runs/b/best.safetensors
    """
    if from_ and architecture:
        raise typer.BadParameter("--from brings its own architecture; leave --architecture out")
    expect_device(device)
    dataset = open_data(data)
    if resume and not (out / "state.safetensors").exists():
        raise Refusal(f"{out} holds no run to go on with.")
    if not resume:
        _expect_no_run(out, "add --resume to go on with it, or choose another --out")
    start = None
    if from_:
        from engine.networks.checkpoint import read

        entry = find_model(from_)
        spec, start = read(entry.path)
        spec = replace(spec, parent=entry.fingerprint)
    else:
        from engine.networks.table import preset

        try:
            spec = preset(architecture or "multicbam")
        except UnknownArchitecture as error:
            raise typer.BadParameter(f"--architecture: {error}") from error
        # Measured to learn much faster than the paper's noise and scale 1.
        spec = replace(spec, predicts="clean", mask_scale=0.2)
    name = out.absolute().name or "model"
    chosen = {
        "predicts": predicts,
        "mask_scale": mask_scale,
        "schedule": schedule,
        "updates": updates,
        "coarse_updates": coarse_updates,
        "detail": detail,
    }
    given = {key: value for key, value in chosen.items() if value is not None}
    try:
        spec = spec.changed(name=name, **given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

    from engine.training import parallel
    from engine.training.loop import train as trained

    out.mkdir(parents=True, exist_ok=True)
    with parallel.group(device):
        try:
            parallel.expect_shares(settings.batch_size)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        steps = trained(
            spec, dataset, settings, out,
            start=start, resume=resume, device=device, minutes=minutes, stop_at=stop_at,
        )  # fmt: skip
        if parallel.rank() > 0:
            # The first process says what there is to say.
            deque(steps, maxlen=0)
            return
        last, interrupted = _follow(steps, out, "Training")
        _conclude(last, out, interrupted)
        if interrupted:
            if last is not None:
                say(f"Interrupted; --resume goes on from step {last.done}.")
            # Within the group, which then is left without waiting: the others were interrupted too.
            raise typer.Exit(INTERRUPTED)


def _expect_no_run(out: Path, advice: str) -> None:
    """Raise BadParameter, with the advice, where a folder holds a run already."""
    if any((out / name).exists() for name in ("best.safetensors", LOG)):
        raise typer.BadParameter(f"{out} holds a run; {advice}")


def _conclude(last: TrainStep | None, out: Path, interrupted: bool) -> None:
    """Say what came of a training."""
    best = out / "best.safetensors"
    if last is not None and last.best_path is not None:
        print(f"{show(last.best_path)}  {_dice(last)}  after {last.done} of {last.total} steps")
    elif last is not None:
        say("Stopped before the first validation, so there is no model yet.")
    elif best.exists() and not interrupted:
        print(f"{show(best)}  no step was left to take; more --steps go on from here")
    else:
        say("Stopped before the next step.")


@command(FINE_TUNING, without=("size",))
def finetune(
    data: DataOption,
    settings: TrainSettings,
    model: ModelOption = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for log and state.  [default: the program's]"),
    ] = None,
    minutes: MinutesOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Fine-tune a model into a new one beside it.

    The model itself stays as it is. Prints the new model's name. Ctrl+C stops and keeps the best.

    \b
    Examples:
      nca-seg finetune --data pictures/ --minutes 2
      nca-seg finetune --data corrected --model lesion --steps 500 --learning-rate 1e-4
    """
    from engine.networks import library

    if out is not None:
        _expect_no_run(out, "choose another --out")
    entry = find_model(model)
    dataset = open_data(data)
    loaded = load_model(entry, device)
    tell_leftovers()
    folder = out or library.training_folder(entry.name)

    from engine.training.loop import finetune as tuned

    folder.mkdir(parents=True, exist_ok=True)
    steps = tuned(loaded, dataset, settings, folder, minutes=minutes)
    last, interrupted = _follow(steps, folder, "Fine-tuning")
    if last is None or last.best_path is None:
        # Nothing but an interruption ends a run that was never judged.
        say("Stopped before the first validation, so there is no new model.")
        raise typer.Exit(INTERRUPTED)
    before = "" if last.start_dice is None else f", {last.start_dice:.4f} before"
    if last.best_dice is not None and last.best_dice < COLLAPSED * (last.start_dice or 0.0):
        raise Refusal(
            f"What was learned is much worse than {entry.name} ({_dice(last)}{before}), so no "
            "model was added. Try a lower --learning-rate; nca-seg models --add "
            f"{last.best_path} adds it all the same."
        )
    child = library.adopt(last.best_path, entry)
    figures = f" {_dice(last)}{before}." if last.best_dice is not None else ""
    say(f"{entry.name} stays; the new model is beside it.{figures}")
    print(child.name)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


@command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of images with saved masks.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the data set; it may grow.")],
    coco: Annotated[
        bool, typer.Option("--coco", help="Write all its masks to annotations.json, too.")
    ] = False,
    keep_metadata: Annotated[
        bool,
        typer.Option(
            "--keep-metadata",
            help="Copy image files as they are, with place, date, names and comments.",
        ),
    ] = False,
) -> None:
    """Copy images and saved masks into a data set.

    Masks become PNG of 0 and 255. Images go out upright and without place, date, names, comments,
    thumbnails and further pages: a JPEG or PNG keeps its coded pixels, one that has to be turned,
    or is of another kind, becomes a PNG of 8 bits in sRGB. What cannot be read, or has a mask of
    another size, is left out and listed at the end. The folder may be one exported before, however
    that ended; with another image under an id it already has, a sample is left out.

    With --coco, annotations.json beside images/ and masks/ holds the masks of the whole data set as
    COCO's polygons, along the pixels' edges; file_name is the name in images/.

    \b
    Examples:
      nca-seg export pictures/ --out corrected
      nca-seg export pictures/ --out corrected --coco
      nca-seg train --data corrected --out runs/own --from lesion
    """
    from engine.study.export import ExportStep, export_dataset
    from engine.study.study import Study

    samples = Study.open(folder).saved_samples()
    if not samples:
        raise Refusal(f"{folder} has no saved masks.")
    newest: ExportStep | None = None
    problem: Exception | None = None
    interrupted = False
    try:
        stream = export_dataset(samples, out, keep_metadata=keep_metadata)
        with progress("Exporting") as advance, closing(stream):  # type: ignore[type-var]
            for newest in stream:
                if advance is not None:
                    advance(newest.done / newest.total, newest.path.name)
        if coco and newest is not None and newest.written:
            _annotate(out)
    except KeyboardInterrupt:
        interrupted = True
    except (EngineError, OSError, MemoryError) as error:
        problem = error
    written = newest.written if newest is not None else 0
    if written:
        print(f"{written} sample{'s are' if written > 1 else ' is'} in {show(out)}")
    for left_out in newest.left_out if newest is not None else ():
        say(f"Left out. {sentence(left_out)}")
    if written < len(samples):
        say(f"{written} of {len(samples)} samples are in {out}.")
    if problem is not None:
        say(sentence(problem))
    if interrupted:
        say("Interrupted.")
        raise typer.Exit(INTERRUPTED)
    if problem is not None or written < len(samples):
        raise typer.Exit(SOME_FAILED if written else NOTHING_DONE)


def _annotate(folder: Path) -> None:
    """Write COCO's annotations of a data set folder."""
    from engine.study.coco import write_annotations
    from engine.study.dataset import read_dataset

    with progress("Annotating") as advance:
        for step in write_annotations(read_dataset(folder)):
            if advance is not None:
                advance(step.done / step.total, step.path.name)


def _follow(steps: Iterator[TrainStep], folder: Path, label: str) -> tuple[TrainStep | None, bool]:
    """The last step taken and whether a person stopped there; log and curves lie in the folder."""
    last, interrupted = None, False
    said = time.monotonic()
    try:
        with progress(label) as advance, closing(logged(steps, folder / LOG)) as stream:  # type: ignore[type-var]
            for last in stream:
                now = time.monotonic()
                judged = last.validation_dice is not None
                text = f"{last.done}/{last.total} loss {last.loss:.3f} {_dice(last)}"
                if advance is not None:
                    advance(last.done / last.total, text)
                elif judged or now - said > SECONDS_BETWEEN_LINES:
                    say(f"step {text}, {last.samples_per_s:.1f} samples/s")
                    said = now
                if judged:
                    _draw(folder)
    except KeyboardInterrupt:
        interrupted = True
    if (problem := _draw(folder)) is not None:
        say(f"There is no new {PICTURE}: {problem}.")
    return last, interrupted


def _draw(folder: Path) -> str | None:
    """Draw the curves; why it could not be done, which is no reason to stop a training."""
    try:
        draw_curves(folder / LOG, folder / PICTURE)
    except ImportError:
        return "it needs matplotlib; pip install 'nca-seg[report]' brings it"
    except OSError as error:
        return f"{folder / PICTURE} cannot be written ({error.strerror or error})"
    return None


def _dice(step: TrainStep) -> str:
    return "" if step.best_dice is None else f"best validation Dice {step.best_dice:.4f}"
