"""Laws: what is taken is what is seen, each decision can be taken back, and counts once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.masks import edits
from nca_seg_app.actions import ACTIONS, find_action
from nca_seg_app.state.view_state import Shown
from tests.app.desks import Desk, leave
from tests.fakes import DiskModel


def statuses(desk: Desk) -> list[str]:
    return [row.status for row in desk.session.workspace.images]


def test_undoing_what_was_accepted_proposes_it_again(desk: Desk) -> None:
    desk.open()
    desk.segment()
    session = desk.session
    proposal = desk.session.proposal
    told: list[bool] = []
    proposal.changed.connect(lambda: told.append(proposal.proposed))
    proposal.accept()
    desk.settle()
    accepted_hw = desk.mask_hw.copy()
    desk.draw()
    session.mask_edits.undo()
    assert not proposal.proposed
    session.mask_edits.undo()
    assert proposal.proposed
    session.mask_edits.redo()
    assert not proposal.proposed
    assert told == [False, True, False]
    session.mask_edits.undo()
    session.review.accept_and_next()
    desk.settle()
    session.opening.open_previous()
    desk.settle()
    assert np.array_equal(desk.mask_hw, accepted_hw)
    assert statuses(desk)[0] == "reviewed"


def test_a_step_back_from_a_member_to_the_mean_is_no_proposal(desk: Desk) -> None:
    desk.open()
    desk.segment()
    proposal = desk.session.proposal
    proposal.accept()
    desk.settle()
    proposal.set_threshold(0.9)
    assert proposal.proposed
    proposal.accept()
    desk.settle()
    assert not proposal.proposed
    desk.session.mask_edits.undo()
    # The step that holds now was taken at another threshold than the outline is drawn at.
    assert proposal.proposed


def test_the_member_that_is_shown_is_taken_and_then_seen(desk: Desk) -> None:
    desk.open()
    desk.segment()
    session, result = desk.session, desk.session.segmentation.result
    assert result is not None
    member = 2
    shown = Shown(f"Member {member + 1}", "probability", result.members_nhw[member], member)
    session.view_state.show(shown)
    session.proposal.accept()
    desk.settle()
    assert np.array_equal(desk.mask_hw, result.frame.restore(result.members_nhw[member]) >= 0.5)
    assert session.view_state.shown is None
    assert session.workspace.document is not None
    assert session.workspace.document.undo_text == f"Use member {member + 1}"


def test_a_step_of_the_film_is_looked_at_and_the_result_is_taken(desk: Desk) -> None:
    desk.open()
    desk.segment()
    session, result = desk.session, desk.session.segmentation.result
    assert result is not None
    session.view_state.show(Shown("Step", "probability", 1 - result.mean_hw))
    session.proposal.accept()
    desk.settle()
    assert np.array_equal(desk.mask_hw, result.mask(0.5))
    assert session.view_state.shown is None


def test_accept_and_next_asked_again_before_it_is_done_counts_once(desk: Desk) -> None:
    desk.open()
    desk.segment()
    for _ in range(3):
        desk.session.review.accept_and_next()
    desk.settle()
    assert statuses(desk) == ["reviewed", "new", "new"]
    assert desk.session.workspace.index == 1
    assert not desk.person.asked
    assert not desk.failures


def test_accept_and_next_can_be_asked_again_after_it_failed(desk: Desk) -> None:
    desk.open("a.png")
    desk.segment()
    for _ in range(2):
        desk.session.review.accept_and_next()
        desk.settle()
    assert desk.messages[-1] == "This is the last image."
    desk.draw()
    desk.session.review.accept_and_next()
    desk.settle()
    assert desk.session.workspace.document is not None
    assert not desk.session.workspace.document.unsaved


def test_what_decides_or_saves_is_not_repeated_by_a_held_key() -> None:
    repeated = {action.id for action in ACTIONS if action.repeats}
    assert {"edit.undo", "study.next", "tools.larger"} <= repeated
    assert not {each for each in repeated if each.startswith("file.")}
    assert not repeated & {"run.accept", "run.accept_and_next", "run.segment", "edit.smooth"}
    assert "study.mark_reviewed" not in repeated


def test_what_is_drawn_and_kept_as_a_draft_is_listed_as_one(desk: Desk) -> None:
    desk.open()
    desk.draw()
    assert statuses(desk)[0] == "new"
    desk.session.saving.write_draft()
    assert statuses(desk)[0] == "draft"
    desk.session.mask_edits.undo()
    desk.session.saving.write_draft()
    desk.settle()
    assert statuses(desk)[0] == "new"
    desk.session.mask_edits.redo()
    desk.session.save()
    desk.settle()
    assert statuses(desk)[0] == "saved"


def test_the_mark_of_a_reviewed_image_is_set_and_taken_away(desk: Desk) -> None:
    desk.open()
    desk.draw()
    saving = desk.session.saving
    seen = []
    for _ in range(3):
        saving.toggle_reviewed()
        desk.settle()
        seen.append(statuses(desk)[0])
    assert seen == ["reviewed", "saved", "reviewed"]
    # What was drawn since is saved, not un-reviewed.
    desk.draw(row=40)
    saving.toggle_reviewed()
    desk.settle()
    assert statuses(desk)[0] == "reviewed"
    assert desk.session.workspace.document is not None
    assert not desk.session.workspace.document.unsaved
    assert desk.session.workspace.study is not None
    assert [image.status for image in desk.session.workspace.study.images()] == [
        "reviewed",
        "new",
        "new",
    ]


def test_a_mask_of_ones_own_is_kept_where_acceptance_was_undone(desk: Desk) -> None:
    desk.open()
    desk.draw()
    own_hw = desk.mask_hw.copy()
    session = desk.session
    session.save()
    desk.settle()
    desk.segment()
    session.proposal.accept()
    desk.settle()
    session.mask_edits.undo()
    session.review.accept_and_next()
    desk.settle()
    assert session.workspace.index == 1
    session.opening.open_previous()
    desk.settle()
    assert np.array_equal(desk.mask_hw, own_hw)


def test_accepting_twice_and_drawing_meanwhile_is_one_step(desk: Desk) -> None:
    desk.open()
    desk.segment()
    done: list[str] = []
    proposal = desk.session.proposal
    proposal.accept()
    proposal.after_taking(lambda: done.append("first"))
    assert proposal.taking
    proposal.accept()
    proposal.after_taking(lambda: done.append("second"))
    desk.session.segment()
    desk.settle()
    assert done == ["first", "second"]
    assert desk.session.workspace.document is not None
    assert desk.session.workspace.document.steps == ("Accept result",)
    # The run that was asked for meanwhile came after it, and its result waits.
    assert proposal.proposed
    assert not proposal.taking


def test_discarding_a_result_that_is_being_taken_leaves_the_mask(desk: Desk) -> None:
    desk.open()
    desk.segment()
    told = []
    proposal = desk.session.proposal
    proposal.given_up.connect(lambda: told.append(1))
    proposal.accept()
    proposal.discard()
    desk.settle()
    assert told == [1]
    assert not desk.mask_hw.any()
    desk.segment()
    proposal.accept()
    desk.settle()
    assert desk.mask_hw.any()


def test_what_cannot_be_taken_is_told_and_can_be_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open()
    desk.segment()
    told = []
    proposal = desk.session.proposal
    proposal.given_up.connect(lambda: told.append(1))

    def full(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(edits, "replace", full)
        proposal.accept()
        desk.settle()
    assert told == [1]
    assert len(desk.failures) == 1
    assert proposal.proposed
    proposal.accept()
    desk.settle()
    assert not proposal.proposed


def test_half_a_result_is_not_what_a_stroke_corrects(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=3))
    desk.open()
    run = desk.session.segmentation
    proposal = desk.session.proposal
    desk.session.segment()
    desk.until(lambda: run.progress[0] == 3)
    run.cancel()
    desk.model.gate.set()
    desk.settle()
    assert proposal.proposed
    assert not proposal.to_correct
    desk.model.holds_at = -1
    desk.segment()
    assert proposal.to_correct
    leave(desk)


def test_a_draft_newer_than_a_save_is_still_listed_as_one(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.draw(row=40)
    desk.session.saving.write_draft()
    desk.settle()
    assert statuses(desk)[0] == "draft"
    assert desk.session.workspace.images[0].has_mask


def test_a_mark_taken_away_stays_away_when_the_mask_is_saved_at_once(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.saving.toggle_reviewed()
    desk.settle()
    desk.session.saving.toggle_reviewed()
    desk.draw(row=40)
    desk.session.save()
    desk.settle()
    assert statuses(desk)[0] == "saved"


def test_accepting_again_keeps_what_was_drawn_since(desk: Desk) -> None:
    desk.open()
    desk.segment()
    run = desk.session.segmentation
    proposal = desk.session.proposal
    proposal.accept()
    desk.settle()
    desk.draw(5, 5)
    drawn_hw = desk.mask_hw.copy()
    proposal.accept()
    desk.settle()
    assert np.array_equal(desk.mask_hw, drawn_hw)
    assert "kept" in desk.messages[-1]
    proposal.replace()
    desk.settle()
    assert run.result is not None
    assert np.array_equal(desk.mask_hw, run.result.mask(0.5))
    desk.session.mask_edits.undo()
    assert np.array_equal(desk.mask_hw, drawn_hw)


def test_a_mask_that_was_taken_follows_the_threshold_until_it_is_drawn_on(desk: Desk) -> None:
    desk.open()
    desk.model.size = 64
    desk.segment()
    run = desk.session.segmentation
    proposal = desk.session.proposal
    proposal.accept()
    desk.settle()
    assert run.result is not None
    for threshold in (0.4, 0.2):
        proposal.set_threshold(threshold)
    desk.until(lambda: not proposal.proposed)
    desk.settle()
    assert np.array_equal(desk.mask_hw, run.result.mask(0.2))
    desk.session.mask_edits.undo()
    assert np.array_equal(desk.mask_hw, run.result.mask(0.5))
    desk.session.mask_edits.redo()
    desk.draw(5, 5)
    drawn_hw = desk.mask_hw.copy()
    proposal.set_threshold(0.9)
    desk.until_still(proposal)
    assert proposal.proposed
    assert np.array_equal(desk.mask_hw, drawn_hw)


def test_a_member_that_was_taken_follows_the_threshold_as_that_member(desk: Desk) -> None:
    desk.open()
    desk.model.size = 64
    desk.segment()
    result = desk.session.segmentation.result
    proposal = desk.session.proposal
    assert result is not None
    assert not np.array_equal(result.mask(0.3), result.frame.restore(result.members_nhw[1]) >= 0.3)
    proposal.use_member(1)
    desk.settle()
    proposal.set_threshold(0.3)
    desk.until(lambda: not proposal.proposed)
    desk.settle()
    assert np.array_equal(desk.mask_hw, result.frame.restore(result.members_nhw[1]) >= 0.3)


def test_escape_puts_a_map_away_before_it_drops_the_result(desk: Desk) -> None:
    desk.open()
    desk.segment()
    session, result = desk.session, desk.session.segmentation.result
    assert result is not None
    session.view_state.show(Shown("Member 1", "probability", result.members_nhw[0], 0))
    escape = find_action("run.discard").method
    escape(session)
    assert session.view_state.shown is None
    assert session.segmentation.result is result
    escape(session)
    assert session.segmentation.result is None


def test_accept_and_next_goes_to_what_is_not_reviewed_and_round(desk: Desk) -> None:
    desk.open("a.png", "b.png", "c.png", "d.png")
    session = desk.session
    seen = []
    for place in (1, 2, None, None):
        if place is not None:
            session.opening.open_row(place)
            desk.settle()
        desk.draw()
        session.review.accept_and_next()
        desk.settle()
        seen.append(session.workspace.index)
    # From the second on; past the end to the first; and nothing is left after that.
    assert seen == [2, 3, 0, 0]
    assert statuses(desk) == ["reviewed"] * 4
    assert desk.messages[-1] == "Every image of the list is reviewed."
    # Who goes through them once more goes from one to the next.
    session.review.accept_and_next()
    desk.settle()
    assert session.workspace.index == 1


def test_an_empty_mask_is_not_exported(desk: Desk) -> None:
    desk.open()
    assert find_action("file.save_as").needs not in desk.session.capabilities
    desk.draw()
    assert find_action("file.save_as").needs in desk.session.capabilities


def test_what_is_asked_for_while_a_result_is_taken_comes_in_its_order(desk: Desk) -> None:
    desk.open()
    desk.segment()
    proposal = desk.session.proposal
    done: list[str] = []
    # The members agree: that the second is taken is only told.
    desk.session.context.message.connect(done.append)
    proposal.accept()
    proposal.after_taking(lambda: done.append("first"))
    proposal.use_member(1)
    proposal.after_taking(lambda: done.append("second"))
    assert done == []
    desk.settle()
    assert done == ["first", "Use member 2: the mask is like that already.", "second"]


def test_what_waits_for_a_result_is_dropped_where_it_is_discarded(desk: Desk) -> None:
    desk.open()
    desk.segment()
    proposal = desk.session.proposal
    done: list[str] = []
    proposal.accept()
    proposal.after_taking(lambda: done.append("waited"))
    proposal.discard()
    proposal.after_taking(lambda: done.append("came later"))
    desk.settle()
    assert done == ["came later"]
