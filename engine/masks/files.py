"""Names, finds and writes mask files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from engine.files import name_with_room, write_atomic
from engine.masks.arrays import Mask, expect_mask


def mask_name(stem: str) -> str:
    """The file name of the mask of the image `stem`, `<stem>_segmentation.png`.

    A very long stem is shortened, so that the record's name, which is longer, fits as well.
    """
    return f"{name_with_room(stem, len('_segmentation.json'))}_segmentation.png"


def find_mask(folder: Path | str, stem: str) -> Path | None:
    """The mask file of the image `stem` in a folder; None where there is none.

    Both ISIC spellings are found, `_segmentation` and `_Segmentation`.
    """
    name = mask_name(stem)
    for path in (Path(folder, name), Path(folder, name.replace("_seg", "_Seg"))):
        if path.is_file():
            return path
    return None


def write_mask(path: Path | str, mask_hw: Mask) -> None:
    """Write a mask, bool (height, width), as an 8-bit PNG of 0 and 255, atomically."""
    write_atomic(Path(path), encode_mask(mask_hw))


def encode_mask(mask_hw: Mask) -> bytes:
    """A mask, bool (height, width), as the bytes of an 8-bit PNG of 0 and 255."""
    expect_mask(mask_hw)
    picture = PillowImage.fromarray(mask_hw.astype(np.uint8) * np.uint8(255))
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=3)
    return stream.getvalue()
