"""Laws: a disk measures what a disk measures, at any size of the image; two parts are two."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.masks.measurements import measure
from tests.fakes import disk


@pytest.mark.parametrize("shape", [(90, 120), (700, 500), (3000, 4000)])
def test_a_disk(shape: tuple[int, int]) -> None:
    mask_hw = disk(shape, 0.3)
    radius = 0.3 * min(shape)
    found = measure(mask_hw)
    assert found is not None
    assert found.area_px == mask_hw.sum()
    assert found.share == pytest.approx(math.pi * radius**2 / (shape[0] * shape[1]), rel=0.02)
    assert found.parts == 1
    for extent in (found.diameter_px, found.breadth_px):
        assert extent == pytest.approx(2 * radius, rel=0.02)
    assert found.perimeter_px == pytest.approx(2 * math.pi * radius, rel=0.06)
    assert found.circularity > 0.88


def test_a_slanted_bar_is_measured_along_and_across() -> None:
    rows, columns = np.mgrid[:300, :400]
    along, across = (rows + columns - 350) / 2**0.5, (rows - columns + 50) / 2**0.5
    found = measure((abs(along) < 100) & (abs(across) < 20))
    assert found is not None
    # Corner to corner, and side to side.
    assert found.diameter_px == pytest.approx(math.hypot(200, 40), rel=0.02)
    assert found.breadth_px == pytest.approx(40, abs=2)
    assert found.perimeter_px == pytest.approx(480, rel=0.06)
    assert found.circularity < 0.5


def test_parts_are_counted_and_holes_are_none() -> None:
    mask_hw = np.zeros((100, 200), bool)
    mask_hw[20:60, 20:60] = mask_hw[30:80, 120:180] = True
    mask_hw[30:50, 30:50] = False
    found = measure(mask_hw)
    assert found is not None
    assert found.parts == 2
    assert found.area_px == 40 * 40 - 20 * 20 + 50 * 60
    assert found.perimeter_px == pytest.approx(160 + 80 + 220, rel=0.03)


@pytest.mark.parametrize("shape", [(1, 1), (40, 60), (3000, 5000)])
def test_a_single_pixel_and_none(shape: tuple[int, int]) -> None:
    mask_hw = np.zeros(shape, bool)
    assert measure(mask_hw) is None
    mask_hw[shape[0] // 2, shape[1] // 2] = True
    found = measure(mask_hw)
    assert found is not None
    assert (found.area_px, found.parts) == (1, 1)
    assert 0 < found.circularity <= 1
    assert 0 < found.breadth_px <= found.diameter_px <= 2 * max(1, max(shape) / 1024) * 2**0.5
