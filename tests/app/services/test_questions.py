"""Laws: a question is about the image it names, and nothing drawn after its answer is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from engine.masks.arrays import Mask
from engine.masks.reading import read_mask
from nca_seg_app.services.prompts import Answer
from tests.app.desks import Desk
from tests.fakes import Person, write_image


@dataclass
class SlowPerson(Person):
    """Answers about a mask only after `meanwhile`, in which the window lives on."""

    meanwhile: Callable[[], None] = lambda: None

    def ask_save(self, name: str) -> Answer:
        self.meanwhile()
        return super().ask_save(name)


def hold(desk: Desk) -> threading.Event:
    """Keep the lane from all that is asked of it from now on, until the event is set."""
    gate = threading.Event()
    desk.session.context.lane.run(lambda: gate.wait(20))
    return gate


def reads_another_while_asked(desk: Desk, drawn: str = "meanwhile") -> None:
    """Read another folder, which ends while a question is open about what was drawn."""
    desk.open()
    gate = hold(desk)
    if drawn == "before":
        desk.draw()
        desk.person.save = "discard"
    desk.open_elsewhere()
    if drawn == "meanwhile":
        desk.draw()

    def meanwhile() -> None:
        gate.set()
        desk.until(lambda: not desk.session.context.lane.pending)

    desk.person = SlowPerson(save="save", meanwhile=meanwhile)
    desk.session.context.prompts = desk.person


def masks_of(desk: Desk) -> dict[str, Mask]:
    """The saved masks by the stem of their image."""
    found = sorted((desk.folder / "images" / "segmentations").glob("*_segmentation.png"))
    return {path.stem.removesuffix("_segmentation"): read_mask(path) for path in found}


@pytest.mark.parametrize("drawn", ["before", "meanwhile"])
def test_what_opens_while_closing_asks_does_not_get_the_mask(desk: Desk, drawn: str) -> None:
    reads_another_while_asked(desk, drawn)
    drawn_hw = desk.mask_hw.copy()
    assert desk.session.close()
    assert desk.person.asked == ["save a.png"]
    saved = masks_of(desk)
    assert list(saved) == ["a"]
    assert np.array_equal(saved["a"], drawn_hw)


@pytest.mark.parametrize("drawn", ["before", "meanwhile"])
def test_what_opens_while_opening_asks_does_not_get_the_mask(desk: Desk, drawn: str) -> None:
    reads_another_while_asked(desk, drawn)
    drawn_hw = desk.mask_hw.copy()
    write_image(desk.folder / "third" / "y.png")
    desk.session.opening.open_path(desk.folder / "third")
    desk.settle()
    assert desk.person.asked == ["save a.png"]
    saved = masks_of(desk)
    assert list(saved) == ["a"]
    assert np.array_equal(saved["a"], drawn_hw)
    assert desk.session.workspace.path is not None
    assert desk.session.workspace.path.name == "y.png"


def test_a_question_that_is_cancelled_leaves_the_image_it_was_about(desk: Desk) -> None:
    reads_another_while_asked(desk)
    drawn_hw = desk.mask_hw.copy()
    desk.person.save = "cancel"
    assert not desk.session.close()
    desk.settle()
    assert desk.session.workspace.index == 0
    assert np.array_equal(desk.mask_hw, drawn_hw)


def test_no_question_is_asked_within_another(desk: Desk) -> None:
    desk.open()
    desk.draw()
    asks = SlowPerson(save="cancel", meanwhile=lambda: desk.session.opening.open_row(2))
    desk.person = desk.session.context.prompts = asks
    desk.open_elsewhere()
    desk.settle()
    assert asks.asked == ["save a.png"]
    assert desk.session.workspace.index == 0


@pytest.mark.parametrize("under_way", [False, True])
def test_a_stroke_drawn_after_answering_save_is_saved_too(desk: Desk, under_way: bool) -> None:
    desk.open()
    desk.draw()
    desk.person.save = "save"
    gate = hold(desk)
    desk.open_elsewhere()
    document = desk.begin_stroke(40, 40, 3)
    if under_way:
        gate.set()
        desk.until(lambda: not desk.session.context.lane.pending)
    document.commit("Brush stroke")
    drawn_hw = desk.mask_hw.copy()
    gate.set()
    desk.until(
        lambda: (
            desk.session.workspace.path is not None and desk.session.workspace.path.name == "z.png"
        )
    )
    assert desk.person.asked == ["save a.png", "save a.png"]
    assert np.array_equal(masks_of(desk)["a"], drawn_hw)


@pytest.mark.parametrize("begun", ["while the draft is written", "while the next is read"])
def test_a_stroke_drawn_while_the_image_is_put_aside_is_in_the_draft(
    desk: Desk, begun: str
) -> None:
    desk.open()
    if begun == "while the draft is written":
        desk.draw()
    gate = hold(desk)
    desk.session.opening.open_next()
    document = desk.begin_stroke(40, 40, 3)
    gate.set()
    desk.until(lambda: not desk.session.context.lane.pending)
    document.commit("Brush stroke")
    drawn_hw = desk.mask_hw.copy()
    desk.until(lambda: desk.session.workspace.index == 1)
    desk.settle()
    assert not desk.person.asked
    desk.session.opening.open_previous()
    desk.settle()
    assert np.array_equal(desk.mask_hw, drawn_hw)


def test_a_stroke_under_way_when_another_folder_is_read_is_asked_about(desk: Desk) -> None:
    desk.open()
    gate = hold(desk)
    desk.open_elsewhere()
    document = desk.begin_stroke(40, 40, 3)
    gate.set()
    desk.until(lambda: not desk.session.context.lane.pending)
    document.commit("Brush stroke")
    desk.until(lambda: bool(desk.person.asked))
    assert desk.session.workspace.index == 0
    assert desk.mask_hw[40, 40]


def test_the_newest_request_holds_while_a_mask_is_saved(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.person.save = "save"
    gate = hold(desk)
    desk.session.opening.open_next()
    desk.session.opening.open_row(2)
    gate.set()
    desk.settle()
    desk.settle()
    assert desk.session.workspace.index == 2
