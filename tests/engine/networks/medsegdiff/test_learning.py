"""The family learns: eight images are over-fitted by narrower forms of the small presets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.diffusion.ensemble import segment
from engine.diffusion.model import load
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from engine.metrics import dice
from engine.networks.table import preset
from engine.training.loop import train
from engine.types import SampleSettings, TrainSettings
from tests.samples import drawn_dataset

#: What makes the presets narrow, and the steps they need.
NARROW: dict[str, tuple[dict[str, Any], int]] = {
    "MedSegDiff-V2-small": ({"condition_multipliers": (1, 2, 4), "tokens": 32, "depth": 1}, 20),
    "MedSegDiff-small": ({"spectrum": 64}, 40),
}
SETTINGS = TrainSettings(
    batch_size=8,
    size=32,
    learning_rate=5e-3,
    warm_up=2,
    ema=0.9,
    validate_every=1000,
    validation_images=1,
    augment=False,
)
#: The images are trained on as they are: mirrored ones would be new.
AS_TRAINED = SampleSettings(members=2, views="plain")


# On a busy machine it takes longer than other tests may.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", NARROW)
def test_eight_images_are_over_fitted(tmp_path: Path, name: str) -> None:
    dataset = drawn_dataset(tmp_path)
    learned = tuple(replace(sample, split="train") for sample in dataset.samples)
    judged = replace(learned[0], split="val")
    narrow, steps = NARROW[name]
    sizes = {"base": 12, "multipliers": (1, 2, 4), "condition_base": 8, **narrow}
    *_, last = train(
        preset(name).changed(**sizes),
        replace(dataset, samples=(*learned, judged)),
        replace(SETTINGS, steps=steps),
        tmp_path / "run",
        device="cpu",
        precision="float32",
    )
    assert last.best_path is not None
    model = load(last.best_path, "cpu", "float32")
    scores = []
    for sample in learned:
        *_, result = segment(model, read_image(sample.image_path), AS_TRAINED)
        scores.append(dice(result.mask(), read_mask(sample.mask_path, result.mask().shape)))
    assert np.mean(scores) > 0.95
