"""The losses: L_n, L_RGB and L_total of the paper, and their form for a predicted clean mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.diffusion.schedule import velocity
from engine.networks.automaton.cell import BLUE, NOISE, RED
from engine.types import ModelSpec

#: One begins at about one; no training comes back from this.
LARGEST_LOSS = 1e6
#: Weight of the mask loss on the mean of the RGB channels, beside channel 0's own.
GUESS_WEIGHT = 0.5


def noise_loss(predicted: Tensor, noise: Tensor) -> Tensor:
    """L_n (eq. 3): mean squared error of the predicted noise, (n, 1, rows, columns), a scalar."""
    return F.mse_loss(predicted, noise)


def rgb_loss(rgb_n3hw: Tensor, mask_n1hw: Tensor) -> Tensor:
    """L_RGB (eq. 4): the three channels' mean squared errors against the mask at ±1, summed."""
    return 3 * F.mse_loss(rgb_n3hw, mask_n1hw.expand_as(rgb_n3hw))


def mask_loss(logit_n1hw: Tensor, share_n1hw: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice loss against the share of lesion in each cell, [0, 1]."""
    probability = torch.sigmoid(logit_n1hw)
    shared = (probability * share_n1hw).sum(dim=(1, 2, 3))
    areas = probability.sum(dim=(1, 2, 3)) + share_n1hw.sum(dim=(1, 2, 3))
    dice = (2 * shared + 1) / (areas + 1)
    return F.binary_cross_entropy_with_logits(logit_n1hw, share_n1hw) + 1 - dice.mean()


def total_loss(
    state_nchw: Tensor,
    share_n1hw: Tensor,
    noise_n1hw: Tensor,
    alpha_bar: Tensor,
    spec: ModelSpec,
    rgb_weight: float,
) -> Tensor:
    """L_total (eq. 5) of a last state, a scalar.

    Parameters
    ----------
    state_nchw : what the network returned for x_t.
    share_n1hw : share of lesion in each cell, [0, 1].
    noise_n1hw : the ε in x_t.
    alpha_bar : (n, 1, 1, 1), the share of signal variance in x_t.
    spec : says what channel 0 predicts; "noise" with `rgb_weight` 1 is the paper's formula.

    The formula alone: the paper draws t evenly and makes x_t from the true mask. Here t is drawn as
    100·√u (of 100 timesteps), the network is given x_t brought to unit variance, and half of the
    samples are recycled unless `recycle` is 0 (`engine.training.batches`, `engine.training.loop`).
    """
    output = state_nchw[:, NOISE : NOISE + 1].float()
    rgb = state_nchw[:, RED : BLUE + 1].float()
    signed = 2 * share_n1hw - 1
    guess = rgb_weight * rgb_loss(rgb, signed)
    if spec.predicts == "clean":
        own = mask_loss(output, share_n1hw)
        return own + GUESS_WEIGHT * mask_loss(rgb.mean(dim=1, keepdim=True), share_n1hw) + guess
    if spec.predicts == "noise":
        return noise_loss(output, noise_n1hw) + guess
    target = velocity(spec.mask_scale * signed, noise_n1hw, alpha_bar)
    return F.mse_loss(output, target) + guess
