"""Law: doubt that knows the error scores best, doubt that knows nothing scores as chance does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.evaluation.reliability import (
    Calibration,
    apply_temperature,
    aurc,
    auroc,
    excess_aurc,
    fit_temperature,
    logit,
    reliability_bins,
    risk_coverage,
    spearman,
)

Float = NDArray[np.float32]
seeds = st.integers(0, 2**32 - 1)
law = settings(max_examples=40, deadline=None)
# Few different values, so that ties are the rule.
rows = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=30).map(
    lambda pairs: np.array(pairs, dtype=np.float64).T
)


# Ranking


@given(rows)
@law
def test_rank_correlation_is_scipys(pair: NDArray[np.float64]) -> None:
    from scipy.stats import spearmanr

    a, b = pair
    if a.min() == a.max() or b.min() == b.max():
        assert math.isnan(spearman(a, b))
        return
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert spearman(a, b) == pytest.approx(spearman(b, a))
    assert spearman(a, -b) == pytest.approx(-spearman(a, b))
    assert spearman(a, a**3) == 1


@given(rows)
@law
def test_auroc_is_the_share_of_pairs_in_the_right_order(pair: NDArray[np.float64]) -> None:
    scores, failed = pair[0], pair[1] > 0
    pairs = [
        0.5 * (bad == good) + (bad > good) for bad in scores[failed] for good in scores[~failed]
    ]
    if not pairs:
        assert math.isnan(auroc(scores, failed))
        return
    assert auroc(scores, failed) == pytest.approx(np.mean(pairs))
    assert auroc(-scores, failed) == pytest.approx(1 - np.mean(pairs))


def test_a_score_that_knows_finds_every_failure() -> None:
    assert auroc([0.1, 0.2, 0.8, 0.9], [False, False, True, True]) == 1
    assert auroc([1, 1, 1], [True, False, True]) == 0.5


def test_rows_that_cannot_be_ranked_are_refused() -> None:
    for score in (spearman, risk_coverage, aurc, excess_aurc):
        for a, b in (([], []), ([1.0], [1.0, 2.0]), ([1.0, math.nan], [1.0, 2.0])):
            with pytest.raises(ValueError, match=r"one length|finite"):
                score(a, b)
    with pytest.raises(ValueError, match="bool"):
        auroc([1.0, 2.0], [0, 1])  # type: ignore[list-item]


# Keeping the surest


def test_risk_falls_as_the_unsure_are_left_out() -> None:
    coverage, risk = risk_coverage([0.3, 0.1, 0.2, 0.4], [0.6, 0.0, 0.2, 0.8])
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0.0, 0.1, 0.8 / 3, 0.4])
    assert aurc([0.3, 0.1, 0.2, 0.4], [0.6, 0.0, 0.2, 0.8]) == pytest.approx(risk.mean())


@given(rows, seeds)
@law
def test_the_order_of_images_does_not_matter_and_none_is_better_than_the_error_itself(
    pair: NDArray[np.float64], seed: int
) -> None:
    uncertainty, risk = pair[0], np.abs(pair[1])
    coverage, kept = risk_coverage(uncertainty, risk)
    assert coverage[-1] == 1
    assert kept[-1] == pytest.approx(risk.mean())
    order = np.random.default_rng(seed).permutation(risk.size)
    np.testing.assert_allclose(risk_coverage(uncertainty[order], risk[order])[1], kept)
    assert aurc(risk, risk) - 1e-12 <= aurc(uncertainty, risk) <= aurc(-risk, risk) + 1e-12
    assert aurc(np.zeros_like(risk), risk) == pytest.approx(risk.mean())


def test_what_is_above_the_best_order_is_nothing_for_the_best_order_alone() -> None:
    risk = np.array([0.1, 0.4, 0.2, 0.3])
    # Any numbers that rank the images as their risks do.
    assert excess_aurc(10 * risk**3, risk) == 0.0
    assert excess_aurc([0.0, 0.0], [0.3, 0.3]) == 0.0
    # Two images the wrong way round: the means 0.6, 0.3 instead of 0, 0.3.
    assert excess_aurc([1.0, 0.0], [0.0, 0.6]) == pytest.approx(0.3)
    generator = np.random.default_rng(4)
    uncertainty, risk = generator.random((2, 50))
    found = excess_aurc(uncertainty, risk)
    assert found == pytest.approx(aurc(uncertainty, risk) - aurc(risk, risk))
    assert 0 < found < excess_aurc(-risk, risk)


def test_ties_are_worth_what_chance_makes_of_them() -> None:
    generator = np.random.default_rng(0)
    uncertainty, risk = generator.integers(0, 4, size=40), generator.random(40)
    broken = [aurc(uncertainty + generator.random(40) / 2, risk) for _ in range(2000)]
    assert aurc(uncertainty, risk) == pytest.approx(np.mean(broken), abs=0.002)


# Calibration


def drawn(seed: int, cells: int = 4000) -> tuple[Float, NDArray[np.bool_]]:
    """Probabilities, and truths that come true as often as they say."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(0.4, 0.6, size=cells).astype(np.float32)
    return probability, generator.random(cells) < probability


def ece(probabilities: NDArray[Any], truths: NDArray[Any], bins: int = 15) -> float:
    return reliability_bins(probabilities, truths, bins).ece


@given(seeds, st.integers(1, 20))
@law
def test_calibration_error_is_what_its_definition_says(seed: int, bins: int) -> None:
    probability, truth = drawn(seed, cells=300)
    probability[:3] = 0.0, 1.0, 0.5
    bin_of = np.minimum(np.floor(probability.astype(np.float64) * bins), bins - 1)
    expected = 0.0
    for number in np.unique(bin_of):
        here = bin_of == number
        gap = abs(truth[here].mean() - probability[here].mean(dtype=np.float64))
        expected += here.mean() * gap
    assert ece(probability, truth, bins) == pytest.approx(expected, abs=1e-9)
    assert 0 <= ece(probability, truth, bins) <= 1


@given(seeds, st.integers(1, 299))
@law
def test_images_added_up_are_one_image(seed: int, cut: int) -> None:
    probability, truth = drawn(seed, cells=300)
    parts = [(probability[:cut], truth[:cut]), (probability[cut:], truth[cut:])]
    total = sum((reliability_bins(p, t) for p, t in parts), start=Calibration.none())
    whole = reliability_bins(probability.reshape(10, 30), truth.reshape(10, 30))
    assert total.cells.tolist() == whole.cells.tolist()
    np.testing.assert_allclose(total.predicted, whole.predicted)
    np.testing.assert_allclose(total.lesion, whole.lesion)
    assert total.ece == pytest.approx(whole.ece)


def test_honest_probabilities_are_calibrated_and_others_are_not() -> None:
    probability, truth = drawn(0, cells=200_000)
    assert ece(probability, truth) < 0.01
    assert ece(apply_temperature(probability, 0.3), truth) > 0.05
    assert ece(truth, truth) == 0
    assert ece(~truth, truth) == 1


def test_a_bin_without_cells_has_no_share_and_costs_nothing() -> None:
    found = reliability_bins(np.array([0.1, 0.9, 1.0]), np.array([0.25, 1.0, 0.5]), bins=4)
    assert found.cells.tolist() == [1, 0, 0, 2]
    np.testing.assert_allclose(found.predicted, [0.1, np.nan, np.nan, 0.95])
    np.testing.assert_allclose(found.lesion, [0.25, np.nan, np.nan, 0.75])
    assert found.ece == pytest.approx((0.15 + 0.4) / 3)
    assert math.isnan(Calibration.none().ece)
    with pytest.raises(ValueError, match="read-only"):
        found.cells[0] = 7


def test_what_cannot_be_calibrated_is_refused() -> None:
    half = np.full(3, 0.5)
    for probability, truth in ((half, half[:2]), (half * 3, half), (half, half * math.nan)):
        with pytest.raises(ValueError, match=r"truths|\[0, 1\]"):
            reliability_bins(probability, truth)
    with pytest.raises(ValueError, match="below 1"):
        reliability_bins(half, half, bins=0)
    with pytest.raises(ValueError, match="cannot be added"):
        Calibration.none(3) + Calibration.none(4)
    with pytest.raises(ValueError, match="shape"):
        Calibration(np.zeros(3, dtype=np.int64), np.zeros(3), np.zeros(2))


# Temperature


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(temperature: float) -> None:
    probability, truth = drawn(1, cells=100_000)
    logits = logit(probability) * temperature
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)
    # Fewer cells tell less, yet the same; the draw is repeatable.
    few = fit_temperature(logits, truth, cells=20_000)
    assert few == pytest.approx(temperature, rel=0.1)
    assert few == fit_temperature(logits.reshape(4, -1), truth.reshape(4, -1), cells=20_000)


def test_fitting_lowers_the_calibration_error() -> None:
    probability, truth = drawn(2, cells=50_000)
    sure = apply_temperature(probability, 0.4)
    cooled = apply_temperature(sure, fit_temperature(logit(sure), truth))
    assert ece(cooled, truth) < ece(sure, truth) / 3


def test_shares_of_lesion_are_truths_too() -> None:
    probability, _ = drawn(3)
    inside = np.clip(probability, 0.01, 0.99)
    assert fit_temperature(3 * logit(inside), inside) == pytest.approx(3, rel=1e-3)


@given(st.floats(0, 1), st.floats(0.05, 20))
@law
def test_temperature_moves_no_probability_across_a_half(value: float, temperature: float) -> None:
    probability = np.array([value, 0.0, 0.5, 1.0], dtype=np.float32)
    found = apply_temperature(probability, temperature)
    assert found.dtype == np.float32
    assert found[1:].tolist() == [0, 0.5, 1]
    assert 0 <= found[0] <= 1
    assert (found[0] - 0.5) * (probability[0] - 0.5) >= 0
    np.testing.assert_allclose(apply_temperature(probability, 1.0), probability, atol=1e-7)
    if 1e-6 < value < 1 - 1e-6:
        expected = 1 / (1 + np.exp(-logit(probability[:1]) / temperature))
        np.testing.assert_allclose(found[:1], expected, atol=1e-6)


def test_what_has_no_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match="not above 0"):
        apply_temperature(np.array([0.3]), 0.0)
    for logits, truths in ((np.zeros(3), np.zeros(2)), (np.zeros(0), np.zeros(0))):
        with pytest.raises(ValueError, match="truths"):
            fit_temperature(logits, truths)
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.array([math.inf]), np.array([1.0]))


def test_torch_is_not_needed() -> None:
    import subprocess
    import sys

    modules = "engine.evaluation.reliability, engine.evaluation.uncertainty"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
