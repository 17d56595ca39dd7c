"""Law: what is given up while it is drawn leaves all as it was before."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from nca_seg_app.canvas.view import CanvasView
from nca_seg_app.session import Session
from tests.app.canvas.hands import CONTROL, key, press, release, run_model


def test_undo_takes_back_the_last_corner_of_a_polygon(canvas: CanvasView, session: Session) -> None:
    session.viewing.choose_tool("polygon")
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
    session.viewing.choose_tool(tool)  # type: ignore[arg-type]
    assert session.document is not None
    press(canvas, 10.0, 10.0)
    if tool == "polygon":
        release(canvas, 10.0, 10.0)
    qtbot.waitUntil(lambda: not session.segmentation.proposed)
    qtbot.waitUntil(lambda: canvas.tool is not None and canvas.tool.active)
    assert key(canvas, Qt.Key.Key_Escape)
    assert session.document.is_empty
    assert session.segmentation.proposed
    release(canvas, 10.0, 10.0)
    # What goes on to be drawn takes it again, and stays.
    press(canvas, 2.0, 2.0)
    release(canvas, 2.0, 2.0)
    qtbot.waitUntil(lambda: not session.document.is_empty)


def test_what_is_given_up_at_once_gives_the_proposal_back(
    qtbot: QtBot, canvas: CanvasView, session: Session
) -> None:
    run_model(session, qtbot)
    session.viewing.choose_tool("brush")
    press(canvas, 10.0, 10.0)
    assert key(canvas, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not session.lane.pending)
    assert session.document is not None
    assert session.document.is_empty
    assert session.segmentation.proposed
