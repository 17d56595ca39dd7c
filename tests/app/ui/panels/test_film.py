"""Law: the framed picture is what the canvas shows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt

from engine.types import Image, Prompt, SampleSettings
from nca_seg_app.state.view_state import Shown
from nca_seg_app.ui.panels.film import FilmPanel
from tests.app.desks import PanelDesk, click, is_still
from tests.fakes import DiskModel


def shown(desk: PanelDesk) -> FilmPanel:
    """The panel over the opened folder."""
    desk.open()
    panel = FilmPanel(desk.session)
    desk.show(panel, 800, 190)
    return panel


def test_the_film_fills_and_a_frame_goes_to_the_canvas(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.frames.pictures.rowCount() == 4)
    steps = desk.session.segmentation.film.steps(panel.member.value() - 1)
    frame = panel.frames.visualRect(panel.frames.pictures.index(1))
    for point, expected in (
        (frame.center() + QPoint(0, 20), steps[1].clean_hw),
        (frame.center() - QPoint(0, 20), steps[1].noisy_hw),
    ):
        click(desk, panel.frames.viewport(), point)
        assert desk.session.view_state.shown is not None
        assert desk.session.view_state.shown.map_hw is expected
    assert desk.session.view_state.shown.kind == "noisy"
    desk.qtbot.keyClick(panel.frames, Qt.Key.Key_Right)
    assert panel.frames.currentIndex().row() == 2
    assert desk.session.view_state.shown.map_hw is steps[2].noisy_hw
    panel.back.click()
    assert desk.session.view_state.shown is None
    desk.qtbot.waitUntil(lambda: panel.frames.currentIndex().row() == -1)


def test_another_member_keeps_the_moment(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.member.maximum() == 5)
    panel.member.setValue(1)
    panel.after.click()
    panel.after.click()
    panel.member.setValue(4)
    step = desk.session.segmentation.film.steps(3)[1]
    assert desk.session.view_state.shown is not None
    assert desk.session.view_state.shown.map_hw is step.clean_hw


def test_playing_ends_at_the_last_frame(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.frames.pictures.rowCount() == 4)
    panel.play.click()
    desk.qtbot.waitUntil(lambda: not panel.play.isChecked())
    assert panel.frames.currentIndex().row() == 3


def test_a_new_film_takes_the_old_frame_off_the_canvas(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.frames.pictures.rowCount() == 4)
    panel.before.click()
    assert desk.session.view_state.shown is not None
    desk.segment()
    assert desk.session.view_state.shown is None


def test_before_the_first_step_members_are_not_counted_as_none(
    desk: PanelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = DiskModel.segment

    def until_enough(
        model: DiskModel, image: Image, settings: SampleSettings, prompt: Prompt
    ) -> Any:
        several = dataclasses.replace(settings, members=settings.members or 4)
        return segment(model, image, several, prompt)

    monkeypatch.setattr(DiskModel, "segment", until_enough)
    panel = shown(desk)
    sample = dataclasses.replace(desk.session.context.settings.sample, members=0)
    desk.session.context.change_settings(sample=sample)
    desk.model.holds_at = 0
    desk.session.segment()
    desk.qtbot.waitUntil(panel.member.isVisible)
    assert panel.member.text() == "Member 1 of 1"


def test_a_number_that_is_being_typed_is_not_put_back(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.member.maximum() == 5)
    panel.member.setValue(3)
    panel.member.lineEdit().setText("Member  of 5")
    desk.session.segmentation.film_changed.emit()
    assert not is_still(panel)
    desk.qtbot.waitUntil(lambda: is_still(panel))
    assert panel.member.text() == "Member  of 5"


def test_the_film_is_that_of_the_member_on_the_canvas(desk: PanelDesk) -> None:
    desk.open()
    panel = FilmPanel(desk.session)
    desk.show(panel)
    desk.segment()
    result = desk.session.segmentation.result
    assert result is not None
    desk.session.view_state.show(Shown("Member 2", "probability", result.members_nhw[1], 1))
    desk.qtbot.waitUntil(lambda: panel.member.value() == 2)
    desk.qtbot.waitUntil(lambda: panel._steps == desk.session.segmentation.film.steps(1))
    assert desk.session.view_state.shown is not None
