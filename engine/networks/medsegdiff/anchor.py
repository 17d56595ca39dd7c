"""The anchor condition: C's last feature says where D's first feature counts (eqs. 4 and 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.losses import soft_dice

#: Side of the Gaussian's window in cells.
WINDOW = 7
#: The anchor is trained where t is a multiple of EVERY, with cross-entropy times ENTROPY_WEIGHT
#: beside soft Dice: α and β of eq. 3.
EVERY, ENTROPY_WEIGHT = 5, 10.0


class Gaussian(nn.Module):
    """Blurs each channel by a Gaussian of its own learned width; the border is repeated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        #: Logarithms of the standard deviations in cells.
        self.log_width = nn.Parameter(torch.zeros(channels))

    def forward(self, feature_nchw: Tensor) -> Tensor:
        channels, border = feature_nchw.shape[1], WINDOW // 2
        away = torch.arange(-border, border + 1, device=feature_nchw.device)
        heights = -0.5 * (away / self.log_width.float().exp()[:, None]).square()
        kernel_ck = torch.softmax(heights, dim=1).to(feature_nchw.dtype)
        tall = _repeated(feature_nchw, border, 2)
        blurred = F.conv2d(tall, kernel_ck[:, None, :, None], groups=channels)
        wide = _repeated(blurred, border, 3)
        return F.conv2d(wide, kernel_ck[:, None, None, :], groups=channels)


class AnchorGate(nn.Module):
    """How much more D's first feature counts at each place, in (0, 1), from C's last feature.

    Parameters
    ----------
    channels : of C's last feature.
    uncertain : whether the feature is widened to the maximum of itself and its blur (U-SA).
    """

    def __init__(self, channels: int, *, uncertain: bool) -> None:
        super().__init__()
        self.blur = Gaussian(channels) if uncertain else None
        self.weigh = nn.Conv2d(channels, 1, 1)

    def forward(self, feature_nchw: Tensor) -> Tensor:
        """The gate, (n, 1, rows, columns)."""
        if self.blur is not None:
            feature_nchw = torch.maximum(self.blur(feature_nchw), feature_nchw)
        return torch.sigmoid(self.weigh(feature_nchw))


def _repeated(feature_nchw: Tensor, border: int, axis: int) -> Tensor:
    """The feature with its first and last row (axis 2) or column (axis 3) repeated outwards.

    The gradient of torch's own padding is added up in another order in every run on CUDA.
    """
    first = feature_nchw.narrow(axis, 0, 1)
    last = feature_nchw.narrow(axis, feature_nchw.shape[axis] - 1, 1)
    return torch.cat([*[first] * border, feature_nchw, *[last] * border], dim=axis)


def anchored(first_nchw: Tensor, gate_n1hw: Tensor) -> Tensor:
    """D's first feature with the gate's share of itself added."""
    return gate_n1hw * first_nchw + first_nchw


def anchor_loss(logit_n1hw: Tensor, share_n1hw: Tensor, timestep_n: Tensor) -> Tensor:
    """The anchor's part of eq. 3, a scalar; samples at other timesteps weigh 0.

    Every sample has a gradient, if only of zeros, so that all processes agree on what has one.

    Parameters
    ----------
    logit_n1hw : the anchor.
    share_n1hw : true share of lesion in each cell, [0, 1].
    timestep_n : t of each sample.
    """
    entropy = F.binary_cross_entropy_with_logits(logit_n1hw, share_n1hw, reduction="none")
    each = 1 - soft_dice(logit_n1hw, share_n1hw) + ENTROPY_WEIGHT * entropy.mean(dim=(1, 2, 3))
    return (each * (timestep_n % EVERY == 0)).mean()
