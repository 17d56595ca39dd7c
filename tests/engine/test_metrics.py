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
    Overlap,
    ci,
    dice,
    expected_error,
    ged,
    hd95_px,
    hd95_share,
    interval,
    iou,
    overlap,
    pairwise_dice,
    sensitivity,
    specificity,
    surface_dice,
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


# Pooled over images


def pooled(pairs: list[Mask]) -> Overlap:
    return sum((overlap(mask_hw, truth_hw) for mask_hw, truth_hw in pairs), start=Overlap())


@given(seeds, st.integers(1, 4))
@law
def test_pooled_is_the_score_of_all_images_side_by_side(seed: int, count: int) -> None:
    pairs = [blobs(seed + k, width=20 + 9 * k) for k in range(count)]
    whole = [np.concatenate([pair[which] for pair in pairs], axis=1) for which in (0, 1)]
    found = pooled(pairs)
    assert (found.dice, found.iou) == (dice(*whole), iou(*whole))
    turned = pooled([pair[::-1] for pair in pairs])
    assert (turned.dice, turned.iou) == (found.dice, found.iou)
    assert found.iou == pytest.approx(found.dice / (2 - found.dice))
    # It is a mean over images in which the larger areas weigh more.
    weights = [overlap(*pair).areas_px for pair in pairs]
    if sum(weights):
        mean = np.average([dice(*pair) for pair in pairs], weights=weights)
        assert found.dice == pytest.approx(mean)


def test_pooled_is_the_mean_where_all_areas_are_equal_and_higher_where_the_small_fail() -> None:
    equal = [np.stack([strip(k, 20), strip(0, 20)]) for k in range(10)]
    assert pooled(equal).dice == pytest.approx(np.mean([dice(*pair) for pair in equal]))
    uneven = [np.stack([strip(0, 80), strip(0, 80)]), np.stack([strip(9, 2), strip(0, 2)])]
    assert np.mean([dice(*pair) for pair in uneven]) == 0.5
    assert pooled(uneven).dice == pytest.approx(160 / 164)
    assert pooled([]).dice == pooled([]).iou == 1.0


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


# MONAI's surface Dice, too, calls its own function with an argument that MONAI has deprecated.
@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("tolerance_px", [0.0, 1.0, 1.5, 4.0])
def test_surface_dice_is_what_monai_scores(tolerance_px: float) -> None:
    import torch
    from monai.metrics import compute_surface_dice

    pairs = np.stack([blobs(seed) for seed in range(30)])
    theirs_n, truths_n = (torch.from_numpy(pairs[:, None, k].astype(np.uint8)) for k in (0, 1))
    expected = compute_surface_dice(theirs_n, truths_n, [tolerance_px], include_background=True)
    # A trifle more, so that rounding the diagonal there and back decides nothing.
    share = tolerance_px * (1 + 1e-12) / math.hypot(40, 56)
    found = [surface_dice(mask_hw, truth_hw, share) for mask_hw, truth_hw in pairs]
    np.testing.assert_allclose(found, expected.ravel().numpy(), rtol=1e-5)


# Outlines


@given(seeds, st.floats(0, 0.2), st.floats(0, 0.2))
@law
def test_surface_dice_is_symmetric_full_for_equals_and_grows_with_tolerance(
    seed: int, one: float, other: float
) -> None:
    mask_hw, truth_hw = blobs(seed)
    less, more = sorted((one, other))
    found = surface_dice(mask_hw, truth_hw, less)
    assert found == surface_dice(truth_hw, mask_hw, less)
    assert 0 <= found <= surface_dice(mask_hw, truth_hw, more) <= 1
    assert surface_dice(mask_hw, mask_hw, 0.0) == 1.0
    assert surface_dice(mask_hw, truth_hw, 1.0) == float(mask_hw.any() == truth_hw.any())


def test_surface_dice_forgives_a_shift_within_the_tolerance() -> None:
    def box(left: int) -> Mask:
        mask_hw = np.zeros((300, 400), np.bool_)
        mask_hw[100:200, left : left + 100] = True
        return mask_hw

    # The diagonal is 500 pixels, so that 0.75 % of it are 3.75.
    assert surface_dice(box(100), box(103)) == 1.0
    # Shifted by 4: of the 396 pixels of an outline the whole upright side that sticks out is too
    # far off (100), and of the other one all but the four rows at either end (92), which are near
    # the level sides.
    assert surface_dice(box(100), box(104)) == pytest.approx(1 - 192 / 396)


def test_surface_dice_of_empty_masks() -> None:
    empty_hw, full_hw = empty_or_full()
    assert surface_dice(empty_hw, empty_hw) == 1.0
    assert surface_dice(empty_hw, full_hw) == surface_dice(full_hw, empty_hw) == 0.0


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


def test_an_interval_of_a_weighted_mean() -> None:
    generator = np.random.default_rng(6)
    values, weights = generator.random(60), generator.integers(1, 900, 60)
    assert interval(values, weights=np.ones(60)) == pytest.approx(interval(values), abs=1e-12)
    low, high = interval(values, weights=weights)
    assert low < np.average(values, weights=weights) < high
    # Only what weighs counts, and where nothing does all images count alike.
    assert interval([0.0, 1.0], weights=[0.0, 0.0]) == interval([0.0, 1.0])
    assert interval([0.5, 0.5, 0.9], weights=[2, 1, 0])[0] == pytest.approx(0.5)
    for wrong in ([1.0], [-1.0, 1.0], [math.nan, 1.0]):
        with pytest.raises(ValueError, match="weight"):
            interval([0.5, 0.6], weights=wrong)


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
