"""Law: an export is complete or says what is not, and what lies in the folder stays."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.errors import DatasetProblem
from engine.images.reading import read_image
from engine.masks.files import write_mask
from engine.masks.reading import read_mask
from engine.study.dataset import assign_splits, read_dataset
from engine.study.export import export_dataset
from tests.conftest import PROJECT
from tests.engine.exports import ORIGIN, contents, export, left_out, make_samples, stored
from tests.oracles import disk

needs_links = pytest.mark.skipif(os.name == "nt", reason="making links needs a right there")


def ids(folder: Path) -> list[str]:
    return [sample.id for sample in read_dataset(folder).samples]


def test_export_is_read_back_with_origins(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", [f"image{number}" for number in range(20)])
    steps = list(export_dataset(samples, tmp_path / "to"))
    assert [(step.done, step.written) for step in steps] == [(n, n) for n in range(1, 21)]
    assert {step.total for step in steps} == {20}
    assert all(step.path.parent == tmp_path / "to" / "images" for step in steps)
    dataset = read_dataset(tmp_path / "to")
    assert sorted(s.id for s in dataset.samples) == sorted(s.id for s in samples)
    assert dataset.left_out == ()
    assert all(sample.origin == ORIGIN for sample in dataset.samples)
    assert {s.id: s.split for s in dataset.samples} == assign_splits(s.id for s in samples)
    sources = {sample.id: sample for sample in samples}
    for sample in dataset.samples:
        source = sources[sample.id]
        pixels_hwc = read_image(sample.image_path).pixels_hwc
        assert np.array_equal(pixels_hwc, read_image(source.image_path).pixels_hwc)
        assert np.array_equal(read_mask(sample.mask_path), read_mask(source.mask_path))
    with (tmp_path / "to" / "splits.csv").open(newline="") as stream:
        assert {row["id"]: row["split"] for row in csv.DictReader(stream)} == {
            sample.id: sample.split for sample in dataset.samples
        }
    before = contents(tmp_path / "to")
    assert export(samples, tmp_path / "to").written == 20
    assert contents(tmp_path / "to") == before


def test_a_folder_grows_and_keeps_its_splits(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", [f"image{number}" for number in range(20)])
    before: dict[str, str] = {}
    for count in (3, 4, 5, 20):
        export(samples[:count], tmp_path / "to")
        after = {s.id: s.split for s in read_dataset(tmp_path / "to").samples}
        assert len(after) == count
        assert before.items() <= after.items()
        assert ("val" in after.values()) == (count >= 4)
        before = after
    corrected_hw = disk(24, 0.4)
    write_mask(samples[0].mask_path, corrected_hw)
    export(samples[:1], tmp_path / "to")
    dataset = read_dataset(tmp_path / "to")
    assert len(dataset.samples) == 20
    mask = next(s for s in dataset.samples if s.id == samples[0].id).mask_path
    assert np.array_equal(read_mask(mask), corrected_hw)


@pytest.mark.parametrize("name", ["le\u0301sion", "photo ", " photo"])
def test_names_as_systems_and_people_spell_them_can_be_exported_again(
    name: str, tmp_path: Path
) -> None:
    samples = make_samples(tmp_path / "from", ["a", name])
    for _ in range(3):
        assert not export(samples, tmp_path / "to").left_out
        expected = ["a", "l\u00e9sion" if "sion" in name else "photo"]
        assert sorted(ids(tmp_path / "to")) == sorted(expected)


def test_test_samples_stay_test(tmp_path: Path) -> None:
    first, *others = make_samples(tmp_path / "from", "abcde")
    export([replace(first, split="test"), *others], tmp_path / "to")
    assert [s.id for s in read_dataset(tmp_path / "to").split("test")] == ["a"]


def test_stopped_export_is_a_smaller_data_set(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "abcdef")
    stream = export_dataset(samples, tmp_path / "to")
    next(stream), next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert ids(tmp_path / "to") == ["a", "b"]
    assert export(samples, tmp_path / "to").written == 6
    assert ids(tmp_path / "to") == [*"abcdef"]


def test_killed_export_can_be_repeated(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "abcdef")
    script = (
        "import os, sys; from pathlib import Path\n"
        "from engine.study.dataset import *; from engine.study.export import *\n"
        "source, target = map(Path, sys.argv[1:])\n"
        "for step in export_dataset(read_dataset(source).samples, target):\n"
        "    if step.done == 3: os._exit(9)\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "from"), str(tmp_path / "to")]
    assert subprocess.run(arguments, cwd=PROJECT, check=False).returncode == 9
    with pytest.raises(DatasetProblem, match="may be repeated"):
        read_dataset(tmp_path / "to")
    assert export(samples, tmp_path / "to").written == 6
    assert ids(tmp_path / "to") == [*"abcdef"]


def test_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "ab")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetProblem):
        next(export_dataset(samples, tmp_path / "to"))
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["thesis.txt"]


def test_another_image_under_the_same_id_stays_and_the_sample_is_left_out(tmp_path: Path) -> None:
    export(make_samples(tmp_path / "one", "ab"), tmp_path / "to")
    before = contents(tmp_path / "to")
    last = export(make_samples(tmp_path / "two", "bc"), tmp_path / "to")
    (reason,) = left_out(last).values()
    assert last.left_out[0].path == tmp_path / "to" / "images" / "b.png"
    assert reason == f"is another image than {tmp_path / 'two' / 'images' / 'b.png'}"
    after = contents(tmp_path / "to")
    assert [after[name] for name in before if "csv" not in name and "json" not in name] == [
        before[name] for name in before if "csv" not in name and "json" not in name
    ]
    assert ids(tmp_path / "to") == ["a", "b", "c"]


def test_masks_are_read_as_evaluate_does_and_written_as_0_and_255(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", ["whole", "zero-one", "half", "text", "none", "grey"])
    by_id = {sample.id: sample.mask_path for sample in samples}
    mask_hw = disk(24, 0.3)
    PillowImage.fromarray(mask_hw.astype(np.uint8)).save(by_id["zero-one"])
    write_mask(by_id["half"], disk(12, 0.3))
    by_id["text"].write_text("no picture")
    by_id["none"].unlink()
    PillowImage.fromarray(np.full((24, 24), 99, np.uint8)).save(by_id["grey"])
    last = export(samples, tmp_path / "to")
    assert last.written == 2
    reasons = left_out(last)
    assert "12×12" in reasons["half_segmentation.png"]
    assert "24×24" in reasons["half_segmentation.png"]
    assert "text" in reasons["text_segmentation.png"]
    assert "no such file" in reasons["none_segmentation.png"]
    assert "99" in reasons["grey_segmentation.png"]
    assert ids(tmp_path / "to") == ["whole", "zero-one"]
    written = tmp_path / "to" / "masks" / "zero-one_segmentation.png"
    assert stored(written) == {0, 255}
    assert np.array_equal(read_mask(written), mask_hw)
    assert set(contents(tmp_path / "to" / "images")) == {"whole.png", "zero-one.png"}


def test_a_mask_goes_with_the_image_as_it_is_upright(tmp_path: Path) -> None:
    (sample,) = make_samples(tmp_path / "from", "a")
    pixels_hwc = np.random.default_rng(0).integers(0, 255, (16, 32, 3)).astype(np.uint8)
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    path = sample.image_path.with_name("b.jpg")
    PillowImage.fromarray(pixels_hwc).save(path, exif=exif)
    write_mask(sample.mask_path, np.ones((32, 16), dtype=np.bool_))
    assert export([replace(sample, image_path=path)], tmp_path / "to").written == 1
    write_mask(sample.mask_path, np.ones((16, 32), dtype=np.bool_))
    assert export([replace(sample, image_path=path)], tmp_path / "two").written == 0


def test_an_image_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "abc")
    samples[1].image_path.write_bytes(samples[1].image_path.read_bytes()[:60])
    samples[2].image_path.unlink()
    last = export(samples, tmp_path / "to")
    assert left_out(last).keys() == {"b.png", "c.png"}
    assert ids(tmp_path / "to") == ["a"]


@needs_links
@pytest.mark.parametrize(
    "name",
    ["images", "masks", "images/a.png", "images/a.jpg", "masks/a_segmentation.png",
     "dataset.json", "splits.csv"],
)  # fmt: skip
@pytest.mark.parametrize("leads", ["somewhere", "nowhere"])
def test_an_export_never_follows_a_link_out_of_its_folder(
    name: str, leads: str, tmp_path: Path
) -> None:
    samples = make_samples(tmp_path / "from", "ab")
    out, there = tmp_path / "to", tmp_path / "elsewhere"
    export(samples[1:], out)
    target = there / Path(name).name
    there.mkdir()
    if leads == "somewhere" and name in ("images", "masks"):
        target.mkdir()
    elif leads == "somewhere":
        target.write_bytes((out / name).read_bytes() if (out / name).exists() else b"somebody's")
    if (out / name).is_dir():
        for file in (out / name).iterdir():
            file.unlink()
        (out / name).rmdir()
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(target)
    before = contents(there)
    with pytest.raises(DatasetProblem, match="link") as caught:
        list(export_dataset(samples, out))
    assert caught.value.path == out / name
    assert contents(there) == before
    assert (out / name).is_symlink()


@needs_links
def test_links_to_images_and_to_the_folder_itself_are_followed(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "ab")
    link = samples[0].image_path.with_name("link.png")
    link.symlink_to(samples[0].image_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "to").symlink_to(tmp_path / "real")
    assert export([replace(samples[0], image_path=link)], tmp_path / "to").written == 1
    copy = tmp_path / "real" / "images" / "a.png"
    assert copy.is_file()
    assert not copy.is_symlink()


@pytest.mark.parametrize("place", ["from", "from/images", "from/masks", "from/masks/new"])
def test_an_export_among_its_own_samples_is_refused(place: str, tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "ab")
    before = contents(tmp_path)
    with pytest.raises(DatasetProblem, match="folder of its own"):
        list(export_dataset(samples, tmp_path / place))
    assert contents(tmp_path) == before


def test_of_two_images_of_one_id_the_second_is_left_out(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", ["lesion", "Lesion", "la\u0308sion", "l\u00e4sion"])
    jpeg = samples[0].image_path.with_suffix(".jpg")
    PillowImage.open(samples[0].image_path).save(jpeg)
    last = export([*samples, replace(samples[0], image_path=jpeg)], tmp_path / "to")
    reasons = left_out(last)
    assert "capital letters" in reasons["Lesion.png"]
    assert reasons["lesion.jpg"] == "has the id of lesion.png, which is exported"
    assert reasons["l\u00e4sion.png"].startswith("has the id of")
    assert ids(tmp_path / "to") == ["lesion", "l\u00e4sion"]
    # Also where the one of another case is there from before.
    assert "capital" in left_out(export(samples[1:2], tmp_path / "to"))["Lesion.png"]


@pytest.mark.skipif(os.name == "nt", reason="no file can be called so there")
@pytest.mark.parametrize("name", ["CON", "NUL.1", "aux", "a:b", "=cmd|' C calc'!A0", "-1", "+x"])
def test_odd_names_are_exported_and_read_back(name: str, tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", ["a", name, f"'{name}"])
    assert not export(samples, tmp_path / "to").left_out
    (tmp_path / "to" / "dataset.json").unlink()
    assert ids(tmp_path / "to") == sorted(["a", name, f"'{name}"])
    cells = (tmp_path / "to" / "splits.csv").read_text("utf-8").splitlines()
    assert not [cell for cell in cells if cell.lstrip('"')[0] in "=+-@"]


@pytest.mark.skipif(os.name == "nt", reason="no file can be called so there")
@pytest.mark.parametrize("name", ["two\nlines", "bell\x07", os.fsdecode(b"odd\xff")])
def test_names_that_an_index_cannot_hold_are_left_out(name: str, tmp_path: Path) -> None:
    try:
        samples = make_samples(tmp_path / "from", ["a", name])
    except OSError:
        pytest.skip("this file system takes no such name")
    last = export(samples, tmp_path / "to")
    (reason,) = left_out(last).values()
    assert reason.startswith("has a name with")
    assert ids(tmp_path / "to") == ["a"]


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "down/there"])
def test_ids_that_are_no_names_of_files_are_left_out(name: str, tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "from", "ab")
    last = export([samples[0], replace(samples[1], id=name)], tmp_path / "to")
    assert "id that files cannot have" in left_out(last)["b.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"from", "to"}


def test_a_name_too_long_for_a_mask_is_left_out(tmp_path: Path) -> None:
    first, second = make_samples(tmp_path / "from", "ab")
    last = export([replace(first, id="x" * 245), second], tmp_path / "to")
    assert "too long" in left_out(last)["a.png"]
    assert ids(tmp_path / "to") == ["b"]
    assert set(contents(tmp_path / "to" / "images")) == {"b.png"}
    assert set(contents(tmp_path / "to" / "masks")) == {"b_segmentation.png"}
