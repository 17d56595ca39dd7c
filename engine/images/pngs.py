"""Finds what Pillow does not tell about a PNG: its significant bits, and missing rows."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image as PillowImage

#: First row, first column, row step and column step of the seven passes of an interlaced PNG.
_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
)  # fmt: skip
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields each chunk's name and length, with the stream at the beginning of its content."""
    at = 8
    while True:
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        yield name, length
        at += 12 + length


def significant_bits(stream: BinaryIO) -> int:
    """The number of significant bits that the sBIT chunk states, the most of any colour; else 0."""
    for name, length in _chunks(stream):
        if name == b"sBIT" and 1 <= length <= 4:
            # The last of two or four channels is opacity, which does not count.
            return max(stream.read(length)[: 3 if length > 2 else 1])
        if name in (b"IDAT", b"IEND"):
            break
    return 0


def lacks_rows(picture: PillowImage.Image, stream: BinaryIO) -> bool:
    """Whether a PNG's data hold fewer rows than its header says.

    Pillow leaves missing rows at zero, so the data are counted only if the last row is zero.

    Parameters
    ----------
    picture : the file, decoded.
    stream : the file's bytes.
    """
    stream.seek(16)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", stream.read(13))
    last = picture.crop((0, height - 1, width, height))
    if not interlaced and np.asarray(last).any():
        return False
    bits = depth * _CHANNELS[colour]
    wanted = 0
    for row, column, rows, columns in _PASSES if interlaced else ((0, 0, 1, 1),):
        across, down = -(-(width - column) // columns), -(-(height - row) // rows)
        if across > 0 and down > 0:
            wanted += down * (1 + (across * bits + 7) // 8)
    inflating, found = zlib.decompressobj(), 0
    for name, length in _chunks(stream):
        if name != b"IDAT":
            continue
        while length > 0 and found < wanted and not inflating.eof:
            piece = stream.read(min(length, 65_536))
            if not piece:
                return True
            length -= len(piece)
            while piece and found < wanted:
                found += len(inflating.decompress(piece, 1_000_000))
                piece = inflating.unconsumed_tail
    return found < wanted
