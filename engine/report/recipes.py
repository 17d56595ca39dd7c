"""Training runs side by side: what was set, how much was seen, and the Dice on val that came of it.

Each is one folder with the best.safetensors of a run, which records all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.checkpoint import read_spec
from engine.report.reproduction import trained_by
from engine.training import BEST
from engine.types import ModelSpec

#: Of the spec, what a recipe may set; all else of it is in the training record.
_OF_SPEC = ("architecture", "predicts", "mask_scale", "schedule", "coarse_updates")
#: In the record, but what came of the recipe, or how it was watched.
_NOT_SET = frozenset(
    ("steps_done", "validation_dice", "validate_every", "train_images", "samples_before")
)


@dataclass(frozen=True)
class Recipe:
    """A run by its folder's name; `changed` is what differs from most of its neighbours.

    `dice` is that of the best weights on val, in [0, 1], as training measures it (one member, three
    steps, on the grid), None where the run had no val.
    """

    name: str
    changed: tuple[tuple[str, Any], ...]
    samples_seen: int | None
    dice: float | None
    command: str


def read_recipes(folder: Path) -> tuple[Recipe, ...]:
    """The runs in the folders of a folder, by name. Raises UnreadableModel for a broken file."""
    found = {path.parent.name: read_spec(path) for path in sorted(folder.glob(f"*/{BEST}"))}
    settings = {name: _settings(spec) for name, spec in found.items()}
    usual = _usual(list(settings.values()))
    return tuple(
        Recipe(
            name,
            tuple((key, value) for key, value in settings[name].items() if value != usual[key]),
            spec.samples_seen,
            spec.training.get("validation_dice"),
            trained_by(spec),
        )
        for name, spec in found.items()
    )


def _settings(spec: ModelSpec) -> dict[str, Any]:
    of_spec = {name: getattr(spec, name) for name in _OF_SPEC}
    return of_spec | {key: value for key, value in spec.training.items() if key not in _NOT_SET}


def _usual(settings: list[dict[str, Any]]) -> dict[str, Any]:
    """Of every setting the value that most runs have; of equally many, that of the first run."""
    keys = {key for one in settings for key in one}
    columns = {key: [one.get(key) for one in settings] for key in keys}
    return {key: max(values, key=values.count) for key, values in columns.items()}
