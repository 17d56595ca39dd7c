"""Law: what happens while a file is read, written or asked about leads to no wrong image."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PIL import Image as PillowImage

from engine.errors import ChangedOutside, UnreadableImage
from engine.masks.edits import read_mask
from engine.study.records import read_record
from engine.study.study import Study
from engine.types import Image
from nca_seg_app.services import folder_watch
from nca_seg_app.services.annotation import read_opened
from nca_seg_app.services.engine import ImageRow, Whose
from nca_seg_app.services.study_reader import listed
from nca_seg_app.session import Has
from tests.app.desks import SHAPE, Desk
from tests.fakes import disk, write_image


def saved_elsewhere(desk: Desk) -> bytes:
    """Somebody else has saved and reviewed a mask of the first image: its file's content."""
    folder = desk.folder / "images"
    return Study.open(folder).save(folder / "a.png", disk(SHAPE), None, True).read_bytes()


def recovered_over_a_review(desk: Desk) -> None:
    """A drawing is put aside, somebody else saves and reviews, and the image is opened again."""
    desk.open()
    desk.draw(30, 40)
    desk.session.opening.open_next()
    desk.settle()
    saved_elsewhere(desk)
    desk.session.opening.open_previous()
    desk.settle()


def copies(desk: Desk) -> list[Path]:
    return sorted((desk.mask_path.parent / "copies").glob("*.png"))


class TestListing:
    @pytest.mark.parametrize("comes", [True, False])
    def test_an_image_is_opened_under_its_own_name_where_the_list_changed(
        self, desk: Desk, comes: bool
    ) -> None:
        desk.open("b.png", "c.png", "d.png", "e.png")
        folder = desk.folder / "images"
        if comes:
            write_image(folder / "a.png", SHAPE)
        else:
            (folder / "c.png").unlink()
        session = desk.session
        assert session.workspace.study is not None
        rows = listed(session.workspace.study)
        session.opening.open_row(2)
        session.workspace.set_images(rows)
        desk.settle()
        assert session.workspace.path is not None
        assert session.workspace.path.name == "d.png"

    def test_an_image_that_went_while_it_was_read_is_told(self, desk: Desk) -> None:
        desk.open()
        rows = desk.session.workspace.images[:2]
        desk.session.opening.open_row(2)
        desk.session.workspace.set_images(rows)
        desk.settle()
        assert desk.session.workspace.index == 0
        assert "c.png" in desk.failures[0]

    def test_listing_does_not_lead_to_listing(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.open()
        desk.draw()
        desk.session.save()
        desk.settle()
        desk.session.folder_watch.look()
        desk.settle()
        listings: list[Study] = []

        def counted(study: Study) -> tuple[ImageRow, ...]:
            listings.append(study)
            return listed(study)

        monkeypatch.setattr(folder_watch, "listed", counted)
        # The index comes and goes beside the masks whenever it is read.
        Study.open(desk.folder / "images").images()
        desk.session.folder_watch.look()
        desk.settle()
        assert not listings
        Study.open(desk.folder / "images").save(desk.folder / "images/b.png", disk(SHAPE), None)
        desk.session.folder_watch.look()
        desk.settle()
        assert desk.session.workspace.images[1].status == "saved"


class TestTheEnd:
    def test_a_session_goes_on_where_the_end_is_called_off(self, desk: Desk) -> None:
        desk.open()
        desk.draw()
        desk.session.save()
        desk.session.saving.write_at_end()
        desk.settle()
        desk.draw(30, 40)
        desk.session.save()
        desk.settle()
        assert read_mask(desk.mask_path)[30, 40]
        assert not list((desk.mask_path.parent / "drafts").glob("*.png"))


class TestQuestions:
    def test_nothing_else_opens_while_it_is_asked_whose_mask_is_kept(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.open()
        desk.draw(30, 40)
        theirs = saved_elsewhere(desk)
        seen = []

        def ask(name: str, changed: ChangedOutside) -> Whose:
            # What was asked for before goes on while the question is open, and so do keys.
            seen.append(name)
            if len(seen) == 1:
                desk.until(lambda: not desk.session.context.lane.pending)
                desk.session.save()
                desk.session.opening.open_next()
                desk.session.opening.open_path(desk.folder / "images" / "c.png")
                desk.until(lambda: not desk.session.context.lane.pending)
                assert desk.session.workspace.index == 0
            return "both"

        monkeypatch.setattr(desk.person, "ask_whose", ask)
        desk.session.save()
        desk.session.save()
        desk.session.opening.open_next()
        desk.settle()
        assert seen == ["a.png"]
        assert desk.session.workspace.index == 0
        assert read_mask(desk.mask_path)[30, 40]
        assert [path.read_bytes() for path in copies(desk)] == [theirs]

    def test_theirs_that_cannot_be_shown_is_not_replaced_later(self, desk: Desk) -> None:
        desk.open()
        desk.draw(30, 40)
        theirs = saved_elsewhere(desk)
        desk.person.whose = "theirs"
        picture = desk.folder / "images" / "a.png"
        content = picture.read_bytes()

        def broken(path: Path, *_: object) -> Image:
            raise UnreadableImage(path, "it is being written")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("nca_seg_app.services.annotation.read_image", broken)
            patched.setattr(read_opened, "__defaults__", (broken,))
            desk.session.save()
            desk.settle()
        assert picture.read_bytes() == content
        assert "being written" in desk.failures[-1]
        desk.draw(10, 10)
        desk.person.whose = "cancel"
        for act in (desk.session.save, desk.session.saving.toggle_reviewed):
            act()
            desk.settle()
            assert desk.mask_path.read_bytes() == theirs
        assert desk.person.asked == ["whose mask a.png"] * 3

    def test_what_is_drawn_after_the_answer_is_asked_about(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn, keep_copy = Event(), Study.keep_copy

        def late(*given: Any) -> Path:
            assert drawn.wait(20)
            return keep_copy(*given)

        monkeypatch.setattr(Study, "keep_copy", late)
        desk.open()
        desk.draw(30, 40)
        saved_elsewhere(desk)
        desk.person.whose, desk.person.save = "theirs", "cancel"
        desk.session.save()
        desk.until(lambda: len(desk.person.asked) == 1)
        desk.draw(10, 10)
        drawn.set()
        desk.settle()
        assert desk.person.asked == ["whose mask a.png", "save a.png"]
        assert desk.mask_hw[10, 10]
        assert Has.UNSAVED in desk.session.capabilities

    @pytest.mark.parametrize("whose", ["mine", "both"])
    def test_an_answer_about_the_mask_is_none_about_the_image(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, whose: Whose
    ) -> None:
        desk.open()
        desk.draw(30, 40)
        theirs = saved_elsewhere(desk)
        PillowImage.new("RGB", SHAPE[::-1], (9, 9, 9)).save(desk.folder / "images" / "a.png")
        asked: list[str] = []

        def ask(name: str, changed: ChangedOutside) -> Whose:
            asked.append(changed.what)
            return whose if changed.what == "mask" else "cancel"

        monkeypatch.setattr(desk.person, "ask_whose", ask)
        desk.session.review.accept_and_next()
        desk.settle()
        assert asked == ["mask", "image"]
        assert desk.mask_path.read_bytes() == theirs

    def test_the_review_of_another_is_not_one_of_my_drawing(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recovered_over_a_review(desk)
        desk.person.whose = "mine"
        desk.session.save()
        desk.settle()
        assert desk.person.asked == ["whose mask a.png"]
        assert read_mask(desk.mask_path)[30, 40]
        assert not read_record(desk.mask_path).reviewed
        assert desk.session.workspace.images[0].status == "saved"

    def test_where_the_drawing_is_undone_the_list_tells_of_the_review(self, desk: Desk) -> None:
        recovered_over_a_review(desk)
        assert desk.session.workspace.images[0].status == "draft"
        desk.session.mask_edits.undo()
        desk.session.saving.write_draft()
        desk.settle()
        assert desk.session.workspace.images[0].status == "reviewed"

    def test_a_save_that_failed_leaves_no_mark_of_review(self, desk: Desk) -> None:
        desk.open()
        desk.draw(30, 40)
        aside = (desk.folder / "images").rename(desk.folder / "aside")
        desk.session.saving.toggle_reviewed()
        desk.session.save()
        desk.settle()
        assert len(desk.failures) == 2
        aside.rename(desk.folder / "images")
        desk.session.save()
        desk.settle()
        assert not read_record(desk.mask_path).reviewed


class TestDrafts:
    def test_a_draft_that_somebody_removed_is_written_again_at_the_end(self, desk: Desk) -> None:
        desk.open()
        desk.draw(30, 40)
        desk.session.saving.write_draft()
        desk.settle()
        (draft,) = (desk.mask_path.parent / "drafts").glob("*.png")
        draft.unlink()
        desk.session.saving.write_at_end()
        assert read_mask(draft)[30, 40]

    def test_drawing_goes_on_where_the_folder_cannot_be_written_any_more(self, desk: Desk) -> None:
        desk.open()
        desk.draw(30, 40)
        (desk.folder / "images" / "segmentations").write_text("in the way")
        desk.session.opening.open_next()
        desk.settle()
        assert desk.session.workspace.index == 1
        assert any("cannot be saved there" in message for message in desk.messages)
        desk.session.opening.open_previous()
        desk.settle()
        assert desk.mask_hw[30, 40]


class TestExport:
    def test_a_mask_of_a_study_is_not_exported_over(self, desk: Desk) -> None:
        desk.open()
        desk.draw(30, 40)
        theirs = saved_elsewhere(desk)
        desk.person.path = desk.mask_path
        desk.session.export.export_mask()
        desk.settle()
        assert desk.mask_path.read_bytes() == theirs
        assert read_record(desk.mask_path).reviewed
        assert "stays as it is" in desk.failures[0]
