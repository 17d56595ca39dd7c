"""Image files in, upright 8-bit sRGB out: read rightly, or refused with one plain reason."""

from __future__ import annotations

import re
import stat
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from engine.errors import UnreadableImage
from engine.imagefiles import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from engine.imagefiles import is_image as is_image
from engine.imagefiles import list_images as list_images
from engine.pixels import as_array, in_rgb
from engine.types import Image

#: Larger pictures are refused from the size in their header, before anything is decoded.
MAX_PIXELS = 100_000_000
#: Writers of progressive JPEG make about ten scans; each costs a pass over the whole picture.
MAX_SCANS = 32

_READ = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
}
_FOREIGN = (
    (rb"GIF8", "a GIF picture"),
    (rb"RIFF....WEBP", "a WebP picture"),
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
#: A JPEG marker with a length; within a scan 00 and D0 to D7 belong to the coded pixels.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_QUIET_LOCK = threading.Lock()


def read_image(path: Path | str) -> Image:
    """The picture in a JPEG, PNG, TIFF or BMP file, upright, as 8-bit sRGB.

    Of several pages or frames it is the first, as in image viewers. Sixteen bits become eight by
    full scale. What is transparent becomes black, which is how dermoscopes show what lies outside
    their round field. Raises UnreadableImage.
    """
    picture = decoded(path)
    try:
        pixels_hwc = as_array(in_rgb(picture))
    except ValueError as error:
        raise UnreadableImage(path, str(error)) from error
    except MemoryError as error:
        raise UnreadableImage(path, "it does not fit into memory") from error
    return Image(pixels_hwc, Path(path), _spacing_mm(picture))


def read_preview(path: Path | str, side_px: int = 1024) -> NDArray[np.uint8] | None:
    """A large JPEG in small, uint8 (rows, columns, 3), in a fraction of the time of the whole.

    Its longer side is at least `side_px`. None for every other file, and where anything is wrong
    with it: what that is, `read_image` says.
    """
    path = Path(path)
    _silence_pillow()
    # As in `decoded`: opening a pipe would block.
    if not path.is_file():
        return None
    with suppress(Exception), path.open("rb") as stream:
        picture = _opened(stream, "JPEG")
        if min(picture.size) >= 2 * side_px and not picture.info.get("progressive"):
            picture.draft("RGB", (side_px, side_px))
            return np.asarray(in_rgb(picture))
    return None


def decoded(path: Path | str) -> PillowImage.Image:
    """The first page of an image file as it is stored: own mode, not yet turned upright.

    Raises UnreadableImage.
    """
    path = Path(path)
    _silence_pillow()
    try:
        # Looked at before opening: a pipe would block.
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "not a file"
            raise UnreadableImage(path, f"it is {what}")
        with path.open("rb") as stream:
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
        reason = "the file is cut short" if short else "the file is damaged"
        raise UnreadableImage(path, reason) from error


def _decoded(path: Path, stream: BinaryIO) -> PillowImage.Image:
    start = stream.read(512)
    kind = next((name for magic, name in _READ.items() if start.startswith(magic)), "")
    if not kind:
        raise UnreadableImage(path, _foreign(start))
    try:
        picture = _opened(stream, kind)
    except UnidentifiedImageError as error:
        reason = f"its header is damaged, or of a kind of {kind} that is not supported"
        raise UnreadableImage(path, reason) from error
    width, height = picture.size
    tags: Any = getattr(picture, "tag_v2", {})
    tile_pixels = int(tags.get(322, 1)) * int(tags.get(323, 1))
    if width * height > MAX_PIXELS or tile_pixels > MAX_PIXELS:
        raise UnreadableImage(path, _too_large(f"it has {width}×{height} pixels"))
    if int(tags.get(254, 0)) & 1:
        raise UnreadableImage(path, "its first page is only a preview, as in raw camera files")
    if tags.get(262) == 0 and picture.mode not in ("1", "L"):
        raise UnreadableImage(path, "white is its zero, which is read in 8 bits only")
    if picture.info.get("progressive") and _scans(stream) > MAX_SCANS:
        raise UnreadableImage(path, f"it has more than {MAX_SCANS} scans")
    if kind == "PNG":
        # Decoding alone skips the checksums. Verifying uses the picture up.
        picture.verify()
        picture = _opened(stream, kind)
    picture.load()
    return picture


def _opened(stream: BinaryIO, kind: str) -> PillowImage.Image:
    stream.seek(0)
    return PillowImage.open(stream, formats=(kind,))


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
            return f"it is {name}, not a JPEG, PNG, TIFF or BMP"
    printable = not re.search(rb"[\x00-\x08\x0e-\x1a\x7f]", start)
    return "it is a text file" if printable else "it is not a JPEG, PNG, TIFF or BMP"


def _too_large(found: str = "it has too many pixels") -> str:
    return f"{found}, more than the {MAX_PIXELS // 1_000_000} megapixels that are read"


def _system_reason(error: OSError) -> str:
    return (error.strerror or "it cannot be opened").lower()


def _scans(stream: BinaryIO) -> int:
    stream.seek(0)
    content, at, count = stream.read(), 2, 0
    while (found := _MARKER.search(content, at)) and found[0] != b"\xff\xd9":
        count += found[0] == b"\xff\xda"
        if count > MAX_SCANS:
            break
        at = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    return count


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
