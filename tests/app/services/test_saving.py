"""Law: what a person drew is on disk, or was asked about."""

from __future__ import annotations

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.masks.reading import read_mask
from engine.study.study import Study
from nca_seg_app.session import Has
from tests.app.desks import SHAPE, Desk, disk_is_full, leave
from tests.fakes import disk


@pytest.mark.parametrize("answer", ["save", "discard", "cancel"])
def test_unsaved_changes_are_asked_about_before_another_folder(desk: Desk, answer: str) -> None:
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    first = desk.mask_path
    desk.person.save = answer  # type: ignore[assignment]
    desk.open_elsewhere()
    desk.settle()
    assert desk.person.asked == ["save a.png"]
    assert desk.session.workspace.path is not None
    assert desk.session.workspace.path.name == ("a.png" if answer == "cancel" else "z.png")
    assert first.exists() == (answer == "save")
    if answer == "save":
        assert np.array_equal(read_mask(first), drawn_hw)
    if answer == "discard":
        desk.open()
        assert not desk.mask_hw.any()


def test_an_image_is_put_aside_with_what_is_drawn_and_nothing_is_asked(desk: Desk) -> None:
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    desk.session.opening.open_next()
    desk.settle()
    assert desk.session.workspace.index == 1
    assert not desk.person.asked
    assert "kept as a draft" in desk.messages[-1]
    assert [row.status for row in desk.session.workspace.images] == ["draft", "new", "new"]
    assert not desk.session.workspace.images[0].has_mask
    desk.session.opening.open_previous()
    desk.settle()
    assert np.array_equal(desk.mask_hw, drawn_hw)
    assert Has.UNSAVED in desk.session.capabilities
    # Untouched it goes on being that draft, and is written no second time.
    desk.session.opening.open_next()
    desk.settle()
    desk.session.opening.open_previous()
    desk.settle()
    desk.session.mask_edits.undo()
    assert not desk.mask_hw.any()
    desk.session.opening.open_next()
    desk.settle()
    assert [row.status for row in desk.session.workspace.images] == ["new", "new", "new"]


def test_a_draft_that_cannot_be_written_keeps_the_person_where_the_work_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    monkeypatch.setattr(Study, "save_draft", disk_is_full)
    # The first one by the clock, the others asked for.
    desk.session.saving.write_draft()
    for _ in range(2):
        desk.session.opening.open_next()
        desk.settle()
        assert desk.session.workspace.index == 0
        assert np.array_equal(desk.mask_hw, drawn_hw)
    assert len(desk.failures) == 3
    monkeypatch.undo()
    desk.session.opening.open_next()
    desk.settle()
    assert desk.session.workspace.index == 1


def test_a_save_that_fails_keeps_the_person_where_the_work_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/study/a_segmentation.png")

    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    for module in ("study.study", "study.drafts"):
        monkeypatch.setattr(f"engine.{module}.write_together", full)
    desk.person.save = "save"
    desk.session.opening.open_next()
    desk.settle()
    assert desk.session.workspace.index == 0
    assert "no space left" in desk.failures[0]
    assert np.array_equal(desk.mask_hw, drawn_hw)
    assert Has.UNSAVED in desk.session.capabilities
    assert not desk.session.close()
    monkeypatch.undo()
    assert desk.session.close()
    assert np.array_equal(read_mask(desk.mask_path), drawn_hw)


def test_a_stroke_after_saving_began_leaves_the_mask_unsaved(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.draw(40, 40)
    desk.settle()
    assert Has.UNSAVED in desk.session.capabilities


def test_closing_can_be_cancelled(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.person.save = "cancel"
    assert not desk.session.close()
    desk.session.save()
    desk.settle()
    assert desk.mask_path.exists()


def test_a_draft_is_written_while_drawing_and_recovered_after_a_kill(
    desk: Desk, qtbot: QtBot
) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.settle()
    saved_hw = desk.mask_hw.copy()
    desk.begin_stroke(40, 50, 4)
    drafts = desk.folder / "images" / "segmentations" / "drafts"
    desk.until(lambda: any(drafts.glob("*.png")))
    desk.settle()
    drawn_hw = desk.mask_hw.copy()
    assert np.array_equal(read_mask(desk.mask_path), saved_hw)

    # As after a kill: nobody closed the first session.
    other = Desk(qtbot, desk.folder)
    other.open("a.png", "b.png", "c.png")
    assert np.array_equal(other.mask_hw, drawn_hw)
    assert Has.UNSAVED in other.session.capabilities
    assert any("Recovered" in message for message in other.messages)
    other.session.mask_edits.undo()
    assert np.array_equal(other.mask_hw, saved_hw)
    leave(other)


def test_undoing_to_the_saved_mask_drops_the_draft(desk: Desk) -> None:
    desk.open()
    desk.draw()
    drafts = desk.folder / "images" / "segmentations" / "drafts"
    desk.until(lambda: any(drafts.glob("*.png")))
    desk.session.mask_edits.undo()
    desk.until(lambda: not any(drafts.glob("*.png")))


def test_what_is_undone_while_it_is_saved_is_unsaved(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.session.mask_edits.undo()
    # Until the save has ended it is not known which of both is on disk.
    assert Has.UNSAVED in desk.session.capabilities
    desk.settle()
    assert read_mask(desk.mask_path).any()
    assert not desk.mask_hw.any()
    assert Has.UNSAVED in desk.session.capabilities
    desk.session.mask_edits.redo()
    assert Has.UNSAVED not in desk.session.capabilities


def test_going_on_after_an_undo_while_it_is_saved_asks(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.session.mask_edits.undo()
    desk.open_elsewhere()
    desk.settle()
    assert desk.person.asked == ["save a.png"]
    assert desk.session.workspace.index == 0


def test_of_two_saves_on_their_way_the_newer_is_what_is_on_disk(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.draw(40, 40)
    desk.session.save()
    unsaved: list[bool] = []
    desk.session.saving.saved.connect(
        lambda _: unsaved.append(Has.UNSAVED in desk.session.capabilities)
    )
    desk.session.mask_edits.undo()
    desk.settle()
    assert unsaved == [True, True]
    desk.session.mask_edits.redo()
    assert Has.UNSAVED not in desk.session.capabilities


def test_a_draft_of_what_was_undone_and_done_again_does_not_outlive_the_save(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.session.mask_edits.undo()
    desk.session.saving.write_draft()
    desk.session.mask_edits.redo()
    desk.settle()
    assert Has.UNSAVED not in desk.session.capabilities
    assert not any((desk.mask_path.parent / "drafts").glob("*.png"))


def test_the_end_of_each_write_is_told_by_its_number(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = desk.session.saving
    assert (saving.save(), saving.write_draft(), saving.mark_reviewed()) == (0, 0, 0)
    desk.open()
    desk.draw()
    ends: list[tuple[int, bool]] = []
    saving.write_ended.connect(lambda number, done: ends.append((number, done)))
    draft, save = saving.write_draft(), saving.save()
    desk.settle()
    mark = saving.mark_reviewed()
    desk.settle()
    desk.draw(40, 40)
    monkeypatch.setattr(Study, "save_over", disk_is_full)
    refused = saving.save()
    desk.settle()
    assert ends == [(draft, True), (save, True), (mark, True), (refused, False)]
    assert len({draft, save, mark, refused}) == 4


@pytest.mark.parametrize("whose", ["mine", "both", "theirs", "cancel"])
def test_a_save_that_is_asked_about_ends_once_as_is_answered(desk: Desk, whose: str) -> None:
    desk.open()
    desk.draw(30, 40)
    images = desk.folder / "images"
    Study.open(images).save(images / "a.png", disk(SHAPE), None)
    desk.person.whose = whose  # type: ignore[assignment]
    ends: list[tuple[int, bool]] = []
    desk.session.saving.write_ended.connect(lambda number, done: ends.append((number, done)))
    number = desk.session.saving.save()
    desk.settle()
    assert desk.person.asked == ["whose mask a.png"]
    assert ends == [(number, whose in ("mine", "both"))]
