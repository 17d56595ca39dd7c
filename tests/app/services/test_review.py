"""Law: the way to the next image ends where the work is, unless every step of it is done."""

from __future__ import annotations

import pytest

from engine.masks.reading import read_mask
from engine.study.records import read_record
from engine.study.study import Study
from tests.app.desks import SHAPE, Desk
from tests.fakes import disk


def save_elsewhere(desk: Desk) -> None:
    """Somebody else saves a mask of the first image."""
    images = desk.folder / "images"
    Study.open(images).save(images / "a.png", disk(SHAPE), None)


def test_it_is_moving_on_until_the_next_image_is_asked_for(desk: Desk) -> None:
    desk.open()
    desk.segment()
    review = desk.session.review
    review.accept_and_next()
    # Asked once more before it is done, it is done once.
    review.accept_and_next()
    assert review.moving_on
    desk.settle()
    assert not review.moving_on
    assert desk.session.workspace.index == 1
    assert desk.session.workspace.images[1].status == "new"


@pytest.mark.parametrize("whose", ["mine", "theirs", "cancel"])
def test_it_goes_on_only_where_the_mask_is_saved_in_the_end(desk: Desk, whose: str) -> None:
    desk.open()
    desk.draw(30, 40)
    save_elsewhere(desk)
    desk.person.whose = whose  # type: ignore[assignment]
    mask_path = desk.mask_path
    desk.session.review.accept_and_next()
    desk.settle()
    assert not desk.session.review.moving_on
    assert desk.session.workspace.index == (1 if whose == "mine" else 0)
    assert read_record(mask_path).reviewed == (whose == "mine")
    assert read_mask(mask_path)[30, 40] == (whose == "mine" or disk(SHAPE)[30, 40])


def test_a_result_that_is_given_up_leaves_the_image_as_it_was(desk: Desk) -> None:
    desk.open()
    desk.segment()
    desk.session.review.accept_and_next()
    desk.session.proposal.discard()
    assert not desk.session.review.moving_on
    desk.settle()
    assert desk.session.workspace.index == 0
    assert not desk.mask_path.exists()


def test_a_request_of_the_person_comes_before_the_next_image(desk: Desk) -> None:
    desk.open()
    desk.segment()
    desk.session.review.accept_and_next()
    desk.session.opening.open_row(2)
    desk.settle()
    assert desk.session.workspace.index == 2
    assert desk.session.workspace.images[0].status == "reviewed"


def test_the_last_image_is_told_where_none_came(desk: Desk) -> None:
    desk.open("a.png")
    desk.draw()
    desk.session.review.accept_and_next()
    desk.settle()
    assert desk.messages[-1] == "Every image of the list is reviewed."
    assert not desk.session.review.moving_on
    desk.session.review.accept_and_next()
    desk.settle()
    assert desk.messages[-1] == "This is the last image."
