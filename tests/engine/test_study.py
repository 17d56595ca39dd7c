"""Law: what a person saved or drew is there again, whatever ended the program."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.dataset import export_dataset, read_dataset
from engine.errors import StudyProblem, UnreadableMask
from engine.masks import read_mask, write_mask
from engine.study import Mask, Study, study_dataset
from engine.types import Origin, SampleSettings

PROJECT = Path(__file__).parents[2]
SHAPE = (12, 16)
ORIGIN = Origin("lesion", "abc123", SampleSettings(seed=7, steps=5), 0.4, 12)


def make_mask(left: int = 3, right: int = 9) -> Mask:
    mask_hw = np.zeros(SHAPE, dtype=bool)
    mask_hw[4:8, left:right] = True
    return mask_hw


def make_images(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        PillowImage.new("RGB", (SHAPE[1], SHAPE[0]), (200, 150, number)).save(folder / name)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path / "pictures", "a.png", "b.jpg", "läsion 3.png")


def statuses(study: Study) -> dict[str, str]:
    return {image.path.name: image.status for image in study.images()}


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


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


def test_draft_that_a_kill_left_behind_is_known_to_be_old(folder: Path) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), None)
    study.save_draft(folder / "a.png", make_mask(1, 2), None)
    age(folder / "segmentations" / "drafts" / "a.png_segmentation.png", 60)
    draft = study.load_draft(folder / "a.png", SHAPE)
    assert draft is not None
    assert not draft.newer
    assert statuses(study)["a.png"] == "saved"


def test_images_of_one_stem_keep_their_own_masks(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "p", "a.jpg", "a.png")
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    with pytest.raises(StudyProblem) as caught:
        study.save(folder / "a.jpg", make_mask(1, 2), None)
    assert caught.value.path == folder / "a.jpg"
    assert "a.png" in caught.value.reason
    assert statuses(study) == {"a.jpg": "new", "a.png": "saved"}
    assert study.load(folder / "a.jpg", SHAPE) is None
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert np.array_equal(loaded.mask_hw, make_mask())
    study.save_draft(folder / "a.jpg", make_mask(1, 2), None)
    assert statuses(study) == {"a.jpg": "draft", "a.png": "saved"}
    study.rebuild()
    assert [sample.image_path.name for sample in study.saved_samples()] == ["a.png"]
    (folder / "a.png").unlink()
    study.save(folder / "a.jpg", make_mask(1, 2), None)
    assert statuses(study) == {"a.jpg": "saved"}


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


def test_mask_changed_by_another_program_loses_its_origin(folder: Path) -> None:
    study = Study.open(folder)
    path = study.save(folder / "a.png", make_mask(), ORIGIN, reviewed=True)
    write_mask(path, make_mask(1, 5))
    image = study.images()[0]
    assert (image.status, image.origin) == ("saved", None)
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert np.array_equal(loaded.mask_hw, make_mask(1, 5))
    assert (loaded.record.origin, loaded.record.reviewed) == (None, False)
    assert loaded.record.note
    path.unlink()
    assert statuses(study)["a.png"] == "new"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format"', b'{"format": "x", "version": 1}'])
def test_damaged_record_keeps_nobody_from_the_mask(folder: Path, content: bytes) -> None:
    study = Study.open(folder)
    path = study.save(folder / "a.png", make_mask(), ORIGIN)
    path.with_suffix(".json").write_bytes(content)
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert np.array_equal(loaded.mask_hw, make_mask())
    assert loaded.record.note
    assert statuses(study)["a.png"] == "saved"


def test_damaged_mask_is_an_error(folder: Path) -> None:
    study = Study.open(folder)
    path = study.save(folder / "a.png", make_mask(), ORIGIN)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UnreadableMask):
        study.load(folder / "a.png", SHAPE)


@pytest.mark.parametrize("damage", ["missing", "text", "truncated", "overwritten", "table"])
def test_index_is_rebuilt_from_the_masks(folder: Path, damage: str) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN, reviewed=True)
    study.save(folder / "b.jpg", make_mask(), None)
    before = study.images()
    index = folder / "segmentations" / "study.sqlite"
    content = index.read_bytes()
    spoiled = {
        "missing": b"",
        "text": b"This was a database once. " * 99,
        "truncated": content[: len(content) // 2],
        "overwritten": content[:4096] + b"\x55" * (len(content) - 4096),
        "table": content.replace(b"CREATE TABLE", b"CREATE TRASH"),
    }[damage]
    index.unlink() if damage == "missing" else index.write_bytes(spoiled)
    assert study.images() == before
    aside = list(index.parent.glob("study.sqlite.damaged-*"))
    assert [path.read_bytes() for path in aside] == ([] if damage == "missing" else [spoiled])
    assert study.images() == before


def test_rebuild_keeps_scores(folder: Path) -> None:
    study = Study.open(folder)
    study.set_disagreement(folder / "b.jpg", 0.25)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    study.set_disagreement(folder / "a.png", 0.5)
    before = study.images()
    study.rebuild()
    assert study.images() == before
    assert [image.disagreement for image in before] == [0.5, 0.25, None]
    assert [image.status for image in before] == ["saved", "new", "new"]


def test_newer_index_is_not_touched(folder: Path) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    index = folder / "segmentations" / "study.sqlite"
    connection = sqlite3.connect(index)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    content = index.read_bytes()
    with pytest.raises(StudyProblem) as caught:
        study.images()
    assert caught.value.path == index
    assert index.read_bytes() == content


def test_image_of_another_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyProblem):
        Study.open(folder).save(tmp_path / "a.png", make_mask(), None)


def test_folder_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", folder / "a.png"):
        with pytest.raises(StudyProblem):
            Study.open(path)
    (folder / "segmentations").write_text("a file")
    with pytest.raises(StudyProblem):
        Study.open(folder)


def test_study_of_a_read_only_folder_lies_at_home(
    folder: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permission bits do not stop root, who runs the tests in a container.
    monkeypatch.setattr("engine.study._is_writable", lambda path: folder not in (path, path.parent))
    study = Study.open(folder)
    assert not study.is_beside_images
    study.save(folder / "a.png", make_mask(), ORIGIN)
    assert study.masks_folder.is_relative_to(own_folders / "nca-seg" / "studies")
    assert statuses(Study.open(folder))["a.png"] == "saved"
    assert not (folder / "segmentations").exists()
    other = make_images(folder.parent / "other", "a.png")
    assert Study.open(other).masks_folder != study.masks_folder


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root may write")
def test_folder_that_cannot_be_written_is_noticed() -> None:
    assert not Study.open(Path("/proc/self")).is_beside_images


def test_full_disk_is_told_and_the_old_mask_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StudyProblem, match="No space left"):
            study.save(folder / "a.png", make_mask(1, 2), None)
        with pytest.raises(StudyProblem, match="No space left"):
            study.save_draft(folder / "a.png", make_mask(1, 2), None)
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert np.array_equal(loaded.mask_hw, make_mask())
    assert loaded.record.origin == ORIGIN
    assert not list((folder / "segmentations").rglob("*.part"))


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


def test_old_leftovers_are_swept(folder: Path) -> None:
    Study.open(folder).save_draft(folder / "a.png", make_mask(), None)
    old = folder / "segmentations" / ".a_segmentation.png.1.part"
    new = folder / "segmentations" / "drafts" / ".a_segmentation.png.2.part"
    for path in (old, new):
        path.write_bytes(b"half")
    age(old, 4000)
    Study.open(folder)
    assert (old.exists(), new.exists()) == (False, True)


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


SAVER = """
import sys
from pathlib import Path
import numpy as np
from engine.study import Study
from engine.types import Origin
folder, count = Path(sys.argv[1]), int(sys.argv[2])
study = Study.open(folder)
for number in range(count):
    for name in ("a.png", "b.jpg"):
        width = number % 15 + 1
        mask_hw = np.zeros((12, 16), dtype=bool)
        mask_hw[:, :width] = True
        study.save_draft(folder / name, mask_hw, Origin("draft", pixels_changed=width))
        study.save(folder / name, mask_hw, Origin("saver", pixels_changed=width), width % 2 == 0)
        study.set_disagreement(folder / name, 0.5)
        print(number, flush=True)
"""


def start_saver(folder: Path, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SAVER, str(folder), str(count)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
    )


def check_whole(folder: Path) -> None:
    """Every file under a final name is whole, and index, masks and records agree."""
    for path in (folder / "segmentations").rglob("[!.]*"):
        if path.suffix == ".png":
            read_mask(path, SHAPE)
        elif path.suffix == ".json":
            assert json.loads(path.read_text())["format"] == "nca-seg/origin"
    study = Study.open(folder)
    for image in study.images():
        loaded = study.load(image.path, SHAPE)
        if loaded is None:
            assert image.status in ("new", "draft")
            continue
        assert image.status in ("saved", "reviewed", "draft")
        assert image.origin == loaded.record.origin
        if loaded.record.origin is not None:
            assert loaded.record.origin.pixels_changed == loaded.mask_hw[0].sum()
        draft = study.load_draft(image.path, SHAPE)
        if draft is not None and draft.record.origin is not None:
            assert draft.record.origin.pixels_changed == draft.mask_hw[0].sum()
    study.save(folder / "a.png", make_mask(), ORIGIN)
    assert (
        dataclasses.replace(study.images()[0], disagreement=None, saved_at=None).status == "saved"
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on Windows")
def test_kill_at_any_moment(folder: Path) -> None:
    random = np.random.default_rng(0)
    for _ in range(4):
        process = start_saver(folder, 10**6)
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.stdout.read()
        assert process.wait() == -signal.SIGKILL
        check_whole(folder)
    assert not list((folder / "segmentations").glob("*damaged*"))


def test_two_programs_on_one_folder(folder: Path) -> None:
    processes = [start_saver(folder, 15) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        with process.stdout:
            process.stdout.read()
        assert process.wait() == 0
    study = Study.open(folder)
    for name in ("a.png", "b.jpg"):
        loaded = study.load(folder / name, SHAPE)
        assert loaded is not None
        assert loaded.record.note == ""
    check_whole(folder)


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
    start = time.perf_counter()
    assert {image.status for image in study.images()} == {"saved"}
    assert time.perf_counter() - start < 1
