"""Reads image files as upright 8-bit sRGB; refuses what is damaged or unclear, with the reason."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from engine.errors import UnreadableImage
from engine.images.deep_colour import with_low_bytes
from engine.images.depth import range_of_bits
from engine.images.formats import foreign, format_of
from engine.images.limits import CUT_SHORT, Refused, expect_pixels, too_large, too_long
from engine.images.opening import open_picture, open_regular, silence_pillow
from engine.images.pixels import Stored, as_array, in_rgb, upright_size
from engine.images.spacing import spacing_mm
from engine.types import Image


def read_image(path: Path | str) -> Image:
    """Read the picture of an image file, upright, as 8-bit sRGB.

    `engine.images.formats` has the formats that are read. Of several pages or frames it is the
    first, with a note; pages that may be the channels of one picture are refused. More than eight
    bits become eight by the range the file states, else by the bits in use, with a note
    (`engine.images.depth`). What is transparent becomes black, which is how dermoscopes show what
    lies outside their round field.
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
    return Image(pixels_hwc, Path(path), spacing_mm(stored.picture), note)


def image_shape(path: Path | str) -> tuple[int, int] | None:
    """(rows, columns) of the upright picture, read from its header; None where that fails."""
    path = Path(path)
    silence_pillow()
    with suppress(Exception), open_regular(path) as stream:
        kind = format_of(stream.read(512))
        if kind is not None:
            columns, rows = upright_size(open_picture(stream, kind.name))
            return rows, columns
    return None


def decoded(path: Path | str) -> Stored:
    """Decode the first page of an image file, as it is stored. Raises UnreadableImage."""
    path = Path(path)
    silence_pillow()
    try:
        with open_regular(path) as stream:
            return _decoded(stream)
    except UnreadableImage:
        raise
    except Refused as refused:
        raise UnreadableImage(path, str(refused)) from refused
    except PillowImage.DecompressionBombError as error:
        raise UnreadableImage(path, too_large()) from error
    except MemoryError as error:
        raise UnreadableImage(path, "it does not fit into memory") from error
    # Decoders fed with hostile bytes raise nearly everything, from struct.error to KeyError.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UnreadableImage(path, _system_reason(error)) from error
        short = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = CUT_SHORT if short else "the file is damaged"
        raise UnreadableImage(path, reason) from error


def _decoded(stream: BinaryIO) -> Stored:
    start = stream.read(512)
    kind = format_of(start)
    if kind is None:
        raise Refused(foreign(start))
    if os.fstat(stream.fileno()).st_size > kind.most_bytes:
        raise Refused(too_long(kind.most_bytes))
    try:
        picture: Any = open_picture(stream, kind.name)
    except UnidentifiedImageError as error:
        reason = f"its header is damaged, or of a kind of {kind.name} that is not supported"
        raise Refused(reason) from error
    expect_pixels(*picture.size)
    pages = kind.check(picture, stream)
    # The check may have used it up.
    picture = open_picture(stream, kind.name)
    kind.before_decoding(picture)
    tiles = getattr(picture, "tile", [])
    picture.load()
    if kind.is_cut_short(picture, stream):
        raise Refused(CUT_SHORT)
    stored = Stored(picture, kind.stated_range(picture), pages)
    if picture.mode in ("RGB", "RGBA") and tiles and ";16" in str(tiles[0][3]):
        bits = kind.significant_bits(stream)
        return with_low_bytes(stored, kind.name, tiles[0], stream, bits)
    if picture.mode.startswith("I") and (bits := kind.significant_bits(stream)):
        low_bits = int(np.bitwise_or.reduce(np.asarray(picture), axis=None))
        return replace(stored, stated=range_of_bits(bits, low_bits))
    return stored


def _system_reason(error: OSError) -> str:
    return (error.strerror or "it cannot be opened").lower()
