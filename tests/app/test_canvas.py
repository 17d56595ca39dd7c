"""Laws: what is pressed on the canvas lands on that very pixel, and the canvas shows what is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDropEvent, QImage, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from engine import masks
from nca_seg_app.canvas.overlay import (
    ANNOTATION,
    annotation_contours,
    heat_image,
    proposal_of,
)
from nca_seg_app.canvas.picture import Picture, coarser_levels
from nca_seg_app.canvas.placement import Placement, fitted
from nca_seg_app.canvas.view import CanvasView
from nca_seg_app.session import Session
from nca_seg_app.settings import Settings
from nca_seg_app.viewing import Shown
from tests.fakes import DiskModel, Person, disk, fake_engine, write_image

SHAPE = (48, 64)
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NO_KEY, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def session(qtbot: QtBot, tmp_path: Path) -> Iterator[Session]:
    settings = Settings(brush_radius_px=5.0)
    made = Session(fake_engine(tmp_path, DiskModel(size=64)), Person(save="discard"), settings)
    yield made
    made.close()


@pytest.fixture
def canvas(qtbot: QtBot, session: Session, tmp_path: Path) -> CanvasView:
    """A canvas of 640×480 with an image of 64×48 pixels in it."""
    view = CanvasView(session)
    qtbot.addWidget(view)
    view.resize(640, 480)
    view.show()
    with qtbot.waitSignal(session.image_changed):
        session.open_path(write_image(tmp_path / "images" / "a.png", SHAPE))
    return view


def place_of(canvas: CanvasView, row: float, column: float) -> QPointF:
    return QPointF(*canvas.placement.to_view(column, row))


def mouse(
    canvas: CanvasView,
    kind: QEvent.Type,
    row: float,
    column: float,
    button: Qt.MouseButton = LEFT,
    keys: Qt.KeyboardModifier = NO_KEY,
) -> None:
    place = place_of(canvas, row, column)
    pressed = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button
    changed = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else button
    event = QMouseEvent(kind, place, canvas.mapToGlobal(place), changed, pressed, keys)
    QApplication.sendEvent(canvas, event)


def press(canvas: CanvasView, row: float, column: float, **more: object) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, row, column, **more)  # type: ignore[arg-type]


def drag(canvas: CanvasView, row: float, column: float, **more: object) -> None:
    mouse(canvas, QEvent.Type.MouseMove, row, column, **more)  # type: ignore[arg-type]


def release(canvas: CanvasView, row: float, column: float, **more: object) -> None:
    mouse(canvas, QEvent.Type.MouseButtonRelease, row, column, **more)  # type: ignore[arg-type]


def key(canvas: CanvasView, which: Qt.Key, kind: QEvent.Type = QEvent.Type.KeyPress) -> bool:
    """Whether the canvas wants the key for itself; it is pressed then."""
    asked = QKeyEvent(QEvent.Type.ShortcutOverride, which, NO_KEY)
    asked.ignore()
    QApplication.sendEvent(canvas, asked)
    if asked.isAccepted():
        QApplication.sendEvent(canvas, QKeyEvent(kind, which, NO_KEY))
    return asked.isAccepted()


def wheel(canvas: CanvasView, place: QPointF, turned: int, keys: Qt.KeyboardModifier) -> None:
    event = QWheelEvent(
        place,
        canvas.mapToGlobal(place),
        QPoint(),
        QPoint(0, turned),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def mask_of(session: Session) -> np.ndarray:
    assert session.document is not None
    return session.document.mask_hw


def footprint(row: float, column: float, radius_px: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows + 0.5 - row) ** 2 + (columns + 0.5 - column) ** 2 <= radius_px**2


def looks(canvas: CanvasView) -> QImage:
    return canvas.grab().toImage()


def colour_at(picture: QImage, place: QPointF) -> QColor:
    return picture.pixelColor(place.toPoint())


def run_model(session: Session, qtbot: QtBot) -> None:
    session.refresh_models()
    qtbot.waitUntil(lambda: session.model is not None)
    with qtbot.waitSignal(session.segmentation.completed):
        session.segmentation.segment()


# Drawing


def test_a_dab_of_the_brush_paints_the_pixels_under_it(
    canvas: CanvasView, session: Session
) -> None:
    session.viewing.choose_tool("brush")
    press(canvas, 20.0, 30.0)
    release(canvas, 20.0, 30.0)
    assert (mask_of(session) == footprint(20, 30, 5)).all()


@pytest.mark.parametrize("more", [{"keys": SHIFT}, {"button": RIGHT}], ids=["shift", "right"])
def test_shift_or_the_right_button_erases(
    canvas: CanvasView, session: Session, more: dict[str, object]
) -> None:
    session.viewing.choose_tool("brush")
    press(canvas, 24.0, 10.0)
    drag(canvas, 24.0, 50.0)
    release(canvas, 24.0, 50.0)
    line_hw = mask_of(session).copy()
    press(canvas, 24.0, 30.0, **more)
    release(canvas, 24.0, 30.0, **more)
    assert (mask_of(session) == (line_hw & ~footprint(24, 30, 5))).all()
    session.undo()
    assert (mask_of(session) == line_hw).all()
    session.undo()
    assert not mask_of(session).any()


def test_escape_takes_the_stroke_back(canvas: CanvasView, session: Session) -> None:
    session.viewing.choose_tool("brush")
    press(canvas, 24.0, 10.0)
    drag(canvas, 24.0, 40.0)
    assert mask_of(session).any()
    assert key(canvas, Qt.Key.Key_Escape)
    drag(canvas, 24.0, 50.0)
    release(canvas, 24.0, 50.0)
    assert not mask_of(session).any()
    assert session.document is not None
    assert not session.document.can_undo


def test_escape_belongs_to_the_window_while_nothing_is_drawn(
    canvas: CanvasView, session: Session
) -> None:
    session.viewing.choose_tool("brush")
    assert not key(canvas, Qt.Key.Key_Escape)
    assert not key(canvas, Qt.Key.Key_Return)


@pytest.mark.parametrize("closing", ["double click", "enter"])
def test_a_polygon_is_closed_and_filled(canvas: CanvasView, session: Session, closing: str) -> None:
    session.viewing.choose_tool("polygon")
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


def test_another_tool_gives_up_the_polygon(canvas: CanvasView, session: Session) -> None:
    session.viewing.choose_tool("polygon")
    press(canvas, 10.0, 10.0)
    session.viewing.choose_tool("lasso")
    for place, (row, column) in enumerate(((20.0, 20.0), (20.0, 30.0), (30.0, 30.0))):
        (drag if place else press)(canvas, row, column)
    release(canvas, 30.0, 30.0)
    assert mask_of(session)[22, 28]
    assert not mask_of(session)[:20].any()


def test_drawing_works_the_same_when_magnified(canvas: CanvasView, session: Session) -> None:
    session.viewing.choose_tool("brush")
    canvas.zoom_to(37.0, place_of(canvas, 20.0, 30.0))
    press(canvas, 20.0, 30.0)
    release(canvas, 20.0, 30.0)
    assert (mask_of(session) == footprint(20, 30, 5)).all()


def test_the_wheel_with_control_changes_the_brush(canvas: CanvasView, session: Session) -> None:
    before = canvas.placement
    wheel(canvas, place_of(canvas, 20, 30), 120, CONTROL)
    assert session.settings.brush_radius_px > 5
    wheel(canvas, place_of(canvas, 20, 30), -120, CONTROL)
    assert session.settings.brush_radius_px == pytest.approx(5)
    assert canvas.placement == before


def test_another_image_is_drawn_on_anew(
    canvas: CanvasView, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    session.viewing.choose_tool("polygon")
    press(canvas, 10.0, 10.0)
    with qtbot.waitSignal(session.image_changed):
        session.open_path(write_image(tmp_path / "other" / "b.png", (100, 50)))
    session.viewing.choose_tool("brush")
    press(canvas, 90.0, 40.0)
    release(canvas, 90.0, 40.0)
    assert mask_of(session).shape == (100, 50)
    assert mask_of(session)[90, 40]
    assert not mask_of(session)[:80].any()


# Looking


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


def test_the_wheel_zooms_at_the_pointer(canvas: CanvasView) -> None:
    place = place_of(canvas, 10.0, 50.0)
    fit_scale = canvas.placement.scale
    wheel(canvas, place, 240, NO_KEY)
    assert canvas.placement.scale > fit_scale * 1.2
    assert canvas.placement.to_image(place.x(), place.y()) == pytest.approx((50.0, 10.0))


def test_a_fitted_image_stays_fitted_and_another_keeps_its_middle(canvas: CanvasView) -> None:
    canvas.resize(400, 300)
    assert canvas.placement == fitted((64, 48), (400, 300), 16)
    canvas.zoom_to(20.0, QPointF(200, 150))
    middle = canvas.placement.to_image(200, 150)
    canvas.resize(600, 500)
    assert canvas.placement.scale == 20.0
    assert canvas.placement.to_image(300, 250) == pytest.approx(middle)


def test_the_session_asks_for_fit_and_actual_size(canvas: CanvasView, session: Session) -> None:
    fit = canvas.placement
    session.viewing.actual_size_requested.emit()
    assert canvas.placement.scale == pytest.approx(1 / canvas.devicePixelRatioF())
    session.viewing.zoom_requested.emit(2.0)
    assert canvas.placement.scale == pytest.approx(2 / canvas.devicePixelRatioF())
    session.viewing.fit_requested.emit()
    assert canvas.placement == fit


def test_panning_moves_the_image_with_the_pointer(canvas: CanvasView, session: Session) -> None:
    canvas.zoom_to(20.0, QPointF(320, 240))
    before = canvas.placement
    press(canvas, 20.0, 30.0)
    at = place_of(canvas, 20.0, 30.0) + QPointF(30, -20)
    row, column = (at.y() - before.y) / before.scale, (at.x() - before.x) / before.scale
    drag(canvas, row, column)
    release(canvas, 20.0, 30.0)
    assert canvas.placement == before.moved(30, -20)
    assert session.viewing.picked is None


def test_a_click_without_a_tool_picks_the_pixel(canvas: CanvasView, session: Session) -> None:
    press(canvas, 20.5, 30.5)
    release(canvas, 20.5, 30.5)
    assert session.viewing.picked == (20, 30)


def test_the_image_cannot_be_lost(canvas: CanvasView) -> None:
    canvas.place(canvas.placement.moved(1e6, -1e6))
    corner = canvas.placement.to_image(canvas.width(), 0)
    assert 0 < corner[0] < 64
    assert 0 < corner[1] < 48


def test_the_fill_is_painted_where_the_mask_is(canvas: CanvasView, session: Session) -> None:
    session.change_settings(fill_opacity=0.6, show_outline=False)
    bare = looks(canvas)
    assert session.document is not None
    session.document.edit("Paint", lambda m: masks.stroke(m, np.array([[20.0, 30.0]]), 5.0, True))
    inside, outside = place_of(canvas, 20.5, 30.5), place_of(canvas, 40.5, 10.5)
    tinted = looks(canvas)
    assert colour_at(tinted, inside).blue() > colour_at(bare, inside).blue() + 60
    assert colour_at(tinted, outside) == colour_at(bare, outside)
    session.change_settings(show_fill=False)
    assert looks(canvas) == bare


def test_the_outline_runs_along_the_mask_and_space_hides_it(
    canvas: CanvasView, session: Session
) -> None:
    bare = looks(canvas)
    assert session.document is not None
    square_rc = np.array([[10.0, 10.0], [10.0, 40.0], [30.0, 40.0], [30.0, 10.0]])
    session.document.edit("Square", lambda mask_hw: masks.polygon(mask_hw, square_rc, True))
    seen = colour_at(looks(canvas), place_of(canvas, 20.0, 10.0))
    # Between two screen pixels, so darkened by the casing.
    assert seen.hue() == pytest.approx(ANNOTATION.hue(), abs=12)
    assert seen.saturation() > 200
    assert key(canvas, Qt.Key.Key_Space)
    assert looks(canvas) == bare
    QApplication.sendEvent(canvas, QKeyEvent(QEvent.Type.KeyRelease, Qt.Key.Key_Space, NO_KEY))
    assert looks(canvas) != bare


def test_the_outline_follows_a_stroke_before_it_ends(
    canvas: CanvasView, session: Session, qtbot: QtBot
) -> None:
    session.change_settings(show_fill=False)
    session.viewing.choose_tool("brush")
    press(canvas, 20.0, 10.0)
    drag(canvas, 20.0, 50.0)
    edge = place_of(canvas, 15.0, 25.0)
    qtbot.waitUntil(lambda: colour_at(looks(canvas), edge).blue() > 200)
    key(canvas, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: colour_at(looks(canvas), edge).blue() < 200)


def test_a_run_shows_its_border_and_accepting_replaces_it(
    canvas: CanvasView, session: Session, qtbot: QtBot
) -> None:
    session.change_settings(show_fill=False)
    bare = looks(canvas)
    run_model(session, qtbot)
    proposed = looks(canvas)
    assert proposed != bare
    session.segmentation.set_threshold(0.9)
    assert looks(canvas) != proposed
    session.segmentation.accept()
    qtbot.waitUntil(lambda: not session.segmentation.proposed)
    assert mask_of(session).any()
    assert looks(canvas) != proposed
    session.segmentation.discard()
    session.undo()
    assert looks(canvas) == bare


def test_the_pointer_reads_pixel_probability_and_doubt(
    canvas: CanvasView, session: Session, qtbot: QtBot
) -> None:
    said: list[str] = []
    canvas.pointed.connect(said.append)
    drag(canvas, 24.5, 32.5)
    assert said[-1] == "(32, 24)"
    run_model(session, qtbot)
    drag(canvas, 24.5, 32.5)
    assert said[-1] == "(32, 24) · p 1.00 · doubt 0.00"
    drag(canvas, -1.0, 32.5)
    assert said[-1] == ""


def test_a_shown_map_covers_the_image(canvas: CanvasView, session: Session) -> None:
    bare = looks(canvas)
    map_hw = np.zeros((12, 16), np.float32)
    map_hw[:, 8:] = 1
    session.viewing.show(Shown("x_t", "noisy", map_hw))
    seen = looks(canvas)
    left, right = place_of(canvas, 40.0, 5.0), place_of(canvas, 40.0, 60.0)
    assert colour_at(seen, left).lightness() < colour_at(bare, left).lightness() - 60
    assert colour_at(seen, right).lightness() > 150
    session.viewing.show(None)
    assert looks(canvas) == bare


def test_the_next_doubt_is_magnified(canvas: CanvasView, session: Session, qtbot: QtBot) -> None:
    fit_scale = canvas.placement.scale
    run_model(session, qtbot)
    session.viewing.next_doubt_requested.emit()
    assert canvas.placement.scale > 2 * fit_scale
    assert session.viewing.tool == "brush"
    row, column = canvas.placement.to_image(320, 240)[::-1]
    assert 0.2 * 48 < np.hypot(row - 24, column - 32) < 0.4 * 48


# Opening


def test_nothing_open_offers_the_sample(qtbot: QtBot, session: Session) -> None:
    view = CanvasView(session)
    qtbot.addWidget(view)
    view.resize(640, 480)
    view.show()
    label = view.findChild(QLabel)
    assert label is not None
    assert label.isVisible()
    assert "try the sample" in label.text()
    with qtbot.waitSignal(session.image_changed):
        label.linkActivated.emit("sample")
    assert not label.isVisible()


def test_a_drop_opens(canvas: CanvasView, session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    path = write_image(tmp_path / "dropped" / "ä b.png", (30, 40))
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    drop = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, NO_KEY)
    with qtbot.waitSignal(session.image_changed):
        canvas.dropEvent(drop)
    assert session.path is not None
    assert session.path.name == "ä b.png"


# Layers


def test_the_picture_is_shown_without_a_copy_and_in_its_mean_colour() -> None:
    pixels_hwc = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    picture = Picture(pixels_hwc)
    assert np.shares_memory(picture.pixels_hwc, pixels_hwc)
    assert not picture.has_all_levels
    levels = coarser_levels(pixels_hwc)
    assert levels[0].size().toTuple() == (800, 600)
    expected = pixels_hwc[:2, :2].reshape(4, 3).mean(axis=0)
    assert levels[0].pixelColor(0, 0).getRgb()[:3] == pytest.approx(expected, abs=1)


def test_the_outline_of_a_part_is_the_part_of_the_outline() -> None:
    mask_hw = disk((300, 400))
    whole = annotation_contours(mask_hw, (slice(0, 300), slice(0, 400)))
    part = annotation_contours(mask_hw, (slice(0, 150), slice(50, 350)))
    assert len(whole) == len(part) == 1
    within_rc = part[0][part[0][:, 0] < 148]
    distance = np.abs(within_rc[:, None] - whole[0][None]).sum(axis=2).min(axis=1)
    assert distance.max() == pytest.approx(0, abs=1e-9)


def test_a_coarse_outline_stays_near_the_fine_one() -> None:
    mask_hw = disk((3000, 4000))
    (outline_rc,) = annotation_contours(mask_hw, (slice(0, 3000), slice(0, 4000)))
    radius_px = np.hypot(*(outline_rc - (1500, 2000)).T)
    assert np.abs(radius_px - 900).max() < 6


def test_the_proposal_is_the_border_of_the_accepted_mask() -> None:
    from engine.framing import Frame

    frame = Frame(300, 400, 32)
    mean_hw = np.clip(frame.apply_mask(disk((300, 400))) * 0.9, 0, 1)
    proposal = proposal_of(mean_hw, mean_hw * 0, 0.5, (300, 400), 1.0)
    mask_hw = frame.restore(mean_hw) >= 0.5
    (exact_rc,) = masks.outline(mask_hw)
    distance = np.hypot(*np.moveaxis(proposal.contours[0][:, None] - exact_rc[None], -1, 0))
    assert distance.min(axis=1).max() < 1.5


def test_doubtful_places_lie_where_the_variance_is() -> None:
    mean_hw = disk((64, 64)).astype(np.float32)
    variance_hw = np.zeros((64, 64), np.float32)
    variance_hw[:, 44:] = 0.2
    proposal = proposal_of(mean_hw, variance_hw, 0.5, (640, 640), 1.0)
    places = proposal.doubtful_places(50.0)
    assert places
    assert all(column > 420 for _, column in places)


def test_no_doubt_is_transparent_and_doubt_is_not() -> None:
    variance_hw = np.zeros((32, 32), np.float32)
    variance_hw[:, 16:] = 0.25
    heat = heat_image(variance_hw, "variance")
    row = heat.height() // 2
    assert heat.pixelColor(2, row).alpha() == 0
    assert heat.pixelColor(heat.width() - 3, row).alpha() > 150


def test_the_edge_of_the_image_is_never_doubtful() -> None:
    mean_hw = np.zeros((32, 32), np.float32)
    mean_hw[16:] = 1
    proposal = proposal_of(mean_hw, np.full((32, 32), 0.25, np.float32), 0.5, (320, 320), 1.0)
    rows = np.concatenate([part[:, 0] for part in proposal.doubtful_stretches()[0]])
    assert rows.size
    assert rows.max() < 200
