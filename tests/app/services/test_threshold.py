"""Laws: a mask that was taken follows the threshold, and nothing that is done meanwhile is lost."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engine.masks.reading import read_mask
from tests.app.desks import Desk, is_still


@pytest.fixture
def taken(desk: Desk) -> Desk:
    """Somebody whose mask is the result, as accepted."""
    desk.model.size = 64
    desk.open()
    desk.segment()
    desk.session.proposal.accept()
    desk.settle()
    return desk


def follow(desk: Desk) -> None:
    """Wait until nothing would follow any more."""
    proposal = desk.session.proposal
    desk.until_still(proposal)
    desk.until(lambda: not proposal.taking and is_still(proposal))
    desk.settle()


def hold(desk: Desk) -> threading.Event:
    """Keep the lane from all that is asked of it from now on, until the event is set."""
    gate = threading.Event()
    desk.session.context.lane.run(lambda: gate.wait(20))
    return gate


def at(desk: Desk, threshold: float) -> np.ndarray:
    result = desk.session.segmentation.result
    assert result is not None
    return result.mask(threshold)


def test_a_threshold_moved_before_a_run_ends_no_run(desk: Desk) -> None:
    desk.open()
    run = desk.session.segmentation
    proposal = desk.session.proposal
    proposal.set_threshold(0.4)
    desk.segment()
    follow(desk)
    assert run.result is not None
    assert run.result.done == run.result.total
    assert not desk.mask_hw.any()


@pytest.mark.parametrize("when", ["before it follows", "while it follows"])
def test_undo_while_it_follows_stays(taken: Desk, when: str) -> None:
    proposal = taken.session.proposal
    gate = hold(taken)
    proposal.set_threshold(0.2)
    if when == "while it follows":
        taken.until(lambda: proposal.taking)
    taken.session.mask_edits.undo()
    gate.set()
    follow(taken)
    assert not taken.mask_hw.any()
    assert not proposal.taking
    assert taken.session.workspace.document is not None
    assert taken.session.workspace.document.can_redo


def test_what_is_drawn_while_it_follows_stays(taken: Desk) -> None:
    proposal = taken.session.proposal
    gate = hold(taken)
    proposal.set_threshold(0.2)
    taken.until(lambda: proposal.taking)
    taken.draw(5, 5)
    drawn_hw = taken.mask_hw.copy()
    gate.set()
    follow(taken)
    assert np.array_equal(taken.mask_hw, drawn_hw)


def test_a_threshold_moved_on_while_it_follows_is_followed(taken: Desk) -> None:
    proposal = taken.session.proposal
    gate = hold(taken)
    proposal.set_threshold(0.2)
    taken.until(lambda: proposal.taking)
    proposal.set_threshold(0.1)
    gate.set()
    follow(taken)
    assert np.array_equal(taken.mask_hw, at(taken, 0.1))
    assert not proposal.proposed


def test_what_is_saved_at_once_is_what_the_threshold_says(taken: Desk) -> None:
    taken.session.proposal.set_threshold(0.2)
    taken.session.save()
    taken.settle()
    assert np.array_equal(read_mask(taken.mask_path), at(taken, 0.2))


def test_an_image_left_at_once_is_kept_as_the_threshold_says(taken: Desk) -> None:
    expected_hw = at(taken, 0.2)
    taken.session.proposal.set_threshold(0.2)
    taken.session.opening.open_next()
    taken.until(lambda: taken.session.workspace.index == 1)
    taken.settle()
    taken.session.opening.open_previous()
    taken.settle()
    assert np.array_equal(taken.mask_hw, expected_hw)


def test_a_member_accepted_at_once_is_that_member(taken: Desk) -> None:
    session, run = taken.session, taken.session.segmentation
    proposal = taken.session.proposal
    result = run.result
    assert result is not None
    proposal.use_member(1)
    taken.settle()
    path = taken.mask_path
    proposal.set_threshold(0.3)
    session.review.accept_and_next()
    taken.until(lambda: session.workspace.index == 1)
    taken.settle()
    expected_hw = result.frame.restore(result.members_nhw[1]) >= 0.3
    assert np.array_equal(read_mask(path), expected_hw)


def test_a_step_back_to_an_earlier_threshold_is_not_called_drawn(taken: Desk) -> None:
    proposal = taken.session.proposal
    proposal.set_threshold(0.2)
    follow(taken)
    taken.session.mask_edits.undo()
    assert proposal.may_replace
    proposal.accept()
    taken.settle()
    assert np.array_equal(taken.mask_hw, at(taken, 0.2))


def test_a_newer_request_holds_while_an_image_is_saved_as_reviewed(taken: Desk) -> None:
    gate = hold(taken)
    taken.session.review.accept_and_next()
    taken.session.opening.open_row(2)
    gate.set()
    follow(taken)
    assert taken.session.workspace.index == 2
    assert taken.session.workspace.images[0].status == "reviewed"
