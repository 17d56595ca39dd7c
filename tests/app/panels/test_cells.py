"""Law: every cell update of every level can be watched, however many each level has."""

from __future__ import annotations

import pytest

from nca_seg_app.panels.cells import CellsPanel
from tests.app.desks import PanelDesk


@pytest.mark.parametrize(("coarse", "fine"), [(5, 3), (2, 6), (3, 3)])
def test_levels_may_have_different_numbers_of_updates(
    desk: PanelDesk, coarse: int, fine: int
) -> None:
    desk.model.coarse_updates, desk.model.updates = coarse, fine
    desk.open()
    desk.segment()
    panel = CellsPanel(desk.session)
    desk.show(panel, 340, 900)
    desk.qtbot.waitUntil(lambda: panel.update_slider.maximum() == coarse + fine + 1)
    told = []
    for place in range(coarse + fine + 2):
        panel.update_slider.setValue(place)
        told.append(panel.update_text.text().splitlines()[0])
    assert told == [
        *(f"level 1, update {update} of {coarse}" for update in range(coarse + 1)),
        *(f"level 2, update {update} of {fine}" for update in range(fine + 1)),
    ]
    desk.session.viewing.pick((24, 32))
    for curve in panel.plot.plotItem.listDataItems():
        assert len(curve.yData) == coarse + fine + 2
    noise = panel.plot.plotItem.listDataItems()[0].yData
    assert list(noise) == [*range(coarse + 1), *range(fine + 1)]
