"""Law: commands say what of a data set they leave out, and an export what it wrote and did not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.masks.files import mask_name, write_mask
from engine.study.dataset import read_dataset
from engine.study.export import ExportStep
from engine.study.study import Study
from tests.engine.commands import FAST, TINY, install, picture, run, write_dataset
from tests.engine.exports import contents
from tests.oracles import disk


def study(folder: Path, count: int) -> Path:
    """A folder of pictures with saved masks."""
    for number in range(count):
        path = picture(folder / f"p{number}.png", (24, 24), 180 + number)
        Study.open(folder).save(path, disk(24, 0.3), None)
    return folder


def spoil(folder: Path, number: int) -> None:
    """Give a picture a mask of half its size, as another program might."""
    write_mask(folder / "segmentations" / mask_name(f"p{number}"), disk(12, 0.3))


@pytest.mark.parametrize("command", ["evaluate", "train", "finetune"])
def test_a_picture_that_the_index_does_not_list_is_left_out_and_said(
    command: str, own_folders: Path, tmp_path: Path
) -> None:
    install(TINY)
    data = write_dataset(tmp_path / "data")
    picture(data / "images" / "extra.png")
    (data / "masks" / "other_segmentation.png").write_bytes(b"")
    flags = {
        "evaluate": ("--split", "val", *FAST),
        "train": ("--out", tmp_path / "run", "--from", "tiny"),
        # An untrained model may get much worse by a step, and is then not added.
        "finetune": ("--model", "tiny", "--learning-rate", "0"),
    }[command]
    if command != "evaluate":
        flags += ("--steps", "1", "--batch-size", "2", "--device", "cpu")
    if command == "train":
        flags += ("--size", "16")
    said = run(command, "--data", data, *flags).stderr
    assert f"{data}: 2 files are left out, for the index does not list them" in said
    assert "images/extra.png" in said


def test_export_says_what_it_wrote_and_what_it_left_out_and_why(tmp_path: Path) -> None:
    folder, out = study(tmp_path / "pictures", 3), tmp_path / "set"
    spoil(folder, 1)
    result = run("export", folder, "--out", out, "--coco", exit_code=3)
    assert result.stdout == f"2 samples are in {out}\n"
    assert "Left out." in result.stderr
    assert "p1_segmentation.png" in result.stderr
    assert "12×12" in result.stderr
    assert "2 of 3 samples" in result.stderr
    images = json.loads((out / "annotations.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["p0.png", "p2.png"]
    assert {(image["width"], image["height"]) for image in images} == {(24, 24)}
    spoil(folder, 0)
    spoil(folder, 2)
    assert run("export", folder, "--out", tmp_path / "none", exit_code=4).stdout == ""


def test_images_go_out_without_metadata_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    folder = study(tmp_path / "pictures", 1)
    exif = PillowImage.Exif()
    exif[0x013B] = "Erika Mustermann"
    path = picture(folder / "photo.jpg", (24, 24))
    PillowImage.open(folder / "p0.png").save(path, exif=exif)
    Study.open(folder).save(path, disk(24, 0.3), None)
    run("export", folder, "--out", tmp_path / "clean")
    run("export", folder, "--out", tmp_path / "whole", "--keep-metadata")
    name = "images/photo.jpg"
    assert b"Erika" not in contents(tmp_path / "clean")[name]
    assert contents(tmp_path / "whole")[name] == path.read_bytes()


@pytest.mark.parametrize("out", ["pictures", "pictures/segmentations"])
def test_an_export_into_the_study_is_refused(out: str, tmp_path: Path) -> None:
    folder = study(tmp_path / "pictures", 1)
    before = contents(tmp_path)
    assert (
        "a folder of its own" in run("export", folder, "--out", tmp_path / out, exit_code=4).stderr
    )
    assert contents(tmp_path) == before


def test_an_interrupted_export_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = study(tmp_path / "pictures", 3), tmp_path / "set"
    made = ExportStep.__init__

    def interrupting(step: ExportStep, *arguments: object) -> None:
        if arguments[0] == 3:
            raise KeyboardInterrupt
        made(step, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ExportStep, "__init__", interrupting)
    result = run("export", folder, "--out", out, exit_code=130)
    assert result.stdout == f"2 samples are in {out}\n"
    assert "Interrupted" in result.stderr
    # The third was copied before it could be told of.
    assert len(read_dataset(out).samples) == 3


def test_annotations_are_of_masks_that_fit_their_images(tmp_path: Path) -> None:
    folder, out = study(tmp_path / "pictures", 2), tmp_path / "set"
    run("export", folder, "--out", out)
    # As copied by versions that looked at no mask.
    write_mask(out / "masks" / mask_name("p0"), np.ones((12, 12), dtype=np.bool_))
    (folder / "p0.png").unlink()
    result = run("export", folder, "--out", out, "--coco", exit_code=3)
    assert "p0_segmentation.png" in result.stderr
    assert "12×12" in result.stderr
    assert not (out / "annotations.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="no file can be called so there")
def test_names_that_no_index_can_hold_are_left_out(tmp_path: Path) -> None:
    folder = study(tmp_path / "pictures", 1)
    path = picture(folder / "two\nlines\x1b[2J.png", (24, 24))
    Study.open(folder).save(path, disk(24, 0.3), None)
    result = run("export", folder, "--out", tmp_path / "set", exit_code=3)
    assert "control characters" in result.stderr
    assert result.stderr.count("Left out.") == 1
