"""Law: what another window or program did to the folder is seen, and never replaced unasked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from pytestqt.qtbot import QtBot

from engine.masks.edits import read_mask, write_mask
from engine.study import drafts
from engine.study.records import read_record
from engine.study.study import Study
from nca_seg_app.session import Has
from tests.app.desks import SHAPE, Desk, leave
from tests.fakes import disk, write_image


@pytest.fixture
def other(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    """Another window on the folder of `desk`."""
    desk = Desk(qtbot, tmp_path)
    yield desk
    leave(desk)


def copies(desk: Desk) -> list[Path]:
    return sorted((desk.mask_path.parent / "copies").glob("*.png"))


def both_open(desk: Desk, other: Desk) -> Path:
    """Both have the first image open, and the other's mask is drawn and reviewed."""
    desk.open()
    other.open()
    other.draw(10, 10)
    other.session.saving.mark_reviewed()
    other.settle()
    assert read_record(other.mask_path).reviewed
    return other.mask_path


class TestSaving:
    @pytest.mark.parametrize("how", ["save", "accept and next", "reviewed", "a model's", "leave"])
    def test_a_mask_reviewed_meanwhile_is_not_replaced_unasked(
        self, desk: Desk, other: Desk, how: str
    ) -> None:
        mask_path = both_open(desk, other)
        theirs = mask_path.read_bytes()
        if how == "a model's":
            desk.segment()
        else:
            desk.draw(30, 40)
        mine_hw = desk.mask_hw.copy()
        if how == "save":
            desk.session.save()
        elif how == "reviewed":
            desk.session.saving.toggle_reviewed()
        elif how == "leave":
            desk.person.save = "save"
            desk.open_elsewhere()
        else:
            desk.session.review.accept_and_next()
        desk.settle()
        assert desk.person.asked[-1] == "whose mask a.png"
        assert mask_path.read_bytes() == theirs
        assert read_record(mask_path).reviewed
        # The answer was to wait: the person stays where the work is.
        assert desk.session.workspace.index == 0
        if how != "a model's":
            assert np.array_equal(desk.mask_hw, mine_hw)
        assert Has.UNSAVED in desk.session.capabilities
        desk.person.asked.clear()
        desk.person.save = "discard"

    def test_theirs_is_shown_and_mine_is_a_copy(self, desk: Desk, other: Desk) -> None:
        mask_path = both_open(desk, other)
        theirs = mask_path.read_bytes()
        desk.draw(30, 40)
        mine_hw = desk.mask_hw.copy()
        desk.person.whose = "theirs"
        desk.session.save()
        desk.settle()
        assert mask_path.read_bytes() == theirs
        assert np.array_equal(desk.mask_hw, other.mask_hw)
        assert Has.UNSAVED not in desk.session.capabilities
        (copy,) = copies(desk)
        assert np.array_equal(read_mask(copy), mine_hw)
        assert desk.session.workspace.images[0].status == "reviewed"
        # From here on it is the base.
        desk.draw(30, 40)
        desk.session.save()
        desk.settle()
        assert len(desk.person.asked) == 1

    def test_both_are_kept(self, desk: Desk, other: Desk) -> None:
        mask_path = both_open(desk, other)
        theirs = mask_path.read_bytes()
        desk.draw(30, 40)
        desk.person.whose = "both"
        desk.session.review.accept_and_next()
        desk.settle()
        assert desk.session.workspace.index == 1
        (copy,) = copies(desk)
        assert copy.read_bytes() == theirs
        assert read_record(copy).reviewed
        assert read_mask(mask_path)[30, 40]
        assert not read_mask(mask_path)[10, 10]

    def test_mine_takes_the_place_of_what_was_asked_about_only(
        self, desk: Desk, other: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mask_path = both_open(desk, other)
        desk.draw(30, 40)
        ask = type(desk.person).ask_whose

        def slow(person: object, name: str, changed: object) -> str:
            # Once more the other window saves, while the question is open.
            if len(desk.person.asked) == 0:
                Study.open(mask_path.parents[1]).save(
                    mask_path.parents[1] / "a.png", disk(SHAPE), None, reviewed=True
                )
            return ask(desk.person, name, changed)  # type: ignore[arg-type]

        monkeypatch.setattr(type(desk.person), "ask_whose", slow)
        desk.person.whose = "mine"
        desk.session.save()
        desk.settle()
        assert desk.person.asked == ["whose mask a.png"] * 2
        assert read_mask(mask_path)[30, 40]
        assert not copies(desk)

    @pytest.mark.parametrize("whose", ["theirs", "mine", "both", "cancel"])
    def test_at_the_end_of_the_program_it_is_asked_too(
        self, desk: Desk, other: Desk, whose: str
    ) -> None:
        mask_path = both_open(desk, other)
        theirs = mask_path.read_bytes()
        desk.draw(30, 40)
        desk.person.save, desk.person.whose = "save", whose  # type: ignore[assignment]
        assert desk.session.close() == (whose != "cancel")
        held = mask_path.read_bytes()
        assert (held == theirs) == (whose in ("theirs", "cancel"))
        kept = [path.read_bytes() for path in copies(desk)]
        assert (theirs in kept) == (whose == "both")
        assert len(kept) == (whose in ("theirs", "both"))

    def test_a_script_is_another_program_as_well(self, desk: Desk) -> None:
        desk.open()
        desk.draw()
        desk.session.save()
        desk.settle()
        write_mask(desk.mask_path, disk(SHAPE))
        desk.draw(30, 40)
        desk.session.save()
        desk.settle()
        assert desk.person.asked == ["whose mask a.png"]
        assert np.array_equal(read_mask(desk.mask_path), disk(SHAPE))

    def test_marking_as_reviewed_means_the_mask_that_is_shown(self, desk: Desk) -> None:
        desk.open()
        desk.draw()
        desk.session.save()
        desk.settle()
        write_mask(desk.mask_path, disk(SHAPE))
        desk.session.saving.toggle_reviewed()
        desk.settle()
        assert desk.person.asked == ["whose mask a.png"]
        assert not read_record(desk.mask_path).reviewed

    def test_ones_own_saves_in_a_row_ask_nothing(self, desk: Desk) -> None:
        desk.open()
        for row in (10, 20, 30):
            desk.draw(row, 40)
            desk.session.save()
        desk.session.saving.toggle_reviewed()
        desk.settle()
        desk.session.saving.toggle_reviewed()
        desk.settle()
        desk.draw(40, 10)
        desk.session.review.accept_and_next()
        desk.settle()
        assert not desk.person.asked
        assert not desk.failures
        assert desk.session.workspace.images[0].status == "reviewed"


class TestDrafts:
    def test_the_draft_of_another_window_stays_while_it_lives(
        self, desk: Desk, other: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As for another process.
        monkeypatch.setattr(drafts, "_own_tokens", set)
        desk.open()
        other.open()
        other.draw(10, 10)
        other.session.saving.write_draft()
        other.settle()
        drawn_hw = other.mask_hw.copy()
        # Here it is not offered, and what is saved here does not remove it.
        desk.session.opening.reload()
        desk.settle()
        assert not desk.mask_hw.any()
        desk.draw(30, 40)
        desk.session.save()
        desk.settle()
        draft = Study.open(desk.folder / "images").load_draft(desk.folder / "images/a.png", SHAPE)
        assert draft is not None
        assert np.array_equal(draft.mask_hw, drawn_hw)

    def test_a_draft_over_a_mask_that_somebody_replaced_is_recovered_and_asks(
        self, desk: Desk, other: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(drafts, "_own_tokens", set)
        desk.open()
        desk.draw(30, 40)
        desk.session.opening.open_next()
        desk.settle()
        other.open()
        other.session.opening.open_row(0)
        other.settle()
        other.draw(10, 10)
        other.session.saving.mark_reviewed()
        other.settle()
        desk.session.opening.open_previous()
        desk.settle()
        assert desk.mask_hw[30, 40]
        assert any("earlier mask" in message for message in desk.messages)
        desk.session.save()
        desk.settle()
        assert desk.person.asked == ["whose mask a.png"]
        desk.session.mask_edits.undo()
        assert np.array_equal(desk.mask_hw, other.mask_hw)


class TestImages:
    @pytest.mark.parametrize("how", ["replaced", "cropped"])
    def test_a_mask_is_not_saved_onto_another_picture(self, desk: Desk, how: str) -> None:
        desk.open()
        desk.draw()
        path = desk.session.workspace.path
        assert path is not None
        size = SHAPE[::-1] if how == "replaced" else (20, 20)
        PillowImage.new("RGB", size, (9, 9, 9)).save(path)
        desk.session.review.accept_and_next()
        desk.settle()
        assert desk.person.asked == ["whose image a.png"]
        assert not desk.mask_path.exists()
        assert desk.session.workspace.index == 0
        desk.person.whose = "theirs"
        desk.session.save()
        desk.settle()
        assert desk.session.workspace.image is not None
        assert desk.session.workspace.image.width == size[0]
        assert not desk.mask_hw.any()
        (copy,) = copies(desk)
        assert read_mask(copy, SHAPE)[20, 20]

    def test_images_that_come_are_listed_before_all_are_called_reviewed(self, desk: Desk) -> None:
        desk.open("b.png")
        desk.draw()
        write_image(desk.folder / "images" / "a.png", SHAPE)
        write_image(desk.folder / "images" / "c.png", SHAPE)
        desk.session.review.accept_and_next()
        desk.settle()
        assert [row.path.name for row in desk.session.workspace.images] == [
            "a.png",
            "b.png",
            "c.png",
        ]
        assert [row.status for row in desk.session.workspace.images] == ["new", "reviewed", "new"]
        assert desk.session.workspace.path is not None
        assert desk.session.workspace.path.name == "c.png"
        assert not any("Every image" in message for message in desk.messages)

    def test_the_folder_is_looked_at_when_the_window_comes_to_the_front(self, desk: Desk) -> None:
        desk.open("b.png")
        desk.draw()
        (desk.folder / "images" / "b.png").with_name("notes.txt").write_text("no image")
        write_image(desk.folder / "images" / "a.png", SHAPE)
        desk.session.folder_watch.look()
        desk.settle()
        assert [row.path.name for row in desk.session.workspace.images] == ["a.png", "b.png"]
        assert desk.session.workspace.row is not None
        assert desk.session.workspace.row.path.name == "b.png"
        assert any("1 new image was found" in message for message in desk.messages)
        (desk.folder / "images" / "a.png").unlink()
        desk.session.folder_watch.look()
        desk.settle()
        assert [row.path.name for row in desk.session.workspace.images] == ["b.png"]

    def test_a_change_outside_is_told_once_and_read_when_asked(self, desk: Desk) -> None:
        desk.open()
        desk.draw()
        desk.session.save()
        desk.settle()
        write_mask(desk.mask_path, disk(SHAPE))
        for _ in range(2):
            desk.session.folder_watch.look()
            desk.settle()
        assert sum("Reload Image" in message for message in desk.messages) == 1
        desk.session.opening.reload()
        desk.settle()
        assert np.array_equal(desk.mask_hw, disk(SHAPE))
        assert not desk.person.asked

    def test_ones_own_writes_are_no_change_outside(self, desk: Desk) -> None:
        desk.open()
        for _ in range(2):
            desk.draw()
            desk.session.save()
            desk.session.folder_watch.look()
        desk.settle()
        assert not any("Reload Image" in message for message in desk.messages)


class TestFolder:
    @pytest.mark.parametrize("how", ["renamed", "deleted"])
    def test_a_folder_that_is_gone_is_told_and_the_work_is_kept(self, desk: Desk, how: str) -> None:
        desk.open()
        desk.draw()
        drawn_hw = desk.mask_hw.copy()
        folder = desk.folder / "images"
        aside = desk.folder / "aside"
        folder.rename(aside)
        if how == "deleted":
            shutil.rmtree(aside)
        desk.session.review.accept_and_next()
        desk.session.folder_watch.look()
        desk.settle()
        assert "not there any more" in desk.failures[0]
        desk.session.saving.write_draft()
        desk.settle()
        assert not folder.exists()
        assert np.array_equal(desk.mask_hw, drawn_hw)
        assert Has.UNSAVED in desk.session.capabilities
        assert any("Export Mask" in message for message in desk.messages)
        # It can be saved elsewhere.
        desk.person.path = desk.folder / "elsewhere.png"
        desk.session.export.export_mask()
        desk.settle()
        assert np.array_equal(read_mask(desk.folder / "elsewhere.png"), drawn_hw)
        assert not folder.exists()
        if how == "renamed":
            aside.rename(folder)
            desk.session.save()
            desk.settle()
            assert np.array_equal(read_mask(desk.mask_path), drawn_hw)

    def test_the_last_strokes_can_be_written_at_once(self, desk: Desk) -> None:
        desk.open()
        desk.draw(30, 40)
        desk.begin_stroke(10, 10, 3)
        desk.session.saving.write_at_end()
        draft = Study.open(desk.folder / "images").load_draft(desk.folder / "images/a.png", SHAPE)
        assert draft is not None
        assert draft.mask_hw[30, 40]
        assert draft.mask_hw[10, 10]
        assert draft.newer
