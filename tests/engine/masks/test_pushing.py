"""Laws: a push moves the border with the cursor, only in its circle, and smoothly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.masks.edits import apply
from engine.masks.pushing import Push
from tests.fakes import disk

places = st.tuples(st.floats(-20, 120), st.floats(-20, 140))
radii = st.floats(0.5, 150)


def pushed(mask_hw, radius_px, *points):  # type: ignore[no-untyped-def]
    after_hw, push = mask_hw.copy(), Push(radius_px)
    for start, end in pairwise(points):
        patch = push.move(after_hw, start, end)
        if patch is not None:
            apply(after_hw, patch)
    return after_hw


@settings(deadline=None)  # the first call loads SciPy
@given(start=places, end=places, radius_px=radii)
def test_nothing_changes_beyond_the_circle(
    start: tuple[float, float], end: tuple[float, float], radius_px: float
) -> None:
    mask_hw = disk((100, 120), 0.35)
    after_hw = pushed(mask_hw, radius_px, start, end)
    rows, columns = np.nonzero(after_hw != mask_hw)
    # The distance of a point from the cursor's way.
    way = np.array(end) - start
    length = float(way @ way)
    points = np.stack([rows + 0.5 - start[0], columns + 0.5 - start[1]])
    share = np.clip(way @ points / length, 0, 1) if length else 0 * rows
    away = np.hypot(*(points - way[:, None] * share))
    # Half a cell's diagonal more where the grid is coarser than the pixels.
    assert (away <= max(1.5, radius_px) + 3).all()


@settings(deadline=None)  # the first call loads SciPy
@given(start=places, end=places, radius_px=radii, value=st.booleans())
def test_where_there_is_no_border_nothing_changes(
    start: tuple[float, float], end: tuple[float, float], radius_px: float, value: bool
) -> None:
    mask_hw = np.full((100, 120), value)
    assert Push(radius_px).move(mask_hw, start, end) is None


def test_the_border_under_the_cursor_moves_with_it() -> None:
    mask_hw = np.zeros((200, 200), bool)
    mask_hw[:, :100] = True
    after_hw = pushed(mask_hw, 40, *((100.0, 100.0 + step) for step in range(21)))
    assert int(after_hw[100].sum()) == pytest.approx(120, abs=2)
    assert int(after_hw[40].sum()) == 100
    # Smooth: from one row to the next the border leaves no step.
    assert np.abs(np.diff(after_hw.sum(axis=1))).max() <= 2


@pytest.mark.parametrize("radius_px", [10.0, 40.0, 140.0])
def test_many_short_moves_are_as_good_as_a_long_one(radius_px: float) -> None:
    mask_hw = np.zeros((400, 400), bool)
    mask_hw[:, :200] = True
    at_once = pushed(mask_hw, radius_px, (200.0, 200.0), (200.0, 212.0))
    bit_by_bit = pushed(mask_hw, radius_px, *((200.0, float(c)) for c in np.linspace(200, 212, 61)))
    assert abs(int(bit_by_bit[200].sum()) - int(at_once[200].sum())) <= 2
    assert bit_by_bit[200].sum() >= 209


def test_there_and_back_again_leaves_it_nearly_as_it_was() -> None:
    mask_hw = disk((200, 200), 0.3)
    way = [(100.0, 160.0 + step) for step in (*range(15), *range(15, -1, -1))]
    after_hw = pushed(mask_hw, 30, *way)
    assert np.count_nonzero(after_hw != mask_hw) < 0.02 * mask_hw.sum()


def test_a_large_mask_costs_what_the_circle_does() -> None:
    mask_hw = np.zeros((4000, 6000), bool)
    mask_hw[1000:3000, 1000:4000] = True
    push = Push(60)
    patch = push.move(mask_hw, (2000.0, 4000.0), (2000.0, 4015.0))
    assert patch is not None
    assert patch.after_hw.size < 150 * 150
    assert sum(tile.nbytes for tile in push._tiles.values()) < 1_000_000


@pytest.mark.parametrize("radius_px", [0.0, -1.0, float("nan")])
def test_a_senseless_radius_is_refused(radius_px: float) -> None:
    with pytest.raises(ValueError, match="radius_px"):
        Push(radius_px)
