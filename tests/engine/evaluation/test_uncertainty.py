"""Law: members that agree are sure, and the less they agree, the less sure they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.evaluation.uncertainty import UNCERTAINTIES, entropy_score, variance_score
from engine.metrics import disagreement

Float = NDArray[np.float32]
seeds = st.integers(0, 2**32 - 1)
law = settings(max_examples=40, deadline=None)


def ensemble(seed: int, count: int, spread: float = 0.3) -> Float:
    generator = np.random.default_rng(seed)
    base_hw = generator.random((16, 20))
    noisy_nhw = base_hw + spread * generator.normal(size=(count, 16, 20))
    return np.clip(noisy_nhw, 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", UNCERTAINTIES)
@given(seeds, st.integers(1, 6))
@law
def test_uncertainty_is_finite_and_does_not_know_the_members_order(
    name: str, seed: int, count: int
) -> None:
    members_nhw = ensemble(seed, count)
    found = UNCERTAINTIES[name](members_nhw)
    assert math.isfinite(found)
    assert found >= 0
    assert UNCERTAINTIES[name](members_nhw[::-1]) == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("name", UNCERTAINTIES)
def test_members_that_agree_are_sure_and_others_less_the_more_they_differ(name: str) -> None:
    score = UNCERTAINTIES[name]
    mask_hw = np.zeros((16, 20), np.float32)
    for same_hw in (mask_hw, mask_hw + 1, np.pad(np.ones((6, 6), np.float32), ((5, 5), (7, 7)))):
        assert score(np.repeat(same_hw[None], 4, axis=0)) == 0
    apart = []
    for shift in range(4):
        members_nhw = np.zeros((2, 16, 20), np.float32)
        members_nhw[0, 4:12, 4:12] = 1
        members_nhw[1, 4:12, 4 + shift : 12 + shift] = 1
        apart.append(score(members_nhw))
    assert apart == sorted(apart)
    assert apart[0] == 0 < apart[1]


def test_doubt_is_counted_per_cell_of_the_mask() -> None:
    members_nhw = np.zeros((2, 10, 10), np.float32)
    members_nhw[:, :4] = 1.0
    members_nhw[0, 5] = 0.8
    # Ten cells of 0.8 and 0: variance 0.16 and mean 0.4 each; the mask has forty.
    entropy = -0.4 * math.log(0.4) - 0.6 * math.log(0.6)
    assert variance_score(members_nhw) == pytest.approx(10 * 0.16 / 40, rel=1e-6)
    assert entropy_score(members_nhw) == pytest.approx(10 * entropy / 40, rel=1e-6)
    members_nhw[:, :4] = 0.0
    assert variance_score(members_nhw) == pytest.approx(10 * 0.16, rel=1e-6)
    assert entropy_score(members_nhw) == pytest.approx(10 * entropy, rel=1e-6)


def test_disagreement_is_one_less_the_mean_dice_of_all_pairs() -> None:
    members_nhw = np.zeros((3, 4, 4), np.float32)
    members_nhw[0, :2] = 1.0
    members_nhw[1, :2] = 0.7
    members_nhw[2, 1:3] = 0.5
    # Dice of the pairs: 1, 1/2 and 1/2.
    assert disagreement(members_nhw) == pytest.approx(1 / 3, abs=1e-6)


def test_what_are_no_members_has_no_uncertainty() -> None:
    members_nhw = ensemble(0, 2)
    for score in UNCERTAINTIES.values():
        for wrong in (members_nhw[0], members_nhw[:0]):
            with pytest.raises(ValueError, match="members"):
                score(wrong)
