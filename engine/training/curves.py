"""Logs the steps of a training to a CSV file, reads such logs, and draws their curves."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from engine.files import read_regular, replacing, write_atomic
from engine.types import TrainStep

#: The log's columns: all of a step but `best_path`, which always lies in the folder of the log.
COLUMNS = tuple(field.name for field in fields(TrainStep) if field.name != "best_path")

#: The longest log that is read, in bytes: about twenty million steps.
MOST_BYTES = 1 << 30
#: The longest line that is read, in characters; ours have about sixty.
LONGEST_LINE = 1000

#: The log's name in the folder of a run.
LOG = "curves.csv"


def logged(steps: Iterator[TrainStep], path: Path) -> Iterator[TrainStep]:
    """Write each step to the CSV file `path`, then yield it.

    If a resumed run begins at a later step, the log's lines from that step on are removed first.
    Lines are written whole, so a kill loses at most the newest step. While another program keeps
    the file locked, as a spreadsheet does on Windows, lines are held back and written once it is
    free; if that never happens they are lost, but the training goes on. Closing this stream closes
    `steps`.
    """
    begun, first, waiting = False, 0, b""
    try:
        for step in steps:
            first = first or step.done
            row = (getattr(step, name) for name in COLUMNS)
            waiting += (",".join(map(_cell, row)) + "\n").encode()
            with suppress(PermissionError):
                if not begun:
                    _keep_before(path, first)
                begun = True
                _append(path, waiting)
                waiting = b""
            yield step
    finally:
        if isinstance(steps, Generator):
            steps.close()
        with suppress(PermissionError):
            if begun and waiting:
                _append(path, waiting)


def read_curves(path: Path) -> list[dict[str, float | None]]:
    """The steps of a log, each as values by column; empty if there is no file.

    Lines that are incomplete or not of a log are left out. Raises OSError if the path is not a
    regular file.
    """
    try:
        text = read_regular(path, MOST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    rows = []
    lines = [line for line in whole.splitlines() if len(line) < LONGEST_LINE and "\0" not in line]
    for row in csv.DictReader(lines, quoting=csv.QUOTE_NONE):
        try:
            rows.append({name: float(row[name]) if row[name] else None for name in COLUMNS})
        except (KeyError, TypeError, ValueError):
            continue
    return [row for row in rows if row["done"] is not None]


def draw_curves(log_path: Path, picture_path: Path) -> None:
    """Draw loss and validation Dice of the log at `log_path` as a PNG at `picture_path`.

    Raises ImportError if matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    rows = read_curves(log_path)
    figure = Figure(figsize=(8, 5), layout="constrained")
    losses, scores = figure.subplots(2, 1, sharex=True)
    done = [row["done"] for row in rows]
    losses.plot(done, [row["loss"] for row in rows], color="0.75", linewidth=0.8)
    losses.plot(done, _smoothed([row["loss"] or 0.0 for row in rows]), color="C0")
    losses.set_ylabel("Loss")
    judged = [row for row in rows if row["validation_dice"] is not None]
    scores.plot([r["done"] for r in judged], [r["validation_dice"] for r in judged], "C1.-")
    scores.set_ylabel("Validation Dice")
    scores.set_xlabel("Step")
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
    with replacing(picture_path) as stream:
        figure.savefig(stream, format="png", dpi=120)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _append(path: Path, lines: bytes) -> None:
    # Lines are written in one call, so that a reader never sees half a step.
    with path.open("ab") as stream:
        stream.write(lines)


def _keep_before(path: Path, done: int) -> None:
    kept = [row for row in read_curves(path) if (row["done"] or 0) < done]
    rows = (",".join(_cell(row[name]) for name in COLUMNS) for row in kept)
    lines = [",".join(COLUMNS), *rows]
    write_atomic(path, "\n".join(lines) + "\n")


def _smoothed(values: list[float], decay: float = 0.98) -> list[float]:
    """The exponential moving average of the values, without bias at its beginning."""
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = decay * total + value, decay * weight + 1
        smooth.append(total / weight)
    return smooth
