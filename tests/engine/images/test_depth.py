"""Laws of deep pictures: what a file states is honoured, what it uses is said, nothing is black."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from engine.errors import UnreadableImage
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from tests.engine.pictures import COLOUR, GREY, GREY_RGB, png_chunk, png_of, written

OPAQUE = np.full_like(GREY, 255)


def in_bits(levels: Any, bits: int) -> Any:
    """Levels of 0 to 255 as whole numbers of 0 to 2^bits - 1 in sixteen."""
    return np.rint(levels * ((2**bits - 1) / 255)).astype(np.uint16)


def difference(path: Path, wanted_hwc: Any) -> int:
    pixels_hwc = read_image(path).pixels_hwc.astype(int)
    assert pixels_hwc.shape == wanted_hwc.shape
    return int(np.abs(pixels_hwc - wanted_hwc).max())


def significant(bits: int, channels: int = 1) -> bytes:
    return png_chunk(b"sBIT", bytes([bits] * channels))


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["png", "tif", "big-endian.tif"])
def test_fewer_bits_in_sixteen_are_told_by_what_is_used(
    tmp_path: Path, bits: int, kind: str
) -> None:
    path = tmp_path / f"grey.{kind}"
    levels = np.where(GREY.max() == GREY, 255, GREY)
    if kind == "png":
        written(path, png_of(in_bits(levels, bits)))
    else:
        order: Any = ">" if kind.startswith("big") else "<"
        tifffile.imwrite(path, in_bits(levels, bits), byteorder=order)
    assert difference(path, levels[..., None].repeat(3, 2)) <= 1
    ends = f"{2**bits - 1:,}"
    assert read_image(path).note == f"its 16-bit values end at {ends}: read as {bits} bits"


@pytest.mark.parametrize("name", ["rgb.png", "rgba.png", "rgb.tif", "big.tif", "zip.tif"])
@pytest.mark.parametrize("bits", [10, 12])
def test_so_are_those_of_colours(tmp_path: Path, name: str, bits: int) -> None:
    path, values = tmp_path / name, in_bits(COLOUR, bits)
    match name:
        case "rgb.png":
            written(path, png_of(values))
        case "rgba.png":
            written(path, png_of(np.dstack([values, in_bits(OPAQUE, bits)])))
        case "zip.tif":
            tifffile.imwrite(path, values, photometric="rgb", compression="zlib")
        case _:
            order: Any = ">" if name == "big.tif" else "<"
            tifffile.imwrite(path, values, photometric="rgb", byteorder=order)
    assert difference(path, COLOUR) <= 1
    assert f"read as {bits} bits" in read_image(path).note


def test_opacity_of_full_scale_goes_with_colours_of_twelve_bits(tmp_path: Path) -> None:
    half = np.where(np.arange(32) < 16, 0, 65_535).astype(np.uint16) + 0 * in_bits(GREY, 12)
    wanted = np.where(half[..., None] > 0, COLOUR, 0)
    path = written(tmp_path / "rgba.png", png_of(np.dstack([in_bits(COLOUR, 12), half])))
    assert difference(path, wanted) <= 1
    grey = written(tmp_path / "la.png", png_of(np.dstack([in_bits(GREY, 12), half])))
    assert difference(grey, np.where(half[..., None] > 0, GREY_RGB, 0)) <= 1


def test_full_scale_stays_as_it_is_and_says_nothing(tmp_path: Path) -> None:
    for name, values, wanted in [
        ("grey.png", in_bits(GREY, 16), GREY_RGB),
        ("rgb.png", in_bits(COLOUR, 16), COLOUR),
        ("la.png", in_bits(np.dstack([GREY, OPAQUE]), 16), GREY_RGB),
        ("black.png", in_bits(GREY * 0, 16), GREY_RGB * 0),
        ("black rgb.png", in_bits(COLOUR * 0, 16), COLOUR * 0),
    ]:
        path = written(tmp_path / name, png_of(values))
        assert difference(path, wanted) <= 1, name
        assert read_image(path).note == "", name


@pytest.mark.parametrize(
    "tags",
    [
        [(281, 3, 1, 4095, True)],
        [(280, 3, 1, 0, True), (281, 3, 1, 4095, True)],
        [(341, 3, 1, 4095, True)],
        [(341, 11, 1, 4095.0, True)],
        [(340, 3, 1, 0, True), (341, 4, 1, 4095, True)],
    ],
)
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_a_tiff_states_its_range_even_of_a_dark_picture(
    tmp_path: Path, tags: list[Any], photometric: Any
) -> None:
    # A tenth as bright as it could be: what is used would say ten bits.
    levels = (COLOUR if photometric == "rgb" else GREY) // 10
    values = in_bits(levels, 12)
    path = tmp_path / "stated.tif"
    tifffile.imwrite(path, values, photometric=photometric, extratags=tags)
    wanted = levels if photometric == "rgb" else levels[..., None].repeat(3, 2)
    assert difference(path, wanted) <= 1
    assert read_image(path).note == ""


def test_a_statement_that_the_values_disprove_is_none(tmp_path: Path) -> None:
    path = tmp_path / "wrong.tif"
    tifffile.imwrite(path, in_bits(GREY, 16), extratags=[(281, 3, 1, 100, True)])
    assert difference(path, GREY_RGB) <= 1


def test_the_range_that_imagej_shows_is_honoured(tmp_path: Path) -> None:
    path = tmp_path / "imagej.tif"
    values = in_bits(GREY, 12) + np.uint16(500)
    tifffile.imwrite(path, values, imagej=True, metadata={"min": 500.0, "max": 4595.0})
    assert difference(path, GREY_RGB) <= 1
    # It may show a part only.
    tifffile.imwrite(path, values, imagej=True, metadata={"min": 500.0, "max": 2547.5})
    assert difference(path, np.minimum(GREY_RGB.astype(int) * 2, 255)) <= 1
    heights = GREY.astype(np.float32) * 4 - 100
    tifffile.imwrite(path, heights, imagej=True, metadata={"min": -100.0, "max": 920.0})
    assert difference(path, GREY_RGB) <= 1


def test_significant_bits_of_a_png_say_what_is_white(tmp_path: Path) -> None:
    dark, pale = GREY // 10, COLOUR // 10
    path = written(tmp_path / "grey.png", png_of(in_bits(dark, 12), significant(12)))
    assert difference(path, dark[..., None].repeat(3, 2)) <= 1
    path = written(tmp_path / "rgb.png", png_of(in_bits(pale, 12), significant(12, 3)))
    assert difference(path, pale) <= 1
    assert read_image(path).note == ""
    # As the standard has it: the bits are moved up, and below are none or copies.
    values = in_bits(GREY, 12)
    for name, moved in [("up.png", values << 4), ("copied.png", values << 4 | values >> 8)]:
        path = written(tmp_path / name, png_of(moved, significant(12)))
        assert difference(path, GREY_RGB) <= 1, name


def test_bits_that_are_moved_up_have_their_full_scale_in_a_dark_picture_too(tmp_path: Path) -> None:
    dark = GREY // 8
    moved = in_bits(dark, 12) << 4
    path = written(tmp_path / "up.png", png_of(moved, significant(12)))
    assert difference(path, dark[..., None].repeat(3, 2)) <= 1
    assert read_image(path).note == ""


def test_opacity_of_all_bits_hides_not_how_many_the_colours_have(tmp_path: Path) -> None:
    pale = COLOUR // 10
    opaque = np.full((*pale.shape[:2], 1), 65_535, np.uint16)
    values = np.concatenate([in_bits(pale, 12), opaque], axis=2)
    bits = png_chunk(b"sBIT", bytes((12, 12, 12, 16)))
    path = written(tmp_path / "rgba.png", png_of(values, bits))
    assert difference(path, pale) <= 1
    assert read_image(path).note == ""


def test_planes_of_sixteen_bits_are_read_or_refused(tmp_path: Path) -> None:
    path, planes = tmp_path / "planes.tif", np.moveaxis(in_bits(COLOUR, 16), -1, 0)
    for order in ("<", ">"):
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", byteorder=order)
        assert difference(path, COLOUR) <= 1
    tifffile.imwrite(path, planes >> 4, photometric="rgb", planarconfig="separate")
    with pytest.raises(UnreadableImage, match="a part of their range"):
        read_image(path)


def test_floats_a_little_above_one_are_not_taken_for_levels(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    tifffile.imwrite(path, GREY / np.float32(240))
    with pytest.raises(UnreadableImage, match="not 0 to 1 or 0 to 255"):
        read_image(path)


@pytest.mark.parametrize("white", [1, 255, 1023, 4095, 16_383, 65_535])
def test_masks_of_every_depth_are_read(tmp_path: Path, white: int) -> None:
    mask_hw = np.arange(32) + np.arange(24)[:, None] > 40
    path = written(tmp_path / "mask.png", png_of(mask_hw.astype(np.uint16) * np.uint16(white)))
    assert np.array_equal(read_mask(path), mask_hw)
    values = np.dstack([mask_hw] * 3).astype(np.uint16) * np.uint16(white)
    assert np.array_equal(read_mask(written(path, png_of(values))), mask_hw)


@pytest.mark.parametrize("bits", [12, 16])
def test_a_transparent_colour_of_sixteen_bits_is_exact(tmp_path: Path, bits: int) -> None:
    values = in_bits(COLOUR, bits)
    values[5, 5] = values[3, 3] ^ 1
    key = png_chunk(b"tRNS", values[3, 3].astype(">u2").tobytes())
    wanted = COLOUR.copy()
    wanted[5, 5], wanted[3, 3] = COLOUR[3, 3], 0
    assert difference(written(tmp_path / "a.png", png_of(values, key)), wanted) <= 1


def test_deep_pictures_are_upright(tmp_path: Path) -> None:
    path, turned = tmp_path / "a.tif", np.rot90(COLOUR, -1)
    tifffile.imwrite(path, in_bits(COLOUR, 12), photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    assert difference(path, turned) <= 1
    grey = in_bits(GREY, 12)
    tifffile.imwrite(path, grey, extratags=[(274, 3, 1, 6, True)])
    assert difference(path, np.rot90(GREY_RGB, -1)) <= 1
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    chunk = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    assert difference(written(path, png_of(in_bits(COLOUR, 12), chunk)), turned) <= 1
