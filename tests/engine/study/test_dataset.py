"""Law: a data set is read whole and without contradiction, or refused with file and reason."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DatasetProblem
from engine.study.dataset import assign_splits, read_dataset
from engine.types import Origin, SampleSettings
from tests.engine.folders import make_folder


def write_index(root: Path, samples: object, **changed: object) -> None:
    content = {"format": "nca-seg/dataset", "version": 1, "samples": samples, **changed}
    (root / "dataset.json").write_text(json.dumps(content))


def test_splits_csv_is_followed(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", "abc", "b,test\na,train\nc,val\n")
    dataset = read_dataset(root)
    assert [(s.id, s.split, s.image_path.name) for s in dataset.samples] == [
        ("a", "train", "a.jpg"),
        ("b", "test", "b.jpg"),
        ("c", "val", "c.jpg"),
    ]
    assert dataset.samples[1].mask_path == root / "masks" / "b_segmentation.png"
    assert dataset.split("test")[0].id == "b"


def test_dataset_json_gives_splits_and_origins(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", "ab")
    write_index(
        root,
        [
            {
                "id": "a",
                "split": "val",
                "origin": {"model": "m", "settings": {"seed": 3}, "pixels_changed": 4},
            },
            {"id": "b", "split": "train", "origin": None},
        ],
    )
    first, second = read_dataset(root).samples
    assert first.origin == Origin("m", settings=SampleSettings(seed=3), pixels_changed=4)
    assert (first.split, second.split, second.origin) == ("val", "train", None)


def test_spreadsheet_csv_and_other_spellings_are_read(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", ["läsion"])
    (root / "masks" / "läsion_segmentation.png").rename(root / "masks" / "läsion_Segmentation.png")
    # A byte-order mark, an extra column, spaces, and accents apart from their letters.
    text = "\ufeffid, split, age\r\nla\u0308sion, train, 40\r\n"
    (root / "splits.csv").write_text(text, encoding="utf-8", newline="")
    (root / "images" / "Thumbs.db").write_bytes(b"")
    (root / "images" / ".läsion.jpg.12.part").write_bytes(b"")
    (root / "images" / "läsion_superpixels.png").write_bytes(b"")
    assert [sample.id for sample in read_dataset(root).samples] == ["läsion"]


def test_what_an_index_does_not_list_is_left_out_and_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", "abcd", "a,train\nb,val\n")
    (root / "masks" / "d_segmentation.png").unlink()
    (root / "masks" / "e_segmentation.png").touch()
    # Two of one id are no contradiction where neither is used, and other files are no pictures.
    (root / "images" / "c.png").touch()
    for name in (
        "Thumbs.db",
        ".DS_Store",
        "readme.txt",
        "a_superpixels.png",
        "a_attribute_globules.png",
    ):
        (root / "images" / name).touch()
    (root / "images" / "folder.png").mkdir()
    dataset = read_dataset(root)
    assert [sample.id for sample in dataset.samples] == ["a", "b"]
    expected = ("images/c.jpg", "images/c.png", "images/d.jpg", "masks/e_segmentation.png")
    assert dataset.left_out == expected
    # What is listed has to be there.
    (root / "masks" / "b_segmentation.png").unlink()
    with pytest.raises(DatasetProblem, match="missing"):
        read_dataset(root)


def test_an_index_may_list_what_else_would_be_no_image(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d", ["a", "b_superpixels"], "a,train\nb_superpixels,val\n")
    dataset = read_dataset(root)
    assert [sample.id for sample in dataset.samples] == ["a", "b_superpixels"]
    assert dataset.left_out == ()


def test_without_an_index_a_share_validates(tmp_path: Path) -> None:
    names = [f"image{number:03}" for number in range(200)]
    dataset = read_dataset(make_folder(tmp_path / "d", names))
    assert 15 <= len(dataset.split("val")) <= 50
    assert len(dataset.split("val")) + len(dataset.split("train")) == 200
    assert dataset == read_dataset(tmp_path / "d")


PROBLEMS = {
    "no image for a mask": (
        lambda root: (root / "images" / "a.jpg").unlink(),
        "masks/a_segmentation.png",
    ),
    "no mask for an image": (
        lambda root: (root / "masks" / "b_segmentation.png").unlink(),
        "masks/b_segmentation.png",
    ),
    "no images folder": (lambda root: shutil.rmtree(root / "images"), "images"),
    "no masks folder": (lambda root: shutil.rmtree(root / "masks"), "masks"),
    "two images of one id": (lambda root: (root / "images" / "a.png").touch(), "images/a.png"),
    "two masks of one id": (
        lambda root: (root / "masks" / "a_Segmentation.png").touch(),
        "masks/a_segmentation.png",
    ),
    "unknown id in csv": (
        lambda root: (root / "splits.csv").write_text("id,split\na,train\nb,val\nz,val\n"),
        "splits.csv",
    ),
    "unknown split": (
        lambda root: (root / "splits.csv").write_text("id,split\na,train\nb,training\n"),
        "splits.csv",
    ),
    "id twice": (
        lambda root: (root / "splits.csv").write_text("id,split\na,train\nb,val\na,val\n"),
        "splits.csv",
    ),
    "csv of other columns": (
        lambda root: (root / "splits.csv").write_text("image,set\na,train\n"),
        "splits.csv",
    ),
    "csv row cut short": (
        lambda root: (root / "splits.csv").write_text("id,split\na,train\nb\n"),
        "splits.csv",
    ),
    "empty csv": (lambda root: (root / "splits.csv").write_text("id,split\n"), "splits.csv"),
    "binary csv": (lambda root: (root / "splits.csv").write_bytes(b"\xff\xd8\0"), "splits.csv"),
    "not json": (lambda root: (root / "dataset.json").write_text('{"format":'), "dataset.json"),
    "nested json": (lambda root: (root / "dataset.json").write_text("[" * 10**5), "dataset.json"),
    "other format": (lambda root: write_index(root, [], format="x"), "dataset.json"),
    "newer version": (lambda root: write_index(root, [], version=2), "dataset.json"),
    "no list": (lambda root: write_index(root, None), "dataset.json"),
    "no samples": (lambda root: write_index(root, []), "dataset.json"),
    "odd sample": (lambda root: write_index(root, [3]), "dataset.json"),
    "odd id": (lambda root: write_index(root, [{"id": 3, "split": "val"}]), "dataset.json"),
    "odd origin": (
        lambda root: write_index(root, [{"id": "a", "split": "val", "origin": {"steps": 1}}]),
        "dataset.json",
    ),
    "odd settings": (
        lambda root: write_index(
            root, [{"id": "a", "split": "val", "origin": {"settings": {"steps": 0}}}]
        ),
        "dataset.json",
    ),
    "indexes that disagree": (
        lambda root: (
            (root / "splits.csv").write_text("id,split\na,train\nb,val\n"),
            write_index(root, [{"id": "a", "split": "val"}, {"id": "b", "split": "val"}]),
        ),
        "splits.csv",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_contradictions_are_named(case: str, tmp_path: Path) -> None:
    spoil, path = PROBLEMS[case]
    root = make_folder(tmp_path / "d", "ab")
    spoil(root)
    with pytest.raises(DatasetProblem) as caught:
        read_dataset(root)
    assert caught.value.path == root / path
    assert caught.value.reason


@given(st.sets(st.text(min_size=1, max_size=8), min_size=4), st.sets(st.text(max_size=8)))
def test_more_samples_never_turn_training_into_validation(few: set[str], more: set[str]) -> None:
    before, after = assign_splits(few), assign_splits(few | more)
    assert set(before.values()) == {"train", "val"}
    # Among many others no id is moved to make up a split, so this is the hash alone.
    hashed = assign_splits([*few, *(f"other{number}" for number in range(99))])
    if all(hashed[name] == "val" for name in few):
        return  # one of them had to train, and may validate later
    assert not [name for name in few if before[name] == "train" and after[name] == "val"]


def test_three_samples_all_train() -> None:
    assert set(assign_splits("abc").values()) == {"train"}


@pytest.mark.data
def test_isic2018_is_read_at_once(isic2018: Path) -> None:
    start = time.thread_time()
    dataset = read_dataset(isic2018)
    assert time.thread_time() - start < 1
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [1900, 150, 250]
