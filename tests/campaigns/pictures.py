"""Small sound pictures and masks of every format and depth that is read, or that people have."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image as PillowImage

#: Rows and columns of all of them.
SHAPE = (40, 56)


def pictures() -> Mapping[str, bytes]:
    """A small picture in every format and depth, by file name."""
    rng = np.random.default_rng(3)
    grain = rng.normal(0, 10, (*SHAPE, 3)) + np.linspace(60, 200, SHAPE[1])[:, None]
    rgb = PillowImage.fromarray(grain.clip(0, 255).astype(np.uint8))
    deep = PillowImage.fromarray(np.asarray(rgb)[..., 0].astype(np.uint16) * 257)
    alpha = rgb.copy()
    alpha.putalpha(200)
    exif = rgb.getexif()
    exif[0x0112], exif[0x010E] = 6, "a lesion"
    made: dict[str, bytes] = {}

    def save(name: str, picture: PillowImage.Image, kind: str, **how: Any) -> None:
        stream = io.BytesIO()
        picture.save(stream, kind, **how)
        made[name] = stream.getvalue()

    save("plain.jpg", rgb, "JPEG", exif=exif)
    save("progressive.jpg", rgb, "JPEG", progressive=True, quality=95)
    save("grey.jpg", rgb.convert("L"), "JPEG")
    save("cmyk.jpg", rgb.convert("CMYK"), "JPEG")
    save("plain.png", rgb, "PNG")
    save("alpha.png", alpha, "PNG")
    save("palette.png", rgb.quantize(17), "PNG")
    save("deep.png", deep, "PNG")
    save("raw.tif", rgb, "TIFF")
    save("lzw.tif", rgb, "TIFF", compression="tiff_lzw")
    save("deflate.tif", rgb, "TIFF", compression="tiff_adobe_deflate")
    save("jpeg.tif", rgb, "TIFF", compression="jpeg")
    save("deep.tif", deep, "TIFF")
    save("pages.tif", rgb, "TIFF", save_all=True, append_images=[rgb.rotate(180)])
    save("plain.bmp", rgb, "BMP")
    save("plain.webp", rgb, "WEBP", lossless=True)
    save("plain.avif", rgb, "AVIF")
    return made


def masks() -> Mapping[str, bytes]:
    """A disk as a mask in several kinds of picture, by file name."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    disk_hw = (rows - 20) ** 2 + (columns - 28) ** 2 < 150
    grey = PillowImage.fromarray(disk_hw.astype(np.uint8) * 255)
    made: dict[str, bytes] = {}
    for name, picture in (
        ("mask.png", grey),
        ("labels.png", PillowImage.fromarray(disk_hw.astype(np.uint8))),
        ("bits.png", grey.convert("1")),
        ("rgb.png", grey.convert("RGB")),
        ("palette.png", grey.convert("P")),
        ("deep.png", PillowImage.fromarray(disk_hw.astype(np.uint16) * 65535)),
    ):
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        made[name] = stream.getvalue()
    return made
