"""Law: an exported image shows what its source does, and tells nothing else unless asked to."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms, PngImagePlugin, TiffImagePlugin

from engine.images.metadata import stripped
from engine.images.reading import read_image
from engine.masks.files import write_mask
from tests.engine.exports import export, make_samples

SECRET = b"Erika Mustermann"
NAME = SECRET.decode()


def pixels(shape: tuple[int, ...] = (16, 24, 3), seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def exif(orientation: int = 1, **tags: Any) -> PillowImage.Exif:
    """EXIF with a place, a name, a camera's notes and an orientation."""
    content = PillowImage.Exif()
    content[0x0112] = orientation
    content[0x013B] = NAME
    content.get_ifd(0x8769)[0x927C] = b"notes of " + SECRET
    place = content.get_ifd(0x8825)
    place[1], place[2], place[29] = "N", (52.0, 31.0, 12.0), f"{NAME} 2024:01:01"
    for tag, value in tags.items():
        content[int(tag.removeprefix("x"), 16)] = value
    return content


def encoded(picture: PillowImage.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def rgb() -> PillowImage.Image:
    return PillowImage.fromarray(pixels())


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(picture: PillowImage.Image | None = None, extra: bytes = b"", **options: Any) -> bytes:
    """A JPEG with all that cameras and people put into one."""
    content = encoded(picture or rgb(), "JPEG", comment=SECRET, **options)
    thumbnail = segment(0xE0, b"JFXX\0\x13" + bytes([2, 2]) + SECRET)
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>" + SECRET + b"</x>")
    one = struct.pack("<HHLL", 0xB001, 4, 1, 1) + struct.pack("<HHLL", 0xB002, 7, 16, 38)
    index = b"II*\0" + struct.pack("<LH", 8, 2) + one + bytes(4 + 16) + SECRET
    many = segment(0xE2, b"MPF\0" + index)
    caption = b"\x1c\x02\x78" + struct.pack(">H", len(SECRET)) + SECRET
    block = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(caption)) + caption + b"\0"
    iptc = segment(0xED, b"Photoshop 3.0\0" + block)
    other = segment(0xEB, SECRET)
    # After the first segment of Pillow's own, as JFIF wants it.
    after = 4 + int.from_bytes(content[4:6]) - 2 + 2
    inside = thumbnail + xmp + many + iptc + other + extra
    return content[:after] + inside + content[after:] + b"MotionPhoto" + SECRET


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(picture: PillowImage.Image | None = None, **options: Any) -> bytes:
    """A PNG with texts, EXIF, a time, a private chunk and bytes after its end."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", NAME)
    info.add_text("Comment", NAME, zip=True)
    info.add_itxt("XML:com.adobe.xmp", f"<x>{NAME}</x>")
    content = encoded(picture or rgb(), "PNG", pnginfo=info, **options)
    end = content.index(b"IEND") - 4
    private = chunk(b"prVt", SECRET) + chunk(b"tIME", bytes([7, 232, 1, 1, 1, 1, 1]))
    return content[:end] + private + content[end:] + SECRET


def tiff(picture: PillowImage.Image | None = None, **options: Any) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[315], tags[34665] = NAME, NAME, {36867: "2024:01:01 00:00:00"}
    second = PillowImage.new("L", (8, 8))
    return encoded(
        picture or rgb(), "TIFF", tiffinfo=tags, save_all=True, append_images=[second], **options
    )


def wide_profile() -> bytes:
    """A profile other than sRGB: that of Lab, whose bytes at least are one."""
    return (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"wide")
    )


SOURCES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "jpeg": ("a.jpg", lambda: jpeg(exif=exif()), ".jpg"),
    "jpeg in capitals": ("a.JPEG", lambda: jpeg(exif=exif()), ".JPEG"),
    "progressive": ("a.jpg", lambda: jpeg(exif=exif(), progressive=True), ".jpg"),
    "with restarts": ("a.jpg", lambda: jpeg(exif=exif(), restart_marker_blocks=1), ".jpg"),
    "with a profile": ("a.jpg", lambda: jpeg(exif=exif(), icc_profile=wide_profile()), ".jpg"),
    "grey jpeg": ("a.jpg", lambda: jpeg(rgb().convert("L"), exif=exif()), ".jpg"),
    "cmyk jpeg": ("a.jpg", lambda: jpeg(rgb().convert("CMYK"), exif=exif()), ".jpg"),
    "density of skin": ("a.jpg", lambda: jpeg(exif=exif(), dpi=(431, 431)), ".jpg"),
    "turned": ("a.jpg", lambda: jpeg(exif=exif(6)), ".png"),
    "turned, with a profile": (
        "a.jpg", lambda: jpeg(exif=exif(8), icc_profile=wide_profile()), ".png"
    ),
    "png": ("a.png", lambda: png(exif=exif()), ".png"),
    "png of 16 bits": (
        "a.png", lambda: png(PillowImage.fromarray(np.uint16(pixels((16, 24))) * 257)), ".png"
    ),
    "png with alpha": ("a.png", lambda: png(PillowImage.fromarray(pixels((16, 24, 4)))), ".png"),
    "palette": ("a.png", lambda: png(rgb().quantize(16), transparency=3), ".png"),
    "png of skin": ("a.png", lambda: png(dpi=(431, 431)), ".png"),
    "turned png": ("a.png", lambda: png(exif=exif(6)), ".png"),
    "moving": (
        "a.png",
        lambda: png(save_all=True, append_images=[PillowImage.fromarray(pixels(seed=1))]),
        ".png",
    ),
    "tiff": ("a.tif", lambda: tiff(), ".png"),
    "tiff of skin": ("a.tif", lambda: tiff(dpi=(431, 431)), ".png"),
    "tiff with alpha": ("a.tiff", lambda: tiff(PillowImage.fromarray(pixels((16, 24, 4)))), ".png"),
    "webp": ("a.webp", lambda: encoded(rgb(), "WEBP", lossless=True, exif=exif(3)), ".png"),
    "jfif": ("a.jfif", lambda: jpeg(exif=exif()), ".jfif"),
    "bmp": ("a.bmp", lambda: encoded(rgb(), "BMP") + SECRET, ".png"),
    "jpeg called png": ("a.png", lambda: jpeg(exif=exif()), ".jpg"),
    "png called jpeg": ("a.jpg", lambda: png(exif=exif()), ".png"),
}  # fmt: skip


@pytest.mark.parametrize("case", SOURCES)
def test_an_image_goes_out_as_it_is_seen_and_tells_nothing_else(case: str, tmp_path: Path) -> None:
    name, content, suffix = SOURCES[case]
    (sample,) = make_samples(tmp_path / "from", "a")
    source = sample.image_path.with_name(name)
    source.write_bytes(content())
    assert SECRET in source.read_bytes() or "tif" in case
    image = read_image(source)
    write_mask(sample.mask_path, np.ones((image.height, image.width), dtype=np.bool_))
    last = export([replace(sample, image_path=source)], tmp_path / "to")
    assert not last.left_out
    assert last.path == tmp_path / "to" / "images" / f"a{suffix}"
    again = read_image(last.path)
    assert np.array_equal(again.pixels_hwc, image.pixels_hwc)
    assert (again.spacing_mm is None) == (image.spacing_mm is None)
    assert "skin" not in case or image.spacing_mm == pytest.approx(25.4 / 431, rel=1e-3)
    assert again.spacing_mm is None or again.spacing_mm == pytest.approx(image.spacing_mm, rel=1e-3)
    written = last.path.read_bytes()
    assert SECRET not in written
    assert b"2024" not in written
    with PillowImage.open(last.path) as picture:
        assert not picture.getexif()
        told = {"exif", "comment", "photoshop", "xmp", "Author", "Comment", "mp", "mpoffset"}
        assert not told & picture.info.keys()
        assert getattr(picture, "n_frames", 1) == 1
    # Once more: it is there already, and stays as it is.
    stamp = last.path.stat().st_ino
    again_there = export([replace(sample, image_path=source)], tmp_path / "to")
    assert (again_there.path, again_there.left_out) == (last.path, ())
    assert last.path.stat().st_ino == stamp


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_ways_up_go_out_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    (sample,) = make_samples(tmp_path / "from", "a")
    source = sample.image_path.with_suffix(f".{kind.lower()}")
    source.write_bytes(encoded(rgb(), kind, exif=exif(orientation)))
    image = read_image(source)
    write_mask(sample.mask_path, np.ones((image.height, image.width), dtype=np.bool_))
    last = export([replace(sample, image_path=source)], tmp_path / "to")
    with PillowImage.open(last.path) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGB")), image.pixels_hwc)
    assert last.path.suffix == (".jpeg" if kind == "JPEG" and orientation == 1 else ".png")


def test_the_coded_pixels_of_a_jpeg_are_not_coded_anew(tmp_path: Path) -> None:
    bare = encoded(rgb(), "JPEG")
    clean = stripped(jpeg(exif=exif()))
    assert clean == bare
    assert stripped(clean) == clean
    assert stripped(encoded(rgb(), "JPEG", icc_profile=b"p" * 70_000)).count(b"ICC_PROFILE") == 2


def test_a_thumbnail_in_the_first_segment_goes() -> None:
    bare = encoded(rgb(), "JPEG")
    jfif = bytearray(bare[4 + 2 : 4 + int.from_bytes(bare[4:6])])
    jfif[12:14] = bytes([2, 2])
    thumbnail = bare[:2] + segment(0xE0, bytes(jfif) + SECRET) + bare[2 + 2 + 16 :]
    assert SECRET in thumbnail
    assert stripped(thumbnail) == bare


def test_what_is_not_built_by_the_rules_is_not_copied() -> None:
    bare = {"JPEG": encoded(rgb(), "JPEG"), "PNG": encoded(rgb(), "PNG")}
    for content in bare.values():
        assert stripped(content) == content
        for length in range(len(content)):
            assert stripped(content[:length]) is None
    assert stripped(bare["JPEG"][:2] + b"\xff\xd8" + bare["JPEG"][2:]) is None
    assert stripped(bare["PNG"][:33] + chunk(b"ABCD", b"") + bare["PNG"][33:]) is None
    assert stripped(b"BM") is None


def test_a_size_on_the_skin_that_only_exif_knew_stays_known(tmp_path: Path) -> None:
    (sample,) = make_samples(tmp_path / "from", "a")
    source = sample.image_path.with_suffix(".jpg")
    content = encoded(rgb(), "JPEG", exif=exif(x011A=431.5, x011B=431.5, x0128=2))
    # As cameras do it: no JFIF segment.
    source.write_bytes(content[:2] + content[2 + 18 :])
    image = read_image(source)
    assert image.spacing_mm == pytest.approx(25.4 / 431.5)
    write_mask(sample.mask_path, np.ones((16, 24), dtype=np.bool_))
    last = export([replace(sample, image_path=source)], tmp_path / "to")
    again = read_image(last.path)
    assert again.spacing_mm == pytest.approx(image.spacing_mm, rel=1e-4)
    assert np.array_equal(again.pixels_hwc, image.pixels_hwc)
    assert SECRET not in last.path.read_bytes()


def test_metadata_is_kept_where_it_is_asked_for_and_goes_where_it_is_not(tmp_path: Path) -> None:
    (sample,) = make_samples(tmp_path / "from", "a")
    source = sample.image_path.with_suffix(".jpg")
    write_mask(sample.mask_path, np.ones((24, 16), dtype=np.bool_))
    source.write_bytes(jpeg(exif=exif(6)))
    samples, images = [replace(sample, image_path=source)], tmp_path / "to" / "images"
    for keep in (True, False, True):
        last = export(samples, tmp_path / "to", keep_metadata=keep)
        assert not last.left_out
        (path,) = images.iterdir()
        assert (path.read_bytes() == source.read_bytes()) == keep
        assert (path.suffix == ".jpg") == keep
        assert np.array_equal(read_image(path).pixels_hwc, read_image(source).pixels_hwc)
