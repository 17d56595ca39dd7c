"""nca-seg doctor: says which versions, device and folders the program uses here."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

import typer

from engine.cli.exit_codes import NOTHING_DONE
from engine.cli.messages import Refusal, say, show
from engine.cli.options import command


def version(package: str = "nca-seg") -> str:
    """A package's version as installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


CUDA_USED = "used; float32 is computed without TF32"


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
    print(f"CUDA         {CUDA_USED if chosen.name == 'cuda' else f'not used: {chosen.reason}'}")


def _why(device: str, precision: str) -> str:
    from engine.networks.device import PRECISION, PRECISIONS, multiplies_bfloat16

    if asked := os.environ.get(PRECISION):
        return f" ({PRECISION} is {asked})"
    slow = precision == "float32" and device == "cpu" and not multiplies_bfloat16()
    why = "this processor does not multiply bfloat16; " if slow else ""
    return f" ({why}{PRECISION} may be {' or '.join(PRECISIONS)})"
