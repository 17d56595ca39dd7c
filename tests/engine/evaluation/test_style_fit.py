"""Law: the style and width of a person's masks are found, where there are some."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import StyleNotKnown
from engine.evaluation.style_fit import fit_style
from engine.metrics import dice
from engine.types import Image, Origin, Sample, SampleSettings, StyleChoice, StyleFit
from tests.oracles import RADII, OracleModel, StyledModel, disk, lesion


def pairs(radius: float, count: int = 4) -> list[tuple[Image, np.ndarray]]:
    """Images with a person's mask, which is a disk."""
    mask_hw = disk(64, radius)
    return [(lesion(mask_hw, seed), mask_hw) for seed in range(count)]


def fitted(radius: float, count: int = 4) -> StyleFit:
    *_, last = fit_style(StyledModel(), pairs(radius, count))
    assert last.fit is not None
    return last.fit


@pytest.mark.parametrize("tool", ["T1", "T3"])
def test_the_tool_of_the_masks_is_found(tool: str) -> None:
    fit = fitted(RADII[tool])
    assert (fit.choice, fit.images) == (StyleChoice(tool), 4)
    assert fit.likelihood > fit.likelihood_before
    assert fit.dice == fit.dice_left_out > fit.dice_before


@pytest.mark.parametrize(("tool", "width"), [("T1", 0.75), ("T3", -0.5)])
def test_the_width_of_the_masks_is_found(tool: str, width: float) -> None:
    fit = fitted(RADII[tool] * (1 + 0.15 * width))
    assert fit.choice.style == tool
    assert fit.choice.width == pytest.approx(width, abs=0.26)
    assert fit.dice > 0.95
    # As the choice draws it.
    drawn = disk(32, RADII[tool] * (1 + 0.15 * fit.choice.width)).repeat(2, 0).repeat(2, 1)
    truth = pairs(RADII[tool] * (1 + 0.15 * width))[0][1]
    assert fit.dice == pytest.approx(dice(drawn, truth), abs=0.03)


def test_from_few_masks_nothing_is_chosen() -> None:
    model = StyledModel()
    *_, last = fit_style(model, pairs(RADII["T3"], 2))
    assert last.fit is not None
    assert last.fit.choice == StyleChoice()
    assert last.fit.dice == last.fit.dice_before == last.fit.dice_left_out
    assert (last.done, last.total) == (2, 2)


def test_what_makes_no_difference_is_left_as_it_was() -> None:
    truth_hw = disk(32)
    model = OracleModel(truth_hw, steerable=True, styles={"T1": 0.5, "T2": 0.5})
    masks = [(lesion(disk(64), seed), disk(64)) for seed in range(3)]
    *_, last = fit_style(model, masks)
    assert last.fit is not None
    assert last.fit.choice == StyleChoice()


def test_every_ensemble_is_an_event_and_none_is_drawn_twice() -> None:
    model, masks = StyledModel(), pairs(RADII["T1"], 3)
    settings = SampleSettings(members=2, steps=1, batch_size=2)
    events = list(fit_style(model, masks, settings))
    assert model.asked == events[-1].done == events[-1].total == 11 * 3
    assert [event.done for event in events[:-1]] == list(range(1, 34))
    assert all(event.fit is None for event in events[:-1])


def test_a_mask_that_disagrees_shows_in_the_dice_to_expect() -> None:
    """Of three people's masks no two are alike: each is judged by what the others choose."""
    masks = [pairs(RADII[tool], 1)[0] for tool in ("T1", "T1", "T3")]
    *_, last = fit_style(StyledModel(), masks)
    assert last.fit is not None
    assert last.fit.dice_left_out < last.fit.dice


def test_a_model_without_styles_and_no_masks_are_refused() -> None:
    with pytest.raises(StyleNotKnown):
        next(fit_style(OracleModel(disk(16)), pairs(0.3)))
    with pytest.raises(ValueError, match="no masks"):
        next(fit_style(StyledModel(), []))


def test_only_masks_that_a_person_made_show_a_style() -> None:
    accepted = Origin("lesion", "abc", SampleSettings(), 0.5, 0)
    sample = Sample("a", Path("a.png"), Path("a_mask.png"), "train")
    assert sample.is_by_a_person
    assert replace(sample, origin=Origin(pixels_changed=90)).is_by_a_person
    assert replace(sample, origin=replace(accepted, pixels_changed=1)).is_by_a_person
    assert not replace(sample, origin=accepted).is_by_a_person


def test_a_fit_can_be_written_as_json() -> None:
    assert asdict(fitted(RADII["T1"]))["choice"] == {"style": "T1", "width": 0.0}


def test_a_fit_is_nearer_where_its_printed_dice_is_more() -> None:
    fit = fitted(RADII["T1"])
    assert fit.is_nearer
    assert not replace(fit, dice_before=0.9, dice_left_out=0.9004).is_nearer
    assert not replace(fit, dice_before=0.9, dice_left_out=0.89).is_nearer
