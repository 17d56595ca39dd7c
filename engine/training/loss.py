"""The loss of a diffusion model's prediction: L_n of the paper, or its form for other targets."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.diffusion.schedule import velocity
from engine.networks.losses import mask_loss
from engine.types import ModelSpec

#: The loss from which a training counts as diverged; it begins at about 1.
LARGEST_LOSS = 1e6


def noise_loss(predicted: Tensor, noise: Tensor) -> Tensor:
    """L_n (eq. 3), a scalar: mean squared error of the predicted noise, (n, 1, rows, columns)."""
    return F.mse_loss(predicted, noise)


def diffusion_loss(
    prediction_n1hw: Tensor,
    share_n1hw: Tensor,
    noise_n1hw: Tensor,
    alpha_bar: Tensor,
    spec: ModelSpec,
) -> Tensor:
    """The loss of a prediction, a scalar, to which the network's own losses are added.

    Parameters
    ----------
    prediction_n1hw : what the network predicted for x_t.
    share_n1hw : true share of lesion in each cell, [0, 1].
    noise_n1hw : the ε in x_t.
    alpha_bar : (n, 1, 1, 1), the share of signal variance in x_t.
    spec : its `predicts` says what is predicted; "noise" is the paper's.

    Notes
    -----
    The paper draws t evenly and makes x_t from the true mask. Here t is drawn as 100·√u (of 100
    timesteps), the network is given x_t scaled to unit variance, and half of the samples are
    recycled unless `recycle` is 0 (`engine.training.batches`, `engine.training.loop`).
    """
    if spec.predicts == "clean":
        return mask_loss(prediction_n1hw, share_n1hw)
    if spec.predicts == "noise":
        return noise_loss(prediction_n1hw, noise_n1hw)
    clean = spec.mask_scale * (2 * share_n1hw - 1)
    return F.mse_loss(prediction_n1hw, velocity(clean, noise_n1hw, alpha_bar))
