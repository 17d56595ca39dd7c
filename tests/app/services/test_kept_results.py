"""Laws: a result waits for its image, within bounds, and only while nothing was decided there."""

from __future__ import annotations

import os

import pytest

from nca_seg_app.services import lookahead as module
from tests.app.desks import AheadDesk
from tests.fakes import write_image


def test_the_memory_for_what_is_kept_is_bounded_and_the_most_doubtful_stay(
    user: AheadDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.begin()
    user.until(lambda: user.kept == ["b.png"])
    session = user.session
    for place, error in ((1, 0.3), (2, 0.1)):
        session.image_order.find("abcd"[place])
        user.until_idle()
        session.workspace.set_row(session.workspace.images[place].path, expected_error=error)
    assert user.kept == ["b.png", "c.png"]
    (size,) = {task.nbytes for task in session.lookahead._kept}
    assert size > 0
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * size)
    session.image_order.find("d")
    user.until_idle()
    assert user.kept == ["b.png", "d.png"]


def test_a_result_left_undecided_is_there_again(user: AheadDesk) -> None:
    segmentation = user.session.segmentation
    result = segmentation.result
    user.session.opening.open_next()
    user.settle()
    assert segmentation.result is None
    user.session.opening.open_previous()
    user.settle()
    assert segmentation.result is result
    assert user.session.proposal.proposed
    assert segmentation.film.members == 3
    assert len(user.model.asked) == 1


@pytest.mark.parametrize("decision", ["accept", "discard", "draw"])
def test_what_was_decided_is_not_proposed_again(user: AheadDesk, decision: str) -> None:
    if decision == "draw":
        user.draw()
    else:
        getattr(user.session.proposal, decision)()
    user.settle()
    user.session.opening.open_next()
    user.settle()
    user.session.opening.open_previous()
    user.settle()
    assert user.session.segmentation.result is None
    assert len(user.model.asked) == 1


def test_an_image_opened_out_of_turn_is_segmented_where_nobody_draws(user: AheadDesk) -> None:
    user.session.context.change_settings(run_ahead=True)
    for place, draws in ((3, False), (2, True)):
        user.session.opening.open_row(place)
        user.settle()
        if draws:
            user.draw()
        user.until_idle()
        assert (user.session.segmentation.result is None) == draws
        user.session.mask_edits.undo()
        user.settle()


def test_a_file_that_changed_is_not_answered_by_the_old_one(user: AheadDesk) -> None:
    user.begin()
    user.until(lambda: user.kept == ["b.png"])
    os.utime(user.folder / "images" / "b.png", ns=(1, 1))
    user.session.opening.open_next()
    user.until_idle()
    assert user.session.workspace.index == 1
    # The file as it is now was segmented anew.
    assert user.session.segmentation.result is not None
    assert user.kept == ["a.png", "c.png"]
    assert len(user.model.asked) == 4


def test_a_folder_opened_again_gives_each_image_its_own_result(user: AheadDesk) -> None:
    session, segmentation = user.session, user.session.segmentation
    session.opening.open_next()
    user.settle()
    user.segment()
    second = segmentation.result
    session.opening.open_path(user.folder / "images")
    user.settle()
    assert session.workspace.index == 0
    assert segmentation.result is not second
    session.opening.open_next()
    user.settle()
    assert segmentation.result is second


def test_a_picture_replaced_meanwhile_is_not_answered_by_the_result_it_had(
    user: AheadDesk,
) -> None:
    write_image(user.folder / "images" / "a.png", (40, 80))
    user.session.opening.open_next()
    user.settle()
    user.session.opening.open_previous()
    user.settle()
    assert user.session.workspace.image is not None
    assert user.session.workspace.image.height == 40
    assert user.session.segmentation.result is None
