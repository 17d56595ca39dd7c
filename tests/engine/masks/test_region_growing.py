"""Law: the area of like colour around a place is that area, at any size of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from engine.masks import edits
from engine.masks.region_growing import Similar, up_to_edge
from tests.fakes import disk, image_of


def inside(border_rc: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    patch = edits.polygon(np.zeros(shape, bool), border_rc, True)
    assert patch is not None
    whole_hw = np.zeros(shape, bool)
    rows, columns = patch.after_hw.shape
    whole_hw[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.after_hw
    return whole_hw


@pytest.mark.parametrize("shape", [(150, 200), (1500, 1100), (3000, 4000)])
def test_a_dark_disk_is_found_from_any_place_in_it(shape: tuple[int, int]) -> None:
    similar = Similar(image_of(shape).pixels_hwc)
    truth_hw = disk(shape)
    middle = np.array(shape) / 2
    for off in (0.0, 0.2):
        found_hw = inside(similar.around(tuple(middle + off * min(shape)), 24.0), shape)
        assert 2 * (found_hw & truth_hw).sum() / (found_hw.sum() + truth_hw.sum()) > 0.97


def test_more_tolerance_takes_more_and_never_less() -> None:
    rows, columns = np.mgrid[:200, :300]
    grey_hw = np.clip(40 + np.hypot(rows - 100, columns - 150), 0, 255).astype(np.uint8)
    similar = Similar(np.repeat(grey_hw[..., None], 3, axis=2))
    before_hw = np.zeros((200, 300), bool)
    for tolerance in (0.0, 10.0, 20.0, 40.0, 80.0):
        found_hw = inside(similar.around((100.5, 150.5), tolerance), (200, 300))
        assert not (before_hw & ~found_hw).any()
        assert found_hw[100, 150]
        before_hw = found_hw
        if tolerance >= 20:
            assert found_hw.sum() == pytest.approx(np.pi * tolerance**2, rel=0.2)


def test_holes_belong_to_it_and_another_area_does_not() -> None:
    pixels_hwc = np.full((100, 200, 3), 220, np.uint8)
    pixels_hwc[20:80, 20:80] = pixels_hwc[20:80, 120:180] = 60
    pixels_hwc[45:55, 45:55] = 220
    found_hw = inside(Similar(pixels_hwc).around((30.0, 30.0), 40.0), (100, 200))
    assert found_hw[50, 50]
    assert found_hw.sum() == pytest.approx(3600, rel=0.1)
    assert not found_hw[:, 100:].any()


@pytest.mark.parametrize("place", [(-1.0, 5.0), (5.0, -1.0), (48.0, 5.0), (5.0, 64.0)])
def test_outside_the_picture_there_is_nothing(place: tuple[float, float]) -> None:
    assert len(Similar(image_of().pixels_hwc).around(place, 20.0)) == 0


def test_a_disk_is_taken_up_to_the_edge_in_it() -> None:
    pixels_hwc = np.full((60, 80, 3), 200, np.uint8)
    pixels_hwc[:, :40] = 60
    (rows, columns), part_hw = up_to_edge(pixels_hwc, (30.0, 34.0), 12.0)
    whole_hw = np.zeros((60, 80), bool)
    whole_hw[rows, columns] = part_hw
    assert whole_hw[30, 39]
    assert not whole_hw[:, 40:].any()


@pytest.mark.parametrize("centre", [(30.0, 40.0), (0.0, 0.0), (59.9, 79.9)])
def test_without_an_edge_all_of_the_disk_is_taken(centre: tuple[float, float]) -> None:
    noise = np.random.default_rng(0).normal(150, 6, (60, 80, 3))
    (rows, columns), part_hw = up_to_edge(noise.astype(np.uint8), centre, 10.0)
    rows_c, columns_c = np.ogrid[rows, columns]
    inside_hw = (rows_c + 0.5 - centre[0]) ** 2 + (columns_c + 0.5 - centre[1]) ** 2 <= 100
    assert np.array_equal(part_hw, inside_hw)


def test_a_disk_outside_the_picture_has_no_part() -> None:
    _, part_hw = up_to_edge(np.zeros((20, 20, 3), np.uint8), (90.0, -40.0), 10.0)
    assert not part_hw.size
