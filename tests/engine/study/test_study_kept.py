"""Law: which mask, draft or copy is whose hangs neither on the clock nor on one damaged file."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.errors import StudyProblem, UnreadableMask
from engine.masks.files import write_mask
from engine.masks.reading import read_mask
from engine.study.drafts import Writer
from engine.study.study import Study
from tests.engine.studies import ORIGIN, SHAPE, make_images, make_mask, statuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path / "pictures", "a.png", "b.jpg")


def held(study: Study, path: Path) -> int:
    """The column at which the mask of an image begins; -1 without one."""
    loaded = study.load(path, SHAPE)
    return -1 if loaded is None else int(np.flatnonzero(loaded.mask_hw.any(axis=0))[0])


class TestOwners:
    def test_a_damaged_record_takes_no_mask_from_another_image_of_the_stem(
        self, tmp_path: Path
    ) -> None:
        folder = make_images(tmp_path / "p", "a.jpg", "a.png")
        study, first, second = Study.open(folder), folder / "a.png", folder / "a.jpg"
        record = study.save(first, make_mask(1), ORIGIN, reviewed=True).with_suffix(".json")
        study.save(second, make_mask(2), ORIGIN)
        record.write_text("{")
        again = Study.open(folder)
        assert (held(again, first), held(again, second)) == (1, 2)
        assert statuses(again) == {"a.jpg": "saved", "a.png": "saved"}
        again.save(second, make_mask(3), ORIGIN)
        again.save(first, make_mask(4), ORIGIN)
        assert (held(again, first), held(again, second)) == (4, 3)
        assert len(again.saved_samples()) == 2

    @pytest.mark.parametrize("name", ["a.Jpg", "a.pNG", "a.JPEG"])
    def test_a_mask_without_a_record_is_found_whatever_the_case_of_the_suffix(
        self, tmp_path: Path, name: str
    ) -> None:
        folder = make_images(tmp_path / "p", "x.png")
        PillowImage.open(folder / "x.png").save(folder / name, "PNG")
        (folder / "segmentations").mkdir()
        write_mask(folder / "segmentations" / "a_segmentation.png", make_mask(1))
        study = Study.open(folder)
        assert statuses(study)[name] == "saved"
        assert held(study, folder / name) == 1

    @pytest.mark.parametrize(
        ("then", "now"),
        [("A.png", "a.png"), ("läsion.png", unicodedata.normalize("NFD", "läsion.png"))],
    )
    def test_a_record_may_spell_a_name_as_its_file_system_does(
        self, tmp_path: Path, then: str, now: str
    ) -> None:
        folder = make_images(tmp_path / "p", now)
        study, path = Study.open(folder), folder / now
        record = study.save(path, make_mask(1), ORIGIN).with_suffix(".json")
        record.write_text(record.read_text().replace(f'"{now}"', f'"{then}"'))
        # As file systems do that take both spellings for one name.
        (folder / then).hardlink_to(path)
        assert held(Study.open(folder), path) == 1


class TestAway:
    @pytest.mark.parametrize("how", ["save", "reviewed"])
    def test_what_is_saved_now_holds_though_the_clock_was_set_back(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        path = folder / "a.png"
        with monkeypatch.context() as locked:
            locked.setattr("engine.study.study.is_writable", lambda _: False)
            away = Study.open(folder)
            record = away.save(path, make_mask(1), ORIGIN).with_suffix(".json")
        record.write_text(record.read_text().replace('"saved_at": "2', '"saved_at": "3'))
        study = Study.open(folder)
        base = study.base(path)
        if how == "save":
            _, base = study.save_over(base, path, make_mask(2), ORIGIN)
        else:
            base = study.set_reviewed(path, True, base)
        assert study.base(path) == base
        assert held(study, path) == (2 if how == "save" else 1)
        assert statuses(study)["a.png"] == ("saved" if how == "save" else "reviewed")
        # What was kept elsewhere is still there.
        (copy,) = (study.home / "copies").glob("*.png")
        assert read_mask(copy, SHAPE)[4, 1]

    def test_a_folder_opens_where_nothing_at_all_can_be_written(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        Study.open(folder).save(folder / "a.png", make_mask(), ORIGIN, reviewed=True)
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("NCA_SEG_HOME", str(tmp_path / "file"))
        monkeypatch.setattr("engine.study.study.is_writable", lambda _: False)
        assert statuses(Study.open(folder)) == {"a.png": "reviewed", "b.jpg": "new"}

    def test_a_doubt_or_a_copy_makes_no_folder_where_a_share_was(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        folder.rename(folder.with_name("aside"))
        folder.mkdir()
        for write in (
            lambda: study.set_expected_error(path, 0.5),
            lambda: study.keep_copy(path, make_mask(), None),
        ):
            with pytest.raises(StudyProblem):
                write()
        assert not list(folder.iterdir())

    def test_a_draft_is_kept_where_the_folder_cannot_be_written_any_more(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer = Writer()
        study, path = Study.open(folder, writer), folder / "a.png"
        study.save_draft(path, make_mask(1), None)
        (folder / "segmentations" / "drafts").rename(folder / "segmentations" / "old")
        (folder / "segmentations" / "drafts").write_text("in the way")
        kept = study.save_draft(path, make_mask(2), None)
        assert kept.is_relative_to(study.home)
        draft = study.load_draft(path, SHAPE)
        assert draft is not None
        assert draft.mask_hw[4, 2]
        # Once it can be written again, the newest is the only one.
        (folder / "segmentations" / "drafts").unlink()
        assert study.save_draft(path, make_mask(3), None).is_relative_to(folder)
        assert not kept.exists()
        writer.close()


class TestDraftsThatAreNotShown:
    def test_one_of_another_size_outlives_the_next_and_the_save(self, folder: Path) -> None:
        writer = Writer()
        study, path = Study.open(folder, writer), folder / "a.png"
        study.save_draft(path, make_mask(1), None)
        small = (5, 6)
        PillowImage.new("RGB", small[::-1], (1, 2, 3)).save(path)
        with pytest.raises(UnreadableMask) as caught:
            study.load_draft(path, small)
        study.save_draft(path, np.ones(small, bool), None)
        study.save(path, np.ones(small, bool), None)
        assert read_mask(caught.value.path, SHAPE)[4, 1]
        assert study.load_draft(path, small) is None
        writer.close()

    def test_a_damaged_one_hides_none_behind_it(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        killed = Writer()
        older = Study.open(folder, killed).save_draft(path, make_mask(1), None)
        killed.close()
        os.utime(older, (1e9, 1e9))
        study.save_draft(path, make_mask(2), None).write_bytes(b"not a picture")
        with pytest.raises(UnreadableMask) as caught:
            study.load_draft(path, SHAPE)
        assert caught.value.path.read_bytes() == b"not a picture"
        draft = study.load_draft(path, SHAPE)
        assert draft is not None
        assert draft.mask_hw[4, 1]

    def test_one_that_was_written_since_it_was_shown_stays(self, folder: Path) -> None:
        study, path = Study.open(folder), folder / "a.png"
        other = Writer()
        Study.open(folder, other).save_draft(path, make_mask(1), None)
        shown = study.load_draft(path, SHAPE)
        assert shown is not None
        Study.open(folder, other).save_draft(path, make_mask(2), None)
        study.drop_draft(path, shown.seen)
        again = study.load_draft(path, SHAPE)
        assert again is not None
        assert again.mask_hw[4, 2]
        study.drop_draft(path, again.seen)
        assert study.load_draft(path, SHAPE) is None
        other.close()
