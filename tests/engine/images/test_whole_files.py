"""Laws of files that are not all there, or not what they seem: refused, and nothing waits."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from engine.errors import UnreadableImage, UnreadableMask
from engine.images import limits
from engine.images.formats import READS_AVIF
from engine.images.preview import read_preview
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from tests.engine.pictures import COLOUR, GREY, bytes_of, png_chunk, png_of, written

#: 128 rows of 160 pixels that are nowhere one grey.
LARGE = np.asarray(PillowImage.fromarray(COLOUR).resize((160, 128)))
JPEG = {"quality": 90}


def refused(path: Path, content: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(written(path, content))
    return caught.value.reason


def taller(jpeg: bytes, rows: int) -> bytes:
    """A JPEG whose header promises so many rows."""
    frame = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: frame + 5] + struct.pack(">H", rows) + jpeg[frame + 7 :]


@pytest.mark.parametrize("values", [COLOUR, GREY, COLOUR.astype(np.uint16) * 257])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_png_has_all_rows_of_its_header(tmp_path: Path, values: Any, interlaced: int) -> None:
    # Interlaced, only zeros are rows of every pass.
    values = values * np.array(not interlaced, values.dtype)
    content = png_of(values, interlaced=interlaced, height=90 if interlaced else 25)
    assert refused(tmp_path / "taller.png", content) == "the file is cut short"


def test_a_png_that_ends_black_is_whole(tmp_path: Path) -> None:
    black = np.where(np.arange(24)[:, None, None] < 12, COLOUR, 0).astype(np.uint8)
    for name, values in [("half.png", black), ("all.png", black * 0), ("deep.png", GREY * 0)]:
        read = read_image(written(tmp_path / name, png_of(values)))
        assert read.pixels_hwc.shape == (24, 32, 3)
    bits = PillowImage.new("1", (33, 7))
    assert not read_image(written(tmp_path / "1.png", bytes_of(bits, "PNG"))).pixels_hwc.any()
    pieces = zlib.compress(b"".join(b"\0" + bytes(96) for _ in range(24)))
    apart = b"".join(png_chunk(b"IDAT", pieces[at : at + 5]) for at in range(0, len(pieces), 5))
    whole = png_of(COLOUR)
    content = whole[:33] + apart + whole[-12:]
    assert not read_image(written(tmp_path / "apart.png", content)).pixels_hwc.any()


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\x55"])
def test_a_jpeg_whose_end_is_filling_is_cut_short(tmp_path: Path, filling: bytes) -> None:
    """As disks and downloads leave it that make room beforehand; short codes read it as pixels."""
    smooth = np.linspace(60, 220, 160).astype(np.uint8)[None].repeat(1280, axis=0)
    content = bytes_of(PillowImage.fromarray(smooth), "JPEG", optimize=True)
    path = tmp_path / "a.jpg"
    for share in (0.4, 0.9):
        kept = int(len(content) * share)
        assert "cut short" in refused(path, content[:kept] + filling * (len(content) - kept))
    # What lies behind the end is no part of it.
    assert read_image(written(path, content + filling * 1000)).height == 1280


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 2}, {"mode": "L"},
     {"mode": "CMYK"}, {"restart_marker_blocks": 3}, {"keep_rgb": True}],
)  # fmt: skip
def test_a_jpeg_has_all_rows_of_its_header(tmp_path: Path, options: dict[str, Any]) -> None:
    mode = options.pop("mode", "RGB") if "mode" in (options := dict(options)) else "RGB"
    content = bytes_of(PillowImage.fromarray(LARGE).convert(mode), "JPEG", **JPEG, **options)
    path = tmp_path / "a.jpg"
    assert read_image(written(path, content)).pixels_hwc.shape == LARGE.shape
    assert refused(path, taller(content, 300)) == "the file is cut short"
    # As some tools repair a file that was cut: with an end marker.
    # The last scan of a progressive one adds the last bit only: what it lacks cannot be seen.
    for share in (0.2, 0.4) if "progressive" in options else (0.3, 0.6, 0.9):
        cut = content[: int(len(content) * share)].rstrip(b"\xff") + b"\xff\xd9"
        assert "cut short" in refused(path, cut) or "damaged" in refused(path, cut)


@pytest.mark.parametrize("grey", [126, 128, 130])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("more", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_ends_grey_is_whole(
    tmp_path: Path, grey: int, mode: str, more: dict[str, Any]
) -> None:
    flat = PillowImage.fromarray(
        np.where(np.arange(128)[:, None, None] < 64, LARGE, grey).astype("u1")
    )
    for name, picture in [("half", flat), ("all", PillowImage.new("RGB", (99, 77), (grey,) * 3))]:
        content = bytes_of(picture.convert(mode), "JPEG", **JPEG, **more)
        read = read_image(written(tmp_path / name, content))
        assert read.pixels_hwc.shape[:2] == picture.size[::-1]


def test_a_jpeg_without_some_of_its_scans_is_refused(tmp_path: Path) -> None:
    content = bytes_of(LARGE, "JPEG", progressive=True, **JPEG)
    scans = [at for at in range(len(content)) if content[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for place in scans[1:]:
        assert refused(tmp_path / "a.jpg", content[:place] + b"\xff\xd9") == "the file is cut short"


def test_a_tiff_has_all_its_strips(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for options in (
        {"rowsperstrip": 8},
        {"tile": (16, 16)},
        {"rowsperstrip": 8, "compression": "zlib"},
    ):
        tifffile.imwrite(path, COLOUR, photometric="rgb", **options)
        whole = path.read_bytes()
        assert np.array_equal(read_image(path).pixels_hwc, COLOUR)
        with tifffile.TiffFile(path) as file:
            tags = file.pages[0].tags
            offsets, counts = (
                (tags[324], tags[325]) if "tile" in options else (tags[273], tags[279])
            )
        for tag in (offsets, counts):
            size = {3: 2, 4: 4}[int(tag.dtype)]
            last = tag.valueoffset + (tag.count - 1) * size
            empty = whole[:last] + bytes(size) + whole[last + size :]
            assert refused(path, empty) == "the file is cut short"
            fewer = bytearray(whole)
            fewer[tag.offset + 4 : tag.offset + 8] = struct.pack("<I", tag.count - 1)
            assert refused(path, bytes(fewer)) == "the file is cut short"


@pytest.mark.parametrize("grey", [None, 128])
def test_a_jpeg_within_a_tiff_has_all_its_rows(tmp_path: Path, grey: int | None) -> None:
    path = tmp_path / "a.tif"
    values = LARGE if grey is None else LARGE * 0 + np.uint8(grey)
    PillowImage.fromarray(values).save(path, "TIFF", compression="jpeg", quality=90)
    assert read_image(path).pixels_hwc.shape == LARGE.shape
    with tifffile.TiffFile(path) as file:
        end = file.pages[0].dataoffsets[-1] + file.pages[0].databytecounts[-1]
    whole = path.read_bytes()
    middle = end - 60
    cut = whole[:middle] + b"\xff\xd9" + whole[middle + 2 :]
    assert refused(path, cut) == "the file is cut short"


def test_other_kinds_are_read_whole_or_refused(tmp_path: Path) -> None:
    kinds = [("WEBP", {}), ("WEBP", {"lossless": True})] + [("AVIF", {})] * READS_AVIF
    for kind, options in kinds:
        content = bytes_of(LARGE, kind, **options)
        read = read_image(written(tmp_path / "a", content))
        assert read.pixels_hwc.shape == LARGE.shape
        assert read.note == ""
        for share in (0.2, 0.5, 0.9, 0.99):
            refused(tmp_path / "a", content[: int(len(content) * share)])


def test_webp_and_avif_are_upright_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    for kind in ["WEBP"] + ["AVIF"] * READS_AVIF:
        path = written(tmp_path / "a", bytes_of(LARGE, kind, exif=exif, quality=95))
        pixels_hwc = read_image(path).pixels_hwc.astype(int)
        assert np.abs(pixels_hwc - np.rot90(LARGE, -1)).mean() < 8
        monkeypatch.setattr(limits, "MAX_PIXELS", 1000)
        with pytest.raises(UnreadableImage, match=r"160×128|128×160"):
            read_image(path)
        monkeypatch.undo()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_a_sparse_tail_is_not_read(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path / "a", bytes_of(LARGE, kind))
    os.truncate(path, 3_000_000_000)
    with pytest.raises(UnreadableImage, match="longer than the 1,000 MB"):
        read_image(path)
    assert read_preview(path, 16) is None
    with pytest.raises(UnreadableMask, match="longer than"):
        read_mask(path)
    if kind == "WEBP":
        os.truncate(path, 300_000_000)
        with pytest.raises(UnreadableImage, match="longer than the 256 MB"):
            read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_nothing_waits_for_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    ways = [tmp_path / "pipe.png", tmp_path / "link.png", Path("/dev/zero"), Path("/dev/null")]
    for path in ways:
        with pytest.raises(UnreadableImage, match="it is not a file"):
            read_image(path)
        with pytest.raises(UnreadableMask, match="it is not a file"):
            read_mask(path)
        assert read_preview(path) is None
    for path in (Path("/proc/self/status"), Path("/proc/kmsg"), Path("/proc/self/mem")):
        if path.exists():
            with pytest.raises(UnreadableImage, match="empty"):
                read_image(path)


def test_pictures_of_one_pixel_and_of_one_row_are_read(tmp_path: Path) -> None:
    for rows, columns in [(1, 1), (1, 20_000), (20_000, 1)]:
        values = np.full((rows, columns, 3), 77, np.uint8)
        values[-1, -1] = 200, 100, 50
        for kind in ("PNG", "TIFF", "BMP", "JPEG"):
            options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
            path = written(tmp_path / "a", bytes_of(values, kind, **options))
            pixels_hwc = read_image(path).pixels_hwc.astype(int)
            assert pixels_hwc.shape == values.shape
            assert np.abs(pixels_hwc - values).max() <= (0 if kind != "JPEG" else 40)


def gif_like(kind: str) -> bytes:
    frames = [PillowImage.fromarray(np.roll(LARGE, step, axis=1)) for step in (0, 9, 18)]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    return stream.getvalue()


def test_of_an_animation_the_first_picture_is_read_and_that_is_said(tmp_path: Path) -> None:
    for kind in ["PNG", "WEBP"] + ["AVIF"] * READS_AVIF:
        path = written(tmp_path / "a", gif_like(kind))
        image = read_image(path)
        assert image.note == "it is animated: the first picture is read"
        assert np.abs(image.pixels_hwc.astype(int) - LARGE).mean() < 8
        with pytest.raises(UnreadableMask, match="it is animated"):
            read_mask(path)
