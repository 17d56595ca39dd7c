"""Finds what Pillow does not tell about a TIFF: other pages, the stated range, missing strips."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

import numpy as np
from PIL import Image as PillowImage

from engine.images import jpegs
from engine.images.depth import Range
from engine.images.limits import CUT_SHORT, Refused, expect_pixels
from engine.images.opening import TILE, open_picture

#: How many pages are looked at.
_MOST_PAGES = 50
#: Bits of tag 254 (NewSubfileType): a page of reduced size, and a mask for transparency.
_REDUCED, _MASK = 1, 4


def check(picture: Any, stream: BinaryIO) -> str:
    """A note for the person on the TIFF's other pages, or "" if it has none.

    `picture` is the first page, opened by Pillow; `stream` holds the file. Raises Refused if tags
    or pages say that the picture cannot be read rightly.
    """
    tags = picture.tag_v2
    largest_tile = int(tags.get(322, 1)) * int(tags.get(323, 1))
    width, height = picture.size
    expect_pixels(width, height, largest_tile)
    if int(tags.get(254, 0)) & _REDUCED:
        raise Refused("its first page is only a preview, as in raw camera files")
    if tags.get(262) == 0 and picture.mode not in ("1", "L"):
        raise Refused("white is its zero, which is read in 8 bits only")
    if lacks_strips(tags):
        raise Refused(CUT_SHORT)
    reason, note = other_pages(open_picture(stream, "TIFF"))
    if reason:
        raise Refused(reason)
    return note


def mend_planes(picture: Any) -> None:
    """Make Pillow decode separate planes of more than eight bits, of which it takes single bytes.

    Changes the opened `picture`, before it is loaded.
    """
    tags = picture.tag_v2
    if int(tags.get(284, 1)) != 2:
        return
    if int(np.max(tags.get(258, 1))) <= 8 or picture.use_load_libtiff:
        return
    if int(tags.get(277, 1)) == 1:
        # With one channel, separate and interleaved planes are the same.
        tags[284] = 1
        picture._setup()
    else:
        picture.use_load_libtiff = True
        args = (f"{picture.mode};16N", False, tags.offset)
        picture.tile = [TILE("libtiff", (0, 0, int(tags[256]), int(tags[257])), 0, args)]


def is_cut_short(picture: Any, stream: BinaryIO) -> bool:
    """Whether the last strip or tile of a page is a JPEG that is cut short.

    `picture` is the page, decoded; `stream` holds the file.
    """
    return jpegs.content_is_cut_short(picture, last_jpeg(picture.tag_v2, stream))


def stated_range(picture: Any) -> Range | None:
    """The values of black and white that a page's tags or ImageJ's description state, or None."""
    tags = picture.tag_v2
    for black_tag, white_tag in ((340, 341), (280, 281)):
        if white_tag in tags:
            black, white = np.min(tags.get(black_tag, 0)), np.max(tags[white_tag])
            if black < white:
                return Range(float(black), float(white))
    found = re.findall(r"^(min|max)=(-?[\d.]+(?:[eE][-+]?\d+)?)\s*$", _imagej(tags), re.MULTILINE)
    shown = dict(found)
    if len(shown) == 2 and float(shown["min"]) < float(shown["max"]):
        return Range(float(shown["min"]), float(shown["max"]), clips=True)
    return None


def lacks_strips(tags: Any) -> bool:
    """Whether strips or tiles are missing or empty, or have fewer bytes than their pixels need."""
    width, height = int(tags[256]), int(tags[257])
    tiled = 324 in tags
    across = int(tags[322]) if tiled else width
    down = int(tags[323]) if tiled else min(int(tags.get(278, height)), height)
    samples = int(tags.get(277, 1))
    wanted = -(-width // across) * -(-height // down)
    if int(tags.get(284, 1)) == 2:
        wanted *= samples
    offsets, counts = tags[324 if tiled else 273], tags.get(325 if tiled else 279)
    if len(offsets) < wanted or 0 in offsets[:wanted]:
        return True
    if counts is None:
        return False
    if len(counts) < wanted or 0 in counts[:wanted]:
        return True
    if int(tags.get(259, 1)) != 1 or int(tags.get(262, 1)) == 6:
        return False
    bits = np.ravel(tags.get(258, 1))
    in_row = int(bits.sum()) if len(bits) == samples else int(bits[0]) * samples
    return int(sum(counts[:wanted])) < height * ((width * in_row + 7) // 8)


def last_jpeg(tags: Any, stream: BinaryIO) -> bytes:
    """The last strip or tile of a page as a whole JPEG file, or b"" if it is not JPEG.

    `tags` are the page's; `stream` holds the file.
    """
    if int(tags.get(259, 1)) != 7:
        return b""
    offsets, counts = (tags.get(324), tags.get(325)) if 324 in tags else (tags[273], tags.get(279))
    if not counts:
        return b""
    stream.seek(offsets[-1])
    coded, tables = stream.read(counts[-1]), tags.get(347, b"")
    # Tag 347 holds the tables that strips share, as a JPEG without pixels: it goes before them.
    return tables[:-2] + coded[2:] if tables else coded


def other_pages(first: PillowImage.Image) -> tuple[str, str]:
    """A reason to refuse a TIFF because of its pages, and a note on them; "" where there is none.

    Previews and smaller copies of a page do not count as pages. Two to four pages of one channel
    and one size are refused: they look like the channels of one picture, but the file does not say
    how to combine them. `first` cannot be used afterwards.
    """
    description = _imagej(first.tag_v2)  # type: ignore[attr-defined]
    channels = re.search(r"^channels=(\d+)", description, re.MULTILINE)
    if channels and int(channels[1]) > 1:
        return _apart(int(channels[1])), ""
    kinds = [(first.size, first.mode)]
    try:
        for place in range(1, _MOST_PAGES + 1):
            first.seek(place)
            tags: Any = first.tag_v2  # type: ignore[attr-defined]
            if not int(tags.get(254, 0)) & (_REDUCED | _MASK) and int(tags.get(255, 1)) != 2:
                kinds.append((first.size, first.mode))
    # Pillow raises various errors at the last page or a damaged one, which does not harm the first.
    except Exception:
        pass
    images = re.search(r"^images=(\d+)", description, re.MULTILINE)
    count = max(len(kinds), int(images[1]) if images else 1)
    if count == 1:
        return "", ""
    if len(set(kinds)) == 1 and 2 <= count <= 4 and (kinds[0][1] in "LF" or kinds[0][1][0] == "I"):
        return _apart(count), ""
    many = f"more than {_MOST_PAGES}" if count > _MOST_PAGES else f"{count}"
    return "", f"it has {many} pages: the first is read"


def _apart(channels: int) -> str:
    """The reason to refuse a TIFF whose channels are pages of their own."""
    return f"it has {channels} pages of one channel each: save it as one RGB picture"


def _imagej(tags: Any) -> str:
    """The description that ImageJ wrote into a page, or ""."""
    description = str(tags.get(270, ""))
    return description if description.startswith("ImageJ=") else ""
