"""nca-seg train: trains a model on data set folders; the best weights are always kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.exit_codes import INTERRUPTED
from engine.cli.inputs import expect_device, find_model, open_training_data
from engine.cli.messages import Refusal, say, show
from engine.cli.options import DeviceOption, MinutesOption, TrainingDataOption, command
from engine.cli.training_run import best_dice, expect_no_run, follow
from engine.errors import UnknownArchitecture
from engine.networks.table import DEFAULT, paper_protocol, trainable, trained_names
from engine.types import (
    Framing,
    ModelSpec,
    Prediction,
    ProtocolName,
    ScheduleName,
    TrainSettings,
    TrainStep,
)


def _architectures() -> str:
    """The names of the architectures that can be trained, as an enumeration of words."""
    names = trained_names()
    *others, last = (f"{name} (the default)" if name == DEFAULT else name for name in names)
    return f"{', '.join(others)} or {last}"


@command(TrainSettings(), configs=True)
def train(
    data: TrainingDataOption,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the models, state, log and curves.")
    ],
    settings: TrainSettings,
    architecture: Annotated[
        str | None,
        typer.Option("--architecture", help=f"{_architectures()}."),
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
    framing: Annotated[
        Framing | None,
        typer.Option(
            "--framing",
            help="Whether the grid has the image's proportions, or the image is resized to a "
            "square.  [default: proportional, or as --from]",
        ),
    ] = None,
    steerable: Annotated[
        bool | None,
        typer.Option(
            "--steerable/--no-steerable",
            help="Whether the network is told an annotation style, a width and what a person "
            "painted.  [default: steerable where --channels leave room, or as --from]",
        ),
    ] = None,
    *,
    config: Mapping[str, Any],
    told: Collection[str],
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
    """Train a model on one or several data set folders.

    --data holds images/, masks/ and splits.csv or dataset.json. Given several times, the samples of
    all of them are trained on together, each in its split; two images with one id are refused.
    Learns from the split train and judges on val; test is never looked at. Where styles.csv or
    splits.csv have a lesion_id, an image of train whose lesion stands in val or test is left out,
    and one of val whose lesion stands in test. --out then holds best.safetensors (the best on val),
    last.safetensors (the newest), state.safetensors (for --resume), curves.csv and curves.png.
    Ctrl+C stops and keeps the best. --resume is refused where the flags make another model or
    another training than the first ones; only --steps, --validate-every, --minutes and --stop-at
    may change, and more --steps go on from there.
    --protocol paper trains as MedSegDiffNCA's paper says: AdamW for all weights at 1e-4, t drawn
    uniformly, L_n + L_RGB, batches of 8 images resized to 256 x 256, nothing else. Flags beside it
    override it; the number of steps, which the paper leaves open, is that of --steps. Segment with
    --sampler ddpm --steps 100 --members 10 --views plain, as the paper does.

    \b
    Examples:
      nca-seg train --data isic2018 --out runs/a --size 32 --batch-size 16 --steps 5000
      nca-seg train --data isic2018 --out runs/a --size 32 --batch-size 16 --steps 5000 --resume
      nca-seg train --data isic2018 --out runs/b --size 64 --from runs/a/best.safetensors
      nca-seg train --data isic2018 --data isic2017 --out runs/d --minutes 90
      nca-seg segment photo.jpg --out results --model runs/b/best.safetensors
      nca-seg train --data isic2018 --out runs/c --protocol paper --steps 30000
    """
    if from_ and architecture:
        raise typer.BadParameter("--from brings its own architecture; leave --architecture out")
    if from_ and settings.protocol == "paper":
        raise typer.BadParameter(
            "--protocol paper begins with no model's weights; leave --from out"
        )
    if settings.protocol == "paper":
        settings = replace(_paper(architecture), **{name: getattr(settings, name) for name in told})
    expect_device(device)
    dataset = open_training_data(data)
    if resume and not (out / "state.safetensors").exists():
        raise Refusal(f"{out} holds no run to go on with.")
    if not resume:
        expect_no_run(out, "add --resume to go on with it, or choose another --out")
    spec, start = _beginning(from_, architecture, settings.protocol)
    name = out.absolute().name or "model"
    diffusion = {
        "predicts": predicts,
        "mask_scale": mask_scale,
        "schedule": schedule,
        "framing": framing,
        "steerable": steerable,
    }
    given = {key: value for key, value in diffusion.items() if value is not None}
    could = spec.steerable
    try:
        spec = spec.changed(name=name, **given, **config)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if could and steerable is None and not spec.steerable:
        say("The model will not be told styles: its channels leave no room for them.")

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
        last, interrupted = follow(steps, out, "Training")
        _conclude(last, out, interrupted)
        if interrupted:
            if last is not None:
                say(f"Interrupted; --resume goes on from step {last.done}.")
            # Within the group, which then is left without waiting: the others were interrupted too.
            raise typer.Exit(INTERRUPTED)


def _paper(architecture: str | None) -> TrainSettings:
    """The settings of the architecture's paper. Raises BadParameter where it is of none."""
    try:
        return paper_protocol(trainable(architecture or DEFAULT)).settings
    except (UnknownArchitecture, ValueError) as error:
        raise typer.BadParameter(f"--architecture: {error}") from error


def _beginning(
    from_: str, architecture: str | None, protocol: ProtocolName
) -> tuple[ModelSpec, Any]:
    """The spec that `--from` or `--architecture` asks for, and the weights to begin with or None.

    Raises EngineError for a model that cannot be read, BadParameter for no known architecture.
    """
    if from_:
        from engine.networks.checkpoint import read

        entry = find_model(from_)
        spec, start = read(entry.path)
        return replace(spec, parent=entry.fingerprint), start
    try:
        return trainable(architecture or DEFAULT, protocol), None
    except UnknownArchitecture as error:
        raise typer.BadParameter(f"--architecture: {error}") from error


def _conclude(last: TrainStep | None, out: Path, interrupted: bool) -> None:
    """Say what came of a training."""
    best = out / "best.safetensors"
    if last is not None and last.best_path is not None:
        print(f"{show(last.best_path)}  {best_dice(last)}  after {last.done} of {last.total} steps")
    elif last is not None:
        say("Stopped before the first validation, so there is no model yet.")
    elif best.exists() and not interrupted:
        print(f"{show(best)}  no step was left to take; more --steps go on from here")
    else:
        say("Stopped before the next step.")
