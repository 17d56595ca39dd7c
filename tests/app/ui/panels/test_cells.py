"""Law: every cell update of every level can be watched, however many each level has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
    run = desk.session.segmentation
    replay = run.replay

    def hold(member: int, timestep: int, done: Callable[[list[CellStep]], None]) -> None:
        replay(member, timestep, lambda cells: answers.append(lambda: done(cells)))

    monkeypatch.setattr(run, "replay", hold)
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
