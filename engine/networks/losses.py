"""The loss of a mask that is predicted as a logit, for networks and for the diffusion."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor


def mask_loss(logit_n1hw: Tensor, share_n1hw: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice loss, a scalar.

    Parameters
    ----------
    logit_n1hw : predicted logit of lesion in each cell.
    share_n1hw : true share of lesion in each cell, [0, 1].
    """
    entropy = F.binary_cross_entropy_with_logits(logit_n1hw, share_n1hw)
    return entropy + 1 - soft_dice(logit_n1hw, share_n1hw).mean()


def soft_dice(logit_n1hw: Tensor, share_n1hw: Tensor) -> Tensor:
    """The soft Dice of each sample, (n,); takes what `mask_loss` takes."""
    probability = torch.sigmoid(logit_n1hw)
    shared = (probability * share_n1hw).sum(dim=(1, 2, 3))
    areas = probability.sum(dim=(1, 2, 3)) + share_n1hw.sum(dim=(1, 2, 3))
    return (2 * shared + 1) / (areas + 1)
