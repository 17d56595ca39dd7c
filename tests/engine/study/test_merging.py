"""Law: data sets become one without an id twice, and nothing is learned from a lesion of test."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import DatasetProblem
from engine.study.dataset import read_dataset
from engine.study.merging import merge, without_leakage
from tests.engine.folders import make_folder


def test_samples_of_several_folders_keep_their_splits(tmp_path: Path) -> None:
    first = read_dataset(make_folder(tmp_path / "a", "bd", "b,test\nd,train\n"))
    second = read_dataset(make_folder(tmp_path / "b", "ac", "a,train\nc,val\n"))
    whole = merge([first, second])
    assert [(x.id, x.split) for x in whole.samples] == [
        ("a", "train"),
        ("b", "test"),
        ("c", "val"),
        ("d", "train"),
    ]
    assert whole.root == first.root
    assert merge([first]).samples == first.samples


def test_an_id_in_two_folders_is_refused_with_both(tmp_path: Path) -> None:
    first = read_dataset(make_folder(tmp_path / "a", "xy", "x,test\ny,train\n"))
    second = read_dataset(make_folder(tmp_path / "b", "yz", "y,train\nz,val\n"))
    with pytest.raises(DatasetProblem) as caught:
        merge([first, second])
    assert caught.value.path == tmp_path / "b/images/y.jpg"
    assert str(tmp_path / "a/images/y.jpg") in caught.value.reason


def test_a_lesion_of_two_splits_stays_in_the_more_guarded_one(tmp_path: Path) -> None:
    rows = ("a,train,1", "b,val,1", "c,test,1", "d,train,2", "e,val,2", "f,train,3")
    root = make_folder(tmp_path / "a", "abcdef")
    table = "".join(f"{row},one patient\n" for row in rows)
    (root / "splits.csv").write_text("id,split,lesion_id,patient_id\n" + table)
    kept, leaking = without_leakage(read_dataset(root))
    # All of them are of one patient, which alone is no reason.
    assert [x.id for x in kept.samples] == ["c", "e", "f"]
    assert [x.id for x in leaking] == ["a", "b", "d"]


def test_a_lesion_of_two_folders_is_found(tmp_path: Path) -> None:
    datasets = []
    for name, split in (("a", "train"), ("b", "test")):
        root = make_folder(tmp_path / name, name, f"{name},{split}\n")
        (root / "splits.csv").write_text(f"id,split,lesion_id\n{name},{split},IL_1\n")
        datasets.append(read_dataset(root))
    assert [x.id for x in without_leakage(merge(datasets))[1]] == ["a"]


@pytest.mark.data
def test_three_lesions_of_isic2018_stand_in_two_splits(isic2018: Path) -> None:
    kept, leaking = without_leakage(read_dataset(isic2018))
    assert {key for x in leaking for key in x.kin if "lesion" in key} == {
        "lesion_id IL_8508654",
        "lesion_id IL_1121923",
        "lesion_id IL_0386300",
    }
    assert {x.split for x in leaking} == {"train", "val"}
    assert len(kept.split("test")) == 250
