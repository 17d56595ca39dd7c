"""Pictures and the bytes of their files, for tests of reading them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms

Pixels = np.ndarray[Any, Any]

ROWS, COLUMNS = np.mgrid[:24, :32]
#: A picture in which every row, column and channel differs.
COLOUR: Pixels = np.stack([ROWS * 10, COLUMNS * 8, 255 - ROWS * 5 - COLUMNS * 3], -1).astype("u1")
GREY: Pixels = (ROWS * 8 + COLUMNS * 2).astype(np.uint8)
GREY_RGB: Pixels = np.stack([GREY] * 3, -1)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with a right checksum."""
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png_of(values: Pixels, *chunks: bytes, height: int = 0, interlaced: int = 0) -> bytes:
    """A PNG of grey, LA, RGB or RGBA values of uint8 or uint16; a header may promise more rows."""
    rows, columns = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    depth = 8 * values.itemsize
    head = struct.pack(">IIBBBBB", columns, height or rows, depth, colour, 0, 0, interlaced)
    big_endian = values.astype(values.dtype.newbyteorder(">"))
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in big_endian))
    body = [png_chunk(b"IHDR", head), *chunks, png_chunk(b"IDAT", content), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def bytes_of(picture: PillowImage.Image | Pixels, kind: str, **options: Any) -> bytes:
    """The content of a file of that kind."""
    if not isinstance(picture, PillowImage.Image):
        picture = PillowImage.fromarray(picture)
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def written(path: Path, content: bytes) -> Path:
    """The path, after a file with that content was written to it."""
    path.write_bytes(content)
    return path


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """A profile that is sRGB with its red and green swapped, and calls itself sRGB."""
    profile = bytearray(srgb_profile())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def gamma_profile(space: bytes, exponent: float) -> bytes:
    """A profile of greys, GRAY, or of sRGB's primaries, RGB, with a power as its curve."""
    curve = struct.pack(">4s4xIH2x", b"curv", 1, round(256 * exponent))
    white = struct.pack(">4s4x3i", b"XYZ ", 63_190, 65_536, 54_061)
    parts = {b"wtpt": white}
    if space == b"GRAY":
        parts[b"kTRC"] = curve
    else:
        columns = {b"r": (28_578, 14_581, 912), b"g": (25_238, 46_982, 6_362),
                   b"b": (9_374, 3_973, 46_787)}  # fmt: skip
        for name, xyz in columns.items():
            parts[name + b"XYZ"] = struct.pack(">4s4x3i", b"XYZ ", *xyz)
            parts[name + b"TRC"] = curve
    return _profile(b"mntr", space, b"XYZ ", parts)


def black_ink_profile() -> bytes:
    """A profile of CMYK in which only black is ink, and all else is clear."""
    straight = np.arange(256, dtype=np.uint8).tobytes()
    corners = np.array([[255 * (1 - corner % 2), 128, 128] for corner in range(16)], np.uint8)
    numbers = struct.pack(">4s4x4B9i", b"mft1", 4, 3, 2, 0, *np.eye(3, dtype=int).ravel() * 65_536)
    table = numbers + 4 * straight + corners.tobytes() + 3 * straight
    white = struct.pack(">4s4x3i", b"XYZ ", 63_190, 65_536, 54_061)
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": white, b"A2B0": table})


def _profile(kind: bytes, space: bytes, between: bytes, parts: dict[bytes, bytes]) -> bytes:
    table, content, start = b"", b"", 132 + 12 * len(parts)
    for name, part in parts.items():
        table += struct.pack(">4sII", name, start + len(content), len(part))
        content += part.ljust(-(-len(part) // 4) * 4, b"\0")
    head = struct.pack(">I4xI4s4s4s", start + len(content), 0x02100000, kind, space, between)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(parts)) + table + content


def encoded(light: Any) -> Any:
    """sRGB levels, not rounded, of light from 0 to 1."""
    light = np.asarray(light, dtype=float)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
