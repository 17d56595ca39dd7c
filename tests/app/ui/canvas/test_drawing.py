"""Law: what is pressed on the canvas lands on that very pixel."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas.canvas import Canvas
from tests.app.ui.canvas.hands import (
    CONTROL,
    LEFT,
    MIDDLE,
    NO_BUTTON,
    NO_KEY,
    RIGHT,
    SHAPE,
    SHIFT,
    drag,
    footprint,
    key,
    mask_of,
    mouse,
    place_of,
    press,
    release,
    run_model,
    wheel,
)
from tests.fakes import write_image


def test_a_dab_of_the_brush_paints_the_pixels_under_it(canvas: Canvas, session: Session) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 20.0, 30.0)
    release(canvas, 20.0, 30.0)
    assert (mask_of(session) == footprint(20, 30, 5)).all()


@pytest.mark.parametrize("more", [{"keys": SHIFT}, {"button": RIGHT}], ids=["shift", "right"])
def test_shift_or_the_right_button_erases(
    canvas: Canvas, session: Session, more: dict[str, object]
) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 24.0, 10.0)
    drag(canvas, 24.0, 50.0)
    release(canvas, 24.0, 50.0)
    line_hw = mask_of(session).copy()
    press(canvas, 24.0, 30.0, **more)
    release(canvas, 24.0, 30.0, **more)
    assert (mask_of(session) == (line_hw & ~footprint(24, 30, 5))).all()
    session.mask_edits.undo()
    assert (mask_of(session) == line_hw).all()
    session.mask_edits.undo()
    assert not mask_of(session).any()


def test_escape_takes_the_stroke_back(canvas: Canvas, session: Session) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 24.0, 10.0)
    drag(canvas, 24.0, 40.0)
    assert mask_of(session).any()
    assert key(canvas, Qt.Key.Key_Escape)
    drag(canvas, 24.0, 50.0)
    release(canvas, 24.0, 50.0)
    assert not mask_of(session).any()
    assert session.workspace.document is not None
    assert not session.workspace.document.can_undo


@pytest.mark.parametrize("asked", ["S", "D", "F", "1", "N", "Return"])
def test_keys_wait_for_the_end_of_a_stroke(canvas: Canvas, session: Session, asked: str) -> None:
    which = Qt.Key[f"Key_{asked}"]
    session.view_state.choose_tool("brush")
    press(canvas, 24.0, 10.0)
    drag(canvas, 24.0, 30.0)
    assert key(canvas, which)
    drag(canvas, 24.0, 50.0)
    release(canvas, 24.0, 50.0)
    assert mask_of(session)[24, 10:50].all()
    assert not key(canvas, which)


def test_undo_does_not_wait_for_the_end_of_a_stroke(canvas: Canvas, session: Session) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 24.0, 10.0)
    assert session.workspace.document is not None
    assert session.workspace.document.drawing
    assert not key(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


def test_escape_belongs_to_the_window_while_nothing_is_drawn(
    canvas: Canvas, session: Session
) -> None:
    session.view_state.choose_tool("brush")
    assert not key(canvas, Qt.Key.Key_Escape)
    assert not key(canvas, Qt.Key.Key_Return)


@pytest.mark.parametrize("closing", ["double click", "enter"])
def test_a_polygon_is_closed_and_filled(canvas: Canvas, session: Session, closing: str) -> None:
    session.view_state.choose_tool("polygon")
    for row, column in ((10.0, 10.0), (10.0, 40.0), (30.0, 40.0), (45.0, 60.0)):
        press(canvas, row, column)
        release(canvas, row, column)
    assert key(canvas, Qt.Key.Key_Backspace)
    press(canvas, 30.0, 10.0)
    release(canvas, 30.0, 10.0)
    assert not mask_of(session).any()
    if closing == "enter":
        assert key(canvas, Qt.Key.Key_Return)
    else:
        mouse(canvas, QEvent.Type.MouseButtonDblClick, 30.0, 10.0)
        release(canvas, 30.0, 10.0)
    expected_hw = np.zeros(SHAPE, bool)
    expected_hw[10:30, 10:40] = True
    assert (mask_of(session) == expected_hw).all()


def test_another_tool_gives_up_the_polygon(canvas: Canvas, session: Session) -> None:
    session.view_state.choose_tool("polygon")
    press(canvas, 10.0, 10.0)
    session.view_state.choose_tool("lasso")
    for place, (row, column) in enumerate(((20.0, 20.0), (20.0, 30.0), (30.0, 30.0))):
        (drag if place else press)(canvas, row, column)
    release(canvas, 30.0, 30.0)
    assert mask_of(session)[22, 28]
    assert not mask_of(session)[:20].any()


def test_drawing_works_the_same_when_magnified(canvas: Canvas, session: Session) -> None:
    session.view_state.choose_tool("brush")
    canvas.viewport.zoom_to(37.0, place_of(canvas, 20.0, 30.0))
    press(canvas, 20.0, 30.0)
    release(canvas, 20.0, 30.0)
    assert (mask_of(session) == footprint(20, 30, 5)).all()


def test_the_wheel_with_control_changes_the_brush(canvas: Canvas, session: Session) -> None:
    before = canvas.viewport.placement
    wheel(canvas, place_of(canvas, 20, 30), 120, CONTROL)
    assert session.context.settings.brush_radius_px > 5
    wheel(canvas, place_of(canvas, 20, 30), -120, CONTROL)
    assert session.context.settings.brush_radius_px == pytest.approx(5)
    assert canvas.viewport.placement == before


def test_another_image_is_drawn_on_anew(
    canvas: Canvas, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    session.view_state.choose_tool("polygon")
    press(canvas, 10.0, 10.0)
    with qtbot.waitSignal(session.workspace.image_changed):
        session.opening.open_path(write_image(tmp_path / "other" / "b.png", (100, 50)))
    session.view_state.choose_tool("brush")
    press(canvas, 90.0, 40.0)
    release(canvas, 90.0, 40.0)
    assert mask_of(session).shape == (100, 50)
    assert mask_of(session)[90, 40]
    assert not mask_of(session)[:80].any()


def test_a_button_pressed_while_panning_draws_nothing(canvas: Canvas, session: Session) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 20.0, 30.0, button=MIDDLE)
    press(canvas, 20.0, 30.0)
    release(canvas, 20.0, 30.0)
    before = canvas.viewport.placement
    drag(canvas, 22.0, 30.0, button=MIDDLE)
    assert canvas.viewport.placement != before
    release(canvas, 22.0, 30.0, button=MIDDLE)
    before = canvas.viewport.placement
    drag(canvas, 40.0, 50.0, button=NO_BUTTON)
    assert canvas.viewport.placement == before
    assert not mask_of(session).any()
    press(canvas, 20.0, 30.0)
    release(canvas, 20.0, 30.0)
    assert (mask_of(session) == footprint(20, 30, 5)).all()


def test_another_tool_taken_in_hand_leaves_a_pan_under_way(
    canvas: Canvas, session: Session
) -> None:
    press(canvas, 20.0, 30.0, button=MIDDLE)
    session.view_state.choose_tool("brush")
    release(canvas, 20.0, 30.0, button=MIDDLE)
    before = canvas.viewport.placement
    drag(canvas, 40.0, 50.0, button=NO_BUTTON)
    assert canvas.viewport.placement == before


@pytest.mark.parametrize("tool", ["brush", "pan"])
def test_a_release_that_went_elsewhere_ends_what_was_under_way(
    canvas: Canvas, session: Session, tool: str
) -> None:
    session.view_state.choose_tool(tool)
    press(canvas, 20.0, 30.0)
    painted_hw, before = mask_of(session).copy(), canvas.viewport.placement
    drag(canvas, 40.0, 50.0, button=NO_BUTTON)
    assert (mask_of(session) == painted_hw).all()
    assert canvas.viewport.placement == before
    assert session.workspace.document is not None
    assert not session.workspace.document.drawing
    # A touch comes without a move before it.
    press(canvas, 40.0, 50.0)
    press(canvas, 20.0, 30.0)
    release(canvas, 20.0, 30.0)
    drag(canvas, 30.0, 30.0, button=NO_BUTTON)
    assert len(session.workspace.document.steps) == (2 if tool == "brush" else 0)


@pytest.mark.parametrize("button", [LEFT, RIGHT])
def test_nothing_is_drawn_on_the_bare_image(
    canvas: Canvas, session: Session, button: Qt.MouseButton
) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 24.0, 30.0)
    release(canvas, 24.0, 30.0)
    session.view_state.set_picking(True)
    assert key(canvas, Qt.Key.Key_Space)
    press(canvas, 24.0, 30.0, button=button)
    release(canvas, 24.0, 30.0, button=button)
    assert (mask_of(session) == footprint(24, 30, 5)).all()
    assert session.view_state.picked is None


def test_a_click_on_the_bare_image_picks_nothing_whichever_is_let_go_first(
    canvas: Canvas, session: Session
) -> None:
    session.view_state.set_picking(True)
    session.view_state.choose_tool("brush")
    assert key(canvas, Qt.Key.Key_Space)
    press(canvas, 24.0, 30.0)
    QApplication.sendEvent(canvas, QKeyEvent(QEvent.Type.KeyRelease, Qt.Key.Key_Space, NO_KEY))
    release(canvas, 24.0, 30.0)
    assert session.view_state.picked is None


@pytest.mark.parametrize("bare", [True, False])
def test_two_quick_pans_do_not_close_a_polygon(
    canvas: Canvas, session: Session, bare: bool
) -> None:
    session.view_state.choose_tool("polygon")
    for row, column in ((10.0, 10.0), (10.0, 40.0), (30.0, 40.0)):
        press(canvas, row, column)
        release(canvas, row, column)
    button = MIDDLE
    if bare:
        assert key(canvas, Qt.Key.Key_Space)
        button = LEFT
    mouse(canvas, QEvent.Type.MouseButtonDblClick, 20.0, 20.0, button)
    before = canvas.viewport.placement
    drag(canvas, 24.0, 20.0, button=button)
    release(canvas, 24.0, 20.0, button=button)
    assert canvas.viewport.placement != before
    assert not mask_of(session).any()
    assert canvas.input.tool is not None
    assert canvas.input.tool.active


def test_a_stroke_corrects_the_proposal(canvas: Canvas, session: Session, qtbot: QtBot) -> None:
    run_model(session, qtbot)
    assert session.segmentation.result is not None
    proposed_hw = session.segmentation.result.mask(session.context.settings.threshold)
    row, column = (int(each[0]) for each in np.nonzero(proposed_hw))
    session.view_state.choose_tool("brush")
    press(canvas, row + 0.5, column + 0.5, keys=SHIFT)
    drag(canvas, row + 0.5, column + 2.5, keys=SHIFT)
    release(canvas, row + 0.5, column + 2.5, keys=SHIFT)
    qtbot.waitUntil(
        lambda: session.workspace.document is not None and session.workspace.document.place == 2
    )
    erased_hw = proposed_hw & ~mask_of(session)
    assert erased_hw[row, column]
    assert (mask_of(session) & ~proposed_hw).sum() == 0
    assert erased_hw.sum() < proposed_hw.sum() / 2
    assert not session.proposal.proposed
    session.mask_edits.undo()
    assert (mask_of(session) == proposed_hw).all()
    session.mask_edits.undo()
    assert not mask_of(session).any()
    assert session.proposal.proposed


def test_a_stroke_on_an_outline_of_ones_own_takes_no_proposal(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 4.0, 4.0)
    release(canvas, 4.0, 4.0)
    run_model(session, qtbot)
    press(canvas, 4.0, 14.0)
    release(canvas, 4.0, 14.0)
    assert (mask_of(session) == (footprint(4, 4, 5) | footprint(4, 14, 5))).all()
    assert session.proposal.proposed


@pytest.fixture
def waiting(canvas: Canvas, session: Session, qtbot: QtBot) -> threading.Event:
    """What lets the proposal, which is being taken for the brush, become the mask."""
    run_model(session, qtbot)
    session.view_state.choose_tool("brush")
    gate = threading.Event()
    session.context.lane.run(gate.wait, None)
    return gate


def settled(session: Session, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not session.context.lane.pending and not session.proposal.taking)


def test_all_that_is_drawn_while_the_proposal_is_taken_comes_after_it(
    canvas: Canvas, session: Session, qtbot: QtBot, waiting: threading.Event
) -> None:
    for row in (4.0, 44.0):
        press(canvas, row, 4.0)
        release(canvas, row, 4.0)
    session.proposal.accept()
    assert not mask_of(session).any()
    waiting.set()
    settled(session, qtbot)
    assert session.workspace.document is not None
    qtbot.waitUntil(
        lambda: session.workspace.document is not None and session.workspace.document.place == 3
    )
    assert session.workspace.document.steps == ("Accept result", "Brush stroke", "Brush stroke")
    assert mask_of(session)[4, 4]
    assert mask_of(session)[44, 4]


def test_a_stroke_begun_while_the_mask_follows_the_threshold_comes_after_it(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    run_model(session, qtbot)
    session.proposal.accept()
    settled(session, qtbot)
    session.view_state.choose_tool("brush")
    gate = threading.Event()
    session.context.lane.run(gate.wait, None)
    session.proposal.set_threshold(0.2)
    qtbot.waitUntil(lambda: session.proposal.taking)
    press(canvas, 4.0, 4.0)
    release(canvas, 4.0, 4.0)
    gate.set()
    settled(session, qtbot)
    assert session.workspace.document is not None
    assert session.workspace.document.steps == ("Accept result", "Accept result", "Brush stroke")
    assert mask_of(session)[4, 4]


def test_escape_while_the_proposal_is_taken_gives_up_the_stroke(
    canvas: Canvas, session: Session, qtbot: QtBot, waiting: threading.Event
) -> None:
    press(canvas, 4.0, 4.0)
    assert key(canvas, Qt.Key.Key_Escape)
    drag(canvas, 4.0, 14.0)
    release(canvas, 4.0, 14.0)
    waiting.set()
    settled(session, qtbot)
    assert session.workspace.document is not None
    assert session.workspace.document.steps == ("Accept result",)


def test_another_tool_while_the_proposal_is_taken_loses_no_stroke(
    canvas: Canvas, session: Session, qtbot: QtBot, waiting: threading.Event
) -> None:
    press(canvas, 4.0, 4.0)
    release(canvas, 4.0, 4.0)
    session.view_state.choose_tool("eraser")
    waiting.set()
    settled(session, qtbot)
    qtbot.waitUntil(
        lambda: session.workspace.document is not None and session.workspace.document.place == 2
    )
    assert mask_of(session)[4, 4]


def test_a_polygon_begun_before_the_result_takes_no_proposal(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    session.view_state.choose_tool("polygon")
    press(canvas, 4.0, 4.0)
    release(canvas, 4.0, 4.0)
    run_model(session, qtbot)
    press(canvas, 4.0, 14.0)
    release(canvas, 4.0, 14.0)
    settled(session, qtbot)
    assert not mask_of(session).any()
    assert session.proposal.proposed
