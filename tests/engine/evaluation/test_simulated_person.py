"""Laws of the simulated person: where they paint, on which side, and when they stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.evaluation.simulated_person import (
    ARMS,
    ENOUGH,
    LONGEST,
    RADIUS,
    THICKEST,
    Corrected,
    Correction,
    Simulation,
    correct,
    simulate,
    stroke,
)
from engine.types import SampleSettings
from tests.oracles import OracleModel, StyledModel, disk, lesion, lively_model
from tests.samples import drawn_dataset

SIDE = 128
SETTINGS = SampleSettings(members=2, steps=2)


def nothing(side: int = SIDE) -> NDArray[np.bool_]:
    return np.zeros((side, side), bool)


def unpainted(side: int = SIDE) -> NDArray[np.int8]:
    return np.zeros((side, side), np.int8)


def painted(mask_hw: NDArray[np.bool_], truth_hw: NDArray[np.bool_]) -> NDArray[np.int8]:
    drawn_hw = stroke(mask_hw, truth_hw, unpainted(len(mask_hw)))
    assert drawn_hw is not None
    return drawn_hw


def test_missing_lesion_is_painted_and_too_much_is_taken_away() -> None:
    assert set(np.unique(painted(nothing(), disk(SIDE)))) == {0, 1}
    assert set(np.unique(painted(disk(SIDE), nothing()))) == {-1, 0}


def test_the_deepest_wrong_region_is_chosen_not_the_largest() -> None:
    truth_hw = nothing()
    truth_hw[4:8, 4:120] = True
    truth_hw[60:80, 60:80] = True
    drawn_hw = painted(nothing(), truth_hw)
    rows, columns = np.nonzero(drawn_hw)
    assert bool(truth_hw[60:80, 60:80].any())
    assert rows.min() >= 60
    assert columns.min() >= 60


def test_a_disc_is_painted_into_a_disc_at_its_middle() -> None:
    truth_hw = disk(SIDE, 0.06)
    rows, columns = np.nonzero(painted(nothing(), truth_hw))
    assert abs(rows.mean() - SIDE / 2) < 2
    assert abs(columns.mean() - SIDE / 2) < 2
    radius_px = RADIUS * 0.06 * SIDE
    # Where the medial axis is one point, the stroke is a click.
    assert len(rows) < 2.5 * np.pi * radius_px**2


def test_a_stroke_follows_a_long_region_and_is_no_longer_than_allowed() -> None:
    truth_hw = nothing()
    truth_hw[60:68, 8:120] = True
    rows, columns = np.nonzero(painted(nothing(), truth_hw))
    long = columns.max() - columns.min()
    assert long > 4 * (rows.max() - rows.min())
    assert 0.8 * LONGEST * SIDE < long <= (LONGEST + 2 * THICKEST) * SIDE + 2


def test_a_stroke_stays_on_its_side_of_the_experts_outline() -> None:
    draws = np.random.default_rng(0)
    for _ in range(10):
        places = draws.uniform(0.3, 0.7, 4)
        truth_hw = disk(SIDE, 0.2, *places[:2])
        drawn_hw = painted(disk(SIDE, 0.25, *places[2:]), truth_hw)
        assert bool(truth_hw[drawn_hw > 0].all())
        assert not bool(truth_hw[drawn_hw < 0].any())


def test_what_was_painted_is_not_painted_again_and_nothing_wrong_is_nothing_to_do() -> None:
    truth_hw, hint_hw = disk(SIDE, 0.2), unpainted()
    first_hw = stroke(nothing(), truth_hw, hint_hw)
    assert first_hw is not None
    second_hw = stroke(nothing(), truth_hw, first_hw)
    assert second_hw is not None
    # A brush may touch what is painted; the middle of the stroke does not.
    assert (second_hw != 0).sum() > ((second_hw != 0) & (first_hw != 0)).sum()
    assert stroke(truth_hw, truth_hw, hint_hw) is None
    assert stroke(nothing(), truth_hw, truth_hw.astype(np.int8)) is None


def test_the_same_outline_is_corrected_alike() -> None:
    one, other = (painted(disk(SIDE, 0.3, 0.4), disk(SIDE)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("arm", ["paint", "held", "both"])
def test_a_person_stops_when_it_is_good_enough_or_all_strokes_are_painted(arm: str) -> None:
    truth_hw, image = disk(32, 0.35), lesion(disk(32, 0.35))
    good = correct(OracleModel(truth_hw), image, truth_hw, SETTINGS, ARMS[arm], truth_hw, 3)
    assert good.dice == (1.0,)
    assert good.whole_s == ()
    wrong_hw = disk(32, 0.1, 0.2, 0.2)
    bad = correct(OracleModel(wrong_hw), image, truth_hw, SETTINGS, ARMS[arm], wrong_hw, 3)
    assert len(bad.dice) == 4 or bad.dice[-1] >= ENOUGH
    assert len(bad.first_s) == len(bad.whole_s) == len(bad.dice) - 1
    assert all(first <= whole for first, whole in zip(bad.first_s, bad.whole_s, strict=True))
    # The oracle hears nothing, so that each stroke brings the pixels that are painted.
    assert list(bad.dice) == sorted(bad.dice)
    assert bad.dice[-1] > bad.dice[0]


def test_figures_are_those_of_the_corrections() -> None:
    def one(name: str, *dice: float) -> Corrected:
        seconds = (0.5,) * (len(dice) - 1)
        return Corrected(name, {"paint": Correction(dice, seconds, seconds)})

    simulation = Simulation(
        2, 2, 3, (one("a", 0.8, 0.88, 0.92), one("b", 0.6, 0.7, 0.7, 0.7), one("c", 0.96))
    )
    whole = simulation.scores()["paint"]
    assert whole.images == 3
    assert whole.dice == pytest.approx(
        (np.mean([0.8, 0.6, 0.96]), np.mean([0.88, 0.7, 0.96]), *[np.mean([0.92, 0.7, 0.96])] * 2)
    )
    bad = simulation.scores(only_bad=True)["paint"]
    assert bad.images == 2
    assert bad.removed[0] == pytest.approx(1 - 0.21 / 0.3)
    assert bad.strokes["0.90"] == pytest.approx((2 + 3) / 2)
    assert bad.reached == {"0.90": 0.5, "0.95": 0.0}
    assert bad.whole_s == 0.5


def test_a_model_that_cannot_be_steered_has_no_arms_that_hear(tmp_path: Path) -> None:
    samples = drawn_dataset(tmp_path).split("val")[:1]
    *_, plain = simulate(lively_model(), samples, SETTINGS, 1)
    assert set(plain.corrected[0].arms) == {"paint", "held"}
    assert plain.corrected[0].choice is None
    *_, styled = simulate(StyledModel(), samples, SETTINGS, 1)
    assert set(styled.corrected[0].arms) == set(ARMS)
    arms = styled.corrected[0].arms
    assert arms["style"].dice[0] >= arms["paint"].dice[0] - 0.02
    assert arms["both"].dice[0] == arms["paint"].dice[0]


def test_a_sample_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    samples = drawn_dataset(tmp_path).split("val")
    gone = replace(samples[0], image_path=tmp_path / "gone.png")
    *_, last = simulate(lively_model(), [gone, samples[1]], SETTINGS, 1)
    assert (last.done, len(last.corrected), len(last.left_out)) == (2, 1, 1)
