"""Holds masks as distances from their outline, so that they can be drawn tighter or wider."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

#: By how much of the radius of a disc of the lesion's area an outline of width 1 is moved outwards.
REACH = 0.15
#: The byte of the outline itself, and how many there are on its either side.
OUTLINE, SIDE = 128, 127
#: The bytes reach so many times as far as the widest outline of a lesion that fills the picture.
SPARE = 1.5


def coded(share_hw: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The signed distance of each pixel from the outline, positive inside, as a byte.

    A pixel that the outline crosses keeps its share of lesion, to the rounding of a byte. The
    border of the picture is no outline. `share_hw` is the share of lesion in each pixel, in [0, 1].
    """
    from scipy.ndimage import distance_transform_edt  # type: ignore[import-untyped]

    inside_hw = share_hw >= 0.5
    far = float(sum(share_hw.shape))
    inwards_hw, outwards_hw = (
        distance_transform_edt(part_hw) if not part_hw.all() else np.full(part_hw.shape, far)
        for part_hw in (inside_hw, ~inside_hw)
    )
    distance_hw = np.where(inside_hw, inwards_hw - 0.5, 0.5 - outwards_hw)
    crossed_hw = (share_hw > 0) & (share_hw < 1)
    distance_hw = np.where(crossed_hw, share_hw - 0.5, distance_hw)
    steps_hw = np.round(_steps(share_hw.shape) * distance_hw).clip(-SIDE, SIDE)
    return (OUTLINE + steps_hw).astype(np.uint8)


def share_of(code_n1hw: Tensor, picture: tuple[int, int], outwards_n: Tensor) -> Tensor:
    """The share of lesion in each pixel of a view, [0, 1], with the outline moved outwards.

    Parameters
    ----------
    code_n1hw : what a view shows of the bytes of `coded`, as a share of 255.
    picture : (rows, columns) of the picture, in pixels.
    outwards_n : by how many pixels of the picture, negative for inwards.
    """
    distance_n1hw = code_n1hw.mul(255 / _steps(picture)).sub_(OUTLINE / _steps(picture))
    return distance_n1hw.add_(outwards_n[:, None, None, None] + 0.5).clamp_(0, 1)


def radius(code_hw: NDArray[np.uint8]) -> float:
    """The radius in pixels of a disc of the lesion's area."""
    return math.sqrt(np.count_nonzero(code_hw >= OUTLINE) / math.pi)


def widest(code_hw: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The mask that the outline of width 1 encloses."""
    moved = REACH * radius(code_hw) * _steps(code_hw.shape)
    widest_hw: NDArray[np.bool_] = code_hw >= OUTLINE - moved
    return widest_hw


def _steps(picture: tuple[int, ...]) -> float:
    """How many bytes there are to a pixel's side, in a picture of (rows, columns)."""
    return SIDE / (SPARE * REACH * math.sqrt(picture[0] * picture[1] / math.pi))
