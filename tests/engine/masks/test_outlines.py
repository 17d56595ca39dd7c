"""Law: outlines are closed, enclose the area of their mask and follow the image's border."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from engine.masks.outlines import outline

Mask = np.ndarray[Any, np.dtype[np.bool_]]

any_mask = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@settings(deadline=None)
@given(any_mask)
def test_outlines_are_closed_and_enclose_the_area(mask_hw: Mask) -> None:
    area = 0.0
    for contour_rc in outline(mask_hw):
        assert np.array_equal(contour_rc[0], contour_rc[-1])
        assert (contour_rc >= 0).all()
        assert (contour_rc <= mask_hw.shape).all()
        rows, columns = contour_rc.T
        area += float(np.sum(rows[:-1] * columns[1:] - rows[1:] * columns[:-1])) / 2
    # Each corner is cut by an eighth of a pixel; outer and inner contours run in opposite ways.
    padded_hw = np.pad(mask_hw, 1).astype(int)
    blocks = padded_hw[1:, 1:] + padded_hw[:-1, 1:] + padded_hw[1:, :-1] + padded_hw[:-1, :-1]
    diagonal = (blocks == 2) & (padded_hw[1:, 1:] == padded_hw[:-1, :-1])
    cut = (blocks == 1).sum() - (blocks == 3).sum() - 2 * diagonal.sum()
    assert abs(area) == pytest.approx(mask_hw.sum() - cut / 8)


def test_an_outline_runs_along_the_border_of_the_image() -> None:
    (contour_rc,) = outline(np.ones((5, 8), bool))
    on_border = (contour_rc == 0) | (contour_rc == [5, 8])
    assert on_border.any(axis=1).all()
    (slope_rc,) = outline(np.tile(np.linspace(0, 1, 11), (4, 1)) * 0.9)
    inner = slope_rc[(slope_rc[:, 0] > 0) & (slope_rc[:, 0] < 4) & (slope_rc[:, 1] < 10)]
    np.testing.assert_allclose(inner[:, 1], 0.5 / 0.09 + 0.5)
