"""Reads mask files of many programs; refuses what is not one lesion's mask, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.errors import UnreadableImage, UnreadableMask
from engine.images.pixels import Stored, levels_of, upright
from engine.images.reading import decoded
from engine.masks.arrays import Mask

#: Levels of 255 within which what is drawn is of one colour.
_ONE_COLOUR = 16


def read_mask(path: Path | str, shape: tuple[int, int] | None = None) -> Mask:
    """Read the mask in an image file: bool (height, width).

    Parameters
    ----------
    path : of any format that `engine.images.formats` has.
    shape : (height, width) that the mask must have, None for any.

    True is 1 in a file of 0 and 1, else 128 of 255 and more, so antialiased outlines and JPEG noise
    do no harm. What is drawn in one colour on transparency is true where it is drawn, whatever the
    colour. Colours, areas of other greys, several pages, and transparency that can be understood in
    two ways are refused. Raises UnreadableMask.
    """
    try:
        stored = decoded(path)
        if stored.pages:
            several = stored.pages.partition(":")[0]
            raise UnreadableMask(path, f"{several}, where a mask is one picture")
        grey_hw = _levels(stored)
    except UnreadableImage as error:
        raise UnreadableMask(error.path, error.reason) from error
    except (ValueError, MemoryError) as error:
        raise UnreadableMask(path, str(error) or "it does not fit into memory") from error
    if shape is not None and grey_hw.shape != shape:
        found, wanted = (f"{size[1]}×{size[0]}" for size in (grey_hw.shape, shape))
        raise UnreadableMask(path, f"it has {found} pixels, its image has {wanted}")
    counts = np.bincount(grey_hw.ravel(), minlength=256)
    darkest, brightest = (int(level) for level in np.flatnonzero(counts)[[0, -1]])
    if brightest <= 1:
        return np.asarray(grey_hw == 1)
    if brightest < 128:
        raise UnreadableMask(path, f"its greys end at {brightest}: neither 0 and 1 nor 0 and 255")
    if darkest >= 128 and darkest != brightest:
        raise UnreadableMask(path, f"its greys run from {darkest} to {brightest}, with no black")
    if counts[16:240].any() and _has_grey_areas(grey_hw):
        raise UnreadableMask(path, "it has areas of grey: several labels, not one lesion")
    return grey_hw >= 128


def _levels(stored: Stored) -> NDArray[np.uint8]:
    """Greys of a mask, upright, (height, width) 0 to 255. ValueError for colours."""
    picture = stored.picture
    if picture.mode == "F" or picture.mode.startswith("I"):
        values_hw: NDArray[Any] = np.asarray(picture)
        # Labels 0 and 1, or 0 and 255, in a deeper file: scaling would lose them.
        if picture.mode == "F" or values_hw.min() < 0 or values_hw.max() > 255:
            values_hw = np.rint(levels_of(stored)[0])
        grey = PillowImage.fromarray(values_hw.astype(np.uint8))
    elif picture.mode == "LAB":
        raise ValueError("it is a colour picture, not a mask")
    elif picture.mode == "La" or picture.has_transparency_data:
        whole = picture.convert("LA") if picture.mode == "La" else picture
        grey = PillowImage.fromarray(_drawn(np.asarray(whole.convert("RGBA"))))
    else:
        grey = PillowImage.fromarray(_one_grey(picture))
    return np.ascontiguousarray(upright(grey, picture))


def _one_grey(picture: PillowImage.Image) -> NDArray[np.uint8]:
    """The grey that all channels have. No profile: masks are labels, not colours."""
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"))
    rgb_hwc: NDArray[np.uint8] = np.asarray(picture.convert("RGB"))
    if (rgb_hwc == rgb_hwc[..., :1]).all():
        return rgb_hwc[..., 0]
    if picture.mode == "P" and (indices_hw := np.asarray(picture)).max() <= 1:
        # Two labels that a palette paints in colours.
        return indices_hw
    raise ValueError("it is a colour picture, not a mask")


def _drawn(rgba_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Greys of a mask with transparency: where something is drawn, or the greys of what is."""
    rgb_hwc, alpha_hw = rgba_hwc[..., :3], rgba_hwc[..., 3]
    most = int(alpha_hw.max())
    if most == 0:
        if rgb_hwc.any():
            raise ValueError("it is wholly transparent, and something is hidden in it")
        return alpha_hw
    if alpha_hw.min() == most:
        return _one_grey(PillowImage.fromarray(rgb_hwc))
    opaque_hw = alpha_hw >= most / 2
    seen = rgb_hwc[opaque_hw]
    shares_hw = alpha_hw / np.float32(most)
    if int(np.ptp(seen, axis=0).max()) > _ONE_COLOUR:
        # Several greys are drawn: they are the mask, and nothing is black.
        black_hwc = np.rint(rgb_hwc * shares_hw[..., None]).astype(np.uint8)
        return _one_grey(PillowImage.fromarray(black_hwc))
    edges = np.concatenate([opaque_hw[0], opaque_hw[-1], opaque_hw[:, 0], opaque_hw[:, -1]])
    if edges.mean() > 0.5 and seen.mean() < 128:
        raise ValueError("it is dark around what is transparent: either may be the lesion")
    return np.rint(shares_hw * 255).astype(np.uint8)


def _has_grey_areas(grey_hw: NDArray[np.uint8]) -> bool:
    # Loaded at first use: the window is to be painted before it.
    from scipy import ndimage  # type: ignore[import-untyped]

    # An antialiased outline is a slope: nowhere in it are 3×3 pixels of one grey.
    flat_hw = ndimage.minimum_filter(grey_hw, 3) == ndimage.maximum_filter(grey_hw, 3)
    return bool((flat_hw & (grey_hw >= 16) & (grey_hw < 240)).any())
