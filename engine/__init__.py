"""Outlines skin lesions in images by neural networks, and measures how sure the outlines are.

Each public name is imported at its first use, so that importing the package loads no torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# torch's threads wait for each other at the end of each operation, and spin meanwhile by default.
# If another program uses a core, that made everything 5 to 40 times slower. OpenMP reads this
# variable once, when torch is loaded; a value that is set already is kept.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

if TYPE_CHECKING:
    from engine.diffusion.ensemble import replay, segment
    from engine.diffusion.model import load, save
    from engine.errors import EngineError
    from engine.evaluation.scoring import evaluate
    from engine.images.listing import list_images
    from engine.images.reading import read_image
    from engine.masks.files import write_mask
    from engine.masks.reading import read_mask
    from engine.networks.checkpoint import read_spec
    from engine.networks.library import find, installed
    from engine.study.dataset import read_dataset
    from engine.study.export import export_dataset
    from engine.study.results import write_result
    from engine.study.study import Study, study_dataset
    from engine.training.loop import finetune, train
    from engine.types import (
        Dataset,
        EnsembleResult,
        Image,
        ModelSpec,
        Sample,
        SampleSettings,
        TrainSettings,
        TrainStep,
    )

__all__ = [
    "Dataset",
    "EngineError",
    "EnsembleResult",
    "Image",
    "ModelSpec",
    "Sample",
    "SampleSettings",
    "Study",
    "TrainSettings",
    "TrainStep",
    "evaluate",
    "export_dataset",
    "find",
    "finetune",
    "installed",
    "list_images",
    "load",
    "read_dataset",
    "read_image",
    "read_mask",
    "read_spec",
    "replay",
    "save",
    "segment",
    "study_dataset",
    "train",
    "write_mask",
    "write_result",
]

#: The module of each public name at run time; a test compares it with the imports above.
_NAMES = {
    "diffusion.model": ("load", "save"),
    "networks.checkpoint": ("read_spec",),
    "study.dataset": ("read_dataset",),
    "diffusion.ensemble": ("replay", "segment"),
    "errors": ("EngineError",),
    "evaluation.scoring": ("evaluate",),
    "study.export": ("export_dataset",),
    "images.listing": ("list_images",),
    "images.reading": ("read_image",),
    "networks.library": ("find", "installed"),
    "masks.files": ("write_mask",),
    "masks.reading": ("read_mask",),
    "study.results": ("write_result",),
    "study.study": ("Study", "study_dataset"),
    "training.loop": ("finetune", "train"),
    "types": (
        "Dataset",
        "EnsembleResult",
        "Image",
        "ModelSpec",
        "Sample",
        "SampleSettings",
        "TrainSettings",
        "TrainStep",
    ),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

# Hidden from type checkers, which would otherwise take every misspelt name for Any.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Importing torch takes seconds, which somebody who only reads a mask should not wait for.
        if name not in _MODULES:
            raise AttributeError(f"module 'engine' has no attribute {name!r}")
        return getattr(import_module(f"engine.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
