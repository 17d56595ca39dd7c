"""Strips image files of metadata (place, names, comments, thumbnails); their pixels stay."""

from __future__ import annotations

import re

#: Critical chunks of a PNG, and those that its colours and the size of its pixels hang on.
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"pHYs"})
_PNG_CHUNKS |= {b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT"}
#: What ends the coded pixels of a scan: a marker other than a restart, with bytes to fill up.
_SCAN_END = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_EOI, _SOS, _COMMENT = 0xD9, 0xDA, 0xFE
_APPLICATION = range(0xE0, 0xF0)
#: Markers that stand alone: a temporary one, and restarts.
_ALONE = {0x01, *range(0xD0, 0xD8)}
_NEVER = {0x00, 0xD8}


def stripped(content: bytes) -> bytes | None:
    """A JPEG or PNG file with the same coded pixels and colour profile, and nothing else.

    None for a file of another kind, or one that is not built by the rules. Which way up the picture
    is may be among what is lost.
    """
    if content.startswith(b"\xff\xd8\xff"):
        return _stripped_jpeg(content)
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return _stripped_png(content)
    return None


def _stripped_jpeg(content: bytes) -> bytes | None:
    kept, at = [content[:2]], 2
    while at + 2 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _EOI:
            # What follows is no part of the picture: other pictures, videos, notes of the camera.
            return b"".join([*kept, b"\xff\xd9"])
        at += 2
        if marker in _ALONE:
            kept.append(bytes([0xFF, marker]))
            continue
        end = at + int.from_bytes(content[at : at + 2])
        if marker in _NEVER or end < at + 2 or end > len(content):
            return None
        segment = _kept_segment(marker, content[at + 2 : end])
        if segment is not None:
            kept.append(bytes([0xFF, marker]) + (len(segment) + 2).to_bytes(2) + segment)
        at = end
        if marker == _SOS:
            found = _SCAN_END.search(content, at)
            if found is None:
                return None
            kept.append(content[at : found.start()])
            at = found.start()
    return None


def _kept_segment(marker: int, segment: bytes) -> bytes | None:
    """What a segment of a JPEG is in the stripped file; None where it goes."""
    if marker == 0xE0 and segment.startswith(b"JFIF\0") and len(segment) >= 14:
        # Version and density, without the thumbnail.
        return segment[:12] + b"\0\0"
    if marker == 0xE2 and segment.startswith(b"ICC_PROFILE\0"):
        return segment
    if marker == 0xEE and segment.startswith(b"Adobe"):
        return segment[:12]
    return None if marker == _COMMENT or marker in _APPLICATION else segment


def _stripped_png(content: bytes) -> bytes | None:
    kept, at = [content[:8]], 8
    while at + 12 <= len(content):
        kind = content[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(content[at : at + 4])
        if end > len(content):
            return None
        if kind in _PNG_CHUNKS:
            kept.append(content[at:end])
        elif not kind[0] & 0x20:
            # A chunk that nobody may pass over, which is not known here.
            return None
        if kind == b"IEND":
            return b"".join(kept)
        at = end
    return None
