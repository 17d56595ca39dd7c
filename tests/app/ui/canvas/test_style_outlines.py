"""A person goes through the outlines of all styles and takes the one they mean."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent
from pytestqt.qtbot import QtBot

from engine.types import StyleChoice
from nca_seg_app.session import Session
from nca_seg_app.ui.canvas.canvas import Canvas
from tests.app.ui.canvas.hands import NO_BUTTON, mouse, press, release
from tests.app.ui.canvas.test_steering import Guided
from tests.fakes import A_HAND, DiskModel


@pytest.fixture
def model() -> DiskModel:
    return DiskModel(size=64, fits=A_HAND)


@pytest.fixture
def user(qtbot: QtBot, canvas: Canvas, session: Session) -> Guided:
    made = Guided(qtbot, canvas, session, "pan")
    session.segment()
    made.settle()
    return made


def cycle(user: Guided, action_id: str = "run.wider") -> None:
    user.do(action_id)
    user.settle()


def test_a_key_goes_from_the_tightest_to_the_widest(user: Guided, session: Session) -> None:
    cycle(user)
    areas = [outline.area for outline in session.style_outlines.shown]
    assert len(areas) == 3
    assert areas == sorted(areas)
    assert session.style_outlines.shown[session.style_outlines.current].choice == StyleChoice()
    first = session.style_outlines.current
    cycle(user)
    assert session.style_outlines.current == (first + 1) % 3
    cycle(user, "run.tighter")
    cycle(user, "run.tighter")
    assert session.style_outlines.current == (first - 1) % 3
    assert not user.mask_hw.any()


def test_return_takes_one_as_the_proposal_and_the_study_remembers_its_style(
    user: Guided, session: Session, model: DiskModel
) -> None:
    cycle(user)
    while session.style_outlines.current != 2:
        cycle(user)
    widest = session.style_outlines.shown[2]
    user.do("run.accept")
    assert session.segmentation.result is widest.result
    assert session.proposal.proposed
    assert not session.style_outlines.shown
    assert not user.mask_hw.any()
    assert session.workspace.style == widest.choice
    run = session.segmentation.run
    user.qtbot.waitUntil(lambda: session.segmentation.run is not run, timeout=20_000)
    user.settle()
    assert model.asked[-1].width == widest.choice.width, "the whole ensemble is drawn in it"
    user.do("run.accept")
    user.settle()
    assert user.mask_hw.any()


def test_pointing_at_a_line_lights_it_and_a_click_takes_it(
    user: Guided, session: Session, canvas: Canvas
) -> None:
    cycle(user)
    layer = canvas.layers.style_outlines
    row, column = layer[0][0][0].tolist()
    mouse(canvas, QEvent.Type.MouseMove, row, column, NO_BUTTON)
    assert session.style_outlines.current == 0
    tightest = session.style_outlines.shown[0]
    press(canvas, row, column)
    release(canvas, row, column)
    assert session.segmentation.result is tightest.result


def test_escape_shows_the_proposal_as_it_was(user: Guided, session: Session) -> None:
    result = session.segmentation.result
    cycle(user)
    user.do("run.discard")
    assert not session.style_outlines.shown
    assert session.segmentation.result is result
    assert session.proposal.proposed


def test_escape_ends_outlines_that_are_still_drawn(
    user: Guided, session: Session, model: DiskModel
) -> None:
    model.gate.clear()
    model.holds_at = 1
    user.do("run.wider")
    user.qtbot.waitUntil(lambda: model.at_once == 1)
    session.style_outlines.hide()
    model.gate.set()
    user.settle()
    assert not session.style_outlines.shown


def test_they_are_drawn_once(user: Guided, session: Session, model: DiskModel) -> None:
    cycle(user)
    runs = len(model.asked)
    cycle(user)
    assert len(model.asked) == runs, "they are drawn once"
