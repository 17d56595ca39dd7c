"""Law: the canvas shows what is, where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from engine.masks import edits
from nca_seg_app.session import Session
from nca_seg_app.state.view_state import Shown
from nca_seg_app.ui.canvas.canvas import Canvas
from nca_seg_app.ui.canvas.overlay import (
    ANNOTATION,
)
from nca_seg_app.ui.canvas.viewport import Placement, fitted
from tests.app.desks import is_still
from tests.app.ui.canvas.hands import (
    LEFT,
    NO_KEY,
    colour_at,
    drag,
    key,
    looks,
    mask_of,
    place_of,
    press,
    release,
    run_model,
    wheel,
)
from tests.fakes import DiskModel, write_image


@given(
    scale=st.floats(0.01, 60),
    new=st.floats(0.01, 60),
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
    at=st.tuples(st.floats(0, 2000), st.floats(0, 1500)),
)
def test_zoom_keeps_the_point_under_the_pointer(
    scale: float, new: float, x: float, y: float, at: tuple[float, float]
) -> None:
    before = Placement(scale, x, y)
    after = before.zoomed(new, *at)
    assert after.scale == new
    assert after.to_view(*before.to_image(*at)) == pytest.approx(at, abs=1e-6)


def test_the_wheel_zooms_at_the_pointer(canvas: Canvas) -> None:
    place = place_of(canvas, 10.0, 50.0)
    fit_scale = canvas.viewport.placement.scale
    wheel(canvas, place, 240, NO_KEY)
    assert canvas.viewport.placement.scale > fit_scale * 1.2
    assert canvas.viewport.placement.to_image(place.x(), place.y()) == pytest.approx((50.0, 10.0))


def test_a_fitted_image_stays_fitted_and_another_keeps_its_middle(canvas: Canvas) -> None:
    canvas.resize(400, 300)
    assert canvas.viewport.placement == fitted((64, 48), (400, 300), 16)
    canvas.viewport.zoom_to(20.0, QPointF(200, 150))
    middle = canvas.viewport.placement.to_image(200, 150)
    canvas.resize(600, 500)
    assert canvas.viewport.placement.scale == 20.0
    assert canvas.viewport.placement.to_image(300, 250) == pytest.approx(middle)


def test_the_session_asks_for_fit_and_actual_size(canvas: Canvas, session: Session) -> None:
    fit = canvas.viewport.placement
    session.view_state.actual_size_requested.emit()
    assert canvas.viewport.placement.scale == pytest.approx(1 / canvas.devicePixelRatioF())
    session.view_state.zoom_requested.emit(2.0)
    assert canvas.viewport.placement.scale == pytest.approx(2 / canvas.devicePixelRatioF())
    session.view_state.fit_requested.emit()
    assert canvas.viewport.placement == fit


def test_panning_moves_the_image_with_the_pointer(canvas: Canvas, session: Session) -> None:
    canvas.viewport.zoom_to(20.0, QPointF(320, 240))
    session.view_state.set_picking(True)
    before = canvas.viewport.placement
    press(canvas, 20.0, 30.0)
    at = place_of(canvas, 20.0, 30.0) + QPointF(30, -20)
    row, column = (at.y() - before.y) / before.scale, (at.x() - before.x) / before.scale
    drag(canvas, row, column)
    release(canvas, 20.0, 30.0)
    assert canvas.viewport.placement == before.moved(30, -20)
    assert session.view_state.picked is None


def test_a_click_without_a_tool_picks_the_pixel_where_a_panel_asks(
    canvas: Canvas, session: Session
) -> None:
    press(canvas, 10.5, 30.5)
    release(canvas, 10.5, 30.5)
    assert session.view_state.picked is None
    session.view_state.set_picking(True)
    press(canvas, 20.5, 30.5)
    release(canvas, 20.5, 30.5)
    assert session.view_state.picked == (20, 30)


def test_the_image_cannot_be_lost(canvas: Canvas) -> None:
    canvas.viewport.place(canvas.viewport.placement.moved(1e6, -1e6))
    corner = canvas.viewport.placement.to_image(canvas.width(), 0)
    assert 0 < corner[0] < 64
    assert 0 < corner[1] < 48


def test_the_fill_is_painted_where_the_mask_is(canvas: Canvas, session: Session) -> None:
    session.context.change_settings(fill_opacity=0.6, show_outline=False)
    bare = looks(canvas)
    assert session.workspace.document is not None
    session.workspace.document.edit(
        "Paint", lambda m: edits.stroke(m, np.array([[20.0, 30.0]]), 5.0, True)
    )
    inside, outside = place_of(canvas, 20.5, 30.5), place_of(canvas, 40.5, 10.5)
    tinted = looks(canvas)
    assert colour_at(tinted, inside).blue() > colour_at(bare, inside).blue() + 60
    assert colour_at(tinted, outside) == colour_at(bare, outside)
    session.context.change_settings(show_fill=False)
    assert looks(canvas) == bare


def test_the_outline_runs_along_the_mask_and_space_hides_it(
    qtbot: QtBot, canvas: Canvas, session: Session
) -> None:
    bare = looks(canvas)
    assert session.workspace.document is not None
    square_rc = np.array([[10.0, 10.0], [10.0, 40.0], [30.0, 40.0], [30.0, 10.0]])
    session.workspace.document.edit(
        "Square", lambda mask_hw: edits.polygon(mask_hw, square_rc, True)
    )
    qtbot.waitUntil(lambda: is_still(canvas))
    seen = colour_at(looks(canvas), place_of(canvas, 20.0, 10.0))
    # Between two screen pixels, so darkened by the casing.
    assert seen.hue() == pytest.approx(ANNOTATION.hue(), abs=12)
    assert seen.saturation() > 200
    assert key(canvas, Qt.Key.Key_Space)
    assert looks(canvas) == bare
    QApplication.sendEvent(canvas, QKeyEvent(QEvent.Type.KeyRelease, Qt.Key.Key_Space, NO_KEY))
    assert looks(canvas) != bare


def test_the_outline_follows_a_stroke_before_it_ends(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    session.context.change_settings(show_fill=False)
    session.view_state.choose_tool("brush")
    press(canvas, 20.0, 10.0)
    drag(canvas, 20.0, 50.0)
    edge = place_of(canvas, 15.0, 25.0)
    qtbot.waitUntil(lambda: colour_at(looks(canvas), edge).blue() > 200)
    key(canvas, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: colour_at(looks(canvas), edge).blue() < 200)


def test_a_run_shows_its_border_and_accepting_replaces_it(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    session.context.change_settings(show_fill=False)
    bare = looks(canvas)
    run_model(session, qtbot)
    proposed = looks(canvas)
    assert proposed != bare
    session.proposal.set_threshold(0.9)
    assert looks(canvas) != proposed
    session.proposal.accept()
    qtbot.waitUntil(lambda: not session.proposal.proposed)
    assert mask_of(session).any()
    assert looks(canvas) != proposed
    session.proposal.discard()
    session.mask_edits.undo()
    assert looks(canvas) == bare


def test_a_border_is_drawn_in_full_once_it_stands_still(
    canvas: Canvas, session: Session, model: DiskModel, qtbot: QtBot
) -> None:
    def points_rc() -> np.ndarray:
        looks(canvas)
        assert canvas.layers.proposal is not None
        return np.concatenate(canvas.layers.proposal.contours)

    model.holds_at = 2
    session.model_library.refresh()
    qtbot.waitUntil(lambda: session.model_library.chosen is not None)
    run = session.segmentation
    run.segment()
    qtbot.waitUntil(lambda: run.progress[0] == 2)
    forming_rc = points_rc()
    run.pause()
    paused_rc = points_rc()
    assert len(paused_rc) > 2 * len(forming_rc)
    # It is the same border: less than a third of a pixel of the image away.
    distance = np.hypot(*np.moveaxis(forming_rc[:, None] - paused_rc[None], -1, 0))
    assert distance.min(axis=1).max() < 0.3
    run.pause()
    assert len(points_rc()) == len(forming_rc)
    run.cancel()
    model.gate.set()
    qtbot.waitUntil(lambda: not run.running)
    assert len(points_rc()) > 2 * len(forming_rc)


def test_the_pointer_reads_pixel_probability_and_disagreement(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    said: list[str] = []
    canvas.pointed.connect(said.append)
    drag(canvas, 24.5, 32.5)
    assert said[-1] == "(32, 24)"
    run_model(session, qtbot)
    drag(canvas, 24.5, 32.5)
    assert said[-1] == "(32, 24) · p 1.00 · disagreement 0.00"
    drag(canvas, -1.0, 32.5)
    assert said[-1] == ""


def test_what_is_told_of_a_pointer_that_rests_stays_true(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    said: list[str] = []
    canvas.pointed.connect(said.append)
    drag(canvas, 24.5, 32.5)
    place = place_of(canvas, 24.5, 32.5)
    run_model(session, qtbot)
    assert said[-1] == "(32, 24) · p 1.00 · disagreement 0.00"
    session.view_state.show(Shown("x_t", "noisy", np.full((12, 16), 0.5, np.float32)))
    assert said[-1].endswith("x_t 0.50")
    session.view_state.show(None)
    session.proposal.discard()
    canvas.viewport.zoom_to(40.0, place + QPointF(100, 0))
    column, row = canvas.viewport.placement.to_image(place.x(), place.y())
    assert said[-1] == f"({int(column)}, {int(row)})" != "(32, 24)"


def test_a_brush_too_small_to_be_seen_has_a_cursor(canvas: Canvas, session: Session) -> None:
    session.context.change_settings(brush_radius_px=0.5)
    canvas.viewport.zoom_to(20.0, QPointF(320, 240))
    session.view_state.choose_tool("brush")
    assert canvas.cursor().shape() == Qt.CursorShape.BlankCursor
    canvas.viewport.zoom_to(5.0, QPointF(320, 240))
    assert canvas.cursor().shape() == Qt.CursorShape.CrossCursor


def test_a_shown_map_covers_the_image(canvas: Canvas, session: Session) -> None:
    bare = looks(canvas)
    map_hw = np.zeros((12, 16), np.float32)
    map_hw[:, 8:] = 1
    session.view_state.show(Shown("x_t", "noisy", map_hw))
    seen = looks(canvas)
    left, right = place_of(canvas, 40.0, 5.0), place_of(canvas, 40.0, 60.0)
    assert colour_at(seen, left).lightness() < colour_at(bare, left).lightness() - 60
    assert colour_at(seen, right).lightness() > 150
    session.view_state.show(None)
    assert looks(canvas) == bare


def test_the_next_doubt_is_magnified(canvas: Canvas, session: Session, qtbot: QtBot) -> None:
    fit_scale = canvas.viewport.placement.scale
    run_model(session, qtbot)
    session.view_state.next_doubt_requested.emit()
    assert canvas.viewport.placement.scale > 2 * fit_scale
    assert session.view_state.tool.name == "brush"
    row, column = canvas.viewport.placement.to_image(320, 240)[::-1]
    assert 0.2 * 48 < np.hypot(row - 24, column - 32) < 0.4 * 48


def test_nothing_open_offers_the_sample(qtbot: QtBot, session: Session) -> None:
    view = Canvas(session)
    qtbot.addWidget(view)
    view.resize(640, 480)
    view.show()
    label = view.findChild(QLabel)
    assert label is not None
    assert label.isVisible()
    assert "try the sample" in label.text()
    with qtbot.waitSignal(session.workspace.image_changed):
        label.linkActivated.emit("sample")
    assert not label.isVisible()


def test_a_drop_opens(canvas: Canvas, session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    path = write_image(tmp_path / "dropped" / "ä b.png", (30, 40))
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    drop = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, NO_KEY)
    with qtbot.waitSignal(session.workspace.image_changed):
        canvas.dropEvent(drop)
    assert session.workspace.path is not None
    assert session.workspace.path.name == "ä b.png"


def test_a_shown_member_is_a_border_over_the_bare_lesion(
    canvas: Canvas, session: Session, qtbot: QtBot
) -> None:
    run_model(session, qtbot)
    result = session.segmentation.result
    assert result is not None
    session.context.change_settings(show_outline=False)
    middle = place_of(canvas, 24.0, 32.0)
    bare = colour_at(looks(canvas), middle)
    session.context.change_settings(show_outline=True)
    session.view_state.show(Shown("Member 1", "probability", result.members_nhw[0], 0))
    assert colour_at(looks(canvas), middle) == bare
    borders = canvas.layers.borders
    assert len(borders) == len(result.members_nhw)
    radii = [float(np.hypot(*(border - (24, 32)).T).mean()) for border in borders]
    assert radii[:3] == pytest.approx([12, 12.96, 13.92], abs=0.7)
    assert canvas.layers.borders is borders
    session.view_state.show(None)
    assert canvas.layers.borders == ()
