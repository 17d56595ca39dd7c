"""Law: a study gives back the style it was told to keep; another window's newer one stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import StudyProblem
from engine.study.study import Study, keep_style
from engine.types import SampleSettings, StyleChoice
from tests.engine.studies import make_images

FILE = Path("segmentations") / "style.json"
TIGHT = StyleChoice("T3", -0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path / "pictures", "a.png")


def test_a_style_comes_back_in_every_window(folder: Path) -> None:
    study = Study.open(folder)
    assert study.style == StyleChoice("mixed", 0.0)
    assert not (folder / "segmentations").exists()
    assert keep_style(study, TIGHT) == TIGHT
    assert study.style == Study.open(folder).style == TIGHT
    assert TIGHT.applied(SampleSettings(seed=3)) == SampleSettings(seed=3, style="T3", width=-0.5)


def test_a_style_that_another_window_kept_since_stays(folder: Path) -> None:
    mine, theirs = Study.open(folder), Study.open(folder)
    before = mine.style
    wide = keep_style(theirs, StyleChoice("T1", 1.0), over=before)
    assert keep_style(mine, TIGHT, over=before) == wide == mine.style
    assert keep_style(mine, TIGHT, over=wide) == TIGHT == theirs.style
    # The same by both is no conflict.
    assert keep_style(theirs, TIGHT, over=before) == TIGHT


def test_nothing_is_written_where_it_is_kept_already(folder: Path) -> None:
    study = Study.open(folder)
    keep_style(study, TIGHT)
    stamp = (folder / FILE).stat()
    keep_style(study, TIGHT)
    assert (folder / FILE).stat() == stamp


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"style": "T9", "width": 0.5}, StyleChoice("mixed", 0.5)),
        ({"style": "T1", "width": 7}, StyleChoice("T1", 0.0)),
        ({"style": ["T1"], "width": True}, StyleChoice()),
        ({"width": float("nan")}, StyleChoice()),
        ({}, StyleChoice()),
    ],
)
def test_a_value_that_is_not_known_is_the_default(
    folder: Path, told: dict[str, object], expected: StyleChoice
) -> None:
    study = Study.open(folder)
    keep_style(study, TIGHT)
    whole = {"format": "nca-seg/style", "version": 2, "colour": "red"}
    (folder / FILE).write_text(json.dumps(whole | told))
    assert study.style == expected
    keep_style(study, TIGHT)
    assert study.style == TIGHT
    assert json.loads((folder / FILE).read_text())["colour"] == "red"


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b'{"style": "T1"}'])
def test_a_damaged_file_is_as_none_and_is_replaced(folder: Path, content: bytes) -> None:
    study = Study.open(folder)
    keep_style(study, StyleChoice())
    (folder / FILE).write_bytes(content)
    assert study.style == StyleChoice()
    assert keep_style(study, TIGHT) == TIGHT == study.style


def test_a_folder_in_the_place_of_the_file_is_told(folder: Path) -> None:
    (folder / FILE).mkdir(parents=True)
    study = Study.open(folder)
    assert study.style == StyleChoice()
    with pytest.raises(StudyProblem, match=r"style\.json"):
        keep_style(study, TIGHT)
