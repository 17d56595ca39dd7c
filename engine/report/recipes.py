"""Training runs side by side: their settings, the samples seen and the Dice on val.

Each is one folder with the best.safetensors of a run, which records all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.networks.checkpoint import read_spec
from engine.report.commands import choices, trained_by
from engine.training.curves import LOG, read_curves
from engine.training.loop import BEST
from engine.types import BEFORE_CHOICES, ModelSpec

#: In the record, but what came of the recipe, or how it was watched. Steps are told as samples.
_NOT_SET = frozenset(
    (
        "steps",
        "steps_done",
        "validation_dice",
        "validate_every",
        "train_images",
        "samples_before",
    )
)
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Recipe:
    """A run by its folder's path below the one that was searched, and what its file records.

    `dice` is that of the best weights on val, in [0, 1], as training measures it (one member, three
    steps, on the grid), None where the run had no val.
    """

    name: str
    spec: ModelSpec
    dice: float | None

    @property
    def settings(self) -> dict[str, Any]:
        """What the recipe sets, by name."""
        of_spec = {"architecture": self.spec.architecture, **choices(self.spec)}
        begun = {"parent": self.spec.parent} if self.spec.parent else {}
        record = {key: each for key, each in self.spec.training.items() if key not in _NOT_SET}
        return dict(BEFORE_CHOICES) | of_spec | begun | record

    @property
    def command(self) -> str:
        """The command that trained it, as `commands.trained_by` has it."""
        return trained_by(self.spec)


def read_recipes(folder: Path) -> tuple[Recipe, ...]:
    """The runs in all folders below one; those of fewer samples first, of equal ones the best.

    Raises UnreadableModel for a broken file.
    """
    found = []
    for path in sorted(folder.rglob(BEST)):
        spec = read_spec(path)
        name = path.parent.relative_to(folder).as_posix()
        found.append(Recipe(folder.name if name == "." else name, spec, _dice(path, spec)))
    return tuple(sorted(found, key=lambda one: (one.spec.samples_seen or 0, -(one.dice or 0))))


def usual(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """Of every setting the value that most runs have; of equally many, that of the first run."""
    settings = [recipe.settings for recipe in recipes]
    keys = dict.fromkeys(key for one in settings for key in one if key != "parent")
    columns = {key: [one[key] for one in settings if key in one] for key in keys}
    return {key: max(values, key=values.count) for key, values in columns.items()}


def changed(recipe: Recipe, common: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that are not the common ones; those that its record lacks say so."""
    own = recipe.settings
    lacking = {key: NOT_RECORDED for key in common if key not in own}
    return {
        key: value
        for key, value in (own | lacking).items()
        if key not in common or value != common[key]
    }


def _dice(path: Path, spec: ModelSpec) -> float | None:
    recorded = spec.training.get("validation_dice")
    if isinstance(recorded, int | float):
        return float(recorded)
    steps = spec.training.get("steps_done")
    # The log knows the Dice where the file does not.
    rows = read_curves(path.parent / LOG)
    return next((row["validation_dice"] for row in rows if row["done"] == steps), None)
