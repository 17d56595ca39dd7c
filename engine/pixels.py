"""Pixels as files store them become 8-bit sRGB: full scale is kept, nothing is stretched."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

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
_SRGB = ImageCms.createProfile("sRGB")


def in_rgb(picture: PillowImage.Image) -> PillowImage.Image:
    """A picture from `decoded`, upright, mode RGB, in sRGB. Raises ValueError with a reason."""
    upright = 1
    # Damaged EXIF costs the orientation, not the picture. (Pillow turns TIFFs itself.)
    with suppress(Exception):
        upright = picture.getexif().get(0x0112, 1)
    try:
        rgb = _as_rgb(picture)
    except (ValueError, MemoryError):
        raise
    # Damage that decoding let through: a palette without colours fails an assertion of Pillow's.
    except Exception as error:
        raise ValueError("the file is damaged") from error
    return rgb.transpose(_UPRIGHT[upright]) if upright in _UPRIGHT else rgb


def upright_size(picture: PillowImage.Image) -> tuple[int, int]:
    """(columns, rows) of an opened picture once it is upright; nothing is decoded."""
    columns, rows = picture.size
    # Pillow turns TIFFs itself, and says so in their size.
    turned = picture.format != "TIFF" and picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (rows, columns) if turned else (columns, rows)


def _as_rgb(picture: PillowImage.Image) -> PillowImage.Image:
    mode = picture.mode
    if mode == "F" or mode.startswith("I"):
        return PillowImage.fromarray(_grey8(picture)).convert("RGB")
    if picture.has_transparency_data:
        return _on_black(picture)
    if mode in ("RGB", "CMYK"):
        return _in_srgb(picture)
    if mode in ("1", "L", "P", "YCbCr", "RGBX"):
        return picture.convert("RGB")
    raise ValueError(f"its colour mode {mode} is not supported")


def _grey8(picture: PillowImage.Image) -> NDArray[np.uint8]:
    """High-depth grey, (height, width), as 8 bits; ValueError where full scale is not known."""
    values_hw: NDArray[Any] = np.asarray(picture)
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG"):
        tags: Any = getattr(picture, "tag_v2", {})
        bits = int(np.ravel(tags.get(258, 16))[0])
        return (values_hw >> (bits - 8)).astype(np.uint8)
    if picture.mode != "F":
        raise ValueError("its whole numbers are signed or of 32 bits, of no known full scale")
    low, high = float(values_hw.min()), float(values_hw.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its values are infinite or not numbers")
    if low < 0 or high > 255:
        raise ValueError(f"its values run from {low:g} to {high:g}, not 0 to 1 or 0 to 255")
    return np.rint(values_hw * np.float32(255 if high <= 1 else 1)).astype(np.uint8)


def _on_black(picture: PillowImage.Image) -> PillowImage.Image:
    rgba = picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    low, high = alpha.getextrema()
    # Some writers leave alpha at zero everywhere and mean a picture without it.
    if low == 255 or high == 0:
        return rgba.convert("RGB")
    black = PillowImage.new("RGB", rgba.size)
    black.paste(rgba.convert("RGB"), mask=alpha)
    return black


def _in_srgb(picture: PillowImage.Image) -> PillowImage.Image:
    profile = picture.info.get("icc_profile") or b""
    # Nearly all profiles are sRGB by name, in ASCII or UTF-16: nothing to convert.
    if profile and b"sRGB" not in profile.replace(b"\0", b""):
        # An unusable profile costs exact colours, not the picture.
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB")
            if converted is not None:
                return converted
    # Converting to the mode it has already would copy it.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


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
