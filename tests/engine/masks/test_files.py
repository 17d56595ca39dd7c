"""Law: a mask file is found, is what was written, and is read as other programs write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from PIL import Image as PillowImage

from engine.errors import UnreadableMask
from engine.masks.files import find_mask, mask_name, write_mask
from engine.masks.reading import read_mask

Mask = np.ndarray[Any, np.dtype[np.bool_]]

any_mask = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@settings(deadline=None, max_examples=25)
@given(mask_hw=any_mask)
def test_a_mask_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, mask_hw: Mask
) -> None:
    path = tmp_path_factory.mktemp("masks") / mask_name("Fläche 1")
    write_mask(path, mask_hw)
    assert np.array_equal(read_mask(path, mask_hw.shape), mask_hw)
    with PillowImage.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        assert set(np.unique(np.asarray(picture))) <= {0, 255}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def saved_masks(folder: Path, mask_hw: Mask) -> dict[str, Path]:
    """The same mask as many programs write it."""
    grey = PillowImage.fromarray(mask_hw.astype(np.uint8) * np.uint8(255))
    ones = mask_hw.astype(np.uint8)
    coloured = PillowImage.fromarray(ones)
    coloured.putpalette([0, 0, 0, 128, 0, 0])
    tricolour = grey.copy()
    tricolour.putpalette([value for value in range(256) for _ in range(3)])
    clear = PillowImage.merge("RGBA", [PillowImage.new("L", grey.size, 255)] * 3 + [grey])
    opaque = grey.convert("RGBA")
    smoothed = grey.resize((grey.width * 4, grey.height * 4), PillowImage.Resampling.BICUBIC)
    pictures = {
        "0 and 255": grey,
        "0 and 1": PillowImage.fromarray(ones),
        "1 bit": grey.convert("1"),
        "palette in colours": coloured,
        "palette of greys": tricolour,
        "RGB": grey.convert("RGB"),
        "RGBA": opaque,
        "white on transparent": clear,
        "grey and alpha": grey.convert("LA"),
        "16 bit": PillowImage.fromarray(mask_hw.astype(np.uint16) * np.uint16(65535)),
        "16 bit, 0 and 1": PillowImage.fromarray(mask_hw.astype(np.uint16)),
        "16 bit, 0 and 255": PillowImage.fromarray(mask_hw.astype(np.uint16) * np.uint16(255)),
        "antialiased": smoothed.resize(grey.size, PillowImage.Resampling.BILINEAR),
    }
    paths = {}
    for name, picture in pictures.items():
        paths[name] = folder / f"{name}.png"
        picture.save(paths[name])
    for name, picture in {"JPEG": grey, "TIFF": grey.convert("1"), "BMP": grey}.items():
        paths[name] = folder / f"{name}.{name.lower()}"
        picture.save(paths[name])
    paths["float TIFF"] = folder / "float.tif"
    PillowImage.fromarray(mask_hw.astype(np.float32)).save(paths["float TIFF"])
    return paths


def test_masks_of_other_programs_are_read(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:90, :120] + 0.5
    mask_hw = (rows - 40.2) ** 2 + (columns - 60.3) ** 2 <= 25.5**2
    for name, path in saved_masks(tmp_path, mask_hw).items():
        assert np.array_equal(read_mask(path, (90, 120)), mask_hw), name


def test_what_is_not_this_images_mask_is_refused(tmp_path: Path) -> None:
    labels_hw = np.zeros((40, 50), np.uint8)
    labels_hw[5:20, 5:20], labels_hw[20:35, 20:40] = 1, 2
    colours_hwc = np.zeros((40, 50, 3), np.uint8)
    colours_hwc[5:20, 5:20, 0] = 255
    refused = {
        "labels.png": (labels_hw, "greys end at 2"),
        "trimap.png": (labels_hw * np.uint8(127), "several labels"),
        "dark.png": (labels_hw * np.uint8(40), "greys end at 80"),
        "colours.png": (colours_hwc, "colour picture"),
    }
    for name, (pixels, reason) in refused.items():
        PillowImage.fromarray(pixels).save(tmp_path / name)
        with pytest.raises(UnreadableMask, match=reason) as caught:
            read_mask(tmp_path / name)
        assert caught.value.path == tmp_path / name
    write_mask(tmp_path / "other.png", np.ones((40, 50), bool))
    with pytest.raises(UnreadableMask, match="50×40 pixels, its image has 60×40"):
        read_mask(tmp_path / "other.png", (40, 60))
    (tmp_path / "text.png").write_text("no mask")
    with pytest.raises(UnreadableMask, match="text file"):
        read_mask(tmp_path / "text.png")
    with pytest.raises(UnreadableMask, match="no such file"):
        read_mask(tmp_path / "missing.png")


@pytest.mark.parametrize("spelling", ["_segmentation", "_Segmentation"])
def test_masks_are_found_in_both_spellings(tmp_path: Path, spelling: str) -> None:
    assert find_mask(tmp_path, "ISIC_1") is None
    path = tmp_path / f"ISIC_1{spelling}.png"
    write_mask(path, np.ones((3, 3), bool))
    assert find_mask(tmp_path, "ISIC_1") == path
    assert find_mask(tmp_path, "ISIC_2") is None


def test_expert_masks_are_read_and_their_pictures_are_refused(isic2018: Path) -> None:
    for mask_path in sorted((isic2018 / "masks").iterdir())[:3]:
        assert read_mask(mask_path, (512, 512)).shape == (512, 512)
    for image_path in sorted((isic2018 / "images").iterdir())[:3]:
        with pytest.raises(UnreadableMask, match="colour picture"):
            read_mask(image_path)
