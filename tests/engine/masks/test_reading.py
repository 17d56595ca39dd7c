"""Laws of masks with transparency, and of greys that are no mask: right, or refused with reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.errors import UnreadableMask
from engine.masks.reading import read_mask
from tests.engine.pictures import bytes_of, gamma_profile, png_of, written

ROWS, COLUMNS = np.mgrid[:30, :40]
MASK = (ROWS - 14) ** 2 + (COLUMNS - 19) ** 2 < 100
U8 = np.uint8
INK = np.where(MASK, 255, 0).astype(U8)
FULL = np.full_like(INK, 255)


def painted(inside: Any, outside: Any) -> Any:
    """Pixels of one value within the lesion and another around it."""
    return np.where(MASK[..., None], np.array(inside), np.array(outside)).astype(U8)


#: name: pixels whose mask is the disc
DISCS = {
    "black on transparent": painted([0, 0, 0, 255], [0, 0, 0, 0]),
    "white on transparent": painted([255, 255, 255, 255], [0, 0, 0, 0]),
    "white on hidden white": painted([255, 255, 255, 255], [255, 255, 255, 0]),
    "black on hidden white": painted([0, 0, 0, 255], [255, 255, 255, 0]),
    "red on transparent": painted([255, 0, 0, 255], [0, 0, 0, 0]),
    "red at 40 % on transparent": painted([255, 0, 0, 102], [0, 0, 0, 0]),
    "black at 30 % on transparent": painted([0, 0, 0, 76], [0, 0, 0, 0]),
    "white on black, opaque": painted([255, 255, 255, 255], [0, 0, 0, 255]),
    "white on black, half opaque": painted([255, 255, 255, 128], [0, 0, 0, 128]),
    "ones on zeros, opaque": painted([1, 1, 1, 255], [0, 0, 0, 255]),
    "ones with opacity one": painted([1, 1, 1, 1], [0, 0, 0, 0]),
    "grey and alpha, black on transparent": painted([0, 255], [0, 0]),
    "grey and alpha, white on transparent": painted([255, 255], [0, 0]),
    "grey and alpha, opaque": painted([255, 255], [0, 255]),
}


@pytest.mark.parametrize("name", DISCS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_what_is_drawn_is_the_mask_whatever_its_colour(
    tmp_path: Path, name: str, kind: str
) -> None:
    pixels = DISCS[name]
    if kind == "WEBP" and pixels.shape[2] == 2:
        pixels = np.asarray(PillowImage.fromarray(pixels).convert("RGBA"))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    path = written(tmp_path / "mask", bytes_of(pixels, kind, **options))
    assert np.array_equal(read_mask(path), MASK)


def test_sixteen_bits_with_alpha_are_masks_too(tmp_path: Path) -> None:
    for name in ("black on transparent", "grey and alpha, black on transparent"):
        deep = DISCS[name].astype(np.uint16) * 257
        assert np.array_equal(read_mask(written(tmp_path / "a.png", png_of(deep))), MASK)


def test_an_antialiased_drawing_is_cut_at_its_middle(tmp_path: Path) -> None:
    distance = np.hypot(ROWS - 14, COLUMNS - 19)
    alpha = np.clip((10.5 - distance) * 100 + 128, 0, 255).astype(U8)
    pixels = np.dstack([alpha * 0, alpha * 0, alpha * 0, alpha])
    path = written(tmp_path / "a.png", bytes_of(pixels, "PNG"))
    assert np.array_equal(read_mask(path), alpha >= 128)


def test_greys_that_are_drawn_are_the_mask_and_nothing_is_black(tmp_path: Path) -> None:
    field = np.abs(COLUMNS - 19) < 15
    pixels = np.dstack([INK, INK, INK, np.where(field, 255, 0).astype(U8)])
    path = written(tmp_path / "a.png", bytes_of(pixels, "PNG"))
    assert np.array_equal(read_mask(path), MASK)


def test_palettes_and_keys_that_are_transparent(tmp_path: Path) -> None:
    indices = PillowImage.fromarray(MASK.astype(U8), "L").convert("P")
    for colour in ([0, 0, 0], [255, 255, 255], [200, 0, 0]):
        indices.putpalette([90, 90, 90, *colour])
        content = bytes_of(indices, "PNG", transparency=0)
        assert np.array_equal(read_mask(written(tmp_path / "a.png", content)), MASK)
    grey = bytes_of(PillowImage.fromarray(INK), "PNG", transparency=0)
    assert np.array_equal(read_mask(written(tmp_path / "a.png", grey)), MASK)
    inverse = bytes_of(PillowImage.fromarray(255 - INK), "PNG", transparency=255)
    assert np.array_equal(read_mask(written(tmp_path / "a.png", inverse)), MASK)


def test_nothing_drawn_is_empty(tmp_path: Path) -> None:
    empty = written(tmp_path / "a.png", bytes_of(painted([0] * 4, [0] * 4), "PNG"))
    assert not read_mask(empty).any()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (painted([255, 255, 255, 0], [0, 0, 0, 0]), "wholly transparent"),
        (painted([255] * 3 + [0], [255] * 3 + [0]), "wholly transparent"),
        (painted([0, 0, 0, 0], [0, 0, 0, 255]), "either may be the lesion"),
        (painted([255, 255, 255, 0], [0, 0, 0, 255]), "either may be the lesion"),
        (np.where((COLUMNS < 15)[..., None], painted([255, 0, 0, 255], [0] * 4),
            painted([0, 0, 255, 255], [0] * 4)).astype(U8), "colour picture"),
        (np.where((COLUMNS < 20)[..., None], painted([0, 0, 0, 255], [0] * 4),
            painted([0, 0, 0, 140], [0] * 4)).astype(U8), "several labels"),
        (painted([255] * 3, [254] * 3), "from 254 to 255, with no black"),
        (painted([200] * 3, [255] * 3), "from 200 to 255, with no black"),
    ],
)  # fmt: skip
def test_what_can_be_understood_in_two_ways_is_refused(
    tmp_path: Path, pixels: Any, reason: str
) -> None:
    path = written(tmp_path / "a.png", bytes_of(pixels, "PNG"))
    with pytest.raises(UnreadableMask, match=reason):
        read_mask(path)


def test_a_mask_in_bits_of_which_white_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for picture in (PillowImage.fromarray(MASK), PillowImage.fromarray(INK)):
        picture.save(path, tiffinfo={262: 0})
        stored = np.asarray(PillowImage.open(path).convert("L"))
        assert np.array_equal(read_mask(path), stored >= 128)


def test_masks_are_upright_in_every_mode_and_no_profile_moves_them(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    turned = np.rot90(MASK, -1)
    pictures = [
        PillowImage.fromarray(MASK), PillowImage.fromarray(INK),
        PillowImage.fromarray(INK.astype("u2") * 257), PillowImage.fromarray(MASK.astype("u2")),
        PillowImage.fromarray(DISCS["black on transparent"]),
        PillowImage.fromarray(MASK.astype(U8), "L").convert("P"),
    ]  # fmt: skip
    pictures[-1].putpalette([9, 90, 9, 200, 0, 0])
    for picture in pictures:
        path = written(tmp_path / "a.png", bytes_of(picture, "PNG", exif=exif))
        assert np.array_equal(read_mask(path), turned), picture.mode
    soft = np.where(MASK, 255, 0).astype(U8)
    soft[14, 19] = 100
    content = bytes_of(soft, "PNG", icc_profile=gamma_profile(b"GRAY", 1.0))
    assert not read_mask(written(tmp_path / "a.png", content))[14, 19]
