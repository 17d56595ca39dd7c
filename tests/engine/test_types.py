"""Law: a value is checked at birth, and what a caller gave stays the caller's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.networks.automaton.config import AutomatonConfig
from engine.types import Image, ModelSpec, SampleSettings, TrainSettings

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (SampleSettings, "members", 2.5),
        (SampleSettings, "members", True),
        (SampleSettings, "seed", "x"),
        (SampleSettings, "seed", None),
        (SampleSettings, "sampler", ["ddim"]),
        (TrainSettings, "learning_rate", NAN),
        (TrainSettings, "weight_decay", INFINITE),
        (TrainSettings, "learning_rate", "fast"),
        (TrainSettings, "augment", 1),
        (TrainSettings, "steps", 40.0),
    ],
)
def test_a_setting_of_the_wrong_kind_is_named(
    make: Callable[..., Any], name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=name):
        make(**{name: value})


def test_a_whole_number_is_a_number() -> None:
    assert TrainSettings(learning_rate=1).learning_rate == 1
    assert ModelSpec("x", "basic", AutomatonConfig(), mask_scale=1).mask_scale == 1


@pytest.mark.parametrize("name", ["fire_probability", "mask_scale"])
def test_what_must_be_more_than_nothing_is_not_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ModelSpec("x", "basic", AutomatonConfig()).changed(**{name: 0.0})


def test_an_image_is_read_only_and_the_callers_array_is_not() -> None:
    pixels_hwc = np.zeros((4, 6, 3), np.uint8)
    image = Image(pixels_hwc)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels_hwc[0, 0, 0] = 1
    assert np.shares_memory(image.pixels_hwc, pixels_hwc)
    pixels_hwc[0, 0, 0] = 1
