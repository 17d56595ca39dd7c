"""Trains with the project's own command until the time is over, and evaluates what came of it.

The first half a minute measures the rate. Then the training goes on with as many steps as there is
time for, so that the learning rate has come down at the end, and is validated about once a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engine.training.curves import LOG, read_curves
from tests.gpu.parts import Given, Result

#: The form of the bundled model, in batches that fill a GPU; flags behind them replace them.
RECIPE = (
    *("--detail", "4", "--updates", "6", "--coarse-updates", "20", "--size", "48"),
    *("--batch-size", "256", "--learning-rate", "1.5e-3", "--weight-decay", "0.05"),
    *("--ema", "0.998", "--validation-images", "150"),
)
#: The smallest that trains, for a rehearsal.
SMALLEST = (
    *("--channels", "16", "--hidden", "16", "--updates", "2", "--size", "16"),
    *("--batch-size", "2", "--validation-images", "2"),
)
#: The most that measuring the rate takes, and what lies between two validations.
FIRST_S, VALIDATED_EVERY_S = 30.0, 50.0
#: What of the remaining time is trained in, once the command has started: the rest is for
#: validating and ending.
SHARE, START_S = 0.9, 15.0
#: All of the training in a rehearsal, in seconds.
QUICK_S = 1.0
#: More steps than there is time for: the most that --validate-every takes.
ENDLESS = "1000000"


def train(given: Given) -> Iterator[Result]:
    """Train until shortly before the end; goes on if the folder holds a run."""
    out = given.out / "training"
    before, left_s = _last(out), _left_s(given)
    first_s = min(FIRST_S, left_s / 4)
    _nca_seg(given, *_flags(given, out, ENDLESS, ENDLESS, first_s))
    done, left_s = _last(out), _left_s(given)
    steps_per_s = (done - before) / first_s
    yield Result("the first steps", {"steps": done - before, "steps_per_s": steps_per_s})
    steps = done + max(1, int(left_s * steps_per_s))
    every = max(1, round(VALIDATED_EVERY_S * steps_per_s))
    _nca_seg(given, *_flags(given, out, str(steps), str(every), left_s))
    rows = read_curves(out / LOG)
    figures = {"steps": int(rows[-1]["done"] or 0), "best_dice": rows[-1]["best_dice"] or 0.0}
    figures["samples_per_s"] = rows[-1]["samples_per_s"] or 0.0
    yield Result("trained", figures, (out / "best.safetensors").is_file())


def evaluate(given: Given) -> Iterator[Result]:
    """Score the best weights on val at the program's default settings."""
    best, scores = given.out / "training/best.safetensors", given.out / "evaluation.json"
    if not best.is_file():
        yield Result("skipped: there are no weights to evaluate")
        return
    few = ("--limit", "1", "--members", "1", "--steps", "1") if given.quick else ()
    wanted = ("--split", "val", "--model", str(best), "--json", str(scores))
    _nca_seg(given, "evaluate", "--data", str(given.data), *wanted, *few)
    found = json.loads(scores.read_text(encoding="utf-8"))
    figures = {
        "images": len(found["images"]),
        "dice": found["mean"]["dice"],
        "pooled_dice": found["pooled"]["dice"],
    }
    yield Result("best weights on val, default settings", figures)


def _left_s(given: Given) -> float:
    """How long a training that begins now may take."""
    left_s = given.end_s - time.time()
    return QUICK_S if given.quick else max(1.0, SHARE * (left_s - START_S))


def _flags(given: Given, out: Path, steps: str, every: str, seconds: float) -> tuple[str, ...]:
    """The flags of a run of the training; what decides its time replaces any other."""
    resume = ("--resume",) if (out / "state.safetensors").exists() else ()
    return (
        *("train", "--data", str(given.data), "--out", str(out)),
        *(SMALLEST if given.quick else RECIPE),
        *given.train_flags,
        *("--steps", steps, "--validate-every", every, "--minutes", f"{seconds / 60:.4f}", *resume),
    )


def _nca_seg(given: Given, *arguments: str) -> None:
    """Run a command of the project. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "engine", *arguments, "--device", given.device]
    subprocess.run(command, check=True, stdout=sys.stderr)


def _last(out: Path) -> int:
    """The number of the last step in a run's folder; 0 without a run."""
    rows = read_curves(out / LOG)
    return int(rows[-1]["done"] or 0) if rows else 0
