"""Laws: every verb ends in a fact on screen or on disk, and no failure costs the person's work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.masks import edits
from nca_seg_app.services.saving import KEPT
from nca_seg_app.session import Has
from nca_seg_app.state.settings import load
from tests.app.desks import Desk, leave


def test_open_segment_accept_paint_undo_save(desk: Desk) -> None:
    desk.open()
    assert desk.session.workspace.index == 0
    desk.segment()
    result = desk.session.segmentation.result
    assert result is not None
    assert (result.done, result.finished) == (result.total, 3)
    desk.session.proposal.accept()
    desk.settle()
    accepted_hw = result.mask(0.5)
    assert np.array_equal(desk.mask_hw, accepted_hw)
    desk.draw(2, 2)
    desk.draw(40, 60)
    desk.session.mask_edits.undo()
    expected_hw = desk.mask_hw.copy()
    desk.session.save()
    desk.settle()
    assert np.array_equal(edits.read_mask(desk.mask_path), expected_hw)
    assert Has.UNSAVED not in desk.session.capabilities
    record = json.loads(desk.mask_path.with_suffix(".json").read_text("utf-8"))
    origin = record["origin"]
    assert (origin["model"], origin["fingerprint"]) == ("oracle", "abc123")
    assert origin["settings"]["steps"] == 4
    assert origin["pixels_changed"] == np.count_nonzero(accepted_hw ^ expected_hw) > 0
    assert not desk.failures


def test_accepting_is_one_undoable_edit_over_a_persons_mask(desk: Desk) -> None:
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    desk.segment()
    assert np.array_equal(desk.mask_hw, drawn_hw)
    desk.session.proposal.accept()
    desk.settle()
    assert not np.array_equal(desk.mask_hw, drawn_hw)
    desk.session.mask_edits.undo()
    assert np.array_equal(desk.mask_hw, drawn_hw)
    desk.session.save()
    desk.settle()
    record = json.loads(desk.mask_path.with_suffix(".json").read_text("utf-8"))
    assert record["origin"]["model"] == ""


def test_a_stroke_drawn_while_the_result_is_taken_over_is_not_lost(desk: Desk) -> None:
    desk.open()
    desk.segment()
    desk.session.proposal.accept()
    desk.draw(2, 2, radius_px=1)
    desk.settle()
    assert desk.session.workspace.document is not None
    assert desk.session.workspace.document.undo_text == "Accept result"
    desk.session.mask_edits.undo()
    assert desk.mask_hw[2, 2]


def test_accept_and_next_saves_as_reviewed_and_moves_on(desk: Desk) -> None:
    desk.open()
    desk.segment()
    first = desk.mask_path
    desk.session.review.accept_and_next()
    desk.settle()
    assert first.exists()
    assert [row.status for row in desk.session.workspace.images] == ["reviewed", "new", "new"]
    assert desk.session.workspace.index == 1
    assert desk.session.segmentation.result is None
    desk.session.review.accept_and_next()
    desk.settle()
    assert desk.session.workspace.index == 1
    assert "nothing to accept" in desk.messages[-1]


def test_accept_and_next_keeps_what_was_drawn_over_the_proposal(desk: Desk) -> None:
    desk.open()
    desk.segment()
    desk.draw()
    drawn_hw, first = desk.mask_hw.copy(), desk.mask_path
    desk.session.review.accept_and_next()
    desk.settle()
    assert np.array_equal(edits.read_mask(first), drawn_hw)
    assert desk.session.workspace.images[0].status == "reviewed"
    assert desk.session.workspace.index == 1
    assert desk.messages[-1] == KEPT


def test_accept_and_next_keeps_corrections_where_the_threshold_was_moved_after(desk: Desk) -> None:
    desk.open()
    desk.segment()
    desk.session.proposal.accept()
    desk.settle()
    desk.draw(2, 2)
    corrected_hw, first = desk.mask_hw.copy(), desk.mask_path
    desk.session.proposal.set_threshold(0.9)
    assert desk.session.proposal.proposed
    desk.session.review.accept_and_next()
    desk.settle()
    assert np.array_equal(edits.read_mask(first), corrected_hw)
    assert desk.messages[-1] == KEPT


def test_accept_and_next_takes_the_proposal_where_the_drawing_was_undone(desk: Desk) -> None:
    desk.open()
    desk.segment()
    result, first = desk.session.segmentation.result, desk.mask_path
    assert result is not None
    desk.draw(2, 2)
    desk.session.mask_edits.undo()
    desk.session.review.accept_and_next()
    desk.settle()
    assert np.array_equal(edits.read_mask(first), result.mask(0.5))
    assert KEPT not in desk.messages


def test_accept_and_next_stays_where_a_stroke_is_drawn_meanwhile(desk: Desk) -> None:
    desk.open()
    desk.segment()
    desk.session.review.accept_and_next()
    desk.draw(2, 2, radius_px=1)
    desk.settle()
    assert desk.session.workspace.index == 0
    assert not desk.mask_path.exists()
    assert "undo gives it back" in desk.messages[-1]
    desk.session.mask_edits.undo()
    assert desk.mask_hw[2, 2]


def test_accept_and_next_waits_for_the_stroke_under_way_and_keeps_it(desk: Desk) -> None:
    desk.open()
    desk.segment()
    document, first = desk.begin_stroke(2, 2, 3), desk.mask_path
    desk.session._update_capabilities()
    desk.session.review.accept_and_next()
    document.commit("Brush stroke")
    drawn_hw = desk.mask_hw.copy()
    desk.until(lambda: desk.session.workspace.index == 1)
    assert np.array_equal(edits.read_mask(first), drawn_hw)


def test_the_list_stays_while_images_are_accepted_until_it_is_sorted_anew(desk: Desk) -> None:
    desk.open()
    desk.session.image_order.sort("status")
    for expected in (1, 2):
        desk.segment()
        desk.session.review.accept_and_next()
        desk.settle()
        assert desk.session.workspace.index == expected
        assert desk.session.image_order.places == [0, 1, 2]
    desk.session.image_order.sort("status")
    assert desk.session.image_order.places == [2, 0, 1]


def test_fill_keep_smooth_and_clear_are_undo_steps(desk: Desk) -> None:
    desk.open()
    desk.draw(10, 10, radius_px=3)
    desk.draw(30, 40, radius_px=9)
    document = desk.session.workspace.document
    assert document is not None
    document.edit("Hole", lambda hw: edits.stroke(hw, np.array([[30.0, 40.0]]), 3, False))
    desk.session.mask_edits.fill_holes()
    desk.settle()
    assert desk.mask_hw[30, 40]
    desk.session.mask_edits.keep_largest()
    desk.settle()
    assert not desk.mask_hw[10, 10]
    desk.session.mask_edits.clear()
    desk.settle()
    assert Has.MASK not in desk.session.capabilities
    assert document.undo_text == "Clear"
    for _ in range(3):
        desk.session.mask_edits.undo()
    assert desk.mask_hw[10, 10]
    assert not desk.mask_hw[30, 40]


def test_recent_files_and_settings_are_kept(desk: Desk) -> None:
    desk.open()
    desk.session.context.change_settings(theme="dark")
    leave(desk)
    stored = load(desk.settings_file)
    assert stored.theme == "dark"
    assert stored.recent == (str(desk.folder / "images"),)
    with pytest.raises(ValueError, match="theme"):
        desk.session.context.change_settings(theme="pink")
