"""A small U-Net that sees the whole image once and tells every cell what it saw there.

It is the automaton's condition network, as MedSegDiff-V2 has one: it is computed once for each view
of an image, before any diffusion step, and its own guess of the mask, the anchor, is trained too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.automaton.config import DEPTH, levels_down, levels_up
from engine.networks.padding import padded

SLOPE = 0.1


class ConditionNetwork(nn.Module):
    """Gives each pixel the logit of lesion and some features.

    Parameters
    ----------
    width : channels of the two uppermost levels; each level below has twice as many.
    features : channels that are told beside the logit.
    """

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        downs, ups = list(levels_down(width)), list(levels_up(width))
        self.downs = nn.ModuleList(_convolutions(into, out) for into, out in downs)
        self.enlargers = nn.ModuleList(
            nn.ConvTranspose2d(below, carried, 2, stride=2) for below, carried, _, _ in ups
        )
        self.ups = nn.ModuleList(
            _convolutions(beside + carried, out) for _, carried, beside, out in ups
        )
        self.logit = nn.Conv2d(width, 1, 1)
        self.tell = nn.Conv2d(width, features, 1)

    def forward(self, image_n3hw: Tensor) -> tuple[Tensor, Tensor]:
        """The logit, (n, 1, height, width), and the features, (n, features, height, width).

        `image_n3hw` is float32 in [−1, 1], of any size from 1 × 1 up.
        """
        rows, columns = image_n3hw.shape[2:]
        state = padded(image_n3hw, 2**DEPTH).contiguous(memory_format=torch.channels_last)
        passed: list[Tensor] = []
        for level, convolutions in enumerate(self.downs):
            state = convolutions(F.max_pool2d(state, 2) if level else state)
            passed.append(state)
        passed.pop()
        for enlarge, convolutions in zip(self.enlargers, self.ups, strict=True):
            state = convolutions(torch.cat([passed.pop(), enlarge(state)], dim=1))
        state = state[..., :rows, :columns]
        return self.logit(state), self.tell(state)


def _convolutions(into: int, out: int) -> nn.Sequential:
    """Two convolutions, each with a norm over the picture; their biases would not outlast it."""
    return nn.Sequential(
        nn.Conv2d(into, out, 3, padding=1, bias=False),
        nn.InstanceNorm2d(out, affine=True),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        nn.InstanceNorm2d(out, affine=True),
        nn.LeakyReLU(SLOPE),
    )
