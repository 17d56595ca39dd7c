"""Laws of files of several pages: one picture is read and that is said, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from engine.errors import UnreadableImage, UnreadableMask
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from tests.engine.pictures import COLOUR, GREY

APART = "it has {} pages of one channel each: save it as one RGB picture"


def pages_of(path: Path, *pages: Any, **options: Any) -> Path:
    """A TIFF with these pages, each an array or (array, options)."""
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            pixels, more = page if isinstance(page, tuple) else (page, {})
            file.write(pixels, contiguous=False, metadata=None, **options, **more)
    return path


@pytest.mark.parametrize("count", [2, 5])
def test_of_pages_the_first_is_read_and_their_number_is_said(tmp_path: Path, count: int) -> None:
    pages = [np.roll(COLOUR, place, axis=0) for place in range(count)]
    path = pages_of(tmp_path / "a.tif", *pages, photometric="rgb")
    image = read_image(path)
    assert np.array_equal(image.pixels_hwc, COLOUR)
    assert image.note == f"it has {count} pages: the first is read"
    with pytest.raises(UnreadableMask, match=f"it has {count} pages, where a mask is one picture"):
        read_mask(path)


def test_very_many_pages_are_not_counted(tmp_path: Path) -> None:
    path = pages_of(tmp_path / "a.tif", *[COLOUR[:2, :2]] * 80, photometric="rgb")
    assert read_image(path).note == "it has more than 50 pages: the first is read"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_channels_that_lie_on_pages_are_refused(tmp_path: Path, dtype: Any, count: int) -> None:
    channels = [COLOUR[..., place % 3].astype(dtype) for place in range(count)]
    path = pages_of(tmp_path / "a.tif", *channels)
    for read, error in ((read_image, UnreadableImage), (read_mask, UnreadableMask)):
        with pytest.raises(error, match=APART.format(count)):  # type: ignore[call-overload]
            read(path)  # type: ignore[operator]


def test_channels_of_imagej_are_refused_however_many(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for shape in ((3, 24, 32), (7, 24, 32)):
        stack = np.zeros(shape, np.uint8) + GREY
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "CYX"})
        with pytest.raises(UnreadableImage, match=APART.format(shape[0])):
            read_image(path)
    tifffile.imwrite(
        path, np.zeros((9, 24, 32), "u1") + GREY, imagej=True, metadata={"axes": "ZYX"}
    )
    assert read_image(path).note == "it has 9 pages: the first is read"
    tifffile.imwrite(path, COLOUR, imagej=True)
    assert read_image(path).note == ""


def test_smaller_copies_and_previews_are_no_pages(tmp_path: Path) -> None:
    small: Any = COLOUR[::2, ::2]
    path = pages_of(
        tmp_path / "a.tif",
        COLOUR, (small, {"subfiletype": 1}), (small[::2, ::2], {"subfiletype": 1}),
        photometric="rgb",
    )  # fmt: skip
    image = read_image(path)
    assert np.array_equal(image.pixels_hwc, COLOUR)
    assert image.note == ""
    grey = pages_of(tmp_path / "grey.tif", GREY, (GREY[::2, ::2], {"subfiletype": 1}))
    assert read_image(grey).note == ""


def test_pages_of_a_fax_are_pages(tmp_path: Path) -> None:
    picture = PillowImage.fromarray(GREY > 99)
    path = tmp_path / "fax.tif"
    picture.save(path, compression="group4", save_all=True, append_images=[picture] * 2)
    assert read_image(path).note == "it has 3 pages: the first is read"


def test_a_damaged_second_page_harms_no_first(tmp_path: Path) -> None:
    path = pages_of(tmp_path / "a.tif", COLOUR, GREY)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    path.write_bytes(content[:second] + b"\xff" * 9 + content[second + 9 :])
    assert read_image(path).pixels_hwc.any()


def test_channels_in_planes_are_one_picture(tmp_path: Path) -> None:
    path, planes = tmp_path / "a.tif", np.moveaxis(COLOUR, -1, 0)
    every: list[dict[str, Any]] = [{}, {"rowsperstrip": 5}, {"tile": (16, 16)}]
    every += [{"compression": "zlib"}, {"compression": "zlib", "tile": (16, 16)}]
    for options in every:
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", **options)
        image = read_image(path)
        assert np.array_equal(image.pixels_hwc, COLOUR), options
        assert image.note == ""
