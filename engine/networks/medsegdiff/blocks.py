"""The blocks of which all U-Nets of the family are made."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

#: The most groups of a GroupNorm, and the fewest channels in a group.
MOST_GROUPS, FEWEST_IN_GROUP = 32, 4
#: Heads of self-attention. Every width is a multiple of 4.
HEADS = 4


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with as many groups as the limits above allow for that many channels."""
    most = min(MOST_GROUPS, max(1, channels // FEWEST_IN_GROUP))
    groups = next(count for count in range(most, 0, -1) if channels % count == 0)
    return nn.GroupNorm(groups, channels)


class Block(nn.Module):
    """A residual block: twice GroupNorm, SiLU and a 3×3 convolution; t scales and shifts between.

    Parameters
    ----------
    channels, out : channels that it takes and gives.
    time_width : numbers in the embedding of t; 0 for a block that does not know t.
    """

    def __init__(self, channels: int, out: int, time_width: int = 0) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.convolve = nn.Conv2d(channels, out, 3, padding=1)
        self.modulate = nn.Linear(time_width, 2 * out) if time_width else None
        self.norm_again = group_norm(out)
        self.convolve_again = nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else None

    def forward(self, feature_nchw: Tensor, time_nt: Tensor | None = None) -> Tensor:
        """The feature after the block; `time_nt` is the embedding of t if the block knows t."""
        inner: Tensor = self.norm_again(self.convolve(F.silu(self.norm(feature_nchw))))
        if self.modulate is not None:
            scale, shift = self.modulate(time_nt)[:, :, None, None].chunk(2, dim=1)
            inner = inner * (1 + scale) + shift
        skipped: Tensor = feature_nchw if self.skip is None else self.skip(feature_nchw)
        changed: Tensor = self.convolve_again(F.silu(inner))
        return skipped + changed


class SelfAttention(nn.Module):
    """Softmax attention between all places of a feature, added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.tell = nn.Conv2d(channels, channels, 1)

    def forward(self, feature_nchw: Tensor) -> Tensor:
        n, channels, rows, columns = feature_nchw.shape
        asked = self.ask(self.norm(feature_nchw)).reshape(n, 3 * HEADS, -1, rows * columns)
        query, key, value = asked.transpose(2, 3).chunk(3, dim=1)
        affinity = query @ key.mT * (channels // HEADS) ** -0.5
        told = torch.softmax(affinity.float(), dim=-1).to(value.dtype) @ value
        attended: Tensor = self.tell(told.mT.reshape(n, channels, rows, columns))
        return feature_nchw + attended


class Up(nn.Module):
    """Doubles both sides: every place repeated, then a 3×3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, feature_nchw: Tensor) -> Tensor:
        n, channels, rows, columns = feature_nchw.shape
        # By a view, whose gradient is a sum in a fixed order on every device.
        cells = feature_nchw.permute(0, 2, 3, 1)[:, :, None, :, None]
        whole = cells.expand(n, rows, 2, columns, 2, channels)
        enlarged = whole.reshape(n, 2 * rows, 2 * columns, channels).permute(0, 3, 1, 2)
        result: Tensor = self.convolve(enlarged)
        return result


def down(channels: int) -> nn.Conv2d:
    """Halves both sides by a 3×3 convolution of stride 2."""
    return nn.Conv2d(channels, channels, 3, stride=2, padding=1)


class Head(nn.Module):
    """GroupNorm, SiLU and a 3×3 convolution to one channel: what D predicts from its feature."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.convolve = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, feature_nchw: Tensor) -> Tensor:
        prediction: Tensor = self.convolve(F.silu(self.norm(feature_nchw)))
        return prediction


class TimeEmbedding(nn.Module):
    """A learned vector for each t from 0 to `timesteps`, and an MLP of it.

    The vectors begin as sinusoids, so that neighbours are alike.
    """

    def __init__(self, timesteps: int, width: int) -> None:
        super().__init__()
        self.timesteps = timesteps
        places = torch.arange(timesteps + 1)
        self.table = nn.Parameter(sinusoids(places, width, longest=4.0 * timesteps))
        self.think = nn.Linear(width, width)
        self.tell = nn.Linear(width, width)

    def forward(self, time_n: Tensor) -> Tensor:
        """The embedding of t / timesteps, (n, width), after a last SiLU."""
        known = F.embedding((time_n * self.timesteps).round().long(), self.table)
        return F.silu(self.tell(F.silu(self.think(known))))


def sinusoids(places: Tensor, width: int, longest: float) -> Tensor:
    """Sines and cosines of places, (n,) → float32 (n, width); `width` is even.

    Their wavelengths grow geometrically from 2π to 2π × longest / 4.
    """
    half = width // 2
    steps = torch.arange(half, device=places.device) / max(1, half - 1)
    angles = places.float()[:, None] / (max(1.0, longest / 4) ** steps)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
