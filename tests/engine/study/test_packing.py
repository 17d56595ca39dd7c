"""Law: a pack is a whole data set folder, small, or there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.errors import DatasetProblem, UnreadableImage
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from engine.study.dataset import read_dataset
from engine.study.packing import pack
from engine.types import Dataset, Style
from tests.samples import drawn_dataset

STYLES = (
    "id,tool,masks,agreement,licence,lesion_id,patient_id\n"
    "drawn_0,T1+,2,0.75,CC-0,IL_1,IP_1\n"
    "drawn_1,,1,,CC-BY,,\n"
    "drawn_3,T3,1,,CC-0,IL_1,\n"
)


@pytest.fixture
def drawn(tmp_path: Path) -> Dataset:
    """Eight drawn samples, of which the first shows the lesion of one of val."""
    root = drawn_dataset(tmp_path).root
    (root / "styles.csv").write_text(STYLES)
    return read_dataset(root)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_pack_is_a_smaller_data_set_of_the_same_samples(drawn: Dataset, tmp_path: Path) -> None:
    *_, last = pack([drawn], tmp_path / "pack", 16, 1.0)
    found = read_dataset(tmp_path / "pack")
    assert [x.id for x in last.leaking] == ["drawn_0"]
    expected = {x.id: (x.split, x.style, x.kin) for x in drawn.samples if x.id != "drawn_0"}
    assert {x.id: (x.split, x.style, x.kin) for x in found.samples} == expected
    assert found.left_out == ()
    assert (last.done, last.total, last.path.parent) == (7, 7, tmp_path / "pack/images")
    assert last.size_bytes == sum(x.stat().st_size for x in last.path.parents[1].rglob("*.*"))
    for small, sample in zip(found.samples, drawn.samples[1:], strict=True):
        image = read_image(small.image_path)
        assert (image.height, image.width) == (16, 16)
        whole = read_image(sample.image_path).pixels_hwc
        coarse_hwc = whole.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
        assert np.abs(image.pixels_hwc - coarse_hwc).mean() < 6
        share_hw = read_mask(sample.mask_path).reshape(16, 2, 16, 2).mean(axis=(1, 3))
        assert np.array_equal(read_mask(small.mask_path, (16, 16)), share_hw >= 0.5)
        with PillowImage.open(small.mask_path) as mask:
            assert mask.mode == "1"


def test_licences_and_tools_are_handed_on_as_they_were(drawn: Dataset, tmp_path: Path) -> None:
    styles = STYLES.replace("IL_1", "").replace("IP_1", "") + "elsewhere,T2,1,,CC-0,,\n"
    (drawn.root / "styles.csv").write_text(styles)
    list(pack([read_dataset(drawn.root)], tmp_path / "pack", 16, 1.0))
    rows = (tmp_path / "pack/styles.csv").read_text().splitlines()
    assert rows[:2] == ["id,tool,masks,agreement,licence", "drawn_0,T1+,2,0.75,CC-0"]
    assert len(rows) == 4
    assert read_dataset(tmp_path / "pack").samples[0].style == Style("T1", 2, 0.75)


def test_a_table_of_styles_that_the_samples_do_not_come_from_is_not_read(
    drawn: Dataset, tmp_path: Path
) -> None:
    # As of a folder under annotation, beside whose pictures lies a file of that name.
    (drawn.root / "styles.csv").write_text("colour,weight\nred,3\n")
    bare = replace(drawn, samples=tuple(replace(each, style=None) for each in drawn.samples))
    list(pack([bare], tmp_path / "pack", 16, 1.0))
    assert not (tmp_path / "pack/styles.csv").exists()


def test_smaller_images_keep_their_size_and_longer_ones_their_shape(tmp_path: Path) -> None:
    root = drawn_dataset(tmp_path, count=4).root
    PillowImage.new("RGB", (300, 100)).save(root / "images/drawn_0.png")
    PillowImage.new("L", (300, 100)).save(root / "masks/drawn_0_segmentation.png")
    list(pack([read_dataset(root)], tmp_path / "pack", 50, 1.0))
    shapes = [read_image(x.image_path) for x in read_dataset(tmp_path / "pack").samples]
    assert [(x.height, x.width) for x in shapes] == [(50, 150), *[(32, 32)] * 3]
    assert not (tmp_path / "pack/styles.csv").exists()


def test_a_pack_that_would_be_too_large_is_none(drawn: Dataset, tmp_path: Path) -> None:
    before = left(tmp_path)
    with pytest.raises(DatasetProblem, match=r"larger than 0\.003 MB"):
        list(pack([drawn], tmp_path / "pack", 32, 0.003))
    assert left(tmp_path) == before


def test_what_is_there_is_not_replaced(drawn: Dataset, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    before = left(tmp_path)
    with pytest.raises(DatasetProblem, match="is there already"):
        next(pack([drawn], tmp_path / "pack", 32, 1.0))
    assert left(tmp_path) == before


def test_an_unreadable_image_leaves_no_pack(drawn: Dataset, tmp_path: Path) -> None:
    before = left(tmp_path)
    drawn.samples[4].image_path.write_bytes(b"no picture")
    with pytest.raises(UnreadableImage, match=r"drawn_4\.png"):
        list(pack([drawn], tmp_path / "pack", 32, 1.0))
    assert left(tmp_path) == before


def test_a_pack_that_is_not_finished_is_none(drawn: Dataset, tmp_path: Path) -> None:
    before = left(tmp_path)
    steps = pack([drawn], tmp_path / "pack", 32, 1.0)
    next(steps)
    assert len(left(tmp_path)) == len(before) + 1
    steps.close()  # type: ignore[attr-defined]
    assert left(tmp_path) == before


def test_two_data_sets_with_one_id_are_no_pack(drawn: Dataset, tmp_path: Path) -> None:
    other = drawn_dataset(tmp_path / "other")
    with pytest.raises(DatasetProblem, match="and so has"):
        next(pack([drawn, other], tmp_path / "pack", 32, 1.0))


@pytest.mark.data
def test_a_sample_of_isic2018_stays_below_ten_thousand_bytes_an_image(
    isic2018: Path, tmp_path: Path
) -> None:
    # 40 MB hold two thousand and a half of them twice over.
    whole = read_dataset(isic2018)
    few = Dataset(whole.root, whole.samples[::60])
    *_, last = pack([few], tmp_path / "pack", 192, 40.0)
    assert 5000 < last.size_bytes / last.total < 10_000
