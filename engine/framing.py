"""Scales an image to the model's grid and results back: same area, not padded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

#: Sides of a grid are multiples of this, so that two levels with factor 4 fit.
GRID_MULTIPLE = 4
#: The smallest side of a grid: two cells at the coarse level, which reflect padding needs.
GRID_MINIMUM = 8
#: What a model sees around a box, on each side, as a share of the box's height or width.
BOX_MARGIN = 0.25


class Box(NamedTuple):
    """A rectangle of an image in pixels: its first row and column, its height and its width."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns, which index an array of the image's size."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def lies_in(self, shape: tuple[int, int]) -> bool:
        """Whether it has an area and is within an image of (height, width)."""
        inside = self.top + self.height <= shape[0] and self.left + self.width <= shape[1]
        return min(self.top, self.left) >= 0 and min(self.height, self.width) >= 1 and inside

    def grown(self, share: float, shape: tuple[int, int]) -> Box:
        """The box with a margin on each side, a share of its height and width, within an image."""
        rows, columns = round(share * self.height), round(share * self.width)
        top, left = max(0, self.top - rows), max(0, self.left - columns)
        bottom = min(shape[0], self.top + self.height + rows)
        right = min(shape[1], self.left + self.width + columns)
        return Box(top, left, bottom - top, right - left)


@dataclass(frozen=True)
class Frame:
    """The way between an image of `height` × `width` pixels and a grid of about `size`² cells.

    The grid keeps the image's proportions as nearly as sides that are multiples of four allow; an
    image longer than 4:1 is stretched onto a grid of 4:1. A `square` frame has a grid of `size` ×
    `size` cells, onto which every image is stretched.
    Laws: `restore(apply(x))` has the shape of `x` for every size from 1×1 up, and a constant
    stays that constant.

    With a `box` the grid lies over that part of the image and a margin around it (`crop`), which
    is scaled as an image of its own would be. What is restored is 0 outside the box.
    """

    height: int
    width: int
    size: int
    square: bool = False
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"an image of {self.height}×{self.width} pixels has no area")
        if self.size < GRID_MINIMUM:
            raise ValueError(f"size {self.size} is below {GRID_MINIMUM}")
        if self.box is not None and not self.box.lies_in(self.image_shape):
            raise ValueError(f"{self.box} is not within {self.height}×{self.width} pixels")

    @property
    def image_shape(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.height, self.width

    @property
    def crop(self) -> Box:
        """The part of the image that the grid lies over: the box and its margin, or all of it."""
        if self.box is None:
            return Box(0, 0, self.height, self.width)
        return self.box.grown(BOX_MARGIN, self.image_shape)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(rows, columns) of the grid: area near `size`², sides multiples of four.

        An image longer than 4:1 gets a grid of 4:1, so that neither side falls below the minimum.
        """
        if self.square:
            side = self._side(self.size)
            return side, side
        # From the longer side, so that an image on its side gets the same grid on its side.
        _, _, height, width = self.crop
        stretch = math.sqrt(min(4.0, max(height, width) / min(height, width)))
        long, short = self._side(self.size * stretch), self._side(self.size / stretch)
        return (long, short) if height > width else (short, long)

    @staticmethod
    def _side(cells: float) -> int:
        return max(GRID_MINIMUM, GRID_MULTIPLE * round(cells / GRID_MULTIPLE))

    def apply(self, pixels_hwc: NDArray[np.uint8], detail: int = 1) -> NDArray[np.float32]:
        """Scale an image to the grid: float32 (3, rows, columns) in [0, 1].

        Downscaling is antialiased (box filter first, so that a camera image costs little).

        Parameters
        ----------
        pixels_hwc : uint8 (height, width, 3), of the frame's height and width, else ValueError.
        detail : each cell gets detail × detail pixels, so both sides are `detail` times as long.
        """
        self._expect(pixels_hwc.shape[:2], self.image_shape)
        rows, columns = self.grid_shape
        picture = PillowImage.fromarray(pixels_hwc[self.crop.window])
        scaled = picture.resize(
            (detail * columns, detail * rows), PillowImage.Resampling.BILINEAR, reducing_gap=3.0
        )
        grid_hwc = np.asarray(scaled, dtype=np.float32) / np.float32(255)
        return np.ascontiguousarray(grid_hwc.transpose(2, 0, 1))

    def apply_mask(self, mask_hw: NDArray[np.bool_], detail: int = 1) -> NDArray[np.float32]:
        """Scale a mask to the grid: each cell's share of lesion, float32 (rows, columns) in [0, 1].

        Parameters
        ----------
        mask_hw : bool (height, width), of the frame's height and width, else ValueError.
        detail : as for `apply`, so that both sides are `detail` times as long.
        """
        self._expect(mask_hw.shape, self.image_shape)
        rows, columns = (detail * side for side in self.grid_shape)
        picture = PillowImage.fromarray(mask_hw[self.crop.window].astype(np.uint8) * np.uint8(255))
        # The gap also keeps Pillow's 8-bit weights exact on images of very many rows or columns.
        scaled = picture.resize((columns, rows), PillowImage.Resampling.BOX, reducing_gap=3.0)
        return np.asarray(scaled, dtype=np.float32) / np.float32(255)

    def restore(self, grid_hw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale a map on the grid, (rows, columns), to the image's size: float32 (height, width).

        Bilinear, 0 outside a box. Raises ValueError for a map of another shape.
        """
        self._expect(grid_hw.shape, self.grid_shape)
        crop = self.crop
        picture = PillowImage.fromarray(np.ascontiguousarray(grid_hw, dtype=np.float32))
        scaled = picture.resize((crop.width, crop.height), PillowImage.Resampling.BILINEAR)
        if self.box is None:
            return np.asarray(scaled, dtype=np.float32)
        around_hw, whole_hw = np.zeros((2, *self.image_shape), dtype=np.float32)
        around_hw[crop.window] = np.asarray(scaled)
        whole_hw[self.box.window] = around_hw[self.box.window]
        return whole_hw

    @staticmethod
    def _expect(shape: tuple[int, ...], wanted: tuple[int, int]) -> None:
        if tuple(shape) != wanted:
            raise ValueError(f"expected {wanted[0]}×{wanted[1]}, got {'×'.join(map(str, shape))}")
