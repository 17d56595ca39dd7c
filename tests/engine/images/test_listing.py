"""Laws of what is taken for an image of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UnreadableImage
from engine.images.formats import IMAGE_SUFFIXES, READS_AVIF
from engine.images.listing import is_image, list_folder, list_images


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def listed(folder: Path) -> list[str]:
    return [path.name for path in list_images(folder)]


def test_a_folder_is_listed_in_counting_order_without_masks(tmp_path: Path) -> None:
    # B1_variance.png is a map of no result: no record is beside it.
    wanted = ["a2.png", "a10.JPG", "B1.tiff", "B1_variance.png", "I_3.jpeg", "I_12.bmp", "Ü.tif"]
    others = [".hidden.png", "a2_segmentation.png", "a10_Segmentation.png", "a2_variance.png"]
    touched(tmp_path, *wanted, *others, "a2.json", "notes.txt")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    assert listed(tmp_path) == wanted
    with pytest.raises(UnreadableImage, match="no such file"):
        list_images(tmp_path / "missing")


def test_every_suffix_that_is_read_is_listed_in_any_letter_case(tmp_path: Path) -> None:
    assert {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif"} < IMAGE_SUFFIXES
    assert (".avif" in IMAGE_SUFFIXES) == READS_AVIF
    names = [f"{place}{suffix}" for place, suffix in enumerate(sorted(IMAGE_SUFFIXES))]
    names += [name.replace(".", "b.").upper() for name in names]
    touched(tmp_path, *names)
    assert sorted(listed(tmp_path)) == sorted(names)
    assert all(is_image(tmp_path / name) for name in names)


MAPS = [
    "ISIC_1_segmentation.png", "ISIC_1_Segmentation.PNG", "ISIC_1_superpixels.png",
    "isic_1_attribute_pigment_network.png", "ISIC_1_Attribute_globules.png",
]  # fmt: skip
MAPS_OF_ANOTHER = [
    "mole_mask.png", "MOLE_MASK.BMP", "mole-mask.tif", "mole_lesion.bmp", "mole_Lesion.jpg",
    "mole_seg.png", "mole_overlay.png", "mole_gt.png", "mole_GroundTruth.png",
    "mole_R1_Label2.bmp", "mole mask.png", "mole_masks.webp", "mole_segmentation_mask.png",
    "mole_label.png", "mole-Labels.tif", "mole_annotation.png", "mole_contour.png",
]  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_maps_of_isic_and_of_this_program_are_never_images(tmp_path: Path, name: str) -> None:
    touched(tmp_path, name, "other.jpg")
    assert listed(tmp_path) == ["other.jpg"]
    assert not is_image(tmp_path / name)


@pytest.mark.parametrize("name", MAPS_OF_ANOTHER)
@pytest.mark.parametrize("picture", ["mole.jpg", "Mole.JPE", "mole.heic"])
def test_a_map_lies_beside_its_picture_and_a_photograph_alone(
    tmp_path: Path, name: str, picture: str
) -> None:
    touched(tmp_path, name, "other.jpg", "mole.txt")
    assert is_image(tmp_path / name)
    assert set(listed(tmp_path)) == {name, "other.jpg"}
    touched(tmp_path, picture)
    assert not is_image(tmp_path / name)
    assert name not in listed(tmp_path)
    assert "other.jpg" in listed(tmp_path)


def test_a_variance_map_has_its_record_beside_it(tmp_path: Path) -> None:
    touched(tmp_path, "a_variance.png")
    assert is_image(tmp_path / "a_variance.png")
    touched(tmp_path, "a.json", "a_variance.jpg")
    assert not is_image(tmp_path / "a_variance.png")
    assert listed(tmp_path) == ["a_variance.jpg"]


def test_a_name_can_be_asked_for_where_no_file_is(tmp_path: Path) -> None:
    assert is_image(tmp_path / "missing" / "a_mask.png")
    assert not is_image(tmp_path / "missing" / "a.txt")


def test_pictures_that_are_not_read_are_named_and_counted(tmp_path: Path) -> None:
    names = ["1.heic", "2.HEIF", "3.HeIc", "a.gif", "x.CR2", "y.dng", "b.psd", "d.jp2"]
    touched(tmp_path, *names, "a.jpg", ".hidden.heic", "notes.txt", "splits.csv", "Thumbs.db")
    (tmp_path / "folder.heic").mkdir()
    listing = list_folder(tmp_path)
    assert [path.name for path in listing.images] == ["a.jpg"]
    assert listing.skipped == {
        "GIF": 1, "HEIC": 3, "JPEG 2000": 1, "Photoshop": 1, "raw camera": 2
    }  # fmt: skip
    assert list(listing.skipped) == sorted(listing.skipped)


def test_a_link_that_leads_to_itself_hides_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").symlink_to("b.png")
    assert list_images(tmp_path) == [tmp_path / "a.png"]
