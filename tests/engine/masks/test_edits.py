"""Laws of mask edits."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from engine.masks import edits
from engine.masks.files import write_mask
from engine.types import Patch

Mask = np.ndarray[Any, np.dtype[np.bool_]]

mask_shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
any_mask = hnp.arrays(bool, mask_shapes)
coordinates = st.floats(-10, 40, width=32) | st.integers(-5, 30).map(float)
any_points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5).map(np.array)
radii = st.floats(0, 12, width=32) | st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0])


def law(*strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A test for all of the strategies' values; a busy machine may take its time."""
    return lambda test: settings(deadline=None)(given(*strategies)(test))


def edited(mask_hw: Mask, patch: Patch | None) -> Mask:
    """A copy of the mask with the patch written into it."""
    after_hw = mask_hw.copy()
    if patch is not None:
        edits.apply(after_hw, patch)
    return after_hw


def disc(height: int, width: int, row: float, column: float, radius_px: float) -> Mask:
    """The pixels whose centres lie in a disc."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius_px**2)


@st.composite
def any_edits(draw: st.DrawFn) -> tuple[Mask, Patch | None]:
    """A mask, and one edit of it."""
    mask_hw, value = draw(any_mask), draw(st.booleans())
    edit = draw(
        st.sampled_from(["stroke", "polygon", "fill_holes", "keep_largest", "smooth", "replace"])
    )
    match edit:
        case "stroke":
            return mask_hw, edits.stroke(mask_hw, draw(any_points), draw(radii), value)
        case "polygon":
            return mask_hw, edits.polygon(mask_hw, draw(any_points), value)
        case "smooth":
            return mask_hw, edits.smooth(mask_hw, draw(st.floats(0.5, 6)))
        case "replace":
            return mask_hw, edits.replace(mask_hw, draw(hnp.arrays(bool, mask_hw.shape)))
        case "fill_holes":
            return mask_hw, edits.fill_holes(mask_hw)
    return mask_hw, edits.keep_largest(mask_hw)


@law(any_edits())
def test_a_patch_is_undone_and_done_again(edit: tuple[Mask, Patch | None]) -> None:
    before_hw, patch = edit
    if patch is None:
        return
    mask_hw = before_hw.copy()
    edits.apply(mask_hw, patch)
    after_hw = mask_hw.copy()
    assert not np.array_equal(after_hw, before_hw)
    edits.revert(mask_hw, patch)
    assert np.array_equal(mask_hw, before_hw)
    edits.apply(mask_hw, patch)
    assert np.array_equal(mask_hw, after_hw)


@law(any_edits())
def test_a_patch_is_tight_and_cannot_be_changed(edit: tuple[Mask, Patch | None]) -> None:
    _, patch = edit
    if patch is None:
        return
    changed_hw = patch.before_hw != patch.after_hw
    assert all(changed_hw[side].any() for side in (0, -1))
    assert all(changed_hw[:, side].any() for side in (0, -1))
    with pytest.raises(ValueError, match="read-only"):
        patch.after_hw[0, 0] = True


@law(any_mask, any_points, radii, st.booleans())
def test_an_edit_leaves_its_input_alone_and_is_nothing_the_second_time(
    mask_hw: Mask, points_rc: np.ndarray[Any, Any], radius_px: float, value: bool
) -> None:
    untouched_hw = mask_hw.copy()
    for edit in (
        lambda mask: edits.stroke(mask, points_rc, radius_px, value),
        lambda mask: edits.polygon(mask, points_rc, value),
        edits.fill_holes,
        edits.keep_largest,
        lambda mask: edits.replace(mask, untouched_hw),
    ):
        after_hw = edited(mask_hw, edit(mask_hw))
        assert np.array_equal(mask_hw, untouched_hw)
        assert edit(after_hw) is None


@law(mask_shapes, any_points, radii)
def test_a_stroke_covers_what_is_within_its_radius_of_the_line(
    shape: tuple[int, int], points_rc: np.ndarray[Any, Any], radius_px: float
) -> None:
    covered_hw = edited(
        np.zeros(shape, bool), edits.stroke(np.zeros(shape, bool), points_rc, radius_px, True)
    )
    erased_hw = edited(
        np.ones(shape, bool), edits.stroke(np.ones(shape, bool), points_rc, radius_px, False)
    )
    assert np.array_equal(covered_hw, ~erased_hw)
    segments = list(pairwise(points_rc)) or [(points_rc[0],) * 2]
    for row, column in np.ndindex(shape):
        centre_rc = np.array([row + 0.5, column + 0.5])
        distances_px = []
        for start_rc, end_rc in segments:
            along_rc = end_rc - start_rc
            squared = float(along_rc @ along_rc)
            share = np.clip((centre_rc - start_rc) @ along_rc / squared, 0, 1) if squared else 0
            distances_px.append(float(np.linalg.norm(centre_rc - start_rc - share * along_rc)))
        distance_px = min(distances_px)
        if abs(distance_px - radius_px) > 1e-6:
            assert covered_hw[row, column] == (distance_px < radius_px), (row, column)


def test_a_long_stroke_covers_what_short_ones_cover() -> None:
    mask_hw = np.zeros((1500, 2000), bool)
    ends_rc = np.array([[-50.0, 30.0], [1480.3, 1990.7]])
    whole_hw = edited(mask_hw, edits.stroke(mask_hw, ends_rc, 7.3, True))
    rows, columns = np.mgrid[:1500, :2000] + 0.5
    along_rc = ends_rc[1] - ends_rc[0]
    offset_rows, offset_columns = rows - ends_rc[0, 0], columns - ends_rc[0, 1]
    share = (offset_rows * along_rc[0] + offset_columns * along_rc[1]) / (along_rc @ along_rc)
    share = share.clip(0, 1)
    distance_px = np.hypot(offset_rows - share * along_rc[0], offset_columns - share * along_rc[1])
    assert np.array_equal(whole_hw, distance_px <= 7.3)


@pytest.mark.parametrize("radius_px", [3, 40, 150])
def test_a_brush_on_a_camera_image_is_quick(radius_px: float) -> None:
    mask_hw = np.zeros((4000, 6000), bool)
    points_rc = np.array([[2000.0, 3000.0], [2011.0, 3008.0]])
    seconds = []
    for _ in range(7):
        start = time.thread_time()
        assert edits.stroke(mask_hw, points_rc, radius_px, True) is not None
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.005


@law(
    mask_shapes, st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7).map(np.array)
)
def test_a_polygon_covers_the_centres_inside_it(
    shape: tuple[int, int], vertices_rc: np.ndarray[Any, Any]
) -> None:
    mask_hw = np.zeros(shape, bool)
    filled_hw = edited(mask_hw, edits.polygon(mask_hw, vertices_rc, True))
    ends_rc = np.roll(vertices_rc, -1, axis=0)
    for row, column in np.ndindex(shape):
        inside, near = False, False
        for (row_a, column_a), (row_b, column_b) in zip(vertices_rc, ends_rc, strict=True):
            if (row_a > row + 0.5) != (row_b > row + 0.5):
                share = (row + 0.5 - row_a) / (row_b - row_a)
                crossing = column_a + share * (column_b - column_a)
                inside ^= crossing < column + 0.5
                near |= abs(crossing - column - 0.5) < 1e-6
            near |= min(abs(row_a - row - 0.5), abs(row_b - row - 0.5)) < 1e-6
        if not near:
            assert filled_hw[row, column] == inside, (row, column)


def test_a_polygon_with_whole_vertices_is_a_slice() -> None:
    mask_hw = np.zeros((10, 12), bool)
    vertices_rc = np.array([[2, 3], [2, 9], [7, 9], [7, 3]], float)
    wanted_hw = np.zeros_like(mask_hw)
    wanted_hw[2:7, 3:9] = True
    assert np.array_equal(edited(mask_hw, edits.polygon(mask_hw, vertices_rc, True)), wanted_hw)


@law(any_mask)
def test_fill_holes_adds_exactly_what_is_enclosed(mask_hw: Mask) -> None:
    after_hw = edited(mask_hw, edits.fill_holes(mask_hw))
    assert np.array_equal(after_hw, ndimage.binary_fill_holes(mask_hw))


@law(any_mask)
def test_keep_largest_leaves_one_island_and_none_was_larger(mask_hw: Mask) -> None:
    after_hw = edited(mask_hw, edits.keep_largest(mask_hw))
    islands_hw, count = ndimage.label(mask_hw, np.ones((3, 3)))
    if not count:
        assert not after_hw.any()
        return
    number = islands_hw[after_hw].max()
    assert np.array_equal(after_hw, islands_hw == number)
    assert after_hw.sum() == np.bincount(islands_hw.ravel())[1:].max()


def test_smooth_takes_the_roughness_and_keeps_the_area() -> None:
    generator = np.random.default_rng(0)
    smooth_hw = disc(300, 400, 150.3, 200.7, 90)
    angles = np.arctan2(*(np.mgrid[:300, :400] + 0.5 - np.array([150.3, 200.7])[:, None, None]))
    teeth_hw = disc(300, 400, 150.3, 200.7, 96) & (np.sin(40 * angles) > 0)
    rough_hw = (smooth_hw | teeth_hw) & (generator.random(smooth_hw.shape) > 0.02)
    after_hw = edited(rough_hw, edits.smooth(rough_hw, 4))
    assert abs(int(after_hw.sum()) - int(rough_hw.sum())) < 0.01 * rough_hw.sum()
    assert ndimage.label(~after_hw)[1] == 1

    def perimeter_px(mask_hw: Mask) -> int:
        return int((mask_hw[1:] != mask_hw[:-1]).sum() + (mask_hw[:, 1:] != mask_hw[:, :-1]).sum())

    assert perimeter_px(after_hw) < 0.6 * perimeter_px(rough_hw)
    assert perimeter_px(after_hw) < 1.05 * perimeter_px(disc(300, 400, 150.3, 200.7, 93))


@law(st.integers(0, 1), st.integers(1, 7))
def test_smooth_leaves_straight_lesions_at_the_border_alone(axis: int, radius_px: int) -> None:
    half_hw = np.arange(60)[:, None] < np.full(80, 25)
    half_hw = half_hw if axis == 0 else half_hw.T
    assert edits.smooth(half_hw, radius_px) is None
    assert edits.smooth(np.ones_like(half_hw), radius_px) is None
    assert edits.smooth(np.zeros_like(half_hw), radius_px) is None


def test_senseless_edits_are_refused() -> None:
    mask_hw = np.zeros((5, 5), bool)
    with pytest.raises(ValueError, match="radius_px"):
        edits.stroke(mask_hw, np.zeros((1, 2)), float("nan"), True)
    with pytest.raises(ValueError, match="points"):
        edits.polygon(mask_hw, np.full((3, 2), np.inf), True)
    with pytest.raises(ValueError, match="replace"):
        edits.replace(mask_hw, np.zeros((5, 6), bool))
    with pytest.raises(ValueError, match="bool"):
        write_mask(Path("never.png"), np.zeros((5, 5)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="outside"):
        edits.apply(mask_hw, Patch(4, 4, np.zeros((2, 2), bool), np.ones((2, 2), bool)))
