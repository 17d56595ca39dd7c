"""A person shows the model on the canvas what they mean: strokes and boxes, and taking back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from nca_seg_app.actions import find_action
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.canvas.canvas import Canvas
from tests.app.ui.canvas.hands import RIGHT, SHAPE, drag, press, release
from tests.fakes import DiskModel, write_image


class Guided:
    """A person before a canvas who has the model outlined once."""

    def __init__(self, qtbot: QtBot, canvas: Canvas, session: Session, tool: str) -> None:
        self.qtbot, self.canvas, self.session = qtbot, canvas, session
        session.model_library.refresh()
        qtbot.waitUntil(lambda: Has.MODEL in session.capabilities)
        self.do(f"tools.{tool}")

    def do(self, action_id: str) -> None:
        action = find_action(action_id)
        assert action.needs in self.session.capabilities, action_id
        action.method(self.session)

    def stroke(
        self, *points: tuple[float, float], button: Qt.MouseButton = Qt.MouseButton.LeftButton
    ) -> None:
        press(self.canvas, *points[0], button=button)
        for point in points[1:]:
            drag(self.canvas, *point, button=button)
        release(self.canvas, *points[-1], button=button)

    def settle(self) -> None:
        context = self.session.context
        self.qtbot.waitUntil(
            lambda: context.jobs.current is None and not context.lane.pending, timeout=20_000
        )

    @property
    def mask_hw(self) -> np.ndarray:
        assert self.session.workspace.document is not None
        return self.session.workspace.document.mask_hw


def test_a_stroke_is_heard_and_accepted_as_one_step(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "steer")
    user.stroke((5, 5), (5, 12))
    user.settle()
    assert not user.mask_hw.any(), "a stroke draws nothing by itself"
    assert session.proposal.proposed
    prompt = model.prompts[-1]
    assert prompt is not None
    assert prompt.hint_hw is not None
    assert prompt.hint_hw[5, 8] == 1
    assert prompt.hint_hw.min() == 0
    user.stroke((24, 32), (24, 36), button=RIGHT)
    user.settle()
    user.do("run.accept")
    user.settle()
    assert user.mask_hw[5, 8]
    assert not user.mask_hw[24, 34]
    assert user.mask_hw[24, 25]
    document = session.workspace.document
    assert document is not None
    assert document.steps == ("Accept result",)
    user.do("edit.undo")
    assert not user.mask_hw.any()


def test_painted_pixels_are_as_painted_in_what_is_accepted(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "steer")
    user.stroke((10, 10), (14, 40))
    user.stroke((30, 20), (20, 44), button=RIGHT)
    user.settle()
    user.do("run.accept")
    user.settle()
    hint_hw = model.prompts[-1].hint_hw  # type: ignore[union-attr]
    assert hint_hw is not None
    assert user.mask_hw[hint_hw > 0].all()
    assert not user.mask_hw[hint_hw < 0].any()


def test_escape_takes_strokes_back_one_by_one_to_the_result_before(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "steer")
    session.segment()
    user.settle()
    before = session.segmentation.result
    user.stroke((5, 5))
    user.settle()
    user.stroke((40, 5))
    user.settle()
    assert len(session.steering.shown.strokes) == 2
    user.do("run.discard")
    user.settle()
    assert len(session.steering.shown.strokes) == 1
    prompt = model.prompts[-1]
    assert prompt is not None
    assert prompt.hint_hw is not None
    assert not prompt.hint_hw[40, 5]
    user.do("edit.undo")
    user.settle()
    assert session.steering.shown.is_empty
    assert session.segmentation.result is before


def test_a_newer_stroke_ends_the_older_run(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "steer")
    model.gate.clear()
    model.holds_at = 1
    user.stroke((5, 5))
    qtbot.waitUntil(lambda: session.segmentation.result is not None)
    user.stroke((40, 5))
    model.gate.set()
    user.settle()
    assert model.most_at_once == 1
    assert model.runs == 2
    prompt = model.prompts[-1]
    assert prompt is not None
    assert prompt.hint_hw is not None
    assert prompt.hint_hw[5, 5]
    assert prompt.hint_hw[40, 5]


def test_return_waits_for_the_answer_to_the_newest_stroke(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "steer")
    session.segment()
    user.settle()
    model.gate.clear()
    model.holds_at = 0
    user.stroke((5, 5))
    user.do("run.accept")
    assert not user.mask_hw.any()
    model.gate.set()
    qtbot.waitUntil(lambda: bool(user.mask_hw[5, 5]))


def test_strokes_go_with_their_image(
    qtbot: QtBot, canvas: Canvas, session: Session, tmp_path: Path
) -> None:
    first, second = tmp_path / "two" / "a.png", tmp_path / "two" / "b.png"
    for path in (first, second):
        write_image(path, SHAPE)
    user = Guided(qtbot, canvas, session, "steer")
    with qtbot.waitSignal(session.workspace.image_changed):
        session.opening.open_path(first.parent)
    user.stroke((5, 5))
    user.settle()
    for path, strokes in ((second, 0), (first, 1)):
        with qtbot.waitSignal(session.workspace.image_changed):
            session.opening.open_path(path)
        qtbot.waitUntil(lambda n=strokes: len(session.steering.shown.strokes) == n)


def test_a_box_is_segmented_alone_and_a_second_one_adds_a_lesion(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "box")
    user.stroke((4, 4), (20, 26))
    user.settle()
    assert model.prompts[-1] is not None
    assert model.prompts[-1].box == (4, 4, 16, 22)
    user.stroke((26, 36), (44, 60))
    user.settle()
    assert len(session.steering.shown.boxes) == 2
    user.do("run.accept")
    user.settle()
    mask_hw = user.mask_hw
    assert mask_hw[4:20, 4:26].any()
    assert mask_hw[26:44, 36:60].any()
    outside_hw = mask_hw.copy()
    outside_hw[4:20, 4:26] = outside_hw[26:44, 36:60] = False
    assert not outside_hw.any()
    document = session.workspace.document
    assert document is not None
    assert len(document.steps) == 1


def test_a_box_leaves_what_was_drawn_outside_of_it(
    qtbot: QtBot, canvas: Canvas, session: Session
) -> None:
    user = Guided(qtbot, canvas, session, "brush")
    user.stroke((40, 8))
    user.do("tools.box")
    user.stroke((4, 30), (24, 56))
    user.settle()
    user.do("run.accept")
    user.settle()
    assert user.mask_hw[40, 8]
    assert user.mask_hw[4:24, 30:56].any()


def test_a_slip_of_the_hand_is_no_box(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "box")
    user.stroke((4, 4), (4.1, 30))
    assert model.runs == 0
    assert session.steering.shown.is_empty


def test_refine_begins_from_the_mask(
    qtbot: QtBot, canvas: Canvas, session: Session, model: DiskModel
) -> None:
    user = Guided(qtbot, canvas, session, "brush")
    user.stroke((24, 32))
    drawn_hw = user.mask_hw.copy()
    user.do("run.refine")
    user.settle()
    prompt = model.prompts[-1]
    assert prompt is not None
    assert np.array_equal(prompt.start_hw, drawn_hw)
    assert np.array_equal(user.mask_hw, drawn_hw), "it is a proposal"
    user.do("run.accept")
    user.settle()
    assert user.mask_hw.sum() > drawn_hw.sum()


def test_what_is_painted_is_seen(qtbot: QtBot, canvas: Canvas, session: Session) -> None:
    user = Guided(qtbot, canvas, session, "steer")
    before = canvas.grab().toImage()
    press(canvas, 5, 5)
    drag(canvas, 5, 20)
    under_way = canvas.grab().toImage()
    assert under_way != before
    release(canvas, 5, 20)
    user.settle()
    assert session.steering.shown.strokes
    assert session.workspace.document.shape == SHAPE  # type: ignore[union-attr]


def test_push_moves_the_border_as_one_step(qtbot: QtBot, canvas: Canvas, session: Session) -> None:
    user = Guided(qtbot, canvas, session, "push")
    session.segment()
    user.settle()
    user.do("run.accept")
    user.settle()
    session.context.change_settings(brush_radius_px=8.0)
    document, before_hw = session.workspace.document, user.mask_hw.copy()
    assert document is not None
    column = int(np.flatnonzero(before_hw[24])[-1])
    user.stroke(*((24.5, column + 1.0 + step) for step in range(7)))
    grown_hw = user.mask_hw
    assert int(np.flatnonzero(grown_hw[24])[-1]) >= column + 5
    assert np.array_equal(grown_hw[:, :20], before_hw[:, :20])
    assert document.undo_text == "Push"
    user.do("edit.undo")
    assert np.array_equal(user.mask_hw, before_hw)


def test_the_edge_brush_stops_at_the_edge(qtbot: QtBot, canvas: Canvas, session: Session) -> None:
    # The picture is a dark disk of radius 14.4 about (23.5, 31.5) on pale skin.
    user = Guided(qtbot, canvas, session, "edge_brush")
    user.stroke((23.5, 39.0), (24.5, 40.0))
    rows, columns = np.nonzero(user.mask_hw)
    assert len(rows) > 40
    assert np.hypot(rows - 23.5, columns - 31.5).max() <= 15
    assert columns.max() < 47


def test_the_doubt_brush_changes_only_where_members_disagree(
    qtbot: QtBot, canvas: Canvas, session: Session
) -> None:
    user = Guided(qtbot, canvas, session, "doubt_brush")
    user.stroke((24, 32), (24, 60))
    assert not user.mask_hw.any(), "without a result nobody disagrees"
    session.segment()
    user.settle()
    user.do("run.accept")
    user.settle()
    before_hw = user.mask_hw.copy()
    window = slice(0, 48), slice(0, 64)
    doubtful_hw = session.steering.doubtful(window)
    assert doubtful_hw is not None
    assert doubtful_hw.any()
    user.stroke((24, 4), (24, 60), button=RIGHT)
    changed_hw = user.mask_hw != before_hw
    assert changed_hw.any()
    assert not (changed_hw & ~doubtful_hw).any()
