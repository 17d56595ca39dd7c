"""Laws: undoing everything gives the original, redoing everything the final mask, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QRect

from engine.masks import edits
from engine.types import Patch
from nca_seg_app.state.document import MaskDocument, pack
from nca_seg_app.state.undo import UNDO_STEPS
from tests.fakes import disk

SHAPE = (23, 31)


def brush(row: float, column: float, value: bool = True):  # type: ignore[no-untyped-def]
    """An edit that paints a dot of radius 3."""
    return lambda mask_hw: edits.stroke(mask_hw, np.array([[row, column]]), 3.0, value)


def any_edits() -> st.SearchStrategy[list[tuple[str, float, float, bool]]]:
    place = st.floats(-5, 35, allow_nan=False)
    kind = st.sampled_from(["stroke", "edit", "fill", "undo", "redo", "abandon"])
    return st.lists(st.tuples(kind, place, place, st.booleans()), max_size=25)


@pytest.mark.usefixtures("qapp")
@settings(deadline=None)
@given(any_edits(), st.booleans())
def test_undoing_all_gives_the_original_and_redoing_all_the_final(
    steps: list[tuple[str, float, float, bool]], begins_empty: bool
) -> None:
    original_hw = None if begins_empty else disk(SHAPE)
    document = MaskDocument(SHAPE, original_hw)
    for kind, row, column, value in steps:
        match kind:
            case "stroke" | "abandon":
                document.begin("brush")
                document.draw(brush(row, column, value))
                document.draw(brush(row + 2, column, not value))
                if kind == "stroke":
                    document.commit("Stroke")
                else:
                    document.rollback()
            case "edit":
                document.edit("Dot", brush(row, column, value))
            case "fill":
                document.edit("Fill", edits.fill_holes)
            case "undo":
                document.undo()
            case "redo":
                document.redo()
    final_hw, place = document.mask_hw.copy(), document.place
    while document.can_redo:
        document.redo()
    newest_hw = document.mask_hw.copy()
    for _ in range(document.place - place):
        document.undo()
    assert np.array_equal(document.mask_hw, final_hw)
    while document.can_undo:
        document.undo()
    expected_hw = np.zeros(SHAPE, bool) if original_hw is None else original_hw
    assert np.array_equal(document.mask_hw, expected_hw)
    assert not document.unsaved
    while document.can_redo:
        document.redo()
    assert np.array_equal(document.mask_hw, newest_hw)


@pytest.mark.usefixtures("qapp")
def test_a_stroke_of_many_moves_is_one_undo_step() -> None:
    document = MaskDocument(SHAPE)
    document.begin("brush")
    for column in range(5, 25):
        document.draw(brush(10, column))
    assert document.commit("Brush stroke")
    assert document.undo_text == "Brush stroke"
    document.undo()
    assert document.is_empty
    assert not document.can_undo


@pytest.mark.usefixtures("qapp")
def test_changed_covers_every_pixel_that_differs() -> None:
    document = MaskDocument(SHAPE)
    rects: list[QRect] = []
    document.changed.connect(rects.append)
    before_hw = document.mask_hw.copy()
    document.edit("Dot", brush(10, 20))
    rows, columns = np.nonzero(before_hw != document.mask_hw)
    (rect,) = rects
    assert (rect.top(), rect.left()) == (rows.min(), columns.min())
    assert (rect.bottom(), rect.right()) == (rows.max(), columns.max())


@pytest.mark.usefixtures("qapp")
def test_an_edit_without_difference_pushes_nothing() -> None:
    document = MaskDocument(SHAPE, disk(SHAPE))
    same = document.mask_hw.copy()
    assert not document.edit("Nothing", lambda mask_hw: Patch(0, 0, same, same.copy()))
    document.begin("brush")
    document.draw(brush(10, 10, value=True))
    document.draw(lambda mask_hw: edits.replace(mask_hw, same))
    assert not document.commit("There and back")
    assert not document.can_undo
    assert not document.unsaved


@pytest.mark.usefixtures("qapp")
def test_the_mask_is_read_only_outside() -> None:
    document = MaskDocument(SHAPE)
    with pytest.raises(ValueError, match="read-only"):
        document.mask_hw[0, 0] = True


@pytest.mark.usefixtures("qapp")
def test_a_snapshot_is_the_mask_as_it_was_whatever_is_drawn_since() -> None:
    document = MaskDocument(SHAPE)
    document.edit("Brush", brush(7, 9))
    then_hw, snapshot = document.mask_hw.copy(), document.snapshot()
    document.edit("Brush", brush(15, 20))
    assert np.array_equal(snapshot(), then_hw)
    assert not np.array_equal(then_hw, document.mask_hw)
    assert MaskDocument(SHAPE).is_empty
    assert not MaskDocument(SHAPE, then_hw).is_empty


def test_unsaved_is_whether_the_mask_differs_from_the_saved_step() -> None:
    document = MaskDocument(SHAPE)
    document.edit("Dot", brush(5, 5))
    document.mark_saved(document.state)
    assert not document.unsaved
    document.edit("Dot", brush(15, 5))
    assert document.unsaved
    document.undo()
    assert not document.unsaved
    document.undo()
    assert document.unsaved
    document.redo()
    document.mark_unsaved()
    assert document.unsaved


@pytest.mark.usefixtures("qapp")
def test_a_state_is_the_same_whenever_it_holds_again_and_never_another() -> None:
    document = MaskDocument(SHAPE)
    first = document.state
    document.edit("Dot", brush(5, 5))
    second = document.state
    document.undo()
    assert document.state is first
    document.redo()
    assert document.state is second
    document.undo()
    document.edit("Other dot", brush(15, 15))
    assert document.state not in (first, second)
    document.mark_saved(second)
    assert document.unsaved
    document.undo()
    assert document.unsaved


@pytest.mark.usefixtures("qapp")
def test_undo_during_a_stroke_takes_the_stroke_back_only() -> None:
    document = MaskDocument(SHAPE)
    document.edit("Dot", brush(5, 5))
    kept_hw = document.mask_hw.copy()
    document.begin("brush")
    document.draw(brush(15, 15))
    assert document.unsaved
    document.undo()
    assert np.array_equal(document.mask_hw, kept_hw)
    assert document.can_undo


@pytest.mark.usefixtures("qapp")
def test_a_note_holds_until_its_step_is_undone_and_outlives_the_undo_limit() -> None:
    document = MaskDocument((4, 4), note="born")
    dot = np.zeros((4, 4), bool)
    dot[0, 0] = True
    assert document.push("Accept", pack(edits.replace(document.mask_hw, dot)), "accepted")
    assert document.note == "accepted"
    document.undo()
    assert document.note == "born"
    document.redo()
    for _ in range(UNDO_STEPS + 1):
        document.edit("Flip", lambda mask_hw: edits.replace(mask_hw, ~mask_hw))
    assert document.note == "accepted"
    assert len(document.steps) == UNDO_STEPS


@pytest.mark.usefixtures("qapp")
def test_the_saved_state_can_fall_off_the_end_or_be_drawn_over() -> None:
    document = MaskDocument((4, 4))
    for _ in range(UNDO_STEPS + 1):
        document.edit("Flip", lambda mask_hw: edits.replace(mask_hw, ~mask_hw))
    while document.can_undo:
        document.undo()
        assert document.unsaved
    document.redo()
    document.mark_saved(document.state)
    document.undo()
    document.edit("Dot", brush(1, 1, value=False))
    assert document.place == 1
    assert document.unsaved


@pytest.mark.usefixtures("qapp")
def test_a_step_over_a_whole_large_mask_needs_little_memory() -> None:
    full_hw = disk((3000, 4000))
    packed = pack(edits.replace(np.zeros_like(full_hw), full_hw))
    assert packed is not None
    assert len(packed.bits) < full_hw.size / 100


def test_drawing_outside_a_stroke_is_refused(qapp: object) -> None:
    document = MaskDocument(SHAPE)
    with pytest.raises(RuntimeError):
        document.draw(brush(1, 1))
