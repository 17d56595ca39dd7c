"""Law: what somebody else wrote into a study is neither replaced nor removed without a word."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.errors import ChangedOutside, StudyProblem
from engine.masks.reading import read_mask
from engine.study import drafts, study_index
from engine.study.drafts import Writer
from engine.study.study import Study
from tests.engine.studies import ORIGIN, SHAPE, age, make_images, make_mask, statuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path / "pictures", "a.png", "b.jpg", "läsion 3.png")


class TestBase:
    @pytest.mark.parametrize("reviewed", [False, True])
    def test_a_mask_that_came_meanwhile_is_not_replaced(self, folder: Path, reviewed: bool) -> None:
        mine, theirs, path = Study.open(folder), Study.open(folder), folder / "a.png"
        base = mine.base(path)
        theirs.save(path, make_mask(1, 3), None, reviewed)
        with pytest.raises(ChangedOutside) as caught:
            mine.save_over(base, path, make_mask(), ORIGIN, reviewed=True)
        assert (caught.value.what, caught.value.reviewed) == ("mask", reviewed)
        loaded = mine.load(path, SHAPE)
        assert loaded is not None
        assert np.array_equal(loaded.mask_hw, make_mask(1, 3))
        assert loaded.record.reviewed == reviewed

    def test_a_mask_that_was_only_reviewed_meanwhile_is_another_one(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        study.save(path, make_mask(), None)
        base = study.base(path)
        Study.open(folder).set_reviewed(path, True)
        with pytest.raises(ChangedOutside):
            study.save_over(base, path, make_mask(1, 3), None)
        with pytest.raises(ChangedOutside):
            study.set_reviewed(path, True, base)
        assert statuses(study)["a.png"] == "reviewed"

    def test_a_mask_that_is_gone_or_was_written_by_a_script_is_another_one(
        self, folder: Path
    ) -> None:
        study, path = Study.open(folder), folder / "a.png"
        mask_path, base = study.save_over(study.base(path), path, make_mask(), ORIGIN)
        PillowImage.new("L", SHAPE[::-1], 255).save(mask_path)
        with pytest.raises(ChangedOutside):
            study.save_over(base, path, make_mask(1, 3), None)
        mask_path.unlink()
        with pytest.raises(ChangedOutside):
            study.save_over(base, path, make_mask(1, 3), None)
        assert not mask_path.exists()

    def test_saves_of_ones_own_follow_each_other(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        base = study.base(path)
        for left in (1, 2, 3):
            _, base = study.save_over(base, path, make_mask(left), ORIGIN, reviewed=left == 2)
            assert base == study.base(path)
        base = study.set_reviewed(path, True, base)
        assert base == study.base(path)

    def test_the_same_mask_from_two_windows_is_no_conflict(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        base = study.base(path)
        Study.open(folder).save(path, make_mask(), None)
        _, after = study.save_over(base, path, make_mask(), ORIGIN)
        assert after == study.base(path)

    def test_a_mask_is_not_saved_onto_another_picture(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        base = study.base(path)
        PillowImage.new("RGB", SHAPE[::-1], (1, 2, 3)).save(path)
        with pytest.raises(ChangedOutside) as caught:
            study.save_over(base, path, make_mask(), ORIGIN)
        assert caught.value.what == "image"
        # Cropped, it is refused whatever is known of what it was.
        PillowImage.new("RGB", (5, 5), (1, 2, 3)).save(path)
        with pytest.raises(ChangedOutside):
            study.save(path, make_mask(), ORIGIN)
        assert statuses(study)["a.png"] == "new"

    def test_a_copy_of_either_counts_as_no_annotation(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        study.save(path, make_mask(), ORIGIN, reviewed=True)
        copies = [study.keep_copy(path), study.keep_copy(path, make_mask(1, 3), None)]
        assert [bool(read_mask(copy)[4, 2]) for copy in copies] == [False, True]
        assert len(set(copies)) == 2
        assert statuses(study) == {"a.png": "reviewed", "b.jpg": "new", "läsion 3.png": "new"}
        assert len(study.saved_samples()) == 1


class TestDrafts:
    def test_each_window_has_its_own(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # As for another process.
        monkeypatch.setattr(drafts, "_own_tokens", set)
        writers = [Writer(), Writer()]
        mine, theirs = (Study.open(folder, writer) for writer in writers)
        path = folder / "a.png"
        mine.save_draft(path, make_mask(1, 3), None)
        theirs.save_draft(path, make_mask(5, 8), None)
        mine.save(path, make_mask(1, 3), None)
        draft = theirs.load_draft(path, SHAPE)
        assert draft is not None
        assert np.array_equal(draft.mask_hw, make_mask(5, 8))
        # As long as the other window lives, its strokes are not offered here.
        assert mine.load_draft(path, SHAPE) is None
        assert statuses(mine)["a.png"] == "saved"
        assert statuses(theirs)["a.png"] == "draft"
        writers[1].close()
        found = mine.load_draft(path, SHAPE)
        assert found is not None
        assert np.array_equal(found.mask_hw, make_mask(5, 8))
        # What was not shown stays.
        mine.save(path, make_mask(2, 3), None)
        mine.drop_draft(path)
        assert found.seen[0].exists()
        mine.drop_draft(path, found.seen)
        assert not found.seen[0].exists()
        assert not list((mine.masks_folder / "drafts").glob("*~*"))

    def test_a_draft_is_bound_to_the_mask_it_was_drawn_over_and_not_to_the_clock(
        self, folder: Path
    ) -> None:
        study, path = Study.open(folder), folder / "a.png"
        mask_path = study.save(path, make_mask(), None)
        age(mask_path, -86_400)
        base = study.base(path)
        study.save_draft(path, make_mask(1, 3), None)
        draft = Study.open(folder).load_draft(path, SHAPE)
        assert draft is not None
        assert draft.newer
        assert draft.record.over == base
        assert statuses(study)["a.png"] == "draft"

    def test_a_draft_over_a_mask_that_changed_since_is_offered_and_not_saved_unasked(
        self, folder: Path
    ) -> None:
        study, path = Study.open(folder), folder / "a.png"
        study.save_draft(path, make_mask(1, 3), None)
        Study.open(folder, Writer()).save(path, make_mask(), None, reviewed=True)
        draft = Study.open(folder).load_draft(path, SHAPE)
        assert draft is not None
        assert draft.newer
        assert draft.record.over is not None
        with pytest.raises(ChangedOutside):
            study.save_over(draft.record.over, path, draft.mask_hw, None)

    def test_a_held_index_delays_no_draft(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(study_index, "BUSY_TIMEOUT_S", 0.02)
        study, path = Study.open(folder), folder / "a.png"
        study.save(folder / "b.jpg", make_mask(), None, reviewed=True)
        with closing(sqlite3.connect(study.masks_folder / "study.sqlite")) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            study.save_draft(path, make_mask(), None)
            # The list is made without the index, which would have to be written.
            expected = {"a.png": "draft", "b.jpg": "reviewed", "läsion 3.png": "new"}
            assert statuses(Study.open(folder)) == expected
            study.drop_draft(path)

    def test_a_draft_stays_whose_picture_was_cropped(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        kept = study.save_draft(path, make_mask(), None)
        PillowImage.new("RGB", (5, 5), (1, 2, 3)).save(path)
        assert Study.open(folder).base(path) != study.base(folder / "b.jpg")
        assert kept.exists()

    def test_what_killed_windows_leave_is_swept(self, folder: Path) -> None:
        gone = Writer()
        Study.open(folder, gone).save_draft(folder / "a.png", make_mask(), None)
        drafts_folder = folder / "segmentations" / "drafts"
        (lock,) = drafts_folder.glob(".*.lock")
        Study.open(folder, Writer())
        assert lock.exists()
        # As a kill lets it go: nobody removes the file.
        gone._locks.popitem()[1].release()
        drafts._OWN.discard(gone)
        Study.open(folder, Writer())
        assert not lock.exists()
        assert list(drafts_folder.glob("*.png"))


class TestFolders:
    @pytest.mark.parametrize("how", ["renamed", "deleted", "emptied", "a file"])
    def test_no_folder_is_made_where_the_study_was(self, folder: Path, how: str) -> None:
        study, path = Study.open(folder), folder / "a.png"
        aside = folder.with_name("aside")
        folder.rename(aside)
        if how == "deleted":
            shutil.rmtree(aside)
        if how == "emptied":
            # As where a share was, and its mount point is left.
            folder.mkdir()
        if how == "a file":
            folder.write_text("something else")
        for write in (
            lambda: study.save(path, make_mask(), None),
            lambda: study.set_reviewed(path, True),
            lambda: study.keep_copy(path, make_mask(), None),
        )[: 2 if how == "emptied" else 3]:
            with pytest.raises(StudyProblem):
                write()
        kept = study.save_draft(path, make_mask(), None)
        assert not kept.is_relative_to(folder)
        assert read_mask(kept, SHAPE).any()
        if how == "emptied":
            assert not list(folder.iterdir())
        else:
            assert folder.exists() == (how == "a file")

    def test_what_was_drawn_meanwhile_is_found_when_the_folder_is_back(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        aside = folder.with_name("aside")
        folder.rename(aside)
        study.save_draft(path, make_mask(), ORIGIN)
        aside.rename(folder)
        again = Study.open(folder)
        assert statuses(again)["a.png"] == "draft"
        draft = again.load_draft(path, SHAPE)
        assert draft is not None
        assert draft.record.origin == ORIGIN
        again.drop_draft(path)
        assert statuses(again)["a.png"] == "new"

    def test_masks_kept_elsewhere_are_found_when_the_folder_can_be_written(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = folder / "a.png", folder / "b.jpg"
        Study.open(folder).save(first, make_mask(5, 8), None)
        with monkeypatch.context() as locked:
            locked.setattr("engine.study.study.is_writable", lambda _: False)
            away = Study.open(folder)
            away.save(first, make_mask(), ORIGIN, reviewed=True)
            away.save(second, make_mask(1, 3), None)
            away.save_draft(folder / "läsion 3.png", make_mask(), None)
            expected = {"a.png": "reviewed", "b.jpg": "saved", "läsion 3.png": "draft"}
            assert statuses(away) == expected
        old = folder / "segmentations" / "a_segmentation.json"
        old.write_text(old.read_text().replace('"saved_at": "20', '"saved_at": "19'))
        study = Study.open(folder)
        assert study.is_beside_images
        assert statuses(study) == expected
        loaded = study.load(first, SHAPE)
        assert loaded is not None
        assert np.array_equal(loaded.mask_hw, make_mask())
        _, base = study.save_over(study.base(second), second, make_mask(1, 4), None)
        assert base == study.base(second)
        assert (folder / "segmentations" / "b_segmentation.png").exists()

    @pytest.mark.parametrize("length", [230, 234, 238, 251])
    def test_long_names_are_saved_drafted_and_found_again(
        self, tmp_path: Path, length: int
    ) -> None:
        names = ["n" * (length - 1) + end for end in ("1.png", "2.png")]
        folder = make_images(tmp_path / "p", *(name[-255:] for name in names))
        paths = sorted(folder.iterdir())
        study = Study.open(folder, Writer())
        for left, path in enumerate(paths, 1):
            study.save_draft(path, make_mask(left), None)
            assert set(statuses(study).values()) <= {"draft", "new", "saved"}
            study.save(path, make_mask(left), ORIGIN)
            study.save_draft(path, make_mask(left, 11), None)
        again = Study.open(folder)
        assert set(statuses(again).values()) == {"draft"}
        for left, path in enumerate(paths, 1):
            loaded, draft = again.load(path, SHAPE), again.load_draft(path, SHAPE)
            assert loaded is not None
            assert draft is not None
            assert np.array_equal(loaded.mask_hw, make_mask(left))
            assert np.array_equal(draft.mask_hw, make_mask(left, 11))
        assert len({sample.id for sample in again.saved_samples()}) == 2
