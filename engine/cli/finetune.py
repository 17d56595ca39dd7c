"""nca-seg finetune: a model learns from corrections; the new model lies beside the old one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.exit_codes import INTERRUPTED
from engine.cli.inputs import find_model, load_model, open_data, tell_leftovers
from engine.cli.messages import Refusal, say
from engine.cli.options import (
    DataOption,
    DeviceOption,
    MinutesOption,
    ModelOption,
    command,
)
from engine.cli.training_run import best_dice, expect_no_run, follow
from engine.types import FINE_TUNING, TrainSettings

#: A fine-tuned model with less than this share of its parent's Dice learned nothing.
COLLAPSED = 0.5


@command(FINE_TUNING, without=("size", "protocol"))
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
        expect_no_run(out, "choose another --out")
    entry = find_model(model)
    dataset = open_data(data)
    loaded = load_model(entry, device)
    tell_leftovers()
    folder = out or library.training_folder(entry.name)

    from engine.training.loop import finetune as tuned

    folder.mkdir(parents=True, exist_ok=True)
    steps = tuned(loaded, dataset, settings, folder, minutes=minutes)
    last, interrupted = follow(steps, folder, "Fine-tuning")
    if last is None or last.best_path is None:
        # Nothing but an interruption ends a run that was never judged.
        say("Stopped before the first validation, so there is no new model.")
        raise typer.Exit(INTERRUPTED)
    before = "" if last.start_dice is None else f", {last.start_dice:.4f} before"
    if last.best_dice is not None and last.best_dice < COLLAPSED * (last.start_dice or 0.0):
        raise Refusal(
            f"What was learned is much worse than {entry.name} ({best_dice(last)}{before}), so no "
            "model was added. Try a lower --learning-rate; nca-seg models --add "
            f"{last.best_path} adds it all the same."
        )
    child = library.adopt(last.best_path, entry)
    figures = f" {best_dice(last)}{before}." if last.best_dice is not None else ""
    say(f"{entry.name} stays; the new model is beside it.{figures}")
    print(child.name)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
