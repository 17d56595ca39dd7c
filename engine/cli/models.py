"""nca-seg models: lists the installed models and the presets; adds and removes models."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.inputs import tell_leftovers
from engine.cli.messages import print_json, say, sentence, show
from engine.cli.options import JsonOption, command
from engine.errors import MissingExtra

if TYPE_CHECKING:
    from engine.types import ModelSpec

#: What a training record says about quality, as against how it was reached.
FIGURES = ("dice", "iou", "threshold_jaccard")


@command()
def models(
    add: Annotated[
        Path | None,
        typer.Option(
            "--add",
            help="First copy a model from a file into the list; an ONNX network needs a JSON file "
            "of the same name beside it.",
        ),
    ] = None,
    remove: Annotated[
        str, typer.Option("--remove", help="First take a model of yours out; its file is kept.")
    ] = "",
    json_: JsonOption = False,
) -> None:
    """List the installed models and the presets that train can build.

    \b
    Examples:
      nca-seg models
      nca-seg models --add runs/mine/best.safetensors
      nca-seg models --add mine.onnx
      nca-seg models --remove MultiCBAM+1
      nca-seg models --json
    """
    from engine.networks import library
    from engine.networks.table import presets as all_presets

    if add is not None:
        say(f"{add} is in the list as {library.add(add).name}.")
    if remove:
        say(f"{remove} is out of the list; its file is {library.remove(remove)}.")
    listed = [
        {
            "name": entry.name,
            **_described(entry.spec, entry.parameters),
            "shipped": entry.shipped,
            "fingerprint": entry.fingerprint,
            "parent": entry.spec.parent,
            "file": str(entry.path),
        }
        for entry in library.installed()
    ]
    presets = [{"name": spec.name, **_described(spec, _counted(spec))} for spec in all_presets()]
    problems = library.broken()
    tell_leftovers()
    if json_:
        print_json(
            {
                "format": "nca-seg/models",
                "version": 1,
                "installed": listed,
                "presets": presets,
                "broken": [{"file": str(p.path), "reason": p.reason} for p in problems],
            }
        )
        return
    print("Installed models, the default first:" if listed else "No model is installed.")
    for model in listed:
        print(_row(model))
        print(f"    {show(model['file'])}")
    print("\nPresets, untrained, for nca-seg train --architecture:")
    for model in presets:
        print(_row(model))
    for problem in problems:
        say(sentence(problem))


def _counted(spec: ModelSpec) -> int | None:
    """How many parameters a preset has; None where the packages that count it are not there."""
    from engine.networks.table import parameter_count

    try:
        return parameter_count(spec)
    except MissingExtra:
        return None


def _described(spec: ModelSpec, parameters: int | None) -> dict[str, Any]:
    figures = {
        key: value
        for key, value in spec.training.items()
        # A file of somebody else's may hold anything here.
        if key.endswith(FIGURES) and isinstance(value, float | int) and math.isfinite(value)
    }
    return {
        "architecture": spec.architecture,
        "parameters": parameters,
        "size": spec.size,
        "predicts": spec.predicts,
        "figures": figures,
    }


def _row(model: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
        for key, value in model["figures"].items()
    )
    count = model["parameters"]
    counted = "needs an extra package" if count is None else f"{count:>9,} parameters"
    row = (
        f"  {model['name']:26} {model['architecture']:10} {counted:20}  "
        f"size {model['size']:<4} {figures}"
    )
    # A file of somebody else's says what is in it.
    return show(row.rstrip())
