"""Pushes the border of a mask with a round cursor, so that it moves with it and stays smooth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.masks.arrays import Mask, Window, bounding_window
from engine.types import Float, Patch

#: The border is warped on a grid on which the cursor's radius is at most so many cells.
MOST_CELLS = 48
#: Side of a tile of that grid, in cells.
TILE = 64
#: Distances from the border are known up to here, in cells.
REACH = 12
#: Share of the radius over which less and less moves; what is further in moves as the cursor does,
#: so that a far push leaves a round nose and no spike.
RIM = 0.65
#: Cells nearer to the border than this may hold pixels on both sides of it.
NEAR = 1.5
#: The longest step, as a share of the radius, that folds nothing.
LONGEST_STEP = 0.25


class Push:
    """One pull at the border of a mask: what lies in a circle around the cursor moves with it.

    All of it in the middle, less and less towards the rim, and nothing beyond. The border is
    carried as its signed distance, which is kept from one move to the next, so that many short
    moves are as good as a long one. A move costs what its circle does, however large the mask is.

    Parameters
    ----------
    radius_px : of the circle in pixels, at least 0.5.
    """

    def __init__(self, radius_px: float) -> None:
        if not (math.isfinite(radius_px) and radius_px >= 0.5):
            raise ValueError(f"radius_px is {radius_px}")
        #: Side of a cell in pixels.
        self._cell = max(1, math.ceil(radius_px / MOST_CELLS))
        # On fewer cells nothing could be smooth.
        self._radius = max(1.5, radius_px / self._cell)
        self._tiles: dict[tuple[int, int], Float] = {}

    def move(
        self, mask_hw: Mask, start_rc: tuple[float, float], end_rc: tuple[float, float]
    ) -> Patch | None:
        """Move the cursor from one place to another, (row, column) in pixel-edge coordinates.

        `mask_hw` is the mask as the moves before have left it. Returns the patch, None where
        nothing changes.
        """
        start, end = (
            np.asarray(each, dtype=np.float64) / self._cell for each in (start_rc, end_rc)
        )
        if not (np.isfinite(start).all() and np.isfinite(end).all()):
            raise ValueError(f"the cursor moves from {start_rc} to {end_rc}")
        length = float(np.hypot(*(end - start)))
        if not length:
            return None
        window = self._window(mask_hw.shape, start, end)
        before_hw = self._gathered(mask_hw, window)
        if not before_hw.size or (before_hw > 0).all() or (before_hw <= 0).all():
            return None
        corner = np.array([side.start for side in window])
        steps = math.ceil(length / (LONGEST_STEP * self._radius))
        level_hw = before_hw
        for step in range(1, steps + 1):
            centre = start + (end - start) * (step / steps) - corner
            level_hw = self._warped(level_hw, centre, (end - start) / steps)
        self._scatter(level_hw, window)
        return self._patch(mask_hw, window, before_hw, level_hw)

    def _window(
        self, shape: tuple[int, ...], start: NDArray[np.float64], end: NDArray[np.float64]
    ) -> Window:
        """The cells that a move can change, and a few around them."""
        cells = [-(-side // self._cell) for side in shape]
        low = np.clip(np.floor(np.minimum(start, end) - self._radius) - 2, 0, cells).astype(int)
        high = np.clip(np.ceil(np.maximum(start, end) + self._radius) + 2, 0, cells).astype(int)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def _warped(
        self, level_hw: Float, centre: NDArray[np.float64], by: NDArray[np.float64]
    ) -> Float:
        rows, columns = (np.arange(side) + 0.5 for side in level_hw.shape)
        from_r, from_c = rows[:, None] - centre[0], columns[None, :] - centre[1]
        away_hw = np.sqrt(from_r**2 + from_c**2) / self._radius
        ramp_hw = np.clip((1 - away_hw) / RIM, 0, 1)
        nearness_hw = ramp_hw**2 * (3 - 2 * ramp_hw)
        places = [
            rows[:, None] - 0.5 - by[0] * nearness_hw,
            columns[None, :] - 0.5 - by[1] * nearness_hw,
        ]
        warped_hw: Float = _ndimage().map_coordinates(level_hw, places, order=1, mode="nearest")
        # Beyond the rim the very same numbers, so that nothing changes by rounding.
        return np.where(nearness_hw > 0, warped_hw, level_hw)

    # The level: how far each cell is from the border, more than 0 inside, in tiles

    def _gathered(self, mask_hw: Mask, window: Window) -> Float:
        rows, columns = window
        level_hw = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        for place, inner, outer in _tiles(window):
            if place not in self._tiles:
                self._tiles[place] = self._level(mask_hw, place)
            level_hw[outer] = self._tiles[place][inner]
        return level_hw

    def _scatter(self, level_hw: Float, window: Window) -> None:
        for place, inner, outer in _tiles(window):
            self._tiles[place][inner] = level_hw[outer]

    def _level(self, mask_hw: Mask, place: tuple[int, int]) -> Float:
        """The signed distances of a tile that no move has reached yet."""
        cell, half = self._cell, self._cell // 2
        cells = [-(-side // cell) for side in mask_hw.shape]
        low = [max(0, TILE * each - REACH) for each in place]
        high = [
            min(side, TILE * (each + 1) + REACH) for each, side in zip(place, cells, strict=True)
        ]
        rows = np.minimum(np.arange(low[0], high[0]) * cell + half, mask_hw.shape[0] - 1)
        columns = np.minimum(np.arange(low[1], high[1]) * cell + half, mask_hw.shape[1] - 1)
        inside_hw = mask_hw[np.ix_(rows, columns)]
        level_hw = np.full(inside_hw.shape, REACH, np.float32)
        if not inside_hw.all():
            within_hw = _ndimage().distance_transform_edt(inside_hw)
            beyond_hw = _ndimage().distance_transform_edt(~inside_hw) if inside_hw.any() else REACH
            level_hw = np.where(inside_hw, within_hw - 0.5, 0.5 - beyond_hw).astype(np.float32)
        level_hw = np.clip(level_hw, -REACH, REACH)
        top, left = (TILE * each - first for each, first in zip(place, low, strict=True))
        tile_hw = np.full((TILE, TILE), -REACH, np.float32)
        part_hw = level_hw[top : top + TILE, left : left + TILE]
        tile_hw[: part_hw.shape[0], : part_hw.shape[1]] = part_hw
        return tile_hw

    def _patch(
        self, mask_hw: Mask, window: Window, before_hw: Float, after_hw: Float
    ) -> Patch | None:
        """The pixels in which two levels differ, put into the mask."""
        # The border may move within a cell, which changes pixels and turns no cell over.
        near_hw = np.minimum(np.abs(before_hw), np.abs(after_hw)) < NEAR
        changed = bounding_window((before_hw != after_hw) & near_hw, margin_px=2)
        if changed is None:
            return None
        cell = self._cell
        inner_before, inner_after = (
            self._enlarged(level_hw[changed]) > 0 for level_hw in (before_hw, after_hw)
        )
        top, left = (
            cell * (side.start + part.start) for side, part in zip(window, changed, strict=True)
        )
        mask_before = mask_hw[top : top + len(inner_after), left : left + inner_after.shape[1]]
        rows, columns = mask_before.shape
        flips_hw = (inner_before != inner_after)[:rows, :columns]
        mask_after = np.where(flips_hw, inner_after[:rows, :columns], mask_before)
        tight = bounding_window(mask_before != mask_after)
        if tight is None:
            return None
        return Patch(
            top + tight[0].start,
            left + tight[1].start,
            mask_before[tight].copy(),
            mask_after[tight].copy(),
        )

    def _enlarged(self, level_hw: Float) -> Float:
        if self._cell == 1:
            return level_hw
        rows, columns = (side * self._cell for side in level_hw.shape)
        picture = PillowImage.fromarray(np.ascontiguousarray(level_hw, dtype=np.float32))
        larger = picture.resize((columns, rows), PillowImage.Resampling.BILINEAR)
        return np.asarray(larger, dtype=np.float32)


def _tiles(window: Window) -> list[tuple[tuple[int, int], Window, Window]]:
    """The tiles that a window touches: place, the part of the tile, the part of the window."""
    found = []
    spans = []
    for side in window:
        span = []
        for number in range(side.start // TILE, -(-side.stop // TILE)):
            low, high = max(side.start, TILE * number), min(side.stop, TILE * (number + 1))
            inner = slice(low - TILE * number, high - TILE * number)
            span.append((number, inner, slice(low - side.start, high - side.start)))
        spans.append(span)
    for row, inner_r, outer_r in spans[0]:
        for column, inner_c, outer_c in spans[1]:
            found.append(((row, column), (inner_r, inner_c), (outer_r, outer_c)))
    return found


def _ndimage() -> Any:
    # Loaded at first use: the window is to be painted before it.
    from scipy import ndimage  # type: ignore[import-untyped]

    return ndimage
