"""Law: every cell update of every level can be watched, however many each level has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PySide6.QtWidgets import QLabel, QWidget

from engine.networks.architecture import Inspection
from engine.networks.table import ARCHITECTURES
from engine.types import CellStep
from nca_seg_app.state.view_state import Shown
from nca_seg_app.ui.panels.cells import CellsPanel
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
    desk.session.view_state.pick((24, 32))
    for curve in panel.plot.plotItem.listDataItems():
        assert len(curve.yData) == coarse + fine + 2
    noise = panel.plot.plotItem.listDataItems()[0].yData
    assert list(noise) == [*range(coarse + 1), *range(fine + 1)]


def test_a_replay_that_comes_late_is_not_shown_over_another_image(
    desk: PanelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open()
    desk.segment()
    answers: list[Callable[[], None]] = []
    service = desk.session.replay
    replay = service.replay

    def hold(member: int, timestep: int, done: Callable[[list[CellStep]], None]) -> None:
        replay(member, timestep, lambda cells: answers.append(lambda: done(cells)))

    monkeypatch.setattr(service, "replay", hold)
    panel = CellsPanel(desk.session)
    desk.show(panel, 340, 900)
    desk.qtbot.waitUntil(lambda: len(answers) == 1)
    with desk.qtbot.waitSignal(desk.session.workspace.image_changed):
        desk.session.opening.open_next()
    answers[0]()
    assert panel.update_slider.maximum() == 0
    assert panel.update_text.text() == ""


def test_another_diffusion_step_is_shown_at_the_same_cell_update(desk: PanelDesk) -> None:
    desk.open()
    desk.segment()
    panel = CellsPanel(desk.session)
    desk.show(panel, 340, 900)
    desk.qtbot.waitUntil(lambda: panel.update_slider.maximum() == 9)
    assert panel.update_slider.value() == 9
    for place, step in ((0, 0), (4, 1)):
        panel.update_slider.setValue(place)
        before = panel._steps
        panel._step.setValue(step)
        desk.qtbot.waitUntil(lambda before=before: panel._steps is not before)
        assert panel.update_slider.value() == place


def test_the_member_on_the_canvas_is_the_one_that_is_replayed(desk: PanelDesk) -> None:
    desk.open()
    desk.segment()
    panel = CellsPanel(desk.session)
    desk.show(panel, 340, 900)
    result = desk.session.segmentation.result
    assert result is not None
    desk.qtbot.waitUntil(lambda: bool(panel._steps))
    before = panel._steps
    desk.session.view_state.show(Shown("Member 3", "probability", result.members_nhw[2], 2))
    desk.qtbot.waitUntil(lambda: panel._steps is not before and bool(panel._steps))
    assert panel._member.value() == 3
    assert desk.session.view_state.shown is not None


def test_a_network_without_cells_is_shown_in_its_own_words(
    desk: PanelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = Inspection("Blocks", "what every block makes of the image", "block", "point")
    table = dataclasses.replace(ARCHITECTURES["multicbam"], inspection=blocks)
    desk.open()
    desk.segment()
    monkeypatch.setitem(ARCHITECTURES, "multicbam", table)
    desk.model.coarse_updates, desk.model.updates, replay = 0, 0, desk.model.replay

    def one_level(*asked: Any) -> Iterator[CellStep]:
        *_, last = replay(*asked)
        for update in (1, 2):
            yield dataclasses.replace(last, done=update, total=2, level=1, update=update)

    monkeypatch.setattr(desk.model, "replay", one_level)
    panel = CellsPanel(desk.session)
    desk.show(panel, 340, 900)
    desk.qtbot.waitUntil(lambda: len(panel._steps) == 2)
    assert panel.update_text.text() == "block 2 of 2\n20 × 12 points"
    names = [panel.montage.name(place) for place in range(8)]
    assert names[-2:] == ["t", "colours"]
    desk.session.view_state.pick((24, 32))
    shown = " ".join(label.text() for label in panel.findChildren(QLabel))
    assert "The point at pixel (32, 24), block by block" in shown
    tips = " ".join(widget.toolTip() for widget in panel.findChildren(QWidget))
    for word in ("cell", "fired", "automaton"):
        assert word not in f"{shown} {tips}".lower()
    panel.montage.clicked.emit(7)
    assert desk.session.view_state.shown is not None
    assert desk.session.view_state.shown.title == "colours, block 2"
    assert desk.session.view_state.shown.kind == "colours"
