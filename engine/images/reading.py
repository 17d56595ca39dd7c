"""Image files in, upright 8-bit sRGB out: read rightly, or refused with one plain reason."""

from __future__ import annotations

import os
import re
import stat
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from engine.errors import UnreadableImage
from engine.files import open_at_once
from engine.images import jpegs, pngs
from engine.images.depth import colour_of
from engine.images.listing import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from engine.images.listing import READS_AVIF
from engine.images.listing import is_image as is_image
from engine.images.listing import list_images as list_images
from engine.images.pixels import Stored, as_array, in_rgb, upright_size
from engine.images.tiffs import lacks_strips, last_jpeg, other_pages, stated_range
from engine.types import Image

#: Larger pictures are refused from the size in their header, before anything is decoded.
MAX_PIXELS = 100_000_000
#: Longer files are refused unread: a picture of that many pixels takes less in any kind of file.
MAX_BYTES = 1_000_000_000
#: The same for the kinds that are always compressed, and held in memory whole.
MAX_HELD_BYTES = 256_000_000
#: Writers of progressive JPEG make about ten scans; each costs a pass over the whole picture.
MAX_SCANS = 32

_READ = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"....ftypavi[fs]", "AVIF"),
    (rb"BM", "BMP"),
)
_HELD = ("JPEG", "WEBP", "AVIF")
KINDS = "JPEG, PNG, TIFF, BMP, WebP or AVIF" if READS_AVIF else "JPEG, PNG, TIFF, BMP or WebP"
_FOREIGN = (
    (rb"GIF8", "a GIF picture"),
    (rb"....ftyp(hei|hev|mif1|msf1)", "a HEIC picture"),
    (rb"....ftypavi", "an AVIF picture"),
    (rb"....ftyp", "a video"),
    (rb"....jP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb"8BPS", "a Photoshop document"),
    (rb"%PDF", "a PDF document"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb".{128}DICM", "a DICOM file"),
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg", "an SVG drawing"),
)
#: Densities that cameras, screens and editors write without having measured anything.
_CUSTOMARY_DPI = {0, 1, 72, 96, 100, 120, 144, 150, 160, 180, 192, 200, 220, 230, 240, 254, 256}
_CUSTOMARY_DPI |= {300, 314, 350, 360, 400, 480, 500, 600, 720, 1000, 1200, 1440, 2400, 4800}
#: Colours of sixteen bits, and what makes Pillow, which keeps high bytes only, give the low ones.
_LOW_BYTES = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBX", "RGBA")
    for order, other in ("BL", "LB", ("N", "B" if sys.byteorder == "little" else "L"))
}
#: What Pillow decodes with: codec, box, offset and arguments. (Older releases have plain tuples.)
_TILE: Any = getattr(ImageFile, "_Tile", lambda *parts: parts)
_CUT_SHORT = "the file is cut short"
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_QUIET_LOCK = threading.Lock()


def read_image(path: Path | str) -> Image:
    """The picture in a JPEG, PNG, TIFF, BMP, WebP or AVIF file, upright, as 8-bit sRGB.

    (AVIF where Pillow reads it.) Of several pages or frames it is the first, with a note; pages
    that may be the channels of one picture are refused. More than eight bits become eight by the
    range the file states, else by the bits in use, with a note (`engine.images.depth`). What is
    transparent becomes black, which is how dermoscopes show what lies outside their round field.
    Raises UnreadableImage, also for files that end before their last row.
    """
    stored = decoded(path)
    try:
        rgb, note = in_rgb(stored)
        pixels_hwc = as_array(rgb)
    except ValueError as error:
        raise UnreadableImage(path, str(error)) from error
    except MemoryError as error:
        raise UnreadableImage(path, "it does not fit into memory") from error
    return Image(pixels_hwc, Path(path), _spacing_mm(stored.picture), note)


def read_preview(path: Path | str, side_px: int = 1024) -> NDArray[np.uint8] | None:
    """A large JPEG in small, uint8 (rows, columns, 3), in a fraction of the time of the whole.

    Its sides are at least `side_px`, its colours those of `read_image`. None for every other file,
    and where anything is wrong with it: what that is, `read_image` says.
    """
    _silence_pillow()
    with suppress(Exception), _regular(Path(path)) as stream:
        picture = _opened(stream, "JPEG")
        width, height = picture.size
        enough = min(width, height) >= 2 * side_px and width * height <= MAX_PIXELS
        if enough and not picture.info.get("progressive"):
            picture.draft("RGB", (side_px, side_px))
            return np.asarray(in_rgb(Stored(picture))[0])
    return None


def image_shape(path: Path | str) -> tuple[int, int] | None:
    """(rows, columns) of the upright picture as its header has it; None where that is not told."""
    path = Path(path)
    _silence_pillow()
    with suppress(Exception), _regular(path) as stream:
        columns, rows = upright_size(_opened(stream, _kind(stream.read(512))))
        return rows, columns
    return None


def decoded(path: Path | str) -> Stored:
    """The first page of an image file as it is stored. Raises UnreadableImage."""
    path = Path(path)
    _silence_pillow()
    try:
        with _regular(path) as stream:
            return _decoded(path, stream)
    except UnreadableImage:
        raise
    except PillowImage.DecompressionBombError as error:
        raise UnreadableImage(path, _too_large()) from error
    except MemoryError as error:
        raise UnreadableImage(path, "it does not fit into memory") from error
    # Decoders fed with hostile bytes raise nearly everything, from struct.error to KeyError.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UnreadableImage(path, _system_reason(error)) from error
        short = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = _CUT_SHORT if short else "the file is damaged"
        raise UnreadableImage(path, reason) from error


def _regular(path: Path) -> BinaryIO:
    """A regular file, open for reading; what waits or never ends is refused. Raises OSError."""
    # Looked at before opening, which can set a device going.
    status = path.stat()
    if stat.S_ISREG(status.st_mode):
        # What has taken its place since does not block either.
        stream = os.fdopen(open_at_once(path), "rb")
        status = os.fstat(stream.fileno())
        # In /proc, files of no length can wait, too.
        if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_BYTES:
            return stream
        stream.close()
    if stat.S_ISDIR(status.st_mode):
        reason = "it is a folder"
    elif not stat.S_ISREG(status.st_mode):
        reason = "it is not a file"
    else:
        reason = _too_long(MAX_BYTES) if status.st_size else "the file is empty"
    raise UnreadableImage(path, reason)


def _decoded(path: Path, stream: BinaryIO) -> Stored:
    start = stream.read(512)
    kind = _kind(start)
    if not kind or (kind == "AVIF" and not READS_AVIF):
        raise UnreadableImage(path, _foreign(start))
    if kind in _HELD and os.fstat(stream.fileno()).st_size > MAX_HELD_BYTES:
        raise UnreadableImage(path, _too_long(MAX_HELD_BYTES))
    try:
        picture = _opened(stream, kind)
    except UnidentifiedImageError as error:
        reason = f"its header is damaged, or of a kind of {kind} that is not supported"
        raise UnreadableImage(path, reason) from error
    tags: Any = getattr(picture, "tag_v2", {})
    _expect_sound(path, picture, tags, stream)
    if kind == "PNG":
        # Decoding alone skips the checksums. Verifying uses the picture up.
        picture.verify()
        picture = _opened(stream, kind)
    pages = ""
    if kind == "TIFF":
        reason, pages = other_pages(_opened(stream, kind))
        if reason:
            raise UnreadableImage(path, reason)
    elif kind != "JPEG" and getattr(picture, "is_animated", False):
        pages = "it is animated: the first picture is read"
    if tags and int(tags.get(284, 1)) == 2:
        _mend_planes(picture, tags)
    tiles = getattr(picture, "tile", [])
    picture.load()
    if _lacks_rows(picture, kind, stream):
        raise UnreadableImage(path, _CUT_SHORT)
    stated = stated_range(tags) if tags else None
    if picture.mode in ("RGB", "RGBA") and tiles and ";16" in str(tiles[0][3]):
        return _with_low_bytes(path, Stored(picture, stated, pages), kind, tiles[0], stream)
    if kind == "PNG" and picture.mode.startswith("I"):
        low_bits = int(np.bitwise_or.reduce(np.asarray(picture), axis=None))
        stated = pngs.stated_range(pngs.significant_bits(stream), low_bits)
    return Stored(picture, stated, pages)


def _mend_planes(picture: Any, tags: Any) -> None:
    """Let planes of more than eight bits be decoded as such: Pillow takes their first bytes."""
    if int(np.max(tags.get(258, 1))) <= 8 or picture.use_load_libtiff:
        return
    if int(tags.get(277, 1)) == 1:
        # One plane is no planes.
        tags[284] = 1
        picture._setup()
    else:
        picture.use_load_libtiff = True
        args = (f"{picture.mode};16N", False, tags.offset)
        picture.tile = [_TILE("libtiff", (0, 0, int(tags[256]), int(tags[257])), 0, args)]


def _expect_sound(path: Path, picture: PillowImage.Image, tags: Any, stream: BinaryIO) -> None:
    """Raise UnreadableImage for what a header says, before anything is decoded."""
    width, height = picture.size
    tile_pixels = int(tags.get(322, 1)) * int(tags.get(323, 1))
    if width * height > MAX_PIXELS or tile_pixels > MAX_PIXELS:
        raise UnreadableImage(path, _too_large(f"it has {width}×{height} pixels"))
    if int(tags.get(254, 0)) & 1:
        raise UnreadableImage(path, "its first page is only a preview, as in raw camera files")
    if tags.get(262) == 0 and picture.mode not in ("1", "L"):
        raise UnreadableImage(path, "white is its zero, which is read in 8 bits only")
    if tags and lacks_strips(tags):
        raise UnreadableImage(path, _CUT_SHORT)
    if picture.info.get("progressive") and jpegs.scans(_all(stream), MAX_SCANS) > MAX_SCANS:
        raise UnreadableImage(path, f"it has more than {MAX_SCANS} scans")


def _lacks_rows(picture: PillowImage.Image, kind: str, stream: BinaryIO) -> bool:
    if kind == "PNG":
        return pngs.lacks_rows(picture, stream)
    if kind == "TIFF":
        content = last_jpeg(picture.tag_v2, stream)  # type: ignore[attr-defined]
    else:
        content = _all(stream) if kind == "JPEG" else b""
    return bool(content) and (
        jpegs.lacks_scans(content)
        or jpegs.is_filled_up(content)
        or (jpegs.may_lack_rows(picture) and jpegs.lacks_rows(content))
    )


def _with_low_bytes(path: Path, stored: Stored, kind: str, tile: Any, stream: BinaryIO) -> Stored:
    """The page with its low bytes read as well, where its high ones alone do not hold it."""
    high = stored.picture
    bits = pngs.significant_bits(stream) if kind == "PNG" else 0
    # A colour that is transparent is stated in sixteen bits, too.
    key = high.info.get("transparency")
    said = stored.stated or bits or isinstance(key, tuple)
    if not said and np.asarray(high)[..., :3].max() >= 64:
        return stored
    codec, box, offset, args = tile
    rawmode = args if isinstance(args, str) else args[0]
    second: Any = _opened(stream, kind)
    if rawmode == "LA;16B":
        # Its four bytes as four bands.
        second.tile = [_TILE(codec, box, offset, "RGBA")]
        bytes_hwc = np.asarray(second)
        low_hwc = bytes_hwc[..., [1, 1, 1, 3]]
    elif rawmode in _LOW_BYTES and int(getattr(second, "tag_v2", {}).get(284, 1)) == 1:
        changed = _LOW_BYTES[rawmode]
        second.tile = [
            _TILE(*each[:3], changed if isinstance(args, str) else (changed, *each[3][1:]))
            for each in second.tile
        ]
        low_hwc = np.asarray(second)
    else:
        reason = "its 16-bit values use a part of their range only, in an order not supported"
        raise UnreadableImage(path, reason)
    high_hwc = np.asarray(high)
    values_hwc = high_hwc.astype(np.uint16) << 8 | low_hwc
    stated = stored.stated or pngs.stated_range(
        bits, int(np.bitwise_or.reduce(values_hwc[..., :3], axis=None))
    )
    picture, note = colour_of(values_hwc, stated)
    picture.info, picture.format = dict(high.info), high.format
    if isinstance(key, tuple):
        del picture.info["transparency"]
        seen_hw = (values_hwc != np.array(key)).any(axis=2)
        picture.putalpha(PillowImage.fromarray(seen_hw.astype(np.uint8) * np.uint8(255)))
    return Stored(picture, None, stored.pages, note)


def _kind(start: bytes) -> str:
    return next((name for magic, name in _READ if re.match(magic, start, re.DOTALL)), "")


def _opened(stream: BinaryIO, kind: str) -> PillowImage.Image:
    stream.seek(0)
    return PillowImage.open(stream, formats=(kind,))


def _all(stream: BinaryIO) -> bytes:
    stream.seek(0)
    return stream.read(MAX_HELD_BYTES)


def _silence_pillow() -> None:
    # Not catch_warnings, which swaps the filters of all threads and may put back another's.
    with _QUIET_LOCK:
        if warnings.filters[:1] != [_QUIET]:
            warnings.filterwarnings("ignore", module=r"PIL\.")


def _foreign(start: bytes) -> str:
    if not start:
        return "the file is empty"
    for pattern, name in _FOREIGN:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return f"it is {name}, not a {KINDS}"
    printable = not re.search(rb"[\x00-\x08\x0e-\x1a\x7f]", start)
    return "it is a text file" if printable else f"it is not a {KINDS}"


def _too_large(found: str = "it has too many pixels") -> str:
    return f"{found}, more than the {MAX_PIXELS // 1_000_000} megapixels that are read"


def _too_long(most_bytes: int) -> str:
    return f"it is longer than the {most_bytes // 1_000_000:,} MB that are read"


def _system_reason(error: OSError) -> str:
    return (error.strerror or "it cannot be opened").lower()


def _spacing_mm(picture: PillowImage.Image) -> float | None:
    """Side of a pixel where the file's density can be a measurement of skin, else None."""
    try:
        across_dpi, down_dpi = (float(dpi) for dpi in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not (across_dpi > 0 and abs(across_dpi - down_dpi) <= 0.001 * across_dpi):
        return None
    if abs(across_dpi - round(across_dpi)) < 0.02 and round(across_dpi) in _CUSTOMARY_DPI:
        return None
    spacing_mm = 25.4 / across_dpi
    # A close-up shows from a millimetre to a hand's breadth.
    return spacing_mm if 1 <= spacing_mm * max(picture.size) <= 150 else None
