"""Pads pictures by their border to the sizes that a U-Net takes."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor


def padded(picture_nchw: Tensor, multiple: int) -> Tensor:
    """A picture with rows below and columns on the right that repeat its border.

    Its sides become multiples of `multiple`, and at least two of them: instance norms need more
    than one pixel in the smallest features.
    """
    below, right = (max(-side % multiple, 2 * multiple - side) for side in picture_nchw.shape[2:])
    return F.pad(picture_nchw, (0, right, 0, below), mode="replicate")
