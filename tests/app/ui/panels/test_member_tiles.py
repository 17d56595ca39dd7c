"""Law: a member's tile shows its border where it lies on the photograph."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from engine.types import SampleSettings
from nca_seg_app.ui.panels.member_tiles import member_tile, window_of
from nca_seg_app.ui.widgets.theme import PROPOSAL
from tests.fakes import DiskModel, image_of


def amber_rc(qtbot: QtBot, member: int, ended: bool, shape: tuple[int, int]):  # type: ignore[no-untyped-def]
    """Where a tile of 90 pixels is amber, as (row, column) in pixels of the photograph."""
    image = image_of(shape)
    results = list(DiskModel(size=64).segment(image, SampleSettings(steps=2, members=3)))
    result = results[-1 if ended else 1]
    picture = member_tile(image, result, member, 0.5, 90, 1.0).toImage()
    found = [
        (y, x)
        for y in range(picture.height())
        for x in range(picture.width())
        if abs(QColor(picture.pixel(x, y)).hue() - PROPOSAL.hue()) < 12
        and QColor(picture.pixel(x, y)).saturation() > 150
    ]
    cell = np.array(shape) / result.frame.grid_shape
    rows, columns = window_of(result)
    top_left = cell * [rows.start, columns.start]
    height_width = cell * [rows.stop - rows.start, columns.stop - columns.start]
    return (np.array(found) + 0.5) * height_width / [picture.height(), picture.width()] + top_left


@pytest.mark.parametrize("shape", [(240, 320), (900, 600)])
@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("member", [0, 1])
def test_the_border_lies_where_the_member_has_it(
    qtbot: QtBot, shape: tuple[int, int], ended: bool, member: int
) -> None:
    place_rc = amber_rc(qtbot, member, ended, shape)
    assert len(place_rc) > 20
    radius = (0.25 + 0.02 * member) * min(shape)
    distance = np.hypot(*(place_rc - np.array(shape) / 2).T)
    # A cell of the grid, and a pixel of the tile of the whole picture.
    assert distance == pytest.approx(radius, abs=max(shape) * (0.5 / 64 + 1.5 / 90))


def test_it_is_cut_to_the_lesion_once_all_have_ended(qtbot: QtBot) -> None:
    results = list(DiskModel(size=64).segment(image_of(), SampleSettings(steps=2, members=4)))
    whole = tuple(slice(0, side) for side in results[0].frame.grid_shape)
    for result in results[:-1]:
        assert window_of(result) == whole
    window = window_of(results[-1])
    outlined_hw = results[-1].members_nhw.max(axis=0) > 0.5
    assert outlined_hw[window].sum() == outlined_hw.sum() > 0
    lengths = [part.stop - part.start for part in window]
    # The disk's diameter, and a margin on both sides.
    assert lengths == pytest.approx(
        [1.3 * outlined_hw.any(axis=axis).sum() + 2 for axis in (1, 0)], abs=1
    )
