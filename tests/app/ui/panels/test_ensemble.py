"""Law: members and maps are those of the newest result."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from nca_seg_app.ui.panels.ensemble import EnsemblePanel
from nca_seg_app.ui.panels.maps import MAPS
from tests.app.desks import PanelDesk, click


def test_members_and_maps_appear(desk: PanelDesk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    assert panel.members.pictures.rowCount() == 0
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.members.pictures.rowCount() == 5)
    desk.qtbot.waitUntil(lambda: panel.maps.pictures.rowCount() == len(MAPS))
    desk.qtbot.waitUntil(lambda: panel.doubt.text().startswith("Doubt 0."))


def test_members_being_drawn_are_marked(desk: PanelDesk) -> None:
    desk.model.holds_at = 6
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.session.segment()
    desk.qtbot.waitUntil(lambda: panel.members.pictures.rowCount() == 4)
    texts = [panel.members.pictures.index(row).data() for row in range(4)]
    assert texts == ["1", "2", "3 …", "4 …"]


def test_a_click_puts_a_member_on_the_canvas_and_a_new_run_takes_it_away(desk: PanelDesk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.members.pictures.rowCount() == 5)
    view_state, result = desk.session.view_state, desk.session.segmentation.result
    assert result is not None
    index = panel.members.pictures.index(3)
    click(desk, panel.members.viewport(), panel.members.visualRect(index).center())
    assert view_state.shown is not None
    assert view_state.shown.title == "Member 4"
    assert np.array_equal(view_state.shown.map_hw, result.members_nhw[3])
    desk.session.proposal.discard()
    assert view_state.shown is None


def test_a_member_becomes_the_mask(desk: PanelDesk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.segment()
    result, document = desk.session.segmentation.result, desk.session.workspace.document
    assert result is not None
    assert document is not None
    menu = panel.menu_for(2)
    with desk.qtbot.waitSignal(document.changed):
        menu.actions()[1].trigger()
    menu.close()
    expected = result.frame.restore(result.members_nhw[2]) >= 0.5
    assert np.array_equal(document.mask_hw, expected)
    desk.session.mask_edits.undo()
    assert document.is_empty


def test_the_agreement_map_follows_its_slider(desk: PanelDesk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.maps.pictures.rowCount() == len(MAPS))
    desk.qtbot.waitUntil(
        lambda: (
            panel.watch.newest is not None
            and panel.watch.newest.result is desk.session.segmentation.result
        )
    )
    view_state = desk.session.view_state
    areas = []
    panel.maps.chosen.emit(MAPS.index("Agreement"), False)
    for percent in (100, 1):
        panel.level.setValue(percent)
        assert view_state.shown is not None
        areas.append(float(view_state.shown.map_hw.sum()))
    members = desk.session.segmentation.result.members_nhw >= 0.5
    assert areas == [members.all(axis=0).sum(), members.any(axis=0).sum()]


@pytest.mark.parametrize("button", [Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton])
def test_the_frame_stays_on_what_the_canvas_shows(desk: PanelDesk, button: Qt.MouseButton) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.members.pictures.rowCount() == 5)
    view = panel.members.viewport()
    places = [panel.members.visualRect(panel.members.pictures.index(row)) for row in range(5)]
    click(desk, view, places[3].center())
    if button == Qt.MouseButton.LeftButton:
        # With a button held over others, from where no picture is.
        start = view.rect().bottomRight() - QPoint(1, 1)
        assert not panel.members.indexAt(start).isValid()
    else:
        start = places[1].center()
    desk.qtbot.mousePress(view, button, pos=start)
    for point in (places[0].center(), places[1].center()):
        move = QMouseEvent(
            QEvent.Type.MouseMove, point, view.mapToGlobal(point),
            Qt.MouseButton.NoButton, button, Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QApplication.sendEvent(view, move)
    desk.qtbot.mouseRelease(view, button, pos=places[1].center())
    assert desk.session.view_state.shown is not None
    assert desk.session.view_state.shown.title == "Member 4"
    framed = panel.members.selectionModel().selectedIndexes()
    assert [index.row() for index in framed] == [3]
    assert panel.members.currentIndex().row() == 3
