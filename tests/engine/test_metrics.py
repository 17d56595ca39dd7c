"""Law: scores are symmetric, in their range, what other tools say, and defined for empty masks."""

from __future__ import annotations

import math
import sys
import time
import zipfile
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from engine.metrics import (
    ci,
    dice,
    expected_error,
    ged,
    hd95_px,
    hd95_share,
    interval,
    iou,
    pairwise_dice,
    sensitivity,
    specificity,
    threshold_jaccard,
)

Mask = NDArray[np.bool_]
seeds = st.integers(0, 2**32 - 1)
law = settings(max_examples=25, deadline=None)


def strip(first: int, count: int, length: int = 100) -> Mask:
    """A mask of one row in which `count` pixels from `first` on are lesion."""
    mask_hw = np.zeros((1, length), dtype=np.bool_)
    mask_hw[0, first : first + count] = True
    return mask_hw


pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60).map(
    lambda bits: np.array(bits, dtype=np.bool_).T[:, None, :]
)


def test_a_half_overlap_scores_as_counted_by_hand() -> None:
    mask_hw, truth_hw = strip(0, 20), strip(10, 20)
    assert dice(mask_hw, truth_hw) == pytest.approx(0.5)
    assert iou(mask_hw, truth_hw) == pytest.approx(1 / 3)


@given(pairs)
def test_scores_are_symmetric_bounded_and_related(pair: Mask) -> None:
    mask_hw, truth_hw = pair
    d, j = dice(mask_hw, truth_hw), iou(mask_hw, truth_hw)
    assert (d, j) == (dice(truth_hw, mask_hw), iou(truth_hw, mask_hw))
    assert 0 <= j <= d <= 1
    assert d == pytest.approx(2 * j / (1 + j))


def test_two_empty_masks_agree_and_one_empty_mask_fails() -> None:
    empty_hw, some_hw = strip(0, 0), strip(0, 5)
    for score in (dice, iou, threshold_jaccard):
        assert score(empty_hw, empty_hw) == 1.0
        assert score(empty_hw, some_hw) == 0.0
        assert score(some_hw, some_hw) == 1.0


@pytest.mark.parametrize(("shared", "expected"), [(64, 0.0), (65, 0.65), (80, 0.8)])
def test_the_threshold_is_met_at_65_hundredths(shared: int, expected: float) -> None:
    assert threshold_jaccard(strip(0, shared), strip(0, 100)) == pytest.approx(expected)


def test_masks_of_other_shapes_or_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        dice(strip(0, 1), strip(0, 1, length=99))
    with pytest.raises(ValueError, match="bool"):
        iou(strip(0, 1).astype(np.uint8), strip(0, 1))  # type: ignore[arg-type]


# Against other tools


def blobs(seed: int, count: int = 2, height: int = 40, width: int = 56) -> Mask:
    """Masks of ragged areas that often reach the edge, some of them in several parts."""
    generator = np.random.default_rng(seed)
    noise_nhw = generator.normal(size=(count, height, width))
    smooth_nhw = np.stack([gaussian_filter(noise_hw, 3) for noise_hw in noise_nhw])
    return smooth_nhw > generator.uniform(-0.1, 0.15)


def empty_or_full(height: int = 40, width: int = 56) -> list[Mask]:
    return [np.zeros((height, width), np.bool_), np.ones((height, width), np.bool_)]


def test_overlap_is_what_the_isic_challenge_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    # The package asks for it to unpack archives, and it needs a C compiler to install.
    monkeypatch.setitem(sys.modules, "zipfile_deflate64", zipfile)
    from isic_challenge_scoring import metrics as theirs
    from isic_challenge_scoring.confusion import create_binary_confusion_matrix

    expected = {
        dice: theirs.binary_dice,
        iou: theirs.binary_jaccard,
        threshold_jaccard: lambda matrix: theirs.binary_threshold_jaccard(matrix, threshold=0.65),
        sensitivity: theirs.binary_sensitivity,
        specificity: theirs.binary_specificity,
    }
    drawn = [tuple(blobs(seed)) for seed in range(100)]
    edge = [(strip(0, 65), strip(0, 100)), (strip(0, 64), strip(0, 100))]
    extreme = product([*empty_or_full(), blobs(0)[0]], repeat=2)
    for mask_hw, truth_hw in (*drawn, *edge, *extreme):
        matrix = create_binary_confusion_matrix(truth_hw, mask_hw)
        for score, other in expected.items():
            assert score(mask_hw, truth_hw) == pytest.approx(other(matrix), abs=1e-9), score


# MONAI's Hausdorff distance calls its own function with an argument that MONAI has deprecated.
@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
def test_scores_are_what_monai_scores() -> None:
    # Heavy libraries are imported where they are asked.
    import torch
    from monai.metrics import (
        compute_confusion_matrix_metric,
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
        get_confusion_matrix,
    )

    pairs = np.stack([blobs(seed) for seed in range(30)])
    assert pairs.any(axis=(2, 3)).all(), "MONAI has no number for empty masks"
    theirs_n, truths_n = (torch.from_numpy(pairs[:, None, k].astype(np.uint8)) for k in (0, 1))
    counted = get_confusion_matrix(theirs_n, truths_n)
    expected = {
        dice: compute_dice(theirs_n, truths_n),
        iou: compute_iou(theirs_n, truths_n),
        sensitivity: compute_confusion_matrix_metric("sensitivity", counted),
        specificity: compute_confusion_matrix_metric("specificity", counted),
        # Both directions, a percentile of each, the greater of both: its defaults but the first.
        hd95_px: compute_hausdorff_distance(
            theirs_n, truths_n, include_background=True, percentile=95
        ),
    }
    for score, values in expected.items():
        found = [score(mask_hw, truth_hw) for mask_hw, truth_hw in pairs]
        np.testing.assert_allclose(found, values.ravel().numpy(), rtol=1e-5, atol=1e-6)


# Outlines


@given(seeds)
@law
def test_outline_distance_is_symmetric_bounded_and_nothing_to_itself(seed: int) -> None:
    mask_hw, truth_hw = blobs(seed)
    assert hd95_px(mask_hw, truth_hw) == hd95_px(truth_hw, mask_hw)
    assert 0 <= hd95_share(mask_hw, truth_hw) <= 1
    assert hd95_px(mask_hw, mask_hw) == 0


@given(seeds, st.integers(0, 9), st.integers(0, 9))
@law
def test_outline_distance_does_not_know_where_in_the_image_it_is(
    seed: int, down: int, right: int
) -> None:
    pair = np.pad(blobs(seed), ((0, 0), (10, 10), (10, 10)))
    moved = np.roll(pair, (down, -right), axis=(1, 2))
    assert hd95_px(*moved) == pytest.approx(hd95_px(*pair), abs=1e-12)


def test_a_moved_square_is_as_far_as_counted_by_hand() -> None:
    mask_hw = np.zeros((50, 60), np.bool_)
    mask_hw[10:30, 10:30] = True
    moved_hw = np.roll(mask_hw, 3, axis=1)
    assert hd95_px(mask_hw, moved_hw) == 3
    assert hd95_share(mask_hw, moved_hw) == pytest.approx(3 / math.hypot(50, 60))


def test_a_stray_pixel_does_not_decide_but_many_do() -> None:
    mask_hw = np.zeros((60, 60), np.bool_)
    mask_hw[20:40, 20:40] = True
    stray_hw = mask_hw.copy()
    stray_hw[0, 0] = True
    assert hd95_px(mask_hw, stray_hw) == 0
    stray_hw[:8, :8] = True
    assert hd95_px(mask_hw, stray_hw) > 20


def test_empty_masks_are_a_diagonal_away_from_any_outline() -> None:
    empty_hw, full_hw = empty_or_full(30, 40)
    corner_hw = empty_hw.copy()
    corner_hw[0, 0] = True
    assert hd95_px(empty_hw, empty_hw) == hd95_share(empty_hw, empty_hw) == 0
    for some_hw in (full_hw, corner_hw):
        assert hd95_px(empty_hw, some_hw) == hd95_px(some_hw, empty_hw) == 50
        assert hd95_share(empty_hw, some_hw) == 1
    assert hd95_px(corner_hw, corner_hw[::-1, ::-1]) == pytest.approx(math.hypot(29, 39))


def test_speckle_is_measured_as_outlines_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [np.random.default_rng(seed).random((2, 40, 50)) < 0.3 for seed in range(5)]
    pairs += [blobs(seed) for seed in range(5)]
    found = [hd95_px(*pair) for pair in pairs]
    for dense in (0, 10**9):
        monkeypatch.setattr("engine.metrics._DENSE", dense)
        assert [hd95_px(*pair) for pair in pairs] == pytest.approx(found, abs=1e-9)


def test_a_camera_image_is_measured_in_seconds() -> None:
    rows, columns = np.ogrid[:4000, :6000]
    mask_hw = (rows - 2000) ** 2 + (columns - 3000) ** 2 < 1200**2
    truth_hw = (rows - 2100) ** 2 + (columns - 3000) ** 2 < 1400**2
    began = time.process_time()
    assert 250 < hd95_px(mask_hw, truth_hw) < 300
    # Some tenths of a second with the drawing; a distance transform would take 8 s.
    assert time.process_time() - began < 4


# Many masks


@given(seeds, st.integers(1, 6))
@law
def test_pairs_come_in_order_and_score_as_one_by_one(seed: int, count: int) -> None:
    members_nhw = blobs(seed, count)
    members_nhw[0] &= seed % 2 == 0
    expected = [dice(one_hw, other_hw) for one_hw, other_hw in combinations(members_nhw, 2)]
    np.testing.assert_allclose(pairwise_dice(members_nhw), expected, rtol=1e-12)
    assert ci(members_nhw) == pytest.approx(np.mean(expected) if expected else 1.0)


def test_areas_are_counted_exactly_on_large_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    members_nhw = blobs(3, count=3)
    expected = pairwise_dice(members_nhw).tolist(), ged(members_nhw, members_nhw[:1])
    monkeypatch.setattr("engine.metrics._BLOCK", 100)
    assert (pairwise_dice(members_nhw).tolist(), ged(members_nhw, members_nhw[:1])) == expected


def test_empty_members_agree_with_each_other_only() -> None:
    members_nhw = np.zeros((3, 4, 5), np.bool_)
    assert pairwise_dice(members_nhw).tolist() == [1, 1, 1]
    members_nhw[2, 0, 0] = True
    assert pairwise_dice(members_nhw).tolist() == [1, 0, 0]
    assert ci(members_nhw) == pytest.approx(1 / 3)


@given(seeds, st.integers(1, 5), st.integers(1, 4))
@law
def test_energy_distance_is_what_its_definition_says(seed: int, count: int, experts: int) -> None:
    masks_nhw = blobs(seed, count + experts)
    masks_nhw[-1] &= seed % 2 == 0
    members_nhw, truths_mhw = masks_nhw[:count], masks_nhw[count:]

    def mean(these: Mask, those: Mask) -> float:
        return float(np.mean([1 - iou(one, other) for one in these for other in those]))

    expected = 2 * mean(members_nhw, truths_mhw)
    expected -= mean(members_nhw, members_nhw) + mean(truths_mhw, truths_mhw)
    found = ged(members_nhw, truths_mhw)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found == pytest.approx(ged(truths_mhw, members_nhw), abs=1e-12)
    assert 0 <= found <= 2


@given(seeds, st.integers(1, 5))
@law
def test_energy_distance_is_nothing_between_the_same_masks(seed: int, count: int) -> None:
    members_nhw = blobs(seed, count)
    twice_nhw = np.repeat(members_nhw, 2, axis=0)
    assert ged(members_nhw, twice_nhw[::-1]) == pytest.approx(0, abs=1e-12)


def test_energy_distance_of_masks_that_share_nothing_is_the_highest() -> None:
    left_hw, right_hw = strip(0, 10)[None], strip(50, 10)[None]
    empty_hw = strip(0, 0)[None]
    assert ged(left_hw, right_hw) == ged(left_hw, empty_hw) == 2
    assert ged(empty_hw, empty_hw) == 0


def test_masks_that_are_no_stack_are_refused() -> None:
    masks_nhw = blobs(0)
    for wrong in (masks_nhw[0], masks_nhw[:0], masks_nhw.astype(np.float32)):
        with pytest.raises(ValueError, match="members"):
            pairwise_dice(wrong)
        with pytest.raises(ValueError, match="members"):
            ged(masks_nhw, wrong)
    with pytest.raises(ValueError, match="cannot be compared"):
        ged(masks_nhw, masks_nhw[:, :-1])


# Many images


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 9))
@law
def test_an_interval_is_repeatable_and_inside_the_values(values: list[float], seed: int) -> None:
    low, high = interval(values, seed, resamples=50)
    assert (low, high) == interval(np.array(values), seed, resamples=50)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12


def test_an_interval_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(5).normal(0.8, 0.1, size=400)
    low, high = interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=half / 10)
    assert high == pytest.approx(values.mean() + half, abs=half / 10)
    assert interval([0.7]) == (0.7, 0.7)
    assert interval(values, seed=1) != (low, high)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [[0.5]], [math.inf]])
def test_an_interval_needs_finite_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        interval(values)


def test_the_expected_error_is_the_members_own() -> None:
    half = np.zeros((4, 4), dtype=np.float32)
    half[:, :2] = 1
    alike = np.stack([half, half])
    assert expected_error(alike) == 0
    assert expected_error(np.zeros((3, 4, 4), dtype=np.float32)) == 0
    # Where both say 0.5 the whole is the mask: 2 · 8 / (8 + 16).
    assert expected_error(np.full((2, 4, 4), 0.5, dtype=np.float32)) == pytest.approx(1 / 3)
    # Two halves that exclude each other: mean 0.5 everywhere, each covers half of the mask.
    assert expected_error(np.stack([half, 1 - half])) == pytest.approx(1 / 3)
    found = expected_error(np.stack([half, half, 1 - half]))
    assert found == pytest.approx(1 / 3)
