"""Small samples to export, and what of an export can be seen from outside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.masks.files import write_mask
from engine.study.export import ExportStep, export_dataset
from engine.types import Origin, Sample, SampleSettings
from tests.engine.commands import picture
from tests.oracles import disk

ORIGIN = Origin("lesion", "abc123", SampleSettings(seed=7, steps=5), 0.4, 12)


def make_samples(root: Path, ids: Iterable[str]) -> list[Sample]:
    """A sample of 24×24 pixels for each id, no two of one grey, with masks of 0 and 255."""
    samples = []
    for number, name in enumerate(ids):
        image = picture(root / "images" / f"{name}.png", (24, 24), 60 + number)
        mask = root / "masks" / f"{name}_segmentation.png"
        mask.parent.mkdir(exist_ok=True)
        write_mask(mask, disk(24, 0.2 + number / 500))
        samples.append(Sample(name, image, mask, "train", ORIGIN))
    return samples


def export(samples: Iterable[Sample], destination: Path, **options: bool) -> ExportStep:
    """The last step of an export."""
    *_, last = export_dataset(samples, destination, **options)
    return last


def left_out(step: ExportStep) -> dict[str, str]:
    """The reasons of what was left out, by the name of its file."""
    return {error.path.name: error.reason for error in step.left_out}


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def stored(path: Path) -> set[int]:
    """The values in a grey picture's file."""
    from PIL import Image as PillowImage

    with PillowImage.open(path) as picture_:
        return set(np.unique(np.asarray(picture_)).tolist())
