"""Folders of small images to annotate, and a mask to save for them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from engine.study.study import Mask, Study
from engine.types import Origin, SampleSettings

PROJECT = Path(__file__).parents[2]
SHAPE = (12, 16)
ORIGIN = Origin("lesion", "abc123", SampleSettings(seed=7, steps=5), 0.4, 12)


def make_mask(left: int = 3, right: int = 9) -> Mask:
    mask_hw = np.zeros(SHAPE, dtype=bool)
    mask_hw[4:8, left:right] = True
    return mask_hw


def make_images(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        PillowImage.new("RGB", (SHAPE[1], SHAPE[0]), (200, 150, number)).save(folder / name)
    return folder


def statuses(study: Study) -> dict[str, str]:
    return {image.path.name: image.status for image in study.images()}


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
