"""Laws of the way from an image to the model's grid and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.framing import GRID_MINIMUM, GRID_MULTIPLE, Frame

sides = st.integers(1, 400) | st.sampled_from([1, 2, 3, 4095, 9000])
sizes = st.sampled_from([8, 12, 64, 100, 256])
shapes = st.tuples(sides, sides).filter(lambda shape: shape[0] * shape[1] <= 2_000_000)
greys = st.integers(0, 255)
probabilities = st.floats(0, 1, width=32)


def law(*strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A test for all of the strategies' values; a busy machine may take its time."""
    return lambda test: settings(deadline=None)(given(*strategies)(test))


EXTREMES = [(1, 1), (1, 2), (2, 1), (1, 65_535), (65_535, 1), (1, 1_000_000), (3, 200_000)]


@law(shapes, sizes)
def test_sides_of_a_grid_suit_two_levels(shape: tuple[int, int], size: int) -> None:
    for side in Frame(*shape, size).grid_shape:
        assert side >= GRID_MINIMUM
        assert side % GRID_MULTIPLE == 0


@law(shapes, sizes)
def test_the_grid_of_an_image_on_its_side_lies_on_its_side(
    shape: tuple[int, int], size: int
) -> None:
    rows, columns = Frame(*shape, size).grid_shape
    assert Frame(shape[1], shape[0], size).grid_shape == (columns, rows)


@law(shapes, st.sampled_from([32, 64, 100, 256]))
def test_the_grid_has_about_the_area_of_the_size_and_the_shape_of_the_image(
    shape: tuple[int, int], size: int
) -> None:
    rows, columns = Frame(*shape, size).grid_shape
    # A side is rounded by at most two cells, and the shorter side is at least size / 2.
    rounding = (1 + 2 / (size / 2)) ** 2
    assert 1 / rounding <= rows * columns / size**2 <= rounding
    ratio = np.clip(shape[0] / shape[1], 0.25, 4.0)
    assert 1 / rounding <= rows / columns / ratio <= rounding


def test_a_square_image_gets_the_size_itself() -> None:
    assert Frame(3000, 3000, 256).grid_shape == (256, 256)


@law(shapes, sizes, greys)
def test_a_picture_of_one_colour_stays_that_colour(
    shape: tuple[int, int], size: int, grey: int
) -> None:
    frame = Frame(*shape, size)
    grid_chw = frame.apply(np.full((*shape, 3), grey, np.uint8))
    assert grid_chw.shape == (3, *frame.grid_shape)
    assert grid_chw.dtype == np.float32
    assert np.all(grid_chw == np.float32(grey) / np.float32(255))


@law(shapes, sizes, greys, st.integers(1, 4))
def test_with_detail_a_picture_has_so_many_pixels_to_a_cell(
    shape: tuple[int, int], size: int, grey: int, detail: int
) -> None:
    frame = Frame(*shape, size)
    picture_chw = frame.apply(np.full((*shape, 3), grey, np.uint8), detail)
    assert picture_chw.shape == (3, *(detail * side for side in frame.grid_shape))
    assert np.all(picture_chw == np.float32(grey) / np.float32(255))


@law(shapes, sizes, st.booleans())
def test_a_full_or_empty_mask_stays_full_or_empty(
    shape: tuple[int, int], size: int, value: bool
) -> None:
    frame = Frame(*shape, size)
    grid_hw = frame.apply_mask(np.full(shape, value))
    assert grid_hw.shape == frame.grid_shape
    assert np.all(grid_hw == float(value))


@law(shapes, sizes, probabilities)
def test_a_constant_map_comes_back_at_the_size_of_the_image_unchanged(
    shape: tuple[int, int], size: int, probability: float
) -> None:
    frame = Frame(*shape, size)
    map_hw = frame.restore(np.full(frame.grid_shape, probability, np.float32))
    assert map_hw.shape == shape
    assert map_hw.dtype == np.float32
    np.testing.assert_allclose(map_hw, probability, atol=1e-6)


@pytest.mark.parametrize("shape", EXTREMES, ids=str)
@pytest.mark.parametrize("size", [8, 256])
def test_extreme_images_go_through_and_back(shape: tuple[int, int], size: int) -> None:
    frame = Frame(*shape, size)
    grid_chw = frame.apply(np.full((*shape, 3), 200, np.uint8))
    assert np.all(grid_chw == np.float32(200) / np.float32(255))
    assert np.all(frame.apply_mask(np.ones(shape, bool)) == 1)
    map_hw = frame.restore(np.full(frame.grid_shape, 0.75, np.float32))
    assert map_hw.shape == shape
    np.testing.assert_allclose(map_hw, 0.75, atol=1e-6)


@law(shapes, sizes, st.integers(0, 2**32 - 1))
def test_restored_maps_stay_between_the_least_and_the_greatest_cell(
    shape: tuple[int, int], size: int, seed: int
) -> None:
    frame = Frame(*shape, size)
    grid_hw = np.random.default_rng(seed).random(frame.grid_shape, dtype=np.float32)
    map_hw = frame.restore(grid_hw)
    assert grid_hw.min() - 1e-6 <= map_hw.min()
    assert map_hw.max() <= grid_hw.max() + 1e-6


@law(st.integers(40, 300), st.integers(40, 300), st.integers(0, 2**32 - 1))
def test_a_mask_keeps_its_share_of_the_area(height: int, width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask_hw = np.zeros((height, width), bool)
    top, left = generator.integers(0, height // 2), generator.integers(0, width // 2)
    mask_hw[top : top + height // 2, left : left + width // 2] = True
    grid_hw = Frame(height, width, 64).apply_mask(mask_hw)
    # Upscaling with a box is by nearest cells: half a cell on each side of the rectangle.
    assert abs(float(grid_hw.mean()) - float(mask_hw.mean())) < 0.02


def test_a_disc_comes_back_where_it_was() -> None:
    rows, columns = np.mgrid[:600, :900] + 0.5
    disc_hw = (rows - 250) ** 2 + (columns - 600) ** 2 < 150**2
    frame = Frame(600, 900, 128)
    again_hw = frame.restore(frame.apply_mask(disc_hw)) >= 0.5
    dice = 2 * np.count_nonzero(disc_hw & again_hw) / (disc_hw.sum() + again_hw.sum())
    assert dice > 0.99


def test_what_does_not_fit_the_frame_is_refused() -> None:
    frame = Frame(30, 20, 8)
    with pytest.raises(ValueError, match="30×20"):
        frame.apply(np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(ValueError, match="30×20"):
        frame.apply_mask(np.zeros((20, 30), bool))
    with pytest.raises(ValueError, match="expected"):
        frame.restore(np.zeros((30, 20), np.float32))
    for height, width, size in [(0, 5, 64), (5, 0, 64), (5, 5, 7)]:
        with pytest.raises(ValueError, match=r"area|below"):
            Frame(height, width, size)
