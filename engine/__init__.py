"""Images in, masks with their uncertainty out; each public name is loaded at its first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "checkpoint": ("load", "read_spec", "save"),
    "dataset": ("export_dataset", "read_dataset"),
    "ensemble": ("replay", "segment"),
    "errors": ("EngineError",),
    "evaluation": ("evaluate",),
    "images": ("list_images", "read_image"),
    "library": ("find", "installed"),
    "masks": ("read_mask", "write_mask"),
    "results": ("write_result",),
    "study": ("Study", "study_dataset"),
    "training": ("finetune", "train"),
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


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import; who only reads a mask should not wait for it.
    if name not in _MODULES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(f"engine.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
