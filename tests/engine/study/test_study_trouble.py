"""Law: whatever ended the program or spoiled a file, what is whole is found again."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.errors import StudyProblem, UnreadableMask
from engine.masks.files import write_mask
from engine.masks.reading import read_mask
from engine.study import study_index
from engine.study.study import Study
from tests.engine.studies import ORIGIN, PROJECT, SHAPE, age, make_images, make_mask, statuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path / "pictures", "a.png", "b.jpg", "läsion 3.png")


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


@pytest.mark.parametrize("upgraded", ["not yet", "half"])
def test_an_index_of_version_1_opens_and_forgets_its_other_measure(
    folder: Path, upgraded: str
) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    study.set_expected_error(folder / "b.jpg", 0.25)
    with closing(sqlite3.connect(study.masks_folder / "study.sqlite")) as connection:
        if upgraded == "not yet":
            connection.execute("ALTER TABLE images RENAME COLUMN doubt TO disagreement")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    images = Study.open(folder).images()
    assert [image.expected_error for image in images] == [None, None, None]
    assert [image.status for image in images] == ["saved", "new", "new"]
    study.set_expected_error(folder / "b.jpg", 0.5)
    assert study.images()[1].expected_error == 0.5


def test_newer_index_is_not_touched(folder: Path) -> None:
    study = Study.open(folder)
    study.save(folder / "a.png", make_mask(), ORIGIN)
    index = folder / "segmentations" / "study.sqlite"
    connection = sqlite3.connect(index)
    connection.execute("PRAGMA user_version = 3")
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
    monkeypatch.setattr(
        "engine.study.study.is_writable", lambda path: folder not in (path, path.parent)
    )
    study = Study.open(folder)
    assert not study.is_beside_images
    study.save(folder / "a.png", make_mask(), ORIGIN)
    assert study.masks_folder.is_relative_to(own_folders / "nca-seg" / "studies")
    assert statuses(Study.open(folder))["a.png"] == "saved"
    assert not (folder / "segmentations").exists()
    other = make_images(folder.parent / "other", "a.png")
    assert Study.open(other).masks_folder != study.masks_folder


def test_masks_in_a_read_only_folder_are_seen_and_stay_as_they_are(
    folder: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Study.open(folder).save(folder / "a.png", make_mask(), ORIGIN)
    before = {path.name: path.read_bytes() for path in old.parent.glob("*_segmentation*")}
    monkeypatch.setattr(
        "engine.study.study.is_writable", lambda path: folder not in (path, path.parent)
    )
    study = Study.open(folder)
    assert statuses(study) == {"a.png": "saved", "b.jpg": "new", "läsion 3.png": "new"}
    assert [sample.mask_path for sample in study.saved_samples()] == [old]
    loaded = study.load(folder / "a.png", SHAPE)
    assert loaded is not None
    assert loaded.record.origin == ORIGIN

    study.set_reviewed(folder / "a.png", True)
    assert statuses(study)["a.png"] == "reviewed"
    new = study.save(folder / "a.png", make_mask(1, 2), None)
    assert new.is_relative_to(own_folders)
    (sample,) = study.saved_samples()
    assert np.array_equal(read_mask(sample.mask_path), make_mask(1, 2))
    assert {path.name: path.read_bytes() for path in old.parent.glob("*_segmentation*")} == before


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


def test_old_leftovers_are_swept(folder: Path) -> None:
    Study.open(folder).save_draft(folder / "a.png", make_mask(), None)
    old = folder / "segmentations" / ".a_segmentation.png.1.part"
    new = folder / "segmentations" / "drafts" / ".a_segmentation.png.2.part"
    for path in (old, new):
        path.write_bytes(b"half")
    age(old, 4000)
    Study.open(folder)
    assert (old.exists(), new.exists()) == (False, True)


SAVER = """
import sys
from pathlib import Path
import numpy as np
from engine.study.study import Study
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
        study.set_expected_error(folder / name, 0.5)
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
        dataclasses.replace(study.images()[0], expected_error=None, saved_at=None).status == "saved"
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on Windows")
def test_kill_at_any_moment(folder: Path) -> None:
    random = np.random.default_rng(0)
    for _ in range(4):
        process = start_saver(folder, 10**6)
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
            timer = threading.Timer(random.uniform(0, 0.15), process.kill)
            timer.start()
            # To its end, which the signal brings.
            process.stdout.read()
            timer.join()
        assert process.wait() == -signal.SIGKILL
        check_whole(folder)
    assert not list((folder / "segmentations").glob("*damaged*"))


def test_two_programs_on_one_folder(folder: Path) -> None:
    processes = [start_saver(folder, 15) for _ in range(2)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    study = Study.open(folder)
    for name in ("a.png", "b.jpg"):
        loaded = study.load(folder / name, SHAPE)
        assert loaded is not None
        assert loaded.record.note == ""
    check_whole(folder)


def test_index_that_is_busy_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, refusals = study_index._connect, []

    def busy_twice(path: Path) -> sqlite3.Connection:
        """SQLite's own refusal, which by its timeout alone would be the last word."""
        if len(refusals) == 2:
            return connect(path)
        other = tmp_path / "other.sqlite"
        with closing(sqlite3.connect(other)) as holder, closing(sqlite3.connect(other)) as late:
            holder.execute("BEGIN EXCLUSIVE")
            late.execute("PRAGMA busy_timeout = 0")
            refusals.append(path)
            late.execute("PRAGMA journal_mode = WAL")
        raise AssertionError("it was not busy")

    monkeypatch.setattr(study_index, "_connect", busy_twice)
    path = tmp_path / "study.sqlite"
    with closing(study_index.connect(path)) as index:
        assert index.execute("SELECT count(*) FROM images").fetchone() == (0,)
    assert refusals == [path, path]


def test_index_that_stays_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_index, "BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "study.sqlite"
    with closing(sqlite3.connect(path)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            study_index.connect(path)
