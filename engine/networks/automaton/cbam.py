"""Channel and spatial attention (CBAM, Woo 2018), which tells each cell about the whole image."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CBAM(nn.Module):
    """Weights a state by channel, then by place, and adds it to itself; for any size of grid.

    At 64 channels it has 678 parameters: an MLP 64 → 4 → 64 with bias over the mean and the maximum
    of each channel, and a 7×7 convolution without bias over the mean and the maximum of each cell.

    Parameters
    ----------
    channels : channels of the state.
    reduction : the MLP's hidden layer has channels / reduction units.
    kernel : side of the convolution in cells.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.channel = nn.Sequential(
            nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels)
        )
        self.spatial = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, state_nchw: Tensor) -> Tensor:
        """The attended state s + s′ M_s(s′), with s′ = M_c(s) s (Woo 2018, eqs. 2 and 3, plus s).

        Takes and gives (n, channels, rows, columns).
        """
        mean_nc, peak_nc = state_nchw.mean(dim=(2, 3)), state_nchw.amax(dim=(2, 3))
        channel_nc = torch.sigmoid(self.channel(mean_nc) + self.channel(peak_nc))
        weighted = state_nchw * channel_nc[:, :, None, None].to(state_nchw.dtype)
        summary_n2hw = torch.cat(
            [weighted.mean(dim=1, keepdim=True), weighted.amax(dim=1, keepdim=True)], dim=1
        )
        spatial_n1hw = torch.sigmoid(self.spatial(summary_n2hw)).to(state_nchw.dtype)
        return state_nchw + weighted * spatial_n1hw
