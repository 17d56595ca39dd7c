"""Laws of reading image files: rightly, or refused with one plain reason that names the file."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from PIL import ImageCms

from engine.errors import UnreadableImage
from engine.images.reading import read_image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

ROWS, COLUMNS = np.mgrid[:24, :32]
#: A picture in which every row, column and channel differs.
COLOUR: Pixels = np.stack([ROWS * 10, COLUMNS * 8, 255 - ROWS * 5 - COLUMNS * 3], -1).astype("u1")
GREY: Pixels = (ROWS * 8 + COLUMNS * 2).astype(np.uint8)
GREY_RGB: Pixels = np.stack([GREY] * 3, -1)
PICTURE = PillowImage.fromarray(COLOUR)
#: Seconds of the processor that no test here may take: pictures are small, or refused before
#: decoding. What is not refused would take minutes.
LIMIT_S = 10.0


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with a right checksum."""
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG with a header that says what is asked for, and chunks."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def tiff(tags: dict[int, tuple[int, int]], content: bytes = b"") -> bytes:
    """A little-endian TIFF of one page with tags {tag: (type, value)}; `content` starts at 8."""
    offset = 8 + len(content)
    directory = struct.pack("<H", len(tags))
    for tag, (kind, value) in sorted(tags.items()):
        directory += struct.pack("<HHII", tag, kind, 1, value)
    return struct.pack("<2sHI", b"II", 42, offset) + content + directory + bytes(4)


def grey_tags(width: int, height: int, bits: int = 8, size: int = 0) -> dict[int, tuple[int, int]]:
    """Tags of a grey, uncompressed page in one strip at offset 8."""
    size = size or min(2**31, width * height * bits // 8)
    return {256: (4, width), 257: (4, height), 258: (3, bits), 259: (3, 1), 262: (3, 1),
            273: (4, 8), 277: (3, 1), 278: (4, height), 279: (4, size)}  # fmt: skip


def saved(picture: PillowImage.Image, kind: str, **options: Any) -> Callable[[Path], None]:
    """A maker of a file of that kind."""
    return lambda path: picture.save(path, kind, **options)


def jpeg(**options: Any) -> Callable[[Path], None]:
    """A maker of a JPEG of the picture, as near to it as JPEG can be."""
    return saved(PICTURE, "JPEG", **{"quality": 98, "subsampling": 0, **options})


def tif(pixels: np.ndarray[Any, Any], **options: Any) -> Callable[[Path], None]:
    """A maker of a TIFF of any numbers."""
    return lambda path: tifffile.imwrite(path, pixels, **options) and None


def bytes_of(path: Path, picture: PillowImage.Image, kind: str, **options: Any) -> bytes:
    """The content of a file of that kind."""
    picture.save(path, kind, **options)
    content = path.read_bytes()
    path.unlink()
    return content


def changed(kind: str, change: Callable[[bytes], bytes], **options: Any) -> Callable[[Path], None]:
    """A maker of a good file with its bytes changed."""
    return lambda path: path.write_bytes(change(bytes_of(path, PICTURE, kind, **options))) and None


def written(content: bytes) -> Callable[[Path], None]:
    """A maker of a file with that content."""
    return lambda path: path.write_bytes(content) and None


def with_alpha(alpha: int) -> PillowImage.Image:
    """The picture, with its left half at an alpha and its right half opaque."""
    alpha_hw = np.where(COLUMNS < 16, alpha, 255).astype(np.uint8)
    return PillowImage.fromarray(np.dstack([COLOUR, alpha_hw]))


def orientated(orientation: int) -> PillowImage.Exif:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    return exif


def wide_profile() -> bytes:
    """A colour profile that is sRGB with its red and green swapped, and not named sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace(b"s\0R\0G\0B", b"s\0w\0a\0p").replace(b"sRGB", b"swap")


def flipped_in_the_middle(content: bytes) -> bytes:
    middle = content.index(b"IDAT") + 200
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def many_scans(content: bytes) -> bytes:
    return content[:-2] + content[content.rfind(b"\xff\xda") : -2] * 500 + content[-2:]


def pages(path: Path) -> None:
    PICTURE.save(path, "TIFF", save_all=True, append_images=[PillowImage.new("RGB", (8, 8))])


def half_seen(alpha: int) -> Pixels:
    """The picture with its left half darkened as a transparency over black darkens it."""
    return np.where(COLUMNS[..., None] >= 16, COLOUR, np.rint(COLOUR * (alpha / 255))).astype("u1")


BANDS = PICTURE.quantize(16)
BANDS_RGB: Pixels = np.asarray(BANDS.convert("RGB"))
INKS = PillowImage.fromarray(np.dstack([255 - COLOUR, np.zeros((24, 32), np.uint8)]), "CMYK")
STRIPES = PillowImage.fromarray((COLUMNS & 2).astype(bool))
STRIPES_RGB: Pixels = np.asarray(STRIPES.convert("RGB"))
DEEP = COLOUR.astype(np.uint16) * np.uint16(257)
DEEP_GREY = GREY.astype(np.uint16) * np.uint16(257)
ZERO: Pixels = np.zeros((9, 9), np.uint8)

#: name of the file: (how it is made, the pixels it holds, by how much they may differ)
READ: dict[str, tuple[Callable[[Path], None], Pixels, int]] = {
    "plain.png": (saved(PICTURE, "PNG"), COLOUR, 0),
    "plain.bmp": (saved(PICTURE, "BMP"), COLOUR, 0),
    "plain.tif": (saved(PICTURE, "TIFF"), COLOUR, 0),
    "plain.jpg": (jpeg(), COLOUR, 6),
    "progressive.jpg": (jpeg(progressive=True), COLOUR, 6),
    "really a png.jpg": (saved(PICTURE, "PNG"), COLOUR, 0),
    "really a tiff.bmp": (saved(PICTURE, "TIFF"), COLOUR, 0),
    "no suffix": (saved(PICTURE, "PNG"), COLOUR, 0),
    "Übersicht 皮膚 ñ.png": (saved(PICTURE, "PNG"), COLOUR, 0),
    "turned 6.jpg": (jpeg(exif=orientated(6)), np.rot90(COLOUR, -1), 6),
    "turned 3.png": (saved(PICTURE, "PNG", exif=orientated(3)), COLOUR[::-1, ::-1], 0),
    "turned 8.tif": (saved(PICTURE, "TIFF", tiffinfo={274: 8}), np.rot90(COLOUR), 0),
    "mirrored 2.png": (saved(PICTURE, "PNG", exif=orientated(2)), COLOUR[:, ::-1], 0),
    "transposed 5.png": (saved(PICTURE, "PNG", exif=orientated(5)), COLOUR.swapaxes(0, 1), 0),
    "orientation 99.png": (saved(PICTURE, "PNG", exif=orientated(99)), COLOUR, 0),
    "broken exif.jpg": (jpeg(
        exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), COLOUR, 6),
    "grey.jpg": (saved(PillowImage.fromarray(GREY), "JPEG", quality=98), GREY_RGB, 4),
    "grey and alpha.png": (saved(PillowImage.fromarray(GREY).convert("LA"), "PNG"), GREY_RGB, 0),
    "1 bit.png": (saved(STRIPES, "PNG"), STRIPES_RGB, 0),
    "1 bit fax.tif": (saved(STRIPES, "TIFF", compression="group4"), STRIPES_RGB, 0),
    "palette.png": (saved(BANDS, "PNG"), BANDS_RGB, 0),
    "palette.bmp": (saved(BANDS, "BMP"), BANDS_RGB, 0),
    "palette, some transparent.png": (saved(BANDS, "PNG", transparency=bytes([0] + [255] * 15)),
        np.where((np.asarray(BANDS) == 0)[..., None], 0, BANDS_RGB), 0),
    "one colour transparent.png": (saved(PICTURE, "PNG", transparency=tuple(COLOUR[0, 0].tolist())),
        np.where((COLOUR[0, 0] == COLOUR).all(-1, keepdims=True), 0, COLOUR), 0),
    "half transparent.png": (saved(with_alpha(128), "PNG"), half_seen(128), 1),
    "half cut away.tif": (saved(with_alpha(0), "TIFF"), half_seen(0), 0),
    "alpha all zero.png": (
        saved(PillowImage.fromarray(np.dstack([COLOUR, 0 * GREY])), "PNG"), COLOUR, 0),
    "inks.jpg": (saved(INKS, "JPEG", quality=98, subsampling=0), COLOUR, 6),
    "inks.tif": (saved(INKS, "TIFF"), COLOUR, 0),
    "16 bit grey.png": (saved(PillowImage.fromarray(DEEP_GREY), "PNG"), GREY_RGB, 0),
    "16 bit grey.tif": (saved(PillowImage.fromarray(DEEP_GREY), "TIFF"), GREY_RGB, 0),
    "16 bit big-endian.tif": (tif(DEEP_GREY, byteorder=">"), GREY_RGB, 0),
    "16 bit colour.tif": (tif(DEEP, photometric="rgb"), COLOUR, 0),
    "16 bit colour.png": (written(png(32, 24, png_chunk(b"IDAT", zlib.compress(
        b"".join(b"\0" + row.astype(">u2").tobytes() for row in DEEP))), depth=16)), COLOUR, 0),
    "12 bit.tif": (written(tiff(grey_tags(2, 1, 12, 3), b"\xff\xf8\x00")),
        np.array([[[255] * 3, [128] * 3]], np.uint8), 0),
    "float 0 to 1.tif": (tif(GREY / np.float32(255)), GREY_RGB, 0),
    "float 0 to 255.tif": (tif(GREY.astype(np.float32)), GREY_RGB, 0),
    "planes.tif": (tif(
        np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate"),
        COLOUR, 0),
    "big.tif": (tif(COLOUR, photometric="rgb", bigtiff=True), COLOUR, 0),
    "lzw.tif": (saved(PICTURE, "TIFF", compression="tiff_lzw"), COLOUR, 0),
    "jpeg inside.tif": (saved(PICTURE.resize((64, 48)), "TIFF", compression="jpeg", quality=98),
        np.asarray(PICTURE.resize((64, 48))), 24),
    "pages.tif": (pages, COLOUR, 0),
    "loop of pages.tif": (written(tiff(grey_tags(9, 9), bytes(81))[:-4] + struct.pack("<I", 89)),
        np.stack([ZERO] * 3, -1), 0),
    "animated.png": (saved(PICTURE, "PNG", save_all=True,
        append_images=[PICTURE.rotate(180)]), COLOUR, 0),
    "two pictures.jpg": (saved(PICTURE, "MPO", quality=98, subsampling=0, save_all=True,
        append_images=[PICTURE.rotate(180)]), COLOUR, 6),
    "profile.png": (saved(PICTURE, "PNG", icc_profile=wide_profile()), COLOUR[..., [1, 0, 2]], 2),
    "broken profile.png": (saved(PICTURE, "PNG", icc_profile=b"no profile at all"), COLOUR, 0),
    "one pixel.png": (written(png(1, 1, png_chunk(b"IDAT", zlib.compress(b"\0\7\10\11")))),
        np.array([[[7, 8, 9]]], np.uint8), 0),
    "rubbish at its end.png": (changed("PNG", lambda content: content + bytes(9999)), COLOUR, 0),
}  # fmt: skip

MEGA = "than the 100 megapixels"
BLACK = zlib.compress(bytes(9_000_000))
TEXT = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)))

#: name of the file: (how it is made, what its reason says)
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty.jpg": (written(b""), "empty"),
    "text.png": (written("Läsion, 3 mm\n".encode()), "text file"),
    "binary.tif": (written(bytes(range(256)) * 9), "not a JPEG, PNG, TIFF, BMP"),
    "animation.jpg": (saved(PICTURE, "GIF"), "GIF"),
    "phone.jpg": (written(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)), "HEIC"),
    "phone.avif.png": (written(b"\0\0\0\x1cftypavif" + bytes(99)), "AVIF|damaged"),
    "film.jpg": (written(b"\0\0\0\x18ftypisom" + bytes(99)), "video"),
    "drawing.png": (written(b'<?xml version="1.0"?>\n<svg xmlns="x"/>'), "SVG"),
    "report.jpg": (written(b"%PDF-1.7\n%\xe2\xe3"), "PDF"),
    "archive.png": (written(b"PK\x03\x04" + bytes(99)), "ZIP"),
    "clinic.tif": (written(bytes(128) + b"DICM" + bytes(99)), "DICOM"),
    "wavelets.jpg": (saved(PICTURE, "JPEG2000"), "JPEG 2000"),
    "layers.bmp": (written(b"8BPS\0\1" + bytes(99)), "Photoshop"),
    "folder.jpg": (Path.mkdir, "a folder"),
    "pipe.png": (os.mkfifo, "not a file"),
    "missing.png": (lambda path: None, "no such file"),
    "loop.png": (lambda path: path.symlink_to(path), "symbolic links"),
    "x" * 300 + ".png": (lambda path: None, "name too long"),
    "nul\0.png": (lambda path: None, "damaged"),
    "cut.jpg": (changed("JPEG", lambda content: content[: len(content) * 2 // 3]), "cut short"),
    "cut.png": (changed("PNG", lambda content: content[: len(content) // 2]), "cut short"),
    "cut.bmp": (changed("BMP", lambda content: content[: len(content) // 2]), "cut short"),
    "cut.tif": (changed("TIFF", lambda content: content[: len(content) // 2]),
        "header is damaged|cut short"),
    "cut strip.tif": (written(tiff(grey_tags(100, 100), b"few pixels")), "cut short"),
    "cut lzw.tif": (changed("TIFF", lambda content: content[:8] + bytes(300) + content[308:],
        compression="tiff_lzw"), "damaged"),
    "no end.png": (changed("PNG", lambda content: content[:-12]), "cut short"),
    "only the magic.png": (written(b"\x89PNG\r\n\x1a\n"), "cut short|header"),
    "only the magic.jpg": (written(b"\xff\xd8\xff\xe0"), "cut short|header"),
    "checksum.png": (changed("PNG", flipped_in_the_middle, compress_level=0), "damaged"),
    "not zlib.png": (written(png(32, 24, png_chunk(b"IDAT", b"not zlib at all"))), "damaged"),
    "too little zlib.png": (written(png(32, 24, png_chunk(b"IDAT", zlib.compress(bytes(99))))),
        "cut short"),
    "no area.png": (written(png(0, 9)), "damaged|cut short"),
    "bomb.png": (written(png(50_000, 50_000, png_chunk(b"IDAT", BLACK))), MEGA),
    "little bomb.png": (written(png(11_000, 10_000, png_chunk(b"IDAT", BLACK))), "11000×10000"),
    "text bomb.png": (written(png(8, 8, *[TEXT] * 99)), "damaged|cut"),
    "bomb.jpg": (changed("JPEG",
        lambda content: content.replace(b"\0\x18\0\x20\x03", b"\xff\xff\xff\xff\x03")), MEGA),
    "scans.jpg": (changed("JPEG", many_scans, progressive=True), "scans"),
    "bomb.bmp": (changed("BMP",
        lambda content: content[:18] + b"\0\0\1\0" * 2 + content[26:]), MEGA),
    "bomb.tif": (written(tiff(grey_tags(4_000_000_000, 4_000_000_000))), "megapixels|header"),
    "tile bomb.tif": (written(tiff(grey_tags(9, 9) | {322: (4, 65_536), 323: (4, 65_536),
        324: (4, 8), 325: (4, 99), 259: (3, 8)})), MEGA),
    "preview of raw.tif": (written(tiff(grey_tags(9, 9) | {254: (4, 1)}, bytes(81))), "preview"),
    "inverted.tif": (written(tiff(grey_tags(9, 9, 16) | {262: (3, 0)}, bytes(162))), "white is"),
    "no numbers.tif": (tif(np.full((9, 9), np.nan, np.float32)), "not numbers"),
    "infinite.tif": (tif(np.array([[0, np.inf]], np.float32)), "infinite"),
    "heights.tif": (tif(np.array([[-3.5, 900]], np.float32)), "-3.5 to 900"),
    "32 bit.tif": (tif(np.ones((9, 9), np.int32)), "full scale"),
    "float colour.tif": (tif(COLOUR / np.float32(255), photometric="rgb"),
        "not supported"),
    "no palette.png": (written(png(8, 8, png_chunk(b"IDAT", zlib.compress(bytes(72))),
        colour=3)), "damaged"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick_and_quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No file may take long, nor print more than the line of libtiff that Pillow lets through."""
    start = time.process_time()
    yield
    assert time.process_time() - start < LIMIT_S
    printed, complained = capfd.readouterr()
    assert not printed
    assert all(line.startswith("tempfile.tif: ") for line in complained.splitlines())


@pytest.mark.parametrize("name", READ)
def test_odd_but_sound_files_are_read_rightly(tmp_path: Path, name: str) -> None:
    make, wanted_hwc, tolerance = READ[name]
    make(tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.path == tmp_path / name
    assert image.pixels_hwc.dtype == np.uint8
    assert image.pixels_hwc.shape == wanted_hwc.shape
    difference = np.abs(image.pixels_hwc.astype(int) - wanted_hwc.astype(int))
    assert difference.max() <= tolerance
    with pytest.raises(ValueError, match="read-only"):
        image.pixels_hwc[0, 0, 0] = 1


@pytest.mark.parametrize("name", REFUSED)
def test_broken_and_hostile_files_are_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(UnreadableImage, match=reason) as caught:
        read_image(tmp_path / name)
    assert caught.value.path == tmp_path / name
    assert name in str(caught.value)
    assert "\n" not in caught.value.reason
    assert 5 < len(caught.value.reason) < 100


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs a system with user ids")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "private.png"
    PICTURE.save(path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        # Root may read everything; nobody may not.
        os.seteuid(65_534)
    try:
        with pytest.raises(UnreadableImage, match="permission denied"):
            read_image(path)
    finally:
        os.seteuid(user)


def test_any_cut_of_a_good_file_is_read_or_refused(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        content = bytes_of(tmp_path / "good", PICTURE.resize((16, 12)), kind)
        # The last bytes are a PNG's closing checksum: without them the picture is still whole.
        for length in range(0, len(content) - 4, max(1, len(content) // 40)):
            (tmp_path / "cut").write_bytes(content[:length])
            with pytest.raises(UnreadableImage):
                read_image(tmp_path / "cut")


def test_any_damage_to_a_file_is_read_or_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        content = bytes_of(tmp_path / "good", PICTURE.resize((16, 12)), kind)
        for _ in range(60):
            damaged = bytearray(content)
            for place in generator.integers(0, len(content), 4):
                damaged[place] = generator.integers(0, 256)
            (tmp_path / "damaged").write_bytes(damaged)
            with suppress(UnreadableImage):
                assert read_image(tmp_path / "damaged").pixels_hwc.size


def test_files_are_read_in_threads_without_a_warning(tmp_path: Path) -> None:
    names = [tmp_path / "sound.png", tmp_path / "odd.tif"]
    READ["palette, some transparent.png"][0](names[0])
    REFUSED["cut.tif"][0](names[1])

    def read(number: int) -> str:
        try:
            return str(read_image(names[number % 2]).height)
        except UnreadableImage as refused:
            return refused.reason

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(read, range(80)))
    assert len(set(answers)) == 2


@pytest.mark.parametrize(
    ("kind", "dpi", "spacing_mm"),
    [("JPEG", 72, None), ("PNG", 72, None), ("TIFF", 96, None), ("PNG", 300, None),
     ("JPEG", 0, None), ("PNG", 1693.3, 0.015), ("TIFF", 508, 0.05), ("JPEG", 508, 0.05),
     ("TIFF", 20, None), ("TIFF", 900_000, None)],
)  # fmt: skip
def test_only_a_credible_density_is_a_spacing(
    tmp_path: Path, kind: str, dpi: float, spacing_mm: float | None
) -> None:
    picture = PICTURE.resize((800, 600))
    picture.save(tmp_path / "picture", kind, dpi=(dpi, dpi))
    found_mm = read_image(tmp_path / "picture").spacing_mm
    assert found_mm == (None if spacing_mm is None else pytest.approx(spacing_mm, rel=1e-3))


def test_camera_images_are_read(isic2018: Path) -> None:
    for path in sorted((isic2018.parent / "native" / "images").glob("*.jpg"))[:2]:
        assert min(read_image(path).pixels_hwc.shape[:2]) >= 500
