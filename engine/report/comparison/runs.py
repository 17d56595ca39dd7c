"""Trains the methods of a comparison: as long as each other, or with as many samples.

A run is a folder RUNS/TRAINING-sSEED as `engine.training.loop.train` writes it, with a plan beside.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from engine.errors import DatasetProblem, UnreadableModel
from engine.files import write_atomic
from engine.networks.checkpoint import read_spec
from engine.networks.device import choose
from engine.report.comparison.methods import VALIDATION_IMAGES, VALIDATIONS, Method
from engine.training.curves import LOG, read_curves
from engine.training.loop import BEST, LAST, STATE, train
from engine.types import Dataset, Device, ModelSpec, TrainStep, evenly

PLAN = "plan.json"
#: What is equal between the methods of one table.
Regime = Literal["time", "samples"]
#: A machine's processor may be shared, and then only its own time is a fair measure.
ClockName = Literal["processor", "wall"]
#: Steps before the clock of a probe starts, and those that it times.
PROBE_WARM_UP, PROBE_STEPS = 3, 20
#: Samples to train on in a probe, so that it need not read all, and those that it validates on.
PROBE_SAMPLES, PROBE_VALIDATION = 64, 4
SECONDS_BETWEEN_PLANS = 30.0


class Budget(NamedTuple):
    """What each training is given: minutes of the device's clock, or a number of samples."""

    regime: Regime
    amount: float


class Speed(NamedTuple):
    """Seconds of a step, and of a validation of one image."""

    step_s: float
    validation_s: float


@dataclass(frozen=True)
class Plan:
    """What a run was given, and what it took so far.

    Parameters
    ----------
    regime, amount : the budget.
    steps : those of the whole training.
    pixels : the side in image pixels that the network sees.
    clock : what measured `step_s` and `seconds`.
    step_s : seconds of a step, as probed; 0 where nothing was.
    seconds : what the training took so far, validation included and reading the data left out.
    """

    regime: Regime
    amount: float
    steps: int
    pixels: int
    clock: ClockName
    step_s: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Parameters
    ----------
    weights : the file that is evaluated.
    spec : that of the file.
    steps, samples : those that the run took, and of `planned` steps.
    seconds, clock : the time they took; where no plan recorded it, the wall time of the steps alone
        as their log has it.
    regime : what was equal; None where there is no plan.
    """

    weights: Path
    spec: ModelSpec
    steps: int
    planned: int
    samples: int
    seconds: float
    clock: ClockName
    regime: Regime | None


def run_folder(runs: Path, method: Method, seed: int) -> Path:
    """The folder of a method's training from one seed."""
    return runs / f"{method.training}-s{seed}"


def read_plan(folder: Path) -> Plan | None:
    """The plan of a run; None where it has none. Raises UnreadableModel for a damaged one."""
    path = folder / PLAN
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        plan = Plan(**{each: values[each] for each in Plan.__dataclass_fields__ if each in values})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UnreadableModel(path, "it is no plan of a comparison") from error
    if plan.regime not in get_args(Regime) or plan.clock not in get_args(ClockName):
        raise UnreadableModel(path, "it is no plan of a comparison")
    return plan


def trained(folder: Path, method: Method) -> Trained | None:
    """What came of a training, or None where it is not at its end.

    A folder with weights and without a plan is a run that something else trained: it is taken as it
    is. Raises UnreadableModel for a broken file and for weights of another preset.
    """
    plan = read_plan(folder)
    # Validation by few steps is no judge of a network that predicts the noise.
    names = (LAST, BEST) if method.spec.predicts == "noise" else (BEST, LAST)
    weights = next((folder / name for name in names if (folder / name).exists()), None)
    if weights is None:
        return None
    spec = read_spec(weights)
    if (spec.architecture, spec.config) != (method.spec.architecture, method.spec.config):
        raise UnreadableModel(weights, f"it is not of the preset {method.spec.name}")
    newest = read_spec(folder / LAST) if (folder / LAST).exists() else spec
    rows = read_curves(folder / LOG)
    batch = int(spec.training.get("batch_size", 0))
    steps = max(
        int(newest.training.get("steps_done", 0)), int(rows[-1]["done"] or 0) if rows else 0
    )
    if plan is not None and steps < plan.steps:
        return None
    seconds = sum(batch / row["samples_per_s"] for row in rows if row["samples_per_s"])
    return Trained(
        weights=weights,
        spec=spec,
        steps=steps,
        planned=int(newest.training.get("steps", steps)),
        samples=steps * batch,
        seconds=plan.seconds if plan and plan.seconds else seconds,
        clock=plan.clock if plan and plan.seconds else "wall",
        regime=plan.regime if plan else None,
    )


def clock_name(device: Device) -> ClockName:
    """What measures a training there: processor time on a CPU, wall time on a GPU."""
    return "processor" if choose(device).name == "cpu" else "wall"


def probe(method: Method, dataset: Dataset, device: Device) -> Speed:
    """Measure how fast a method trains, on a few of the samples and in a folder that is removed.

    Raises what `engine.training.loop.train` raises.
    """
    learned = evenly(dataset.split("train"), PROBE_SAMPLES)
    judged = evenly(dataset.split("val"), PROBE_VALIDATION)
    if not learned:
        raise DatasetProblem(dataset.root, "it has no samples to train on")
    steps = PROBE_WARM_UP + PROBE_STEPS + 1
    settings = replace(method.settings(steps, seed=0), validate_every=steps)
    few = replace(dataset, samples=(*learned, *judged))
    now = _clock(clock_name(device))
    with tempfile.TemporaryDirectory() as folder:
        times = [now() for _ in train(method.spec, few, settings, Path(folder), device=device)]
    timed = times[PROBE_WARM_UP - 1 : -1]
    step_s = (timed[-1] - timed[0]) / (len(timed) - 1)
    validation_s = max(0.0, times[-1] - times[-2] - step_s) / max(1, len(judged))
    return Speed(step_s, validation_s)


def plan(method: Method, dataset: Dataset, budget: Budget, device: Device) -> Plan:
    """Choose the steps of a training; in the regime of time that needs a probe.

    The steps fill the minutes together with the validations, so that the learning rate comes to its
    end with them. In the regime of samples the last step may go beyond by less than a batch.
    """
    clock = clock_name(device)
    if budget.regime == "samples":
        steps = math.ceil(budget.amount / method.batch_size)
        return Plan("samples", budget.amount, steps, method.pixels, clock)
    speed = probe(method, dataset, device)
    judged = min(VALIDATION_IMAGES, len(dataset.split("val")))
    left_s = 60 * budget.amount - VALIDATIONS * judged * speed.validation_s
    steps = max(1, int(left_s / speed.step_s))
    return Plan("time", budget.amount, steps, method.pixels, clock, speed.step_s)


def train_run(
    method: Method, seed: int, plan: Plan, dataset: Dataset, folder: Path, device: Device
) -> Iterator[TrainStep]:
    """Train a method as planned; goes on where the folder's run stopped. Yields each step.

    The plan lies in the folder before the first step, and its pixels are those of the training.
    Raises what `engine.training.loop.train` raises.
    """
    method = method.at(plan.pixels)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, plan)
    steps = train(
        replace(method.spec, name=folder.name),
        dataset,
        method.settings(plan.steps, seed),
        folder,
        resume=(folder / STATE).exists(),
        device=device,
    )
    yield from _timed(steps, folder, plan)


def _timed(steps: Iterator[TrainStep], folder: Path, plan: Plan) -> Iterator[TrainStep]:
    """The steps, with the time that they took written into the plan."""
    now = _clock(plan.clock)
    written, counted = time.monotonic(), False
    try:
        while True:
            began = now()
            step = next(steps, None)
            if step is None:
                break
            # The first one waits for all images to be read, which is no training.
            plan = replace(plan, seconds=plan.seconds + (now() - began if counted else plan.step_s))
            counted = True
            if time.monotonic() - written > SECONDS_BETWEEN_PLANS:
                _write(folder, plan)
                written = time.monotonic()
            yield step
    finally:
        steps.close()  # type: ignore[attr-defined]
        _write(folder, plan)


def _clock(name: ClockName) -> Callable[[], float]:
    return time.process_time if name == "processor" else time.perf_counter


def _write(folder: Path, plan: Plan) -> None:
    write_atomic(folder / PLAN, json.dumps(asdict(plan), indent=1) + "\n")
