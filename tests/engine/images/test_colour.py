"""Laws of colour: a profile is honoured for what it does, in every mode, everywhere alike."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from skimage import color

from engine.images import colour
from engine.images.preview import read_preview
from engine.images.reading import read_image
from tests.engine.pictures import (
    COLOUR,
    GREY,
    GREY_RGB,
    black_ink_profile,
    bytes_of,
    encoded,
    gamma_profile,
    png_chunk,
    png_of,
    srgb_profile,
    swapped_profile,
    written,
)

SWAPPED = COLOUR[..., [1, 0, 2]]
LINEAR = np.rint(encoded(COLOUR / 255)).astype(int)
LINEAR_GREY = np.rint(encoded(GREY / 255)).astype(int)[..., None].repeat(3, 2)
OPAQUE = np.full_like(GREY, 255)


def difference(path: Path, wanted_hwc: Any) -> int:
    pixels_hwc = read_image(path).pixels_hwc.astype(int)
    assert pixels_hwc.shape == wanted_hwc.shape
    return int(np.abs(pixels_hwc - wanted_hwc).max())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_profile_that_calls_itself_srgb_is_asked_what_it_does(tmp_path: Path, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = bytes_of(COLOUR, kind, icc_profile=swapped_profile(), **options)
    assert b"s\0R\0G\0B" in swapped_profile()
    assert difference(written(tmp_path / "picture", content), SWAPPED) <= 2


def test_profiles_of_pictures_with_alpha_and_palette_are_honoured(tmp_path: Path) -> None:
    profile = swapped_profile()
    half_hw = np.where(np.arange(32) < 16, 0, 255).astype(np.uint8) + 0 * GREY
    rgba = bytes_of(np.dstack([COLOUR, half_hw]), "PNG", icc_profile=profile)
    seen = np.where(half_hw[..., None] > 0, SWAPPED, 0)
    assert difference(written(tmp_path / "rgba.png", rgba), seen) <= 2
    bands = PillowImage.fromarray(COLOUR).quantize(16)
    wanted = np.asarray(bands.convert("RGB"))[..., [1, 0, 2]]
    palette = bytes_of(bands, "PNG", icc_profile=profile)
    assert difference(written(tmp_path / "palette.png", palette), wanted) <= 2
    clear = bytes_of(bands, "PNG", icc_profile=profile, transparency=bytes([0] + [255] * 15))
    seen = np.where((np.asarray(bands) == 0)[..., None], 0, wanted)
    assert difference(written(tmp_path / "some clear.png", clear), seen) <= 2


@pytest.mark.parametrize("space", [b"GRAY", b"RGB "])
def test_profiles_of_greys_are_honoured_in_every_depth(tmp_path: Path, space: bytes) -> None:
    profile = gamma_profile(space, 1.0)
    options: dict[str, Any] = {"icc_profile": profile}
    for name, values, kind in [
        ("grey.png", GREY, "PNG"),
        ("grey.tif", GREY, "TIFF"),
        ("grey and alpha.png", np.dstack([GREY, OPAQUE]), "PNG"),
        ("16 bits.png", GREY.astype(np.uint16) * 257, "PNG"),
    ]:
        content = bytes_of(values, kind, **options)
        assert difference(written(tmp_path / name, content), LINEAR_GREY) <= 2, name
    tifffile.imwrite(tmp_path / "float.tif", GREY / np.float32(255), iccprofile=profile)
    assert difference(tmp_path / "float.tif", LINEAR_GREY) <= 2


def test_dark_greys_of_sixteen_bits_keep_their_steps(tmp_path: Path) -> None:
    values = np.arange(0, 1024, 8, dtype=np.uint16).reshape(8, 16) + np.uint16(0)
    values[-1, -1] = 65_535
    content = bytes_of(values, "PNG", icc_profile=gamma_profile(b"GRAY", 1.0))
    wanted = np.rint(encoded(values / 65_535))[..., None].repeat(3, 2)
    assert difference(written(tmp_path / "dark.png", content), wanted) <= 2


def test_cmyk_and_lab_are_converted_by_what_they_are(tmp_path: Path) -> None:
    # Colours of skin; Lab has no one way to adapt what is far from grey to another white.
    skin = np.stack([200 - GREY // 8, 150 - GREY // 8, 120 - GREY // 8], -1)
    lab = np.rint(color.rgb2lab(skin) * [2.55, 1, 1]).astype(np.int16).astype(np.uint8)
    picture = PillowImage.frombytes("LAB", (32, 24), lab.tobytes())
    assert difference(written(tmp_path / "lab.tif", bytes_of(picture, "TIFF")), skin) < 8
    inks = PillowImage.fromarray(np.dstack([255 - COLOUR, 0 * GREY]), "CMYK")
    broken = bytes_of(inks, "TIFF", icc_profile=swapped_profile())
    # A profile of another kind of colours says nothing.
    assert difference(written(tmp_path / "inks.tif", broken), COLOUR) == 0


@pytest.mark.parametrize(
    "profile", [b"", b"sRGB", b"no profile", bytes(200), srgb_profile()[:200], srgb_profile()]
)
def test_no_and_damaged_and_srgb_profiles_leave_every_pixel(tmp_path: Path, profile: bytes) -> None:
    for name, values, wanted in [
        ("colour.png", COLOUR, COLOUR),
        ("grey.png", GREY, GREY_RGB),
        ("alpha.png", np.dstack([COLOUR, OPAQUE]), COLOUR),
    ]:
        content = bytes_of(values, "PNG", icc_profile=profile)
        assert difference(written(tmp_path / name, content), wanted) == 0


def test_a_profile_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    first = colour._looked_at
    monkeypatch.setattr(
        colour, "_looked_at", lambda mode, profile: looked.append(mode) or first(mode, profile)
    )
    profile = gamma_profile(b"RGB ", 1.37)
    path = written(tmp_path / "a.png", bytes_of(COLOUR, "PNG", icc_profile=profile))
    for _ in range(3):
        read_image(path)
    assert looked == ["RGB"]


def gamma(exponent: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(100_000 * exponent)))


def primaries(*xy: float) -> bytes:
    return png_chunk(b"cHRM", struct.pack(">8I", *[round(100_000 * each) for each in xy]))


SRGB_XY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
SWAPPED_XY = (0.3127, 0.329, 0.3, 0.6, 0.64, 0.33, 0.15, 0.06)


@pytest.mark.parametrize(
    ("chunks", "wanted_hwc"),
    [
        ([gamma(1.0)], LINEAR),
        ([gamma(1.0), primaries(*SRGB_XY)], LINEAR),
        ([gamma(1 / 2.2), primaries(*SWAPPED_XY)], SWAPPED),
        # What sRGB is called in numbers, and what no picture can be.
        ([gamma(1 / 2.2)], COLOUR),
        ([gamma(1 / 2.2), primaries(*SRGB_XY)], COLOUR),
        ([gamma(0.0)], COLOUR),
        ([gamma(1.0), primaries(*[0.0] * 8)], COLOUR),
        ([gamma(1.0), png_chunk(b"sRGB", b"\0")], COLOUR),
        # Without gAMA, cHRM alone is left, as browsers do.
        ([primaries(*SWAPPED_XY)], COLOUR),
    ],
)
def test_a_png_says_its_colours_in_numbers_too(
    tmp_path: Path, chunks: list[bytes], wanted_hwc: Any
) -> None:
    tolerance = 0 if wanted_hwc is COLOUR else 6 if wanted_hwc is SWAPPED else 2
    path = written(tmp_path / "a.png", png_of(COLOUR, *chunks))
    assert difference(path, wanted_hwc) <= tolerance


def test_the_preview_has_the_colours_of_the_whole(tmp_path: Path) -> None:
    flat = PillowImage.new("RGB", (640, 480), (200, 90, 30))
    content = bytes_of(flat, "JPEG", quality=95, icc_profile=swapped_profile())
    path = written(tmp_path / "large.jpg", content)
    small, whole = read_preview(path, 60), read_image(path).pixels_hwc
    assert small is not None
    assert np.abs(small[9, 9].astype(int) - [90, 200, 30]).max() <= 4
    assert np.abs(small[9, 9].astype(int) - whole[9, 9]).max() <= 2


def test_a_cmyk_profile_is_honoured(tmp_path: Path) -> None:
    inks = PillowImage.new("CMYK", (32, 24), (200, 90, 30, 0))
    for kind in ("TIFF", "JPEG"):
        content = bytes_of(inks, kind, icc_profile=black_ink_profile())
        assert difference(written(tmp_path / "inks", content), COLOUR * 0 + 255) <= 1
