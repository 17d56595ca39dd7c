"""Measures the trained methods of a comparison, and keeps what was found beside their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.diffusion.model import Model
from engine.evaluation.flops import count_flops
from engine.evaluation.reliability import auroc
from engine.evaluation.scoring import FAILED_DICE, Evaluation, Examined, Unread, examine
from engine.files import write_atomic
from engine.masks.files import mask_name, write_mask
from engine.networks.checkpoint import fingerprint, read
from engine.report.commands import trained_by
from engine.report.comparison.anchor import anchor_alone
from engine.report.comparison.methods import Method
from engine.report.comparison.runs import Regime, Trained
from engine.report.content import finite
from engine.types import Sample, evenly

FORMAT, VERSION = "nca-seg/comparison", 1
#: So many images, spread evenly over the split, are shown by all methods.
SHOWN = 6
Result = dict[str, Any]


def result_path(folder: Path, method: Method) -> Path:
    """Where a method's result lies in the folder of its training."""
    kind = method.kind.name
    return folder / f"result{f'-{kind}' if kind else ''}.json"


def masks_folder(result: Path) -> Path:
    """Where the masks lie that belong to a result and are shown."""
    return result.with_name(result.stem.replace("result", "masks"))


def asked(found: Trained, method: Method, split: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """What decides a result: a result of the same is not measured again. Raises UnreadableModel."""
    spec, arrays = read(found.weights)
    return {
        "fingerprint": fingerprint(spec, arrays),
        "trained": [found.steps, found.clock],
        "settings": asdict(method.kind.sampling),
        "images": images_asked(split, samples),
    }


def images_asked(split: str, samples: Sequence[Sample]) -> str:
    """The images of a comparison in one word, for results of other images do not compare."""
    ids = hashlib.sha256("\n".join(sample.id for sample in samples).encode()).hexdigest()
    return f"{split}-{len(samples)}-{ids[:16]}"


def read_result(path: Path) -> Result | None:
    """A result; None where there is none, or none that this version of the program reads."""
    try:
        result: Result = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    known = isinstance(result, dict) and result.get("format") == FORMAT
    return result if known and result.get("version") == VERSION else None


def measure(
    model: Model,
    method: Method,
    seed: int,
    found: Trained,
    regime: Regime,
    asked: dict[str, Any],
    samples: Sequence[Sample],
    path: Path,
) -> Iterator[Examined | Unread]:
    """Evaluate a method and write its result, and the masks that are shown; one event an image.

    Parameters
    ----------
    model : that of the weights; a kind may ask a part of it alone.
    method, seed, found : what was trained, from which seed, and what came of it.
    regime : what was equal, where the run's own plan does not say.
    asked : as the function of that name gives it; it is written into the result.
    samples : the images.
    path : the file of the result; it is written once all images are measured.

    Raises OutOfMemory.
    """
    if method.kind.anchor:
        model = anchor_alone(model)
    shown = {sample.id for sample in evenly(samples, SHOWN)}
    event: Examined | Unread | None = None
    for event in examine(model, samples, method.kind.sampling):
        if isinstance(event, Examined):
            name, _ = event.evaluation.images[-1]
            if name in shown:
                folder = masks_folder(path)
                folder.mkdir(exist_ok=True)
                write_mask(folder / mask_name(name), event.mask_hw)
        yield event
    if event is None or not event.evaluation.images:
        return
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "method": method.name,
        "meaning": method.kind.meaning,
        "seed": seed,
        "regime": found.regime or regime,
        "asked": asked,
        "device": str(model.device),
        "model": _model(model, method, found),
        "training": {
            "seconds": found.seconds,
            "clock": found.clock,
            "samples": found.samples,
            "steps": found.steps,
            "planned": found.planned,
            "trained_by": trained_by(found.spec),
        },
        **_evaluated(event.evaluation),
    }
    write_atomic(path, json.dumps(finite(whole), indent=1) + "\n")


def _model(model: Model, method: Method, found: Trained) -> dict[str, Any]:
    spec, sampling = model.spec, method.kind.sampling
    flops = count_flops(model.network)
    return {
        "architecture": spec.architecture,
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "file_bytes": found.weights.stat().st_size,
        "weights": found.weights.name,
        "pixels": spec.size * spec.pixels_per_cell,
        "flop_condition": flops.condition,
        "flop_step": flops.step(spec),
        "flop_answer": flops.answer(spec, sampling),
    }


def _evaluated(evaluation: Evaluation) -> dict[str, Any]:
    failed = evaluation.column("dice") < FAILED_DICE
    found = auroc(evaluation.column("expected_error"), failed)
    return {**evaluation.as_json(), "failure_auroc": found}
