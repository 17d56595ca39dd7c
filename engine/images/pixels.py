"""Converts decoded pixels to upright 8-bit sRGB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.images.colour import grey_curve, in_srgb, profile_of
from engine.images.depth import Range, grey_levels

_UPRIGHT = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
#: Pixels of a strip that a thread converts at a time, and of a picture from which it is worth it.
_STRIP, _LARGE = 400_000, 4_000_000


@dataclass(frozen=True)
class Stored:
    """A decoded page as its file stores it: own mode, not yet turned upright, and what is stated.

    Sixteen bits in colour are eight already. `pages` says that there are others, and `note` what
    else a person should know about it.
    """

    picture: PillowImage.Image
    stated: Range | None = None
    pages: str = ""
    note: str = ""


def in_rgb(stored: Stored) -> tuple[PillowImage.Image, str]:
    """The picture upright, mode RGB, in sRGB, and its note. Raises ValueError with a reason."""
    try:
        rgb, note = _as_rgb(stored)
    except (ValueError, MemoryError):
        raise
    # Damage that decoding let through: a palette without colours fails an assertion of Pillow's.
    except Exception as error:
        raise ValueError("the file is damaged") from error
    return upright(rgb, stored.picture), "; ".join(filter(None, (stored.pages, stored.note, note)))


def upright(picture: PillowImage.Image, stored: PillowImage.Image) -> PillowImage.Image:
    """A picture turned as the file of `stored` says it is to be seen."""
    orientation = _orientation(stored)
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def upright_size(picture: PillowImage.Image) -> tuple[int, int]:
    """(columns, rows) of an opened picture once it is upright; nothing is decoded."""
    columns, rows = picture.size
    # Of a TIFF they are those of the upright picture already.
    turned = picture.format != "TIFF" and _orientation(picture) in (5, 6, 7, 8)
    return (rows, columns) if turned else (columns, rows)


def _orientation(picture: PillowImage.Image) -> int:
    # Damaged EXIF costs the orientation, not the picture. (Pillow turns TIFFs itself.)
    with suppress(Exception):
        return int(picture.getexif().get(0x0112, 1))
    return 1


def _as_rgb(stored: Stored) -> tuple[PillowImage.Image, str]:
    picture = stored.picture
    profile = profile_of(picture)
    mode = picture.mode
    if mode == "F" or mode.startswith("I"):
        levels_hw, note = levels_of(stored)
        curve = grey_curve(profile)
        if curve is not None:
            levels_hw = np.interp(levels_hw, np.arange(256), curve).astype(np.float32)
        return PillowImage.fromarray(np.rint(levels_hw).astype(np.uint8)).convert("RGB"), note
    if mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        return _on_black(picture, profile), ""
    if mode == "L":
        return _grey_in_rgb(picture, profile), ""
    if mode in ("P", "YCbCr", "RGBX"):
        picture = picture.convert("RGB")
    if picture.mode in ("RGB", "CMYK", "LAB"):
        return in_srgb(picture, profile), ""
    if mode == "1":
        return picture.convert("RGB"), ""
    raise ValueError(f"its colour mode {mode} is not supported")


def levels_of(stored: Stored) -> tuple[NDArray[np.float32], str]:
    """Grey of more than eight bits, (rows, columns), as levels 0 to 255, and a note; ValueError."""
    picture = stored.picture
    bits = 0
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG"):
        tags: Any = getattr(picture, "tag_v2", {})
        bits = int(np.ravel(tags.get(258, 16))[0])
    return grey_levels(picture, bits, stored.stated)


def _grey_in_rgb(grey: PillowImage.Image, profile: bytes) -> PillowImage.Image:
    curve = grey_curve(profile)
    return (grey if curve is None else grey.point(curve.tolist())).convert("RGB")


def _on_black(picture: PillowImage.Image, profile: bytes) -> PillowImage.Image:
    grey = picture.mode in ("L", "LA")
    rgba = picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    if grey:
        rgb = _grey_in_rgb(rgba.getchannel("R"), profile)
    else:
        rgb = in_srgb(rgba.convert("RGB"), profile)
    low, high = alpha.getextrema()
    # Some writers leave alpha at zero everywhere and mean a picture without it.
    if low == 255 or high == 0:
        return rgb
    black = PillowImage.new("RGB", rgb.size)
    black.paste(rgb, mask=alpha)
    return black


def as_array(rgb: PillowImage.Image) -> NDArray[np.uint8]:
    """The pixels of a picture of mode RGB, uint8 (rows, columns, 3).

    A large one goes over in strips, which stay in the cache, on two threads: Pillow's own way
    copies the whole twice.
    """
    width, height = rgb.size
    if width * height < _LARGE:
        return np.asarray(rgb)
    pixels_hwc = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _STRIP // width)

    def convert(top: int) -> None:
        bottom = min(top + rows, height)
        strip = rgb.crop((0, top, width, bottom)).tobytes()
        pixels_hwc[top:bottom] = np.frombuffer(strip, dtype=np.uint8).reshape(-1, width, 3)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(convert, range(0, height, rows)))
    return pixels_hwc
