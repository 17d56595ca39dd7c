"""Law: scores are symmetric, in [0, 1], and follow the stated conventions for empty masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.metrics import dice, iou, threshold_jaccard

Mask = NDArray[np.bool_]


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
