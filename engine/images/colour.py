"""Converts colours to sRGB as a file's profile says; profiles that move no colour are skipped."""

from __future__ import annotations

import hashlib
import io
import struct
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

_SRGB = ImageCms.createProfile("sRGB")
#: Levels of 255 by which a profile may move colours and still count as sRGB.
_SAME = 2
_LEVELS = np.arange(256, dtype=np.uint8)
_CORNERS = np.stack(np.meshgrid(*[np.linspace(0, 255, 6).astype(np.uint8)] * 3), -1).reshape(-1, 3)
#: The greys and a grid of colours, as a picture of one row.
_PROBE = PillowImage.fromarray(
    np.concatenate([np.repeat(_LEVELS[:, None], 3, axis=1), _CORNERS])[None]
)
#: The chromaticities of sRGB as PNG has them: white, red, green and blue, each x and y.
_SRGB_XY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
#: How writers of PNG say sRGB's curve in one number.
_SRGB_GAMMA, _SRGB_NEAR = 1 / 2.2, 0.005
#: From XYZ to the responses of cones, in which a white is adapted (Bradford).
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])

#: What has been found out about profiles, by mode and hash; None is "nothing to convert".
_known: dict[tuple[str, bytes], Any] = {}
_MOST_KNOWN = 64


def profile_of(picture: PillowImage.Image) -> bytes:
    """The ICC profile of a picture, or one that says the same as a PNG's gamma; empty for sRGB."""
    profile = picture.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return profile
    gamma, xy = picture.info.get("gamma"), picture.info.get("chromaticity")
    if picture.format != "PNG" or not gamma or "srgb" in picture.info:
        return b""
    is_srgb = abs(gamma - _SRGB_GAMMA) < _SRGB_NEAR
    if is_srgb and (not xy or np.abs(np.subtract(xy, _SRGB_XY)).max() < 0.005):
        return b""
    with suppress(ValueError, ArithmeticError, struct.error, np.linalg.LinAlgError):
        return _matrix_profile(gamma, xy or _SRGB_XY)
    return b""


def in_srgb(picture: PillowImage.Image, profile: bytes) -> PillowImage.Image:
    """Convert a picture of mode RGB, CMYK or LAB to sRGB, as its ICC profile says.

    A profile that is damaged, or of another kind of colours, costs exact colours only.
    """
    transform = _transform(picture.mode, profile)
    if transform is not None:
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.applyTransform(picture, transform)
            if converted is not None:
                return converted
    # Converting to the mode it has already would copy it.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def grey_curve(profile: bytes) -> NDArray[np.uint8] | None:
    """The sRGB level of each of the 256 greys of a profile; None where they are the same.

    A profile of colours on a grey picture says what its greys are as well.
    """
    ramp = PillowImage.fromarray(_LEVELS[None])
    for mode in ("L", "RGB"):
        transform = _transform(mode, profile)
        if transform is not None:
            with suppress(ImageCms.PyCMSError, OSError, ValueError):
                converted = ImageCms.applyTransform(ramp.convert(mode), transform)
                return np.asarray(converted)[0, :, 1]
    return None


def _transform(mode: str, profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """What takes colours of a profile to sRGB; None where it would move none, or cannot."""
    if not profile and mode != "LAB":
        return None
    key = (mode, hashlib.sha256(profile).digest())
    if key not in _known:
        while len(_known) >= _MOST_KNOWN:
            _known.pop(next(iter(_known)), None)
        _known[key] = _looked_at(mode, profile)
    return _known.get(key)


def _looked_at(mode: str, profile: bytes) -> ImageCms.ImageCmsTransform | None:
    # lcms and Pillow refuse in different ways, for different damage.
    with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        if mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            spaces = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
            if source.profile.xcolor_space.strip() != spaces[mode]:
                return None
        # A curve of greys is exact only where nothing is optimized; it is asked for once.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, _SRGB, mode, "RGB", flags=flags)
        if mode == "CMYK" or mode == "LAB":
            return transform
        probe = _PROBE if mode == "RGB" else PillowImage.fromarray(_LEVELS[None])
        moved = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int)
        if np.abs(moved - np.asarray(probe.convert("RGB"))).max() > _SAME:
            return transform
    return None


def _matrix_profile(gamma: float, xy: Any) -> bytes:
    """An ICC profile of the primaries and the exponent that a PNG's cHRM and gAMA hold."""
    if not 0.05 < gamma < 20:
        raise ValueError("no exponent of a picture")
    x, y = np.reshape(xy, (4, 2)).T
    if y.min() <= 0 or x.min() < 0 or (x + y).max() > 1.0001:
        raise ValueError("no chromaticities")
    white_xyz, *primaries_xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    colorants = np.stack(primaries_xyz, axis=1)
    colorants = colorants * np.linalg.solve(colorants, white_xyz)
    gains = (_CONES @ _D50) / (_CONES @ white_xyz)
    adapted = np.linalg.solve(_CONES, gains[:, None] * _CONES) @ colorants

    def numbers_xyz(xyz: Any) -> bytes:
        return struct.pack(">4s4x3i", b"XYZ ", *[round(float(each) * 65_536) for each in xyz])

    if abs(gamma - _SRGB_GAMMA) < _SRGB_NEAR:
        fixed = [
            round(65_536 * each) for each in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        ]
        curve = struct.pack(">4s4xH2x5i", b"para", 3, *fixed)
    else:
        curve = struct.pack(">4s4xIH2x", b"curv", 1, round(256 / gamma))
    parts = {b"wtpt": numbers_xyz(_D50)}
    for place, name in enumerate((b"r", b"g", b"b")):
        parts[name + b"XYZ"] = numbers_xyz(adapted[:, place])
        parts[name + b"TRC"] = curve
    table, content, start = b"", b"", 128 + 4 + 12 * len(parts)
    for name, part in parts.items():
        table += struct.pack(">4sII", name, start + len(content), len(part))
        content += part
    size = start + len(content)
    head = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + numbers_xyz(_D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(parts)) + table + content
