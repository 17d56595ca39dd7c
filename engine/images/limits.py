"""What is too large to be read, and how a format's checks say why a file is not read."""

from __future__ import annotations

#: Larger pictures are refused from the size in their header, before anything is decoded.
MAX_PIXELS = 100_000_000
#: Longer files are refused unread: a picture of that many pixels takes less in any kind of file.
MAX_BYTES = 1_000_000_000
#: The same for the kinds that are always compressed, and held in memory whole.
MAX_HELD_BYTES = 256_000_000

CUT_SHORT = "the file is cut short"


class Refused(Exception):
    """A file is not read; its text is the reason, in words that follow "cannot be read:"."""


def too_large(found: str = "it has too many pixels") -> str:
    """The reason to refuse a picture of too many pixels; `found` says how many it has."""
    return f"{found}, more than the {MAX_PIXELS // 1_000_000} megapixels that are read"


def too_long(most_bytes: int) -> str:
    """The reason to refuse a file of more bytes than `most_bytes`."""
    return f"it is longer than the {most_bytes // 1_000_000:,} MB that are read"


def expect_pixels(width: int, height: int, largest_tile: int = 1) -> None:
    """Raise Refused where a picture, or the largest of its tiles, has too many pixels."""
    if width * height > MAX_PIXELS or largest_tile > MAX_PIXELS:
        raise Refused(too_large(f"it has {width}×{height} pixels"))
