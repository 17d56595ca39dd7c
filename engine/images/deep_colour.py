"""Reads colour of sixteen bits where its high bytes, all that Pillow keeps, are not enough."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from PIL import Image as PillowImage

from engine.images.depth import colour_of, range_of_bits
from engine.images.limits import Refused
from engine.images.opening import TILE, open_picture
from engine.images.pixels import Stored

#: Colours of sixteen bits, and what makes Pillow, which keeps high bytes only, give the low ones.
_LOW_BYTES = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBX", "RGBA")
    for order, other in ("BL", "LB", ("N", "B" if sys.byteorder == "little" else "L"))
}


def with_low_bytes(stored: Stored, name: str, tile: Any, stream: BinaryIO, bits: int) -> Stored:
    """The page with its low bytes read as well, where its high ones alone do not hold it.

    Parameters
    ----------
    stored : the page as Pillow decodes it, of eight bits.
    name : Pillow's name of the file's format.
    tile : the first tile that Pillow decoded it from.
    stream : the file.
    bits : how many of the sixteen the file says are significant; 0 unsaid.

    Raises Refused where Pillow cannot be made to give the low bytes.
    """
    high = stored.picture
    # A colour that is transparent is stated in sixteen bits, too.
    key = high.info.get("transparency")
    said = stored.stated or bits or isinstance(key, tuple)
    if not said and np.asarray(high)[..., :3].max() >= 64:
        return stored
    codec, box, offset, args = tile
    rawmode = args if isinstance(args, str) else args[0]
    second: Any = open_picture(stream, name)
    if rawmode == "LA;16B":
        # Its four bytes as four bands.
        second.tile = [TILE(codec, box, offset, "RGBA")]
        bytes_hwc = np.asarray(second)
        low_hwc = bytes_hwc[..., [1, 1, 1, 3]]
    elif rawmode in _LOW_BYTES and int(getattr(second, "tag_v2", {}).get(284, 1)) == 1:
        changed = _LOW_BYTES[rawmode]
        second.tile = [
            TILE(*each[:3], changed if isinstance(args, str) else (changed, *each[3][1:]))
            for each in second.tile
        ]
        low_hwc = np.asarray(second)
    else:
        reason = "its 16-bit values use a part of their range only, in an order not supported"
        raise Refused(reason)
    high_hwc = np.asarray(high)
    values_hwc = high_hwc.astype(np.uint16) << 8 | low_hwc
    stated = stored.stated or range_of_bits(
        bits, int(np.bitwise_or.reduce(values_hwc[..., :3], axis=None))
    )
    picture, note = colour_of(values_hwc, stated)
    picture.info, picture.format = dict(high.info), high.format
    if isinstance(key, tuple):
        del picture.info["transparency"]
        seen_hw = (values_hwc != np.array(key)).any(axis=2)
        picture.putalpha(PillowImage.fromarray(seen_hw.astype(np.uint8) * np.uint8(255)))
    return replace(stored, picture=picture, stated=None, note=note)
