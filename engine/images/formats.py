"""The formats of image files that are read: one table, from which suffixes and readers derive.

To add a format, add an `ImageFormat` to `FORMATS`. Name, label, signature and suffixes are enough
for one that Pillow decodes reliably; what Pillow does not check or tell goes into functions of a
module of its own, as `jpegs`, `pngs` and `tiffs` have them. If its suffix or signature is among
those of files that are not read (`engine.images.listing` and `_FOREIGN`), take it out there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, BinaryIO

from engine.images import jpegs, pngs, tiffs
from engine.images.depth import Range
from engine.images.limits import MAX_BYTES, MAX_HELD_BYTES

#: Pillow reads AVIF from release 11.3 on, where it was built with it.
READS_AVIF = find_spec("PIL._avif") is not None

#: A picture as Pillow opened it. Readers of some formats have attributes that its type lacks.
Opened = Any


def _other_frames(picture: Opened, _stream: BinaryIO) -> str:
    animated = getattr(picture, "is_animated", False)
    return "it is animated: the first picture is read" if animated else ""


@dataclass(frozen=True)
class ImageFormat:
    """A format: how its files are known, and what Pillow does not check or tell of them.

    Parameters
    ----------
    name : what Pillow calls the format.
    label : what people call it.
    signature : regular expression of how a file begins; a file's kind is told by this alone.
    suffixes : with a dot, in small letters; folders are searched for them.
    most_bytes : longer files are refused.
    check : given an opened picture, which it may use up, and its file: raises
        `engine.images.limits.Refused`, or returns a note on further pages, "" without.
    before_decoding : mends an opened picture that Pillow would decode wrongly.
    is_cut_short : whether a decoded picture's file ends before its last pixel.
    stated_range : the black and white that an opened picture states, None where it does not.
    significant_bits : of sixteen bits, how many a file says are significant; 0 unsaid.
    """

    name: str
    label: str
    signature: bytes
    suffixes: tuple[str, ...]
    most_bytes: int = MAX_BYTES
    check: Callable[[Opened, BinaryIO], str] = _other_frames
    before_decoding: Callable[[Opened], None] = lambda _picture: None
    is_cut_short: Callable[[Opened, BinaryIO], bool] = lambda _picture, _stream: False
    stated_range: Callable[[Opened], Range | None] = lambda _picture: None
    significant_bits: Callable[[BinaryIO], int] = lambda _stream: 0


def _checked_png(picture: Opened, stream: BinaryIO) -> str:
    note = _other_frames(picture, stream)
    # Decoding alone skips the checksums. Verifying uses the picture up.
    picture.verify()
    return note


_JPEG = ImageFormat(
    "JPEG",
    "JPEG",
    rb"\xff\xd8\xff",
    (".jpg", ".jpeg", ".jpe", ".jfif"),
    most_bytes=MAX_HELD_BYTES,
    check=jpegs.check,
    is_cut_short=jpegs.is_cut_short,
)
_PNG = ImageFormat(
    "PNG",
    "PNG",
    rb"\x89PNG\r\n\x1a\n",
    (".png",),
    check=_checked_png,
    is_cut_short=pngs.lacks_rows,
    significant_bits=pngs.significant_bits,
)
_TIFF = ImageFormat(
    "TIFF",
    "TIFF",
    rb"II[*+]\0|MM\0[*+]",
    (".tif", ".tiff"),
    check=tiffs.check,
    before_decoding=tiffs.mend_planes,
    is_cut_short=tiffs.is_cut_short,
    stated_range=tiffs.stated_range,
)
_WEBP = ImageFormat("WEBP", "WebP", rb"RIFF....WEBP", (".webp",), most_bytes=MAX_HELD_BYTES)
_AVIF = ImageFormat("AVIF", "AVIF", rb"....ftypavi[fs]", (".avif",), most_bytes=MAX_HELD_BYTES)
_BMP = ImageFormat("BMP", "BMP", rb"BM", (".bmp",))

#: Every format that is read, in the order in which people are told of them.
FORMATS = (_JPEG, _PNG, _TIFF, _BMP, _WEBP, *((_AVIF,) if READS_AVIF else ()))

#: Suffixes that folders are searched for; a file's kind is told by its content, not by these.
IMAGE_SUFFIXES: frozenset[str] = frozenset(each for kind in FORMATS for each in kind.suffixes)

_LABELS = [kind.label for kind in FORMATS]
#: "JPEG, PNG, … or AVIF".
LABELS = f"{', '.join(_LABELS[:-1])} or {_LABELS[-1]}"

#: How files begin that are no image that is read, and what they are called.
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


def format_of(start: bytes) -> ImageFormat | None:
    """The format of a file that begins so; 512 bytes are enough. None where it is not read."""
    return next((kind for kind in FORMATS if re.match(kind.signature, start, re.DOTALL)), None)


def foreign(start: bytes) -> str:
    """The reason why a file that begins so, of no format that is read, is refused."""
    if not start:
        return "the file is empty"
    for pattern, name in _FOREIGN:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return f"it is {name}, not a {LABELS}"
    printable = not re.search(rb"[\x00-\x08\x0e-\x1a\x7f]", start)
    return "it is a text file" if printable else f"it is not a {LABELS}"
