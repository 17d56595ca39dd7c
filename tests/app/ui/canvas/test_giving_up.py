"""Law: what is given up while it is drawn leaves all as it was before."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas.interaction import CanvasView
from tests.app.ui.canvas.hands import CONTROL, drag, key, press, release, run_model


def test_undo_takes_back_the_last_corner_of_a_polygon(canvas: CanvasView, session: Session) -> None:
    session.view_state.choose_tool("polygon")
    for row, column in ((10.0, 10.0), (10.0, 40.0)):
        press(canvas, row, column)
        release(canvas, row, column)
    for left in (1, 0):
        assert key(canvas, Qt.Key.Key_Z, CONTROL)
        assert canvas.tool is not None
        assert len(canvas.tool.sketch) == left
    assert not key(canvas, Qt.Key.Key_Z, CONTROL)


@pytest.mark.parametrize("tool", ["polygon", "brush"])
def test_what_is_given_up_gives_the_proposal_back(
    qtbot: QtBot, canvas: CanvasView, session: Session, tool: str
) -> None:
    run_model(session, qtbot)
    session.view_state.choose_tool(tool)  # type: ignore[arg-type]
    assert session.workspace.document is not None
    press(canvas, 10.0, 10.0)
    if tool == "polygon":
        release(canvas, 10.0, 10.0)
    qtbot.waitUntil(lambda: not session.proposal.proposed)
    qtbot.waitUntil(lambda: canvas.tool is not None and canvas.tool.active)
    assert key(canvas, Qt.Key.Key_Escape)
    assert session.workspace.document.is_empty
    assert session.proposal.proposed
    release(canvas, 10.0, 10.0)
    # What goes on to be drawn takes it again, and stays.
    press(canvas, 2.0, 2.0)
    release(canvas, 2.0, 2.0)
    qtbot.waitUntil(lambda: not session.workspace.document.is_empty)


def test_what_is_given_up_at_once_gives_the_proposal_back(
    qtbot: QtBot, canvas: CanvasView, session: Session
) -> None:
    run_model(session, qtbot)
    session.view_state.choose_tool("brush")
    press(canvas, 10.0, 10.0)
    assert key(canvas, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not session.context.lane.pending)
    assert session.workspace.document is not None
    assert session.workspace.document.is_empty
    assert session.proposal.proposed


def test_a_stroke_begun_after_one_that_was_given_up_at_once_is_kept(
    qtbot: QtBot, canvas: CanvasView, session: Session
) -> None:
    run_model(session, qtbot)
    session.view_state.choose_tool("brush")
    press(canvas, 10.0, 10.0)
    assert key(canvas, Qt.Key.Key_Escape)
    release(canvas, 10.0, 10.0)
    press(canvas, 4.0, 4.0)
    release(canvas, 4.0, 4.0)
    qtbot.waitUntil(lambda: not session.context.lane.pending and not session.proposal.taking)
    document = session.workspace.document
    assert document is not None
    qtbot.waitUntil(lambda: bool(document.mask_hw[4, 4]))
    # On the proposal, which was taken for it.
    assert document.mask_hw[24, 32]
    assert document.steps == ("Accept result", "Brush stroke")


@pytest.mark.parametrize("tool", ["lasso", "wand"])
def test_undo_during_a_drag_gives_up_what_is_drawn_and_nothing_before(
    canvas: CanvasView, session: Session, tool: str
) -> None:
    session.view_state.choose_tool("brush")
    press(canvas, 40.0, 5.0)
    release(canvas, 40.0, 5.0)
    session.view_state.choose_tool(tool)  # type: ignore[arg-type]
    press(canvas, 10.0, 10.0)
    drag(canvas, 10.0, 20.0)
    drag(canvas, 20.0, 20.0)
    assert key(canvas, Qt.Key.Key_Z, CONTROL)
    release(canvas, 20.0, 20.0)
    assert session.workspace.document is not None
    assert session.workspace.document.steps == ("Brush stroke",)
    assert session.workspace.document.place == 1
