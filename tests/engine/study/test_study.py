"""Law: what a person saved or drew is there again."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.errors import StudyProblem, UnreadableMask
from engine.masks.files import write_mask
from engine.masks.reading import read_mask
from engine.study.dataset import read_dataset
from engine.study.export import export_dataset
from engine.study.study import Study, study_dataset
from tests.engine.studies import ORIGIN, SHAPE, make_images, make_mask, statuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path / "pictures", "a.png", "b.jpg", "läsion 3.png")


def test_looking_writes_nothing(folder: Path) -> None:
    study = Study.open(folder)
    assert statuses(study) == {"a.png": "new", "b.jpg": "new", "läsion 3.png": "new"}
    assert study.load(folder / "a.png", SHAPE) is None
    assert study.load_draft(folder / "a.png", SHAPE) is None
    study.drop_draft(folder / "a.png")
    assert study.is_beside_images
    assert not (folder / "segmentations").exists()


@pytest.mark.parametrize("name", ["a.png", "b.jpg", "läsion 3.png"])
def test_saved_mask_comes_back(folder: Path, name: str) -> None:
    path = Study.open(folder).save(folder / name, make_mask(), ORIGIN)
    assert path == folder / "segmentations" / f"{Path(name).stem}_segmentation.png"
    with PillowImage.open(path) as picture:
        assert (picture.mode, picture.size) == ("L", (16, 12))
        assert set(np.unique(np.asarray(picture))) == {0, 255}
    study = Study.open(folder)
    loaded = study.load(folder / name, SHAPE)
    assert loaded is not None
    assert np.array_equal(loaded.mask_hw, make_mask())
    assert (loaded.record.origin, loaded.record.reviewed, loaded.record.note) == (ORIGIN, False, "")
    image = next(image for image in study.images() if image.path.name == name)
    assert (image.status, image.origin, image.saved_at) == (
        "saved",
        ORIGIN,
        loaded.record.saved_at,
    )
    assert list(statuses(study).values()).count("new") == 2


def test_record_says_where_the_mask_came_from(folder: Path) -> None:
    path = Study.open(folder).save(folder / "a.png", make_mask(), ORIGIN)
    text = path.with_suffix(".json").read_text()
    assert text.startswith('{\n "format": "nca-seg/origin",\n "version": 1,')
    record = json.loads(text)
    assert record["image"] == "a.png"
    assert record["origin"]["settings"]["seed"] == 7
    assert record["origin"]["pixels_changed"] == 12


def test_wrong_size_is_refused_on_load(folder: Path) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), None)
    with pytest.raises(UnreadableMask):
        study.load(folder / "a.png", (5, 5))


def test_review_and_its_end(folder: Path) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    study.set_reviewed(folder / "a.png", True)
    assert statuses(study)["a.png"] == "reviewed"
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert (loaded.record.reviewed, loaded.record.origin) == (True, ORIGIN)
    study.set_reviewed(folder / "a.png", False)
    assert statuses(study)["a.png"] == "saved"
    study.save(folder / "a.png", make_mask(), ORIGIN, reviewed=True)
    assert statuses(study)["a.png"] == "reviewed"
    with pytest.raises(StudyProblem):
        study.set_reviewed(folder / "b.jpg", True)


def test_draft_until_saved(folder: Path) -> None:
    study = Study.open(folder)
    study.save_draft(folder / "a.png", make_mask(), ORIGIN)
    assert statuses(study)["a.png"] == "draft"
    assert study.saved_samples() == ()
    draft = Study.open(folder).load_draft(folder / "a.png", SHAPE)
    assert draft is not None
    assert np.array_equal(draft.mask_hw, make_mask())
    assert (draft.record.origin, draft.newer) == (ORIGIN, True)
    study.save(folder / "a.png", make_mask(2, 5), None)
    assert statuses(study)["a.png"] == "saved"
    assert study.load_draft(folder / "a.png", SHAPE) is None


def test_draft_after_a_saved_mask_leaves_it_alone(folder: Path) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    study.save_draft(folder / "a.png", make_mask(1, 2), None)
    assert statuses(study)["a.png"] == "draft"
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert np.array_equal(loaded.mask_hw, make_mask())
    study.drop_draft(folder / "a.png")
    assert statuses(study)["a.png"] == "saved"


def test_draft_that_a_kill_left_behind_is_known_to_be_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.open(folder)
    study.save_draft(folder / "a.png", make_mask(1, 2), None)
    with monkeypatch.context() as killed:
        killed.setattr(Study, "drop_draft", lambda *_: None)
        study.save(folder / "a.png", make_mask(), None)
    draft = study.load_draft(folder / "a.png", SHAPE)
    assert draft is not None
    assert not draft.newer
    assert statuses(study)["a.png"] == "saved"


def test_images_of_one_stem_keep_their_own_masks(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "p", "a.jpg", "a.png")
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    assert statuses(study) == {"a.jpg": "new", "a.png": "saved"}
    assert study.load(folder / "a.jpg", SHAPE) is None
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert np.array_equal(loaded.mask_hw, make_mask())
    study.save_draft(folder / "a.jpg", make_mask(1, 2), None)
    assert statuses(study) == {"a.jpg": "draft", "a.png": "saved"}
    assert [sample.image_path.name for sample in study.saved_samples()] == ["a.png"]
    other = study.save(folder / "a.jpg", make_mask(1, 2), None, reviewed=True)
    assert other.name == "a.jpg_segmentation.png"
    assert statuses(study) == {"a.jpg": "reviewed", "a.png": "saved"}
    for name, mask_hw in (("a.png", make_mask()), ("a.jpg", make_mask(1, 2))):
        loaded = study.load(folder / name, SHAPE)
        assert loaded is not None
        assert np.array_equal(loaded.mask_hw, mask_hw)
    samples = study.saved_samples()
    assert [(each.id, each.image_path.name) for each in samples] == [
        ("a", "a.png"), ("a.jpg", "a.jpg"),
    ]  # fmt: skip


def test_mask_without_record_belongs_to_one_image(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "p", "a.jpg", "a.png", "b.JPG")
    (folder / "segmentations").mkdir()
    write_mask(folder / "segmentations" / "a_segmentation.png", make_mask())
    write_mask(folder / "segmentations" / "b_Segmentation.png", make_mask())
    study = Study.open(folder)
    assert statuses(study) == {"a.jpg": "saved", "a.png": "new", "b.JPG": "saved"}
    loaded = study.load(folder / "b.JPG", SHAPE)
    assert loaded is not None
    assert loaded.record.origin is None
    assert loaded.record.note
    study.save(folder / "b.JPG", make_mask(1, 2), ORIGIN)
    masks = sorted(path.name for path in (folder / "segmentations").glob("b_*.png"))
    assert masks == ["b_Segmentation.png"]


def test_samples_feed_training_and_export(tmp_path: Path) -> None:
    names = [f"image{number}.png" for number in range(8)]
    folder = make_images(tmp_path / "p", *names, "untouched.png")
    study = Study.open(folder)
    for name in names:
        study.save(folder / name, make_mask(), ORIGIN)
    dataset = study_dataset(study)
    assert [f"{sample.id}.png" for sample in dataset.samples] == sorted(names)
    assert {sample.split for sample in dataset.samples} == {"train", "val"}
    assert all(sample.origin == ORIGIN for sample in dataset.samples)
    *_, last = export_dataset(dataset.samples, tmp_path / "set")
    assert (last.done, last.total) == (8, 8)
    exported = read_dataset(tmp_path / "set")
    assert [(s.id, s.split, s.origin) for s in exported.samples] == [
        (s.id, s.split, s.origin) for s in dataset.samples
    ]
    assert np.array_equal(read_mask(exported.samples[0].mask_path, SHAPE), make_mask())


def test_study_works_from_any_thread(folder: Path) -> None:
    study = Study.open(folder)
    problems: list[BaseException] = []

    def save() -> None:
        try:
            study.save(folder / "a.png", make_mask(), ORIGIN)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=save)
    thread.start()
    thread.join()
    assert not problems
    assert statuses(study)["a.png"] == "saved"


def test_a_thousand_images_are_listed_at_once(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "p", "image0000.png")
    for number in range(1, 1000):
        os.link(folder / "image0000.png", folder / f"image{number:04}.png")
    study = Study.open(folder)
    study.save(folder / "image0000.png", make_mask(), ORIGIN)
    mask_path = folder / "segmentations" / "image0000_segmentation.png"
    for number in range(1, 1000):
        os.link(mask_path, mask_path.with_name(f"image{number:04}_segmentation.png"))
    assert len(study.images()) == 1000
    start = time.thread_time()
    assert {image.status for image in study.images()} == {"saved"}
    assert time.thread_time() - start < 1
