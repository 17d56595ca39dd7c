"""Channel and spatial attention (Woo 2018), by which a cell hears of the whole picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CBAM(nn.Module):
    """The state weighted by channel, then by place, and added to itself; any size of grid.

    678 parameters at 64 channels: an MLP 64 → 4 → 64 with bias over the mean and the maximum of
    each channel, and a 7×7 convolution without bias over the mean and the maximum of each cell.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.channel = nn.Sequential(
            nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels)
        )
        self.spatial = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, state_nchw: Tensor) -> Tensor:
        """s + s′ M_s(s′) with s′ = M_c(s) s (Woo 2018, eqs. 2 and 3; s is added)."""
        mean_nc, peak_nc = state_nchw.mean(dim=(2, 3)), state_nchw.amax(dim=(2, 3))
        channel_nc = torch.sigmoid(self.channel(mean_nc) + self.channel(peak_nc))
        weighted = state_nchw * channel_nc[:, :, None, None].to(state_nchw.dtype)
        summary_n2hw = torch.cat(
            [weighted.mean(dim=1, keepdim=True), weighted.amax(dim=1, keepdim=True)], dim=1
        )
        spatial_n1hw = torch.sigmoid(self.spatial(summary_n2hw)).to(state_nchw.dtype)
        return state_nchw + weighted * spatial_n1hw
