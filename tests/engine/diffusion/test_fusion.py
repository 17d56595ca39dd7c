"""Law: members that agree are the answer, in whatever way and order they are fused."""

from __future__ import annotations

import time
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from engine.diffusion.fusion import FUSIONS, Fusion, fuse, last_change, settled, staple
from engine.metrics import dice, iou

Mask = NDArray[np.bool_]
Float = NDArray[np.float32]
seeds = st.integers(0, 2**32 - 1)
ways = pytest.mark.parametrize("how", FUSIONS)
law = settings(max_examples=25, deadline=None)


def outlines(seed: int, count: int, height: int = 48, width: int = 64, wobble: float = 1.0) -> Mask:
    """Discs drawn by different hands: moved, larger or smaller, with a ragged outline."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    masks = []
    for _ in range(count):
        down, right, wider = generator.normal(scale=wobble, size=3)
        ragged_hw = gaussian_filter(generator.normal(size=(height, width)), 2) * 8 * wobble
        away_hw = np.hypot(rows - height / 2 - down, columns - width / 2 - right)
        masks.append(away_hw < height * 0.3 + wider + ragged_hw)
    return np.stack(masks)


def predicted_clean(masks_nhw: Mask, seed: int = 0) -> Float:
    """Members whose masks are these, none of them sure."""
    doubt_nhw = np.random.default_rng(seed).uniform(0, 0.4, size=masks_nhw.shape)
    return np.where(masks_nhw, 1 - doubt_nhw, doubt_nhw).astype(np.float32)


# Every way


def test_the_table_holds_every_way() -> None:
    assert tuple(FUSIONS) == get_args(Fusion)


@ways
@given(seeds, st.integers(1, 7))
@law
def test_an_answer_is_a_probability_whatever_the_members_order(
    how: Fusion, seed: int, count: int
) -> None:
    members_nhw = predicted_clean(outlines(seed, count), seed)
    fused_hw = fuse(members_nhw, how)
    assert fused_hw.dtype == np.float32
    assert fused_hw.shape == members_nhw.shape[1:]
    assert 0 <= fused_hw.min() <= fused_hw.max() <= 1
    order = np.random.default_rng(seed).permutation(count)
    np.testing.assert_allclose(fuse(members_nhw[order], how), fused_hw, atol=1e-5)


@ways
def test_members_that_agree_are_the_answer(how: Fusion) -> None:
    mask_hw = outlines(0, 1)[0]
    for expected_hw in (mask_hw, np.zeros_like(mask_hw), np.ones_like(mask_hw)):
        for count in (1, 2, 9):
            members_nhw = np.repeat(expected_hw[None], count, axis=0).astype(np.float32)
            np.testing.assert_allclose(fuse(members_nhw, how), expected_hw, atol=1e-6)


def test_a_mean_weighs_belief_and_a_majority_counts_heads() -> None:
    members_nhw = np.array([[[0.6, 0.5]], [[0.6, 0.4]], [[0.0, 0.4]]], dtype=np.float32)
    np.testing.assert_allclose(fuse(members_nhw), [[0.4, 1.3 / 3]], rtol=1e-6)
    np.testing.assert_allclose(fuse(members_nhw, "majority"), [[2 / 3, 1 / 3]], rtol=1e-6)
    tie_nhw = np.array([[[1.0]], [[0.0]]], dtype=np.float32)
    assert fuse(tie_nhw, "majority") == 0.5


def test_what_are_no_members_is_refused() -> None:
    members_nhw = predicted_clean(outlines(0, 2))
    for wrong in (members_nhw[0], members_nhw[:0], members_nhw.astype(np.float64)):
        with pytest.raises(ValueError, match="members"):
            fuse(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mean, majority, staple"):
        fuse(members_nhw, "median")  # type: ignore[arg-type]
    for wrong_masks in (members_nhw >= 0.5)[0], (members_nhw >= 0.5)[:0], members_nhw:
        with pytest.raises(ValueError, match="masks"):
            staple(wrong_masks)  # type: ignore[arg-type]


# STAPLE


def itk_staple(masks_nhw: Mask) -> NDArray[np.float64]:
    import SimpleITK

    fusing = SimpleITK.STAPLEImageFilter()
    fusing.SetForegroundValue(1)
    images = [SimpleITK.GetImageFromArray(mask_hw.astype(np.uint8)) for mask_hw in masks_nhw]
    probability_hw: NDArray[np.float64] = SimpleITK.GetArrayFromImage(fusing.Execute(images))
    return probability_hw


# SWIG, which wraps ITK, makes types without a module; Python from 3.12 on warns of that at import.
@pytest.mark.filterwarnings("ignore:builtin type swig:DeprecationWarning")
@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 25])
def test_staple_is_itks(count: int) -> None:
    for seed in range(4):
        masks_nhw = outlines(seed, count, wobble=0.5 + seed)
        np.testing.assert_allclose(staple(masks_nhw), itk_staple(masks_nhw), atol=1e-6)


@pytest.mark.filterwarnings("ignore:builtin type swig:DeprecationWarning")
def test_staple_is_itks_with_members_that_found_nothing_or_everything() -> None:
    masks_nhw = outlines(0, 6)
    masks_nhw[0], masks_nhw[1] = False, True
    apart_nhw = np.zeros((3, 20, 20), np.bool_)
    apart_nhw[0, :5], apart_nhw[1, 9:14] = True, True
    few_nhw = np.random.default_rng(1).random((4, 9, 7)) < 0.6
    for case_nhw in (masks_nhw, masks_nhw[:3], apart_nhw, few_nhw):
        np.testing.assert_allclose(staple(case_nhw), itk_staple(case_nhw), atol=1e-6)


def test_staple_trusts_those_who_agree() -> None:
    truth_hw = outlines(0, 1, wobble=0)[0]
    good_nhw = outlines(1, 3, wobble=0.7)
    # The same wrong area twice: two of five, but where the other three agree.
    wrong_hw = np.roll(truth_hw, 25, axis=1)
    masks_nhw = np.concatenate([good_nhw, wrong_hw[None], wrong_hw[None]])
    fused_hw = staple(masks_nhw) >= 0.5
    assert dice(fused_hw, truth_hw) > 0.9
    assert dice(fused_hw, wrong_hw) < 0.5


def test_staple_of_very_many_members_is_quick_and_near_their_majority() -> None:
    masks_nhw = outlines(2, 300, wobble=1.5)
    began = time.process_time()
    fused_hw = staple(masks_nhw)
    assert time.process_time() - began < 3
    assert np.isfinite(fused_hw).all()
    assert dice(fused_hw >= 0.5, fuse(predicted_clean(masks_nhw), "majority") >= 0.5) > 0.9


def test_staple_of_noise_ends() -> None:
    masks_nhw = np.random.default_rng(0).random((6, 64, 64)) < 0.5
    fused_hw = staple(masks_nhw)
    assert np.isfinite(fused_hw).all()
    assert 0 < fused_hw.mean() < 1


# When more members change nothing


@ways
def test_equal_members_are_settled_and_new_ones_are_not(how: Fusion) -> None:
    members_nhw = predicted_clean(np.repeat(outlines(0, 1), 12, axis=0))
    assert last_change(members_nhw, how) == 0
    assert settled(members_nhw, how)
    wandering_nhw = predicted_clean(outlines(0, 12, wobble=6))
    assert last_change(wandering_nhw, how) > 0.01
    assert not settled(wandering_nhw, how)


def test_an_ensemble_settles_as_it_grows() -> None:
    # The hundredth drawing moves the mean less than the eleventh.
    masks_nhw = outlines(3, 200, wobble=0.5)
    members_nhw = predicted_clean(masks_nhw)
    changes = [last_change(members_nhw[:count]) for count in (11, 40, 200)]
    assert changes[0] > changes[1] > changes[2]
    assert settled(members_nhw, tolerance=0.02)
    assert not settled(members_nhw[:11], tolerance=0.02)


def test_too_few_members_have_not_settled() -> None:
    members_nhw = predicted_clean(np.repeat(outlines(0, 1), 10, axis=0))
    assert settled(members_nhw)
    assert last_change(members_nhw[:9]) == 1
    assert not settled(members_nhw[:9])
    assert settled(members_nhw[:3], last=3)
    with pytest.raises(ValueError, match="two ensembles"):
        last_change(members_nhw, last=1)


def test_the_last_change_is_the_greatest_of_the_last_ensembles() -> None:
    # The seventh member moves the answer; from then on it stays.
    members_nhw = np.zeros((9, 10, 10), np.float32)
    members_nhw[:, :5] = 0.6
    members_nhw[:, 5] = 0.49
    members_nhw[6, 5] = 1.0
    assert last_change(members_nhw, last=3) == 0
    assert last_change(members_nhw, last=4) == pytest.approx(1 - 5 / 6)
    assert last_change(members_nhw, last=9) == pytest.approx(1 - 5 / 6)


@given(seeds)
@law
def test_no_truth_sees_a_greater_change(seed: int) -> None:
    members_nhw = predicted_clean(outlines(seed, 6, wobble=3), seed)
    (truth_hw,) = outlines(seed + 1, 1, wobble=3)
    change = last_change(members_nhw, last=4)
    answers = [fuse(members_nhw[:count]) >= 0.5 for count in (3, 4, 5, 6)]
    for answer_hw in answers[:-1]:
        assert abs(iou(answer_hw, truth_hw) - iou(answers[-1], truth_hw)) <= change + 1e-12
        assert abs(dice(answer_hw, truth_hw) - dice(answers[-1], truth_hw)) <= 2 * change + 1e-12
