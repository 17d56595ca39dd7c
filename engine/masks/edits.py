"""Edits of masks: each leaves the mask as it is and returns the patch that changes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.masks.arrays import EIGHT_NEIGHBOURS, Mask, Window, bounding_window, expect_mask
from engine.types import Patch


def apply(mask_hw: Mask, patch: Patch) -> None:
    """Write a patch into a mask, in place."""
    mask_hw[_window(mask_hw, patch)] = patch.after_hw


def revert(mask_hw: Mask, patch: Patch) -> None:
    """Take a patch out of a mask again, in place."""
    mask_hw[_window(mask_hw, patch)] = patch.before_hw


def _window(mask_hw: Mask, patch: Patch) -> Window:
    rows, columns = patch.before_hw.shape
    bottom, right = patch.top + rows, patch.left + columns
    if patch.top < 0 or patch.left < 0 or bottom > mask_hw.shape[0] or right > mask_hw.shape[1]:
        raise ValueError("the patch lies outside the mask")
    return slice(patch.top, bottom), slice(patch.left, right)


def _patch(mask_hw: Mask, window: Window, after_hw: Mask) -> Patch | None:
    """The tight patch that puts `after_hw` into a window; None where that changes nothing."""
    before_hw = mask_hw[window]
    changed = bounding_window(before_hw != after_hw)
    if changed is None:
        return None
    top, left = (side.start + change.start for side, change in zip(window, changed, strict=True))
    return Patch(top, left, before_hw[changed].copy(), after_hw[changed].copy())


# Points and vertices are (row, column) in pixel-edge coordinates: the first pixel's centre lies at
# (0.5, 0.5).


def stroke(
    mask_hw: Mask,
    points_rc: NDArray[np.floating[Any]],
    radius_px: float,
    value: bool,
    allowed: Callable[[Window], Mask] | None = None,
) -> Patch | None:
    """Paint every pixel whose centre is within a radius of the line through some points.

    Only the stroke's surroundings are looked at.

    Parameters
    ----------
    mask_hw : bool (height, width); it is not changed.
    points_rc : (n, 2), the corners of the line; one point is a dot.
    radius_px : half the width of the stroke, at least 0.
    value : True adds lesion, False removes it.
    allowed : tells which pixels of a window (rows, columns) may change; None: all.

    Returns the patch, None where nothing changes. Raises ValueError for a senseless argument.
    """
    expect_mask(mask_hw)
    points_rc = _checked_points(points_rc)
    if not (math.isfinite(radius_px) and radius_px >= 0):
        raise ValueError(f"radius_px is {radius_px}")
    if not len(points_rc):
        return None
    window = _surroundings(points_rc, radius_px, mask_hw.shape)
    after_hw = mask_hw[window].copy()
    if not after_hw.size:
        return None
    points_rc = points_rc - [side.start for side in window]
    # A dot is a segment of no length.
    for start_rc, end_rc in pairwise(points_rc if len(points_rc) > 1 else points_rc[[0, 0]]):
        _thick_segment(after_hw, start_rc, end_rc, radius_px, value)
    if allowed is not None:
        after_hw = np.where(allowed(window), after_hw, mask_hw[window])
    return _patch(mask_hw, window, after_hw)


def polygon(mask_hw: Mask, vertices_rc: NDArray[np.floating[Any]], value: bool) -> Patch | None:
    """Paint `value` on every pixel whose centre is inside a closed polygon (even-odd rule).

    `vertices_rc` is (n, 2); fewer than three change nothing. Returns the patch, None where nothing
    changes.
    """
    expect_mask(mask_hw)
    vertices_rc = _checked_points(vertices_rc)
    if len(vertices_rc) < 3:
        return None
    window = _surroundings(vertices_rc, 0.0, mask_hw.shape)
    before_hw = mask_hw[window]
    if not before_hw.size:
        return None
    rows, columns = before_hw.shape
    vertices_rc = vertices_rc - [side.start for side in window]
    # Where an edge crosses a row of centres, inside and outside change places from there on.
    crossings_hw = np.zeros((rows, columns + 1), dtype=np.uint8)
    for (row_a, column_a), (row_b, column_b) in zip(
        vertices_rc, np.roll(vertices_rc, -1, axis=0), strict=True
    ):
        low, high = np.clip(np.ceil(np.sort([row_a, row_b]) - 0.5), 0, rows).astype(int)
        if low < high:
            centres = np.arange(low, high) + 0.5
            across = column_a + (column_b - column_a) * ((centres - row_a) / (row_b - row_a))
            first = np.clip(np.ceil(across - 0.5), 0, columns).astype(int)
            crossings_hw[np.arange(low, high), first] ^= 1
    inside_hw = np.bitwise_xor.accumulate(crossings_hw, axis=1)[:, :columns].astype(bool)
    return _patch(mask_hw, window, before_hw | inside_hw if value else before_hw & ~inside_hw)


def fill_holes(mask_hw: Mask) -> Patch | None:
    """Add what the lesion encloses."""

    def filled(crop_hw: Mask) -> Mask:
        outside_hw, _ = _ndimage().label(np.pad(~crop_hw, 1, constant_values=True))
        return np.asarray(outside_hw[1:-1, 1:-1] != outside_hw[0, 0])

    return _around_lesion(mask_hw, 0, filled)


def keep_largest(mask_hw: Mask) -> Patch | None:
    """Remove all islands but the largest; pixels that touch at a corner are one island."""

    def largest(crop_hw: Mask) -> Mask:
        islands_hw, _ = _ndimage().label(crop_hw, EIGHT_NEIGHBOURS)
        sizes = np.bincount(islands_hw.ravel())
        return np.asarray(islands_hw == 1 + np.argmax(sizes[1:]))

    return _around_lesion(mask_hw, 0, largest)


def smooth(mask_hw: Mask, radius_px: float) -> Patch | None:
    """Round off details of the outline that are finer than about `radius_px`; the area stays.

    The mask is blurred, and as many pixels are kept as it had, the brightest.
    """
    if not (math.isfinite(radius_px) and radius_px > 0):
        raise ValueError(f"radius_px is {radius_px}")
    side_px = 2 * max(1, round(radius_px)) + 1

    def rounded(crop_hw: Mask) -> Mask:
        # Three box means are nearly a Gaussian, at a cost that does not grow with the radius.
        blurred_hw = crop_hw.astype(np.float32)
        for _ in range(3):
            blurred_hw = _ndimage().uniform_filter(blurred_hw, side_px, mode="nearest")
        # Rounded, so that a straight edge stays or goes as a whole and not by the blur's last bit.
        blurred_hw = np.round(blurred_hw, 5)
        place = crop_hw.size - int(np.count_nonzero(crop_hw))
        least = np.partition(blurred_hw, place, axis=None)[place]
        return np.asarray((blurred_hw >= least) & (blurred_hw > 0))

    return _around_lesion(mask_hw, 2 * side_px, rounded)


def replace(mask_hw: Mask, other_hw: Mask) -> Patch | None:
    """Put another mask of the same size in the place of this one."""
    expect_mask(mask_hw)
    expect_mask(other_hw)
    if mask_hw.shape != other_hw.shape:
        raise ValueError(f"a mask of {other_hw.shape} cannot replace one of {mask_hw.shape}")
    return _patch(mask_hw, (slice(0, None), slice(0, None)), other_hw)


def _ndimage() -> Any:
    # Loaded at first use: the window is to be painted before it.
    from scipy import ndimage  # type: ignore[import-untyped]

    return ndimage


def _around_lesion(mask_hw: Mask, margin_px: int, edit: Callable[[Mask], Mask]) -> Patch | None:
    expect_mask(mask_hw)
    window = bounding_window(mask_hw, margin_px)
    return None if window is None else _patch(mask_hw, window, edit(mask_hw[window]))


def _checked_points(points_rc: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    points = np.asarray(points_rc, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < 1e9).all():
        raise ValueError(f"points are (n, 2), each near the mask, got {points.shape}")
    return points


def _surroundings(
    points_rc: NDArray[np.float64], radius_px: float, shape: tuple[int, ...]
) -> Window:
    """The window of all pixels whose centres can be within a radius of points."""
    low = np.clip(np.floor(points_rc.min(axis=0) - radius_px - 0.5), 0, shape).astype(int)
    high = np.clip(np.ceil(points_rc.max(axis=0) + radius_px + 0.5), 0, shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _thick_segment(
    mask_hw: Mask,
    start_rc: NDArray[np.float64],
    end_rc: NDArray[np.float64],
    radius_px: float,
    value: bool,
) -> None:
    """Paint two discs and the rectangle between them, in place, in windows along the segment."""
    along_rc = end_rc - start_rc
    length_px = float(np.hypot(*along_rc))
    pieces = 1 + min(1000, int(length_px / (64 + 2 * radius_px)))
    ends_rc = start_rc + np.linspace(0, 1, pieces + 1)[:, None] * along_rc
    for piece in range(pieces):
        window = _surroundings(ends_rc[piece : piece + 2], radius_px, mask_hw.shape)
        rows = np.arange(window[0].start, window[0].stop)[:, None] + (0.5 - start_rc[0])
        columns = np.arange(window[1].start, window[1].stop)[None, :] + (0.5 - start_rc[1])
        inside_hw = rows**2 + columns**2 <= radius_px**2
        if length_px**2 > 0:
            inside_hw |= (rows - along_rc[0]) ** 2 + (columns - along_rc[1]) ** 2 <= radius_px**2
            between_hw = rows * along_rc[0] + columns * along_rc[1]
            beside_hw = np.abs(rows * along_rc[1] - columns * along_rc[0])
            inside_hw |= (
                (between_hw >= 0)
                & (between_hw <= length_px**2)
                & (beside_hw <= radius_px * length_px)
            )
        mask_hw[window][inside_hw] = value
