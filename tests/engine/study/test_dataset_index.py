"""Law: an index is read whichever way a spreadsheet wrote it, or the row that is wrong is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DatasetProblem
from engine.study.dataset import read_dataset
from engine.study.dataset_index import as_cell, from_cell
from tests.engine.commands import run
from tests.engine.folders import make_folder

READ = {
    "commas": b"id,split\na,train\nb,test\n",
    "semicolons": b"id;split\r\na;train\r\nb;test\r\n",
    "tabs": b"id\tsplit\na\ttrain\nb\ttest\n",
    "no last line end": b"id;split\na;train\nb;test",
    "line ends of an old Mac": b"id,split\ra,train\rb,test\r",
    "byte-order mark": b"\xef\xbb\xbfid;split\r\na;train\r\nb;test\r\n",
    "a line that says what divides": b"sep=;\r\nid;split\r\na;train\r\nb;test\r\n",
    "empty rows": b"\n\nid,split\n\na,train\n,\n , \nb,test\n\n\n,,,\n",
    "capitals": b"ID,Split\na,Train\nb,TEST\n",
    "more columns": b"age;id;sex;split;\n40;a;f;train;\n;b;;test;\n",
    "quotes": b'"id","split"\n"a","train"\n"b", "test"\n',
    "spaces": b" id , split \n a , train \nb,test  \n",
    "names of files": b"id,split\na.jpg,train\nb.JPG,test\n",
    "other columns with commas": b'id;note;split\na;"left, arm";train\nb;x,y;test\n',
}


@pytest.mark.parametrize("case", READ)
def test_spreadsheets_of_all_countries_are_read(case: str, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", "ab")
    (root / "splits.csv").write_bytes(READ[case])
    assert {s.id: s.split for s in read_dataset(root).samples} == {"a": "train", "b": "test"}


REFUSED = {
    "unknown split": (b"id,split\na,train\nb,dev\n", ("'dev'", "row 3", "train, val, test")),
    "unknown split after empty rows": (b"sep=;\nid;split\n\na;train\nb;dev\n", ("'dev'", "row 5")),
    "no split": (b"id,split\na,train\nb\n", ("no split", "row 3")),
    "no id": (b"id,split\na,train\n,val\n", ("no id", "row 3")),
    "twice": (b"id;split\na;train\nb;val\na;val\n", ("names a twice", "row 4")),
    "twice by file": (b"id;split\na;train\nb;val\na.jpg;train\n", ("names a twice", "row 4")),
    "unknown id": (b"id,split\na,train\nb,val\nz,val\n", ("names z, which has no image",)),
    "many unknown ids": (b"id,split\na,val\ny,val\nz,val\n", ("names y", "1 more")),
    "UTF-16": ("id,split\na,train\n".encode("utf-16"), ("UTF-16", "UTF-8")),
    "UTF-16 without its mark": ("id,split\na,train\n".encode("utf-16-le"), ("zero bytes",)),
    "Latin-1": (b"id,split\na,train\nl\xe4sion,train\n", ("UTF-8", "row 3")),
    "other columns": (b"image,set\na,train\n", ("id and split", "image,set")),
    "no header": (b"a,train\nb,val\n", ("id and split", "a,train")),
    "two columns of ids": (b"id,id,split\na,a,train\n", ("id and split",)),
    "pipes": (b"id|split\na|train\n", ("id|split",)),
    "nothing": (b"", ("is empty",)),
    "header alone": (b"id,split\n", ("names no samples",)),
    "open quote": (b'id,split\n"a,train\nb,val\n', ("row 2",)),
    "huge cell": (b"id,split\na,train\n" + b"x" * 200_000 + b",val\n", ("row 3", "131072")),
    "huge header": (b"x" * 200_000 + b",id,split\n", ("row 1",)),
    "control characters": (b"id,split\na,train\nb\x1b[2J,val\n", ("b?[2J", "row 3")),
    "long value": (b"id,split\na,train\nb," + b"x" * 9_000 + b"\n", ("xxx…",)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_in_one_bounded_line(case: str, tmp_path: Path) -> None:
    content, parts = REFUSED[case]
    root = make_folder(tmp_path / "d", "ab")
    (root / "splits.csv").write_bytes(content)
    with pytest.raises(DatasetProblem) as caught:
        read_dataset(root)
    assert caught.value.path == root / "splits.csv"
    for part in parts:
        assert part in caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 250


@pytest.mark.parametrize("name", ["splits.csv", "dataset.json", "images/b.jpg", "images", "masks",
                                  "masks/b_segmentation.png"])  # fmt: skip
def test_a_link_that_leads_nowhere_is_an_error(name: str, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", "ab", "a,train\n")
    path = root / name
    if path.is_dir():
        path.rename(tmp_path / "moved")
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(DatasetProblem) as caught:
        read_dataset(root)
    assert (caught.value.path, caught.value.reason) == (path, "is a link that leads nowhere")
    said = run("evaluate", "--data", root, "--split", "val", exit_code=4).stderr
    assert "is a link that leads nowhere" in said


def test_links_that_lead_somewhere_are_followed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", "ab", "a,train\nb,val\n")
    for name in ("splits.csv", "images/a.jpg", "masks/a_segmentation.png", "images"):
        (root / name).rename(tmp_path / Path(name).name)
        (root / name).symlink_to(tmp_path / Path(name).name)
    assert [sample.id for sample in read_dataset(root).samples] == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("name", ["splits.csv", "dataset.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "long"])
def test_an_index_is_a_regular_file_of_bounded_length(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path / "d", "ab")
    path = root / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        monkeypatch.setattr("engine.study.dataset_index.MOST_BYTES", 1000)
        path.write_bytes(b" " * 1001)
    with pytest.raises(DatasetProblem, match="longer" if kind == "long" else "regular") as caught:
        read_dataset(root)
    assert caught.value.path == path


@given(st.text())
def test_a_cell_comes_back_and_is_no_formula(text: str) -> None:
    cell = as_cell(text)
    assert from_cell(cell) == text
    assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r"}
    assert cell == text or cell == f"'{text}"


def test_an_index_in_json_is_bounded_and_names_the_sample(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", "ab")
    head = {"format": "nca-seg/dataset", "version": 1}
    for wrong in ({"id": "x" * 9_000}, {"id": "a", "split": "x" * 9_000}, ["y" * 9_000]):
        samples = [{"id": "b", "split": "val"}, wrong]
        (root / "dataset.json").write_text(json.dumps({**head, "samples": samples}))
        with pytest.raises(DatasetProblem, match="sample 2") as caught:
            read_dataset(root)
        assert len(caught.value.reason) < 250
