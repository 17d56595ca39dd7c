"""Follows a training on the command line: progress, its log and a picture of its curves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import typer

from engine.cli.messages import say
from engine.cli.progress import progress
from engine.training.curves import LOG, draw_curves, logged
from engine.types import TrainStep

PICTURE = "curves.png"
#: Without a terminal a line comes this often, and at each validation.
SECONDS_BETWEEN_LINES = 30.0


def expect_no_run(out: Path, advice: str) -> None:
    """Raise BadParameter, with the advice, where a folder holds a run already."""
    if any((out / name).exists() for name in ("best.safetensors", LOG)):
        raise typer.BadParameter(f"{out} holds a run; {advice}")


def follow(steps: Iterator[TrainStep], folder: Path, label: str) -> tuple[TrainStep | None, bool]:
    """Take all steps of a training; show progress, keep its log and draw its curves.

    Parameters
    ----------
    steps : the training's stream; closed afterwards.
    folder : where the log and the picture of the curves are written.
    label : what the progress bar calls the training.

    Returns the last step taken, None where there was none, and whether a person interrupted.
    """
    last, interrupted, skipped = None, False, 0
    said = time.monotonic()
    try:
        with progress(label) as advance, closing(logged(steps, folder / LOG)) as stream:  # type: ignore[type-var]
            for last in stream:
                now = time.monotonic()
                judged = last.validation_dice is not None
                text = f"{last.done}/{last.total} loss {last.loss:.3f} {best_dice(last)}"
                if last.skipped > skipped:
                    skipped = last.skipped
                    say(f"step {last.done} is skipped: its loss or gradient is not finite.")
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
    if last is not None and last.skipped:
        steps_were = "step was" if last.skipped == 1 else "steps were"
        say(f"{last.skipped} of {last.done} {steps_were} skipped; nothing was learned from them.")
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


def best_dice(step: TrainStep) -> str:
    """The best validation Dice so far in words; "" before the first validation."""
    return "" if step.best_dice is None else f"best validation Dice {step.best_dice:.4f}"
