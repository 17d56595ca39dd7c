"""nca-seg models and nca-seg doctor: what is here, and how it will run."""

from __future__ import annotations

import math
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import (
    NOTHING_DONE,
    JsonOption,
    Refusal,
    command,
    print_json,
    say,
    sentence,
    show,
    tell_leftovers,
)

if TYPE_CHECKING:
    from engine.types import ModelSpec

#: What a training record says about quality, as against how it was reached.
FIGURES = ("dice", "iou", "threshold_jaccard")


def version(package: str = "nca-seg") -> str:
    """A package's version as installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@command()
def models(
    add: Annotated[
        Path | None, typer.Option("--add", help="First copy a model from a file into the list.")
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
            **_described(entry.spec),
            "shipped": entry.shipped,
            "fingerprint": entry.fingerprint,
            "parent": entry.spec.parent,
            "file": str(entry.path),
        }
        for entry in library.installed()
    ]
    presets = [{"name": spec.name, **_described(spec)} for spec in all_presets()]
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


@command()
def doctor() -> None:
    """Say how the program will run here.

    Versions, device, precision, why CUDA is not used, and where files lie.

    \b
    Example:
      nca-seg doctor
    """
    from engine.folders import home_folder
    from engine.networks.library import installed, models_folder

    print(f"nca-seg      {version()}")
    print(f"Python       {platform.python_version()} ({sys.executable})")
    print(f"System       {platform.platform()}, {os.cpu_count()} processors")
    for package in ("torch", "numpy", "pillow", "PySide6-Essentials", "pyqtgraph", "matplotlib"):
        print(f"{package.removesuffix('-Essentials'):13}{version(package)}")
    found = installed()
    print(f"Home         {show(home_folder())} (NCA_SEG_HOME says another)")
    print(f"Models       {show(models_folder())}; {len(found)} installed")
    print(f"Default      {show(found[0].name) if found else 'none'}")
    print(f"Trainings    {show(home_folder() / 'training')}")
    try:
        import torch

        from engine.networks.device import choose
    except (ImportError, OSError) as error:
        say(f"torch cannot be loaded, so nothing can be computed: {error}.")
        raise typer.Exit(NOTHING_DONE) from None
    try:
        chosen = choose("auto")
    except ValueError as error:
        raise Refusal(f"{error}.") from error
    print(f"Device       {chosen.name}, {torch.get_num_threads()} threads")
    print(f"Precision    {chosen.precision}{_why(chosen.name, chosen.precision)}")
    print(f"CUDA         {'used' if chosen.name == 'cuda' else f'not used: {chosen.reason}'}")


def _why(device: str, precision: str) -> str:
    from engine.networks.device import PRECISION, PRECISIONS, multiplies_bfloat16

    if asked := os.environ.get(PRECISION):
        return f" ({PRECISION} is {asked})"
    slow = precision == "float32" and device == "cpu" and not multiplies_bfloat16()
    why = "this processor does not multiply bfloat16; " if slow else ""
    return f" ({why}{PRECISION} may be {' or '.join(PRECISIONS)})"


def _described(spec: ModelSpec) -> dict[str, Any]:
    from engine.networks.table import parameter_count

    figures = {
        key: value
        for key, value in spec.training.items()
        # A file of somebody else's may hold anything here.
        if key.endswith(FIGURES) and isinstance(value, float | int) and math.isfinite(value)
    }
    return {
        "architecture": spec.architecture,
        "parameters": parameter_count(spec),
        "size": spec.size,
        "predicts": spec.predicts,
        "figures": figures,
    }


def _row(model: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
        for key, value in model["figures"].items()
    )
    row = (
        f"  {model['name']:26} {model['architecture']:10} {model['parameters']:>9,} parameters  "
        f"size {model['size']:<4} {figures}"
    )
    # A file of somebody else's says what is in it.
    return show(row.rstrip())
