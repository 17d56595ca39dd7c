"""Checks what Pillow does not of a JPEG: too many scans, and missing scans and rows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.images.limits import Refused
from engine.images.opening import whole_content

#: Writers of progressive JPEG make about ten scans; each costs a pass over the whole picture.
MAX_SCANS = 32

#: A JPEG marker with a length; within a scan 00 and D0 to D7 belong to the coded pixels.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_SCAN, _RESTART_INTERVAL, _END = 0xDA, 0xDD, 0xD9
#: Pixels that are not in the file are decoded to this grey, up to a rounding of colours.
_FILL = 128
_FILL_TOLERANCE = 4
#: Bytes of one value at the end of a file that no coded pixels end in.
_PADDING = 64
#: Bits that no picture goes on with: they are coded pixels wherever pixels are still waited for.
_STRAY = np.random.default_rng(0).integers(0, 255, 4096, dtype=np.uint8).tobytes()


def check(picture: PillowImage.Image, stream: BinaryIO) -> str:
    """Raise Refused for a progressive JPEG of too many scans; "", for it has no further pages."""
    if picture.info.get("progressive") and scans(whole_content(stream), MAX_SCANS) > MAX_SCANS:
        raise Refused(f"it has more than {MAX_SCANS} scans")
    return ""


def is_cut_short(picture: PillowImage.Image, stream: BinaryIO) -> bool:
    """Whether scans or rows of a decoded JPEG are not in its file."""
    return content_is_cut_short(picture, whole_content(stream))


def content_is_cut_short(picture: PillowImage.Image, content: bytes) -> bool:
    """Whether scans or rows of a decoded picture are not in the JPEG that holds its end."""
    return bool(content) and (
        lacks_scans(content)
        or is_filled_up(content)
        or (may_lack_rows(picture) and lacks_rows(content))
    )


def _segments(content: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Kind and content of each marker segment, where it begins and ends; the last is the end."""
    at = 2
    while found := _MARKER.search(content, at):
        kind, start = found[1][0], found.end()
        if kind == _END:
            yield kind, b"", found.start(), start
            return
        at = start + max(2, int.from_bytes(content[start : start + 2], "big"))
        yield kind, content[start + 2 : at], found.start(), at


def scans(content: bytes, most: int) -> int:
    """The number of scans, counted to one more than `most`."""
    count = 0
    for kind, _, _, _ in _segments(content):
        count += kind == _SCAN
        if count > most:
            break
    return count


def lacks_scans(content: bytes) -> bool:
    """Whether a component has no scan, or a progressive one is not refined to its last bit."""
    progressive, waiting = False, dict[int, set[int]]()
    for kind, segment, _, _ in _segments(content):
        if kind in _FRAMES and not waiting:
            progressive = kind in (0xC2, 0xC6, 0xCA, 0xCE)
            parts = segment[6 : 6 + 3 * segment[5] : 3]
            waiting = {part: set(range(64 if progressive else 1)) for part in parts}
        elif kind == _SCAN and segment:
            count = segment[0]
            first, last, low = (
                *segment[1 + 2 * count : 3 + 2 * count],
                segment[3 + 2 * count] & 15,
            )
            if low == 0:
                for part in segment[1 : 1 + 2 * count : 2]:
                    waiting.get(part, set()).difference_update(range(first, last + 1))
        if waiting and not any(waiting.values()):
            return False
    return bool(waiting)


def is_filled_up(content: bytes) -> bool:
    """Whether a file has no end marker and ends in filling, as a disk or a download leaves it.

    A decoder takes that for pixels where the code of its tables is short.
    """
    if len(set(content[-_PADDING:])) > 1:
        return False
    return all(kind != _END for kind, *_ in _segments(content))


def may_lack_rows(picture: PillowImage.Image) -> bool:
    """Whether the last pixel of a decoded JPEG is of the grey that stands for missing ones."""
    corner = np.asarray(picture.getpixel((picture.width - 1, picture.height - 1)))
    return bool((np.abs(corner - _FILL) <= _FILL_TOLERANCE).all())


def lacks_rows(content: bytes) -> bool:
    """Whether the coded pixels of a JPEG end before its last row.

    Where they do, a decoder takes what is put behind them for pixels: behind the first scan, which
    holds the mean of every block. Costs two decodings in small.
    """
    interval, frame, begin, end = 0, b"", 0, 0
    for kind, segment, start, at in _segments(content):
        if begin:
            end = start
            break
        if kind in _FRAMES:
            frame = segment
        elif kind == _RESTART_INTERVAL:
            interval = int.from_bytes(segment[:2], "big")
        elif kind == _SCAN:
            begin = at
    if not end or not frame:
        return False
    if interval and len(_RESTART.findall(content, begin, end)) < _restarts(frame, interval):
        return True
    longer = content[:end] + _STRAY + content[end:]
    return not np.array_equal(_in_small(content), _in_small(longer))


def _restarts(frame: bytes, interval: int) -> int:
    """The restart markers of a scan of all components, at least."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    sampling = [(each >> 4, each & 15) for each in frame[7 : 6 + 3 * frame[5] : 3]]
    across, down = (max(8 * each[axis] for each in sampling) for axis in (0, 1))
    if len(sampling) == 1:
        across = down = 8
    return (-(-width // across) * -(-height // down) - 1) // interval


def _in_small(content: bytes) -> NDArray[np.uint8]:
    with PillowImage.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        picture.draft(None, (1, 1))
        return np.asarray(picture)
