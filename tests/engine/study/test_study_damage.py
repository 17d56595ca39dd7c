"""Law: whatever is damaged in a study costs its own image at most, and no mask."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.study.study import Study
from tests.engine.studies import ORIGIN, SHAPE, make_images, make_mask, statuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path / "pictures", "a.png", "b.jpg", "läsion 3.png")


class TestDamage:
    def test_a_flipped_bit_of_the_index_loses_no_mask(self, folder: Path) -> None:
        study = Study.open(folder)
        study.save(folder / "a.png", make_mask(), ORIGIN, reviewed=True)
        study.save(folder / "b.jpg", make_mask(1, 3), None)
        index = study.masks_folder / "study.sqlite"
        with closing(sqlite3.connect(index)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = index.read_bytes()
        before = study.images()
        random = np.random.default_rng(5)
        aside = 0
        for place in (*range(0, 100, 3), *random.integers(0, len(content), 60)):
            for path in index.parent.glob("study.sqlite*"):
                path.unlink()
            spoiled = bytearray(content)
            spoiled[place] ^= 1 << int(random.integers(1, 8))
            index.write_bytes(spoiled)
            again = Study.open(folder)
            assert again.images() == before
            aside += len(again.notices)
        assert aside > 10

    @pytest.mark.parametrize("image", ["n" * 100_000, "../a.png", "a\\u0000", "\\ud800"])
    def test_an_odd_name_in_a_record_blocks_nothing(self, folder: Path, image: str) -> None:
        study, path = Study.open(folder), folder / "a.png"
        record = study.save(path, make_mask(), ORIGIN).with_suffix(".json")
        record.write_text(record.read_text().replace('"a.png"', f'"{image}"'))
        assert statuses(Study.open(folder))["a.png"] == "saved"
        assert Study.open(folder).load(path, SHAPE) is not None

    def test_a_record_of_another_image_takes_no_mask_away(self, folder: Path) -> None:
        study = Study.open(folder)
        record = study.save(folder / "a.png", make_mask(), ORIGIN).with_suffix(".json")
        other = study.save(folder / "b.jpg", make_mask(1, 3), ORIGIN).with_suffix(".json")
        record.write_bytes(other.read_bytes())
        again = Study.open(folder)
        assert statuses(again) == {"a.png": "saved", "b.jpg": "saved", "läsion 3.png": "new"}
        assert again.load(folder / "a.png", SHAPE) is not None

    def test_a_mask_far_too_long_to_be_read_blocks_its_own_image_only(self, folder: Path) -> None:
        study = Study.open(folder)
        mask_path = study.save(folder / "a.png", make_mask(), ORIGIN)
        study.save(folder / "b.jpg", make_mask(), ORIGIN)
        with mask_path.open("r+b") as stream:
            stream.truncate(3_000_000_000)
        again = Study.open(folder)
        assert statuses(again)["b.jpg"] == "saved"
        assert again.load(folder / "b.jpg", SHAPE) is not None
        assert "b" in [sample.id for sample in again.saved_samples()]

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
    @pytest.mark.parametrize("target", ["study.sqlite", "nowhere", "drafts"])
    def test_an_index_that_is_a_link_to_nothing_is_put_aside(
        self, folder: Path, target: str
    ) -> None:
        study = Study.open(folder)
        study.save(folder / "a.png", make_mask(), ORIGIN)
        study.save_draft(folder / "b.jpg", make_mask(), ORIGIN)
        index = study.masks_folder / "study.sqlite"
        index.unlink()
        index.symlink_to(target)
        again = Study.open(folder)
        assert statuses(again) == {"a.png": "saved", "b.jpg": "draft", "läsion 3.png": "new"}
        assert again.notices
        assert not (study.masks_folder / "nowhere").exists()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on Windows")
    @pytest.mark.parametrize("what", ["record", "index", "mask", "draft record"])
    def test_a_pipe_is_waited_for_nowhere(self, folder: Path, what: str) -> None:
        study, path = Study.open(folder), folder / "a.png"
        mask_path = study.save(path, make_mask(), ORIGIN)
        draft = study.save_draft(path, make_mask(1, 3), None)
        place = {
            "record": mask_path.with_suffix(".json"),
            "index": study.masks_folder / "study.sqlite",
            "mask": mask_path,
            "draft record": draft.with_suffix(".json"),
        }[what]
        place.unlink()
        os.mkfifo(place)
        again = Study.open(folder)
        assert statuses(again)["a.png"] == "draft"
        again.load_draft(path, SHAPE)
        again.load(path, SHAPE)
        again.save(path, make_mask(), ORIGIN)
        again.drop_draft(path)
        assert statuses(again)["a.png"] == "saved"

    @pytest.mark.parametrize(
        "date", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "tomorrow", 5, None]
    )
    def test_an_odd_date_blocks_nothing(self, folder: Path, date: object) -> None:
        study, path = Study.open(folder), folder / "a.png"
        mask_path = study.save(path, make_mask(), ORIGIN, reviewed=True)
        record = mask_path.with_suffix(".json")
        lines = [
            line if "saved_at" not in line else f' "saved_at": {_json(date)},'
            for line in record.read_text().splitlines()
        ]
        record.write_text("\n".join(lines))
        assert statuses(Study.open(folder))["a.png"] == "reviewed"

    @pytest.mark.parametrize("seconds", [1e18 / 1e9, -3e9, 2**33])
    def test_an_odd_file_time_blocks_nothing(self, folder: Path, seconds: float) -> None:
        study, path = Study.open(folder), folder / "a.png"
        mask_path = study.save(path, make_mask(), ORIGIN)
        mask_path.with_suffix(".json").unlink()
        os.utime(mask_path, (seconds, seconds))
        assert statuses(Study.open(folder))["a.png"] == "saved"

    @pytest.mark.parametrize(
        "origin", ["[]", "5", '{"model": {}}', '{"model": "m", "pixels_changed": "many"}',
                   '{"threshold": NaN}', '{"settings": {"steps": -1}}'],
    )  # fmt: skip
    def test_a_bad_record_blocks_at_most_its_own_image(self, folder: Path, origin: str) -> None:
        study = Study.open(folder)
        mask_path = study.save(folder / "a.png", make_mask(), None)
        study.save(folder / "b.jpg", make_mask(), ORIGIN)
        record = mask_path.with_suffix(".json")
        record.write_text(record.read_text().replace("null", origin))
        again = Study.open(folder)
        assert statuses(again) == {"a.png": "saved", "b.jpg": "saved", "läsion 3.png": "new"}
        loaded = again.load(folder / "a.png", SHAPE)
        assert loaded is not None
        assert loaded.record.origin is None


def _json(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else {None: "null"}.get(value, str(value))
