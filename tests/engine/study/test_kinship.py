"""Images of one lesion or one patient come into one split, wherever the program makes splits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DatasetProblem
from engine.study.dataset import assign_splits, read_dataset
from engine.study.kinship import read_kin, together
from engine.study.study import Study
from tests.engine.exports import export, make_samples
from tests.engine.folders import make_folder
from tests.engine.studies import make_images, make_mask

NAMES = [f"image{number:02}" for number in range(40)]
#: Pairs show a lesion, and every five pairs a patient.
LESIONS = {name: f"IL_{number // 2}" for number, name in enumerate(NAMES)}
PATIENTS = {name: f"IP_{number // 10}" for number, name in enumerate(NAMES)}
PAIRS = {name: (f"lesion_id {lesion}",) for name, lesion in LESIONS.items()}


def styles(separator: str = ",") -> str:
    """A table of the lesions alone, as a spreadsheet writes it."""
    head = ("id", "tool", "masks", "agreement", "Lesion_ID")
    rows = (head, *((name, "T1", "1", "", LESIONS[name]) for name in NAMES))
    return "".join(separator.join(row) + "\n" for row in rows)


def splits_by(keys: dict[str, str], splits: dict[str, str]) -> list[set[str]]:
    """The splits in which the images of each key are."""
    found: dict[str, set[str]] = {}
    for name, split in splits.items():
        found.setdefault(keys[name], set()).add(split)
    return list(found.values())


def test_by_the_id_alone_lesions_would_be_torn_apart() -> None:
    assert any(len(one) > 1 for one in splits_by(LESIONS, dict(assign_splits(NAMES))))
    splits = dict(assign_splits(NAMES, kin=PAIRS))
    assert all(len(one) == 1 for one in splits_by(LESIONS, splits))
    assert set(splits.values()) == {"train", "val"}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_folder_without_splits_keeps_the_lesions_of_its_styles_whole(
    tmp_path: Path, separator: str
) -> None:
    root = make_folder(tmp_path / "d", NAMES)
    (root / "styles.csv").write_text(styles(separator))
    dataset = read_dataset(root)
    splits = {sample.id: sample.split for sample in dataset.samples}
    assert all(len(one) == 1 for one in splits_by(LESIONS, dict(splits)))
    assert set(splits.values()) == {"train", "val"}
    assert dataset.samples[3].kin == ("lesion_id IL_1",)


def test_kin_are_read_from_styles_splits_and_the_index(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text("id,patient_id\na.jpg,IP_1\nb,\nelsewhere,IP_1\n")
    (tmp_path / "splits.csv").write_text("id,split,lesion_id\na,train,IL_1\nb,val,IL_2\n")
    samples = [{"id": "c", "split": "train", "patient_id": "IP_3", "lesion_id": None}, "damaged"]
    (tmp_path / "dataset.json").write_text(json.dumps({"samples": samples}))
    assert read_kin(tmp_path, "abcd") == {
        "a": ("patient_id IP_1", "lesion_id IL_1"),
        "b": ("lesion_id IL_2",),
        "c": ("patient_id IP_3",),
    }


def test_a_table_of_something_else_is_passed_over_and_a_damaged_one_named(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text("colour,size\nred,3\n")
    assert read_kin(tmp_path, "ab") == {}
    (tmp_path / "styles.csv").write_bytes(b"id,lesion_id\na,\xff\n")
    with pytest.raises(DatasetProblem, match="not text in UTF-8"):
        read_kin(tmp_path, "ab")


def test_a_study_keeps_patients_whole(tmp_path: Path) -> None:
    files = [f"{name}.png" for name in NAMES[:24]]
    folder = make_images(tmp_path / "p", *files)
    rows = "".join(f"{name}.png;{PATIENTS[name]}\n" for name in NAMES)
    (folder / "styles.csv").write_text("id;patient_id\n" + rows)
    study = Study.open(folder)
    for name in files:
        study.save(folder / name, make_mask(), None)
    samples = study.saved_samples()
    splits = {sample.id: sample.split for sample in samples}
    assert all(len(one) == 1 for one in splits_by(PATIENTS, dict(splits)))
    assert set(splits.values()) == {"train", "val"}
    # What is exported of it, too.
    export(samples, tmp_path / "set")
    assert {x.id: x.split for x in read_dataset(tmp_path / "set").samples} == splits


def test_an_export_that_grows_gives_kin_the_split_of_those_that_are_there(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", NAMES[:16])
    alike = [replace(sample, kin=PAIRS[sample.id]) for sample in samples]
    first = [replace(each, split="test") if each.id == NAMES[0] else each for each in alike[::2]]
    export(first, tmp_path / "set")
    before = {sample.id: sample.split for sample in read_dataset(tmp_path / "set").samples}
    assert before[NAMES[0]] == "test"
    export([*first, *alike[1::2]], tmp_path / "set")
    after = {sample.id: sample.split for sample in read_dataset(tmp_path / "set").samples}
    assert after == {
        name: before[NAMES[place - place % 2]] for place, name in enumerate(NAMES[:16])
    }


def test_the_program_says_which_of_several_fixed_splits_is_taken() -> None:
    kin = dict.fromkeys("abcd", ("patient_id IP_1",))
    assert assign_splits("d", fixed={"a": "train", "b": "val"}, kin=kin)["d"] == "val"
    assert assign_splits("d", fixed={"a": "train", "c": "test"}, kin=kin)["d"] == "test"
    # All of one patient: nothing is left to validate on.
    assert set(assign_splits("abcd", kin=kin).values()) == {"train"}


def test_kin_of_kin_are_together() -> None:
    kin = {"a": ("p1", "l1"), "b": ("l1",), "c": ("l2", "p2"), "d": ("p2", "l1"), "e": ("l9",)}
    assert together("abcdef", kin) == [["a", "b", "c", "d"], ["e"], ["f"]]


@given(
    st.dictionaries(
        st.integers(0, 60), st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=4
    ),
    st.sets(st.integers(0, 60)),
)
def test_more_kin_never_turn_training_into_validation(
    told: dict[int, tuple[int, int]], later: set[int]
) -> None:
    # Many strangers, so that no group is moved to make up a split.
    others = [f"other{number}" for number in range(99)]
    kin = {
        str(name): tuple(
            f"{key}_id {place}"
            for key, place in zip(("patient", "lesion"), keys, strict=True)
            if place
        )
        for name, keys in told.items()
    }
    few = [*others, *(name for name in kin if int(name) not in later)]
    before, after = assign_splits(few, kin=kin), assign_splits([*others, *kin], kin=kin)
    assert not [name for name in few if before[name] == "train" and after[name] == "val"]
    for group in together(kin, kin):
        assert len({after[name] for name in group}) == 1
