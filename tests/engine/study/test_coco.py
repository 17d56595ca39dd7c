"""Law: what COCO's readers see of a mask is the mask, to the pixel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.errors import DatasetProblem, UnreadableMask
from engine.masks.edits import polygon
from engine.masks.files import write_mask
from engine.study.coco import polygons, write_annotations
from engine.study.dataset import read_dataset
from engine.study.study import Study
from tests.engine.commands import picture, run
from tests.oracles import disk

Mask = NDArray[np.bool_]


def area(xy: list[float]) -> float:
    """The area in a polygon of x, y, x, y …"""
    x, y = np.array(xy, dtype=float).reshape(-1, 2).T
    return abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2


def painted(mask_hw: Mask) -> Mask:
    """A mask painted anew from its polygons, each added to those before."""
    again_hw = np.zeros_like(mask_hw)
    for corners_rc in polygons(mask_hw):
        own_hw = np.zeros_like(mask_hw)
        patch = polygon(own_hw, corners_rc, True)
        assert patch is not None
        rows, columns = patch.after_hw.shape
        own_hw[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.after_hw
        again_hw |= own_hw
    return again_hw


def ring() -> Mask:
    """A ring that touches the border, an island in its hole, and a pixel for itself."""
    mask_hw = disk(40, 0.5) & ~disk(40, 0.3) | disk(40, 0.1)
    mask_hw[0, 0] = True
    return mask_hw


@pytest.mark.parametrize(
    "mask_hw",
    [
        disk(40),
        ring(),
        np.ones((3, 5), np.bool_),
        np.eye(6, dtype=np.bool_),
        ~np.eye(6, dtype=bool),
    ],
    ids=["disk", "ring", "all", "diagonal", "two"],
)
def test_the_polygons_cover_the_mask_and_nothing_else(mask_hw: Mask) -> None:
    assert np.array_equal(painted(mask_hw), mask_hw)
    total = sum(area(line[:, ::-1].ravel().tolist()) for line in polygons(mask_hw))
    assert total == np.count_nonzero(mask_hw)


@settings(max_examples=200, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_any_mask_comes_back_from_its_polygons(mask_hw: Mask) -> None:
    assert np.array_equal(painted(mask_hw), mask_hw)


def test_an_empty_mask_has_no_polygon() -> None:
    assert polygons(np.zeros((4, 4), np.bool_)) == []


def exported(folder: Path, *masks: Mask) -> Path:
    """What `export --coco` makes of pictures with these masks, saved one after the other."""
    for number, mask_hw in enumerate(masks):
        path = picture(folder / "pictures" / f"p{number}.png", mask_hw.shape, 180 + number)
        Study.open(path.parent).save(path, mask_hw, None)
    out = folder / "set"
    assert str(len(masks)) in run("export", folder / "pictures", "--out", out, "--coco").stdout
    return out


def test_export_writes_annotations_that_plain_json_reads(tmp_path: Path) -> None:
    masks = [disk(40, 0.3), np.zeros((24, 32), np.bool_), ring()]
    out = exported(tmp_path, *masks)
    content = json.loads((out / "annotations.json").read_text())
    assert [each["name"] for each in content["categories"]] == ["lesion"]
    assert [each["file_name"] for each in content["images"]] == ["p0.png", "p1.png", "p2.png"]
    splits = {sample.id: sample.split for sample in read_dataset(out).samples}
    for each in content["images"]:
        with PillowImage.open(out / "images" / each["file_name"]) as image:
            assert image.size == (each["width"], each["height"])
        assert each["split"] == splits[Path(each["file_name"]).stem]
    by_image = {each["image_id"]: each for each in content["annotations"]}
    ids = [each["id"] for each in content["images"]]
    assert list(by_image) == [ids[0], ids[2]]
    for number, each in by_image.items():
        mask_hw = masks[ids.index(number)]
        assert (each["iscrowd"], each["category_id"]) == (0, content["categories"][0]["id"])
        assert each["area"] == np.count_nonzero(mask_hw)
        assert sum(map(area, each["segmentation"])) == pytest.approx(each["area"], rel=0.02)
        x, y, width, height = each["bbox"]
        assert mask_hw[y : y + height, x : x + width].sum() == each["area"]
        inside_hw = mask_hw[y : y + height, x : x + width]
        assert inside_hw[[0, -1]].any(axis=1).all()
        assert inside_hw[:, [0, -1]].any(axis=0).all()


def test_what_was_exported_before_stays_in_the_annotations(tmp_path: Path) -> None:
    exported(tmp_path, disk(40), disk(40, 0.2))
    (tmp_path / "pictures" / "p0.png").unlink()
    out = tmp_path / "set"
    run("export", tmp_path / "pictures", "--out", out, "--coco")
    assert len(json.loads((out / "annotations.json").read_text())["images"]) == 2
    assert len(read_dataset(out).samples) == 2


def test_a_damaged_mask_and_a_place_that_is_taken_are_named(tmp_path: Path) -> None:
    out = exported(tmp_path, disk(40), disk(40, 0.2))
    before = (out / "annotations.json").read_bytes()
    dataset = read_dataset(out)
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no mask")
    samples = (dataset.samples[0], replace(dataset.samples[1], mask_path=damaged))
    with pytest.raises(UnreadableMask, match="damaged"):
        list(write_annotations(replace(dataset, samples=samples)))
    assert (out / "annotations.json").read_bytes() == before
    elsewhere = replace(dataset, root=tmp_path / "elsewhere")
    (elsewhere.root / "annotations.json").mkdir(parents=True)
    write_mask(damaged, disk(8))
    with pytest.raises(DatasetProblem, match=r"annotations\.json"):
        list(write_annotations(elsewhere))
