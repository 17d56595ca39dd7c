"""Law: a data set is read whole and without contradiction, or refused with file and reason."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset import assign_splits, export_dataset, read_dataset
from engine.errors import DatasetProblem
from engine.types import Origin, Sample, SampleSettings

ORIGIN = Origin("lesion", "abc123", SampleSettings(seed=7, steps=5), 0.4, 12)


def make_folder(root: Path, ids: Iterable[str], splits: str = "") -> Path:
    """A data set folder whose pictures are not even pictures: reading must not open them."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for name in ids:
        (root / "images" / f"{name}.jpg").write_bytes(f"picture {name}".encode())
        (root / "masks" / f"{name}_segmentation.png").write_bytes(f"mask {name}".encode())
    if splits:
        (root / "splits.csv").write_text("id,split\n" + splits)
    return root


def make_samples(root: Path, ids: Iterable[str]) -> list[Sample]:
    ids = tuple(ids)
    make_folder(root, ids)
    return [
        Sample(
            name,
            root / "images" / f"{name}.jpg",
            root / "masks" / f"{name}_segmentation.png",
            "train",
            ORIGIN,
        )
        for name in ids
    ]


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
    "image in no split": (
        lambda root: (root / "splits.csv").write_text("id,split\na,train\n"),
        "images/b.jpg",
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


def test_export_is_read_back_with_origins(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", [f"image{number}" for number in range(20)])
    steps = list(export_dataset(samples, tmp_path / "to"))
    assert [(step.done, step.total) for step in steps] == [(n, 20) for n in range(1, 21)]
    assert all(step.path.parent == tmp_path / "to" / "images" for step in steps)
    dataset = read_dataset(tmp_path / "to")
    assert sorted(s.id for s in dataset.samples) == sorted(s.id for s in samples)
    assert all(sample.origin == ORIGIN for sample in dataset.samples)
    assert {s.id: s.split for s in dataset.samples} == assign_splits(s.id for s in samples)
    for sample in dataset.samples:
        assert sample.image_path.read_bytes() == f"picture {sample.id}".encode()
        assert sample.mask_path.read_bytes() == f"mask {sample.id}".encode()
    with (tmp_path / "to" / "splits.csv").open(newline="") as stream:
        assert {row["id"]: row["split"] for row in csv.DictReader(stream)} == {
            sample.id: sample.split for sample in dataset.samples
        }


def test_a_folder_grows_and_keeps_its_splits(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", [f"image{number}" for number in range(40)])
    before: dict[str, str] = {}
    for count in (3, 4, 5, 17, 40):
        *_, _ = export_dataset(samples[:count], tmp_path / "to")
        after = {s.id: s.split for s in read_dataset(tmp_path / "to").samples}
        assert len(after) == count
        assert before.items() <= after.items()
        assert ("val" in after.values()) == (count >= 4)
        before = after
    samples[0].mask_path.write_bytes(b"corrected")
    *_, _ = export_dataset(samples[:1], tmp_path / "to")
    dataset = read_dataset(tmp_path / "to")
    assert len(dataset.samples) == 40
    mask = next(s for s in dataset.samples if s.id == samples[0].id).mask_path
    assert mask.read_bytes() == b"corrected"


@pytest.mark.parametrize("name", ["le\u0301sion", "photo ", " photo"])
def test_names_as_systems_and_people_spell_them_can_be_exported_again(
    name: str, tmp_path: Path
) -> None:
    samples = make_samples(tmp_path / "from", ["a", name])
    for _ in range(3):
        *_, _ = export_dataset(samples, tmp_path / "to")
        ids = [sample.id for sample in read_dataset(tmp_path / "to").samples]
        assert sorted(ids) == sorted(["a", "l\u00e9sion" if "sion" in name else "photo"])


def test_test_samples_stay_test(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "from", "abcde", "a,test\nb,train\nc,train\nd,train\ne,val\n")
    *_, _ = export_dataset(read_dataset(root).samples, tmp_path / "to")
    assert [s.id for s in read_dataset(tmp_path / "to").split("test")] == ["a"]


def test_stopped_export_is_a_smaller_data_set(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "abcdef")
    stream = export_dataset(samples, tmp_path / "to")
    next(stream), next(stream)
    stream.close()
    assert [s.id for s in read_dataset(tmp_path / "to").samples] == ["a", "b"]
    *_, _ = export_dataset(samples, tmp_path / "to")
    assert len(read_dataset(tmp_path / "to").samples) == 6


def test_killed_export_can_be_repeated(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "abcdef")
    script = (
        "import os, sys; from pathlib import Path; from engine.dataset import *\n"
        "source, target = map(Path, sys.argv[1:])\n"
        "for step in export_dataset(read_dataset(source).samples, target):\n"
        "    if step.done == 3: os._exit(9)\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "from"), str(tmp_path / "to")]
    assert subprocess.run(arguments, cwd=Path(__file__).parents[2], check=False).returncode == 9
    with pytest.raises(DatasetProblem):
        read_dataset(tmp_path / "to")
    *_, _ = export_dataset(samples, tmp_path / "to")
    assert len(read_dataset(tmp_path / "to").samples) == 6


def test_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "ab")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetProblem):
        next(export_dataset(samples, tmp_path / "to"))
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["thesis.txt"]


def test_another_image_of_the_same_id_is_refused(tmp_path: Path) -> None:
    *_, _ = export_dataset(make_samples(tmp_path / "one", "ab"), tmp_path / "to")
    others = make_samples(tmp_path / "two", "bc")
    others[0].image_path.write_bytes(b"not the same lesion")
    with pytest.raises(DatasetProblem) as caught:
        list(export_dataset(others, tmp_path / "to"))
    assert caught.value.path == tmp_path / "to" / "images" / "b.jpg"
    assert [s.id for s in read_dataset(tmp_path / "to").samples] == ["a", "b"]


def test_vanished_source_is_named_and_the_rest_stays_readable(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "abc")
    samples[1].mask_path.unlink()
    with pytest.raises(DatasetProblem) as caught:
        list(export_dataset(samples, tmp_path / "to"))
    assert caught.value.path == samples[1].mask_path
    *_, _ = export_dataset([samples[0], samples[2]], tmp_path / "other")
    assert len(read_dataset(tmp_path / "other").samples) == 2


@pytest.mark.data
def test_isic2018_is_read_at_once(isic2018: Path) -> None:
    start = time.thread_time()
    dataset = read_dataset(isic2018)
    assert time.thread_time() - start < 1
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [1900, 150, 250]
