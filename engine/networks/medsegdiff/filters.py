"""The NBP-Filter: which pairs of frequencies of an affinity pass, as t decides."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

#: Layers of the network of the coordinates, and their width.
LAYERS, WIDTH = 6, 16


class Layer(nn.Module):
    """A linear layer of each pair's numbers, normalised, then scaled and shifted by t, and SiLU."""

    def __init__(self, inputs: int, time_width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(inputs, WIDTH)
        self.scale = nn.Linear(time_width, WIDTH)
        self.shift = nn.Linear(time_width, WIDTH)

    def forward(self, pairs: Tensor, time_nt: Tensor) -> Tensor:
        normal = F.layer_norm(self.mix(pairs), (WIDTH,))
        scale, shift = self.scale(time_nt)[:, None], self.shift(time_nt)[:, None]
        return F.silu(normal * (1 + scale) + shift)


class BandPassFilter(nn.Module):
    """A weight in (0, 1) for each pair of frequencies, from their coordinates and t alone."""

    def __init__(self, time_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(4 if number == 0 else WIDTH, time_width) for number in range(LAYERS)
        )
        self.weigh = nn.Linear(WIDTH, 1)

    def forward(self, pairs: Tensor, time_nt: Tensor) -> Tensor:
        """The filter, (n, tokens of the query, tokens of the key).

        Parameters
        ----------
        pairs : what `frequency_pairs` gives.
        time_nt : the embedding of t, float32.
        """
        features = pairs.flatten(0, 1)[None]
        for layer in self.layers:
            features = layer(features, time_nt)
        return torch.sigmoid(self.weigh(features)).view(-1, *pairs.shape[:2])


def frequency_pairs(grid: tuple[int, int], device: torch.device) -> Tensor:
    """The frequencies of all pairs of tokens, (rows × columns, rows × columns, 4) in [−1, 1).

    They are (u, v) of the query and (u, v) of the key, in units of half the sampling rate, in the
    order of a discrete Fourier transform over a grid of tokens.
    """
    rows, columns = (2 * torch.fft.fftfreq(side, device=device) for side in grid)
    own = torch.cartesian_prod(rows, columns)
    count = len(own)
    query = own[:, None].expand(count, count, 2)
    return torch.cat([query, query.transpose(0, 1)], dim=2)
