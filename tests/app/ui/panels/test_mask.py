"""Law: numbers are those of the mask as it is, and a step of the history can be gone back to."""

from __future__ import annotations

import numpy as np
import pytest

from engine.masks import edits
from engine.masks.measurements import measure
from nca_seg_app.ui.panels.mask import BEGINNING, MaskPanel
from nca_seg_app.ui.panels.wording import difference, measured
from tests.app.desks import PanelDesk
from tests.fakes import disk


@pytest.fixture
def panel(desk: PanelDesk) -> MaskPanel:
    desk.open()
    made = MaskPanel(desk.session)
    desk.show(made)
    return made


def stroke(desk: PanelDesk, row: float, column: float) -> None:
    document = desk.session.workspace.document
    assert document is not None
    place = np.array([[row, column]])
    document.edit("Brush stroke", lambda hw: edits.stroke(hw, place, 4.0, True))


def test_what_is_drawn_is_measured(desk: PanelDesk, panel: MaskPanel) -> None:
    desk.qtbot.waitUntil(lambda: panel.told.text() == "Nothing is outlined yet.")
    assert not panel.beside.isVisible()
    for place in (10, 30):
        stroke(desk, place, place)
        document = desk.session.workspace.document
        assert document is not None
        expected = measured(measure(document.mask_hw), None)
        desk.qtbot.waitUntil(lambda expected=expected: panel.told.text() == expected)
    assert "· 2 parts" in panel.told.text()


def test_the_model_s_outline_is_beside_it(desk: PanelDesk, panel: MaskPanel) -> None:
    desk.segment()
    desk.session.proposal.accept()
    desk.qtbot.waitUntil(lambda: panel.beside.text() == difference(1.0, 0, 0))
    document = desk.session.workspace.document
    assert document is not None
    before = document.mask_hw.sum()
    stroke(desk, 4, 4)
    added = int(document.mask_hw.sum() - before)
    dice = 2 * before / (2 * before + added)
    desk.qtbot.waitUntil(lambda: panel.beside.text() == difference(dice, added, 0))


def test_millimetres_are_told_where_they_are_known() -> None:
    found = measure(disk((100, 100), 0.3))
    assert found is not None
    lines = measured(found, 0.1).splitlines()
    assert f"{found.area_px * 0.01:.1f} mm²" in lines[0]
    assert f"{found.diameter_px * 0.1:.1f} mm" in lines[1]
    assert "mm" not in measured(found, None)


def test_a_step_of_the_history_is_gone_back_to_and_forward(
    desk: PanelDesk, panel: MaskPanel
) -> None:
    document = desk.session.workspace.document
    assert document is not None
    seen = [document.mask_hw.copy()]
    for place in (10, 20, 30):
        stroke(desk, place, place)
        seen.append(document.mask_hw.copy())
    history = panel.history
    desk.qtbot.waitUntil(lambda: history.count() == 4)
    assert [history.item(row).text() for row in range(4)] == [BEGINNING, *["Brush stroke"] * 3]
    for row in (1, 0, 3, 2):
        history.itemClicked.emit(history.item(row))
        desk.qtbot.waitUntil(lambda row=row: document.place == row)
        assert np.array_equal(document.mask_hw, seen[row])
        desk.qtbot.waitUntil(lambda row=row: history.currentRow() == row)
        undone = [history.item(each).font().italic() for each in range(4)]
        assert undone == [each > row for each in range(4)]


def test_the_history_is_that_of_the_open_image(desk: PanelDesk, panel: MaskPanel) -> None:
    stroke(desk, 10, 10)
    desk.qtbot.waitUntil(lambda: panel.history.count() == 2)
    with desk.qtbot.waitSignal(desk.session.workspace.image_changed):
        desk.session.opening.open_next()
    desk.qtbot.waitUntil(lambda: panel.history.count() == 1)
    desk.qtbot.waitUntil(lambda: panel.told.text() == "Nothing is outlined yet.")
