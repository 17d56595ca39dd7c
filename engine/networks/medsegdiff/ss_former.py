"""The SS-Former, which mixes C's deepest feature and D's by their affinity of frequencies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from engine.networks.device import without_autocast
from engine.networks.medsegdiff.blocks import sinusoids
from engine.networks.medsegdiff.filters import BandPassFilter, frequency_pairs


class ComplexLinear(nn.Module):
    """Multiplies by a complex matrix, which is stored as its real and its imaginary part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Together they have the variance of torch's linear layer.
        bound = (2 * width) ** -0.5
        self.real = nn.Parameter(torch.empty(width, width).uniform_(-bound, bound))
        self.imaginary = nn.Parameter(torch.empty(width, width).uniform_(-bound, bound))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens @ torch.complex(self.real, self.imaginary)


class SpectralAttention(nn.Module):
    """X: what the query takes from another's tokens, by their affinity in the Fourier domain.

    There is no softmax, and one head. An MLP follows; both are added to the query.

    Parameters
    ----------
    width : numbers in a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query_norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = ComplexLinear(width), ComplexLinear(width)
        self.value = nn.Linear(width, width, bias=False)
        self.tell = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, query_ntd: Tensor, key_ntd: Tensor, grid: tuple[int, int], passing: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The query's tokens afterwards, (n, tokens, width), and the affinity.

        Parameters
        ----------
        query_ntd, key_ntd : tokens, in the order of the grid's rows.
        grid : rows and columns of the tokens.
        passing : the filter, (n, tokens, tokens), or None for ones.
        """
        query, key = self.query_norm(query_ntd), self.key_norm(key_ntd)
        affinity = self.affinity(query, key, grid, passing)
        mixed = query_ntd + self.tell(affinity @ self.value(key))
        return mixed + self.think(self.norm(mixed)), affinity

    def affinity(
        self, query_ntd: Tensor, key_ntd: Tensor, grid: tuple[int, int], passing: Tensor | None
    ) -> Tensor:
        """The weights of the other's tokens for each of the query's, (n, tokens, tokens).

        It takes what `forward` takes, normalised.
        """
        n, tokens, width = query_ntd.shape
        query, key = self.query(_spectrum(query_ntd, grid)), self.key(_spectrum(key_ntd, grid))
        affinity = query @ key.mT
        if passing is not None:
            affinity = affinity * passing
        pairs: Tensor = torch.fft.ifftn(affinity.view(n, *grid, *grid), dim=(1, 2, 3, 4))
        return pairs.real.reshape(n, tokens, tokens) / math.sqrt(width * tokens)


class Mixed(NamedTuple):
    """What a block gives.

    `condition_ntd` are the condition's tokens for the next block. `affinity_ntt` says how much of
    each of the condition's tokens each of D's tokens took in it; empty before the first block.
    """

    condition_ntd: Tensor
    affinity_ntt: Tensor


class FormerBlock(nn.Module):
    """Two attentions: D's tokens ask the condition's, and what they learned asks D's tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.meet, self.answer = SpectralAttention(width), SpectralAttention(width)

    def forward(
        self,
        condition_ntd: Tensor,
        noise_ntd: Tensor,
        grid: tuple[int, int],
        filters: Sequence[Tensor | None],
    ) -> Mixed:
        """What the next block is given."""
        met, affinity = self.meet(noise_ntd, condition_ntd, grid, filters[0])
        answer, _ = self.answer(met, noise_ntd, grid, filters[1])
        return Mixed(answer, affinity)


class SSFormer(nn.Module):
    """Adds to D's deepest feature what it has to do with C's; begins by adding nothing.

    It computes in float32 whatever autocast says: a Fourier transform needs it.

    Parameters
    ----------
    noise, condition : channels of D's and C's deepest features.
    width : numbers in a token.
    depth : number of blocks.
    time_width : numbers in the embedding of t.
    filtered : whether each attention has a filter.
    """

    def __init__(
        self,
        noise: int,
        condition: int,
        width: int,
        depth: int,
        time_width: int,
        *,
        filtered: bool,
    ) -> None:
        super().__init__()
        self.from_noise, self.from_condition = (
            nn.Linear(noise, width),
            nn.Linear(condition, width),
        )
        self.blocks = nn.ModuleList(FormerBlock(width) for _ in range(depth))
        self.filters = nn.ModuleList(
            BandPassFilter(time_width) for _ in range(2 * depth if filtered else 0)
        )
        self.tell = nn.Linear(width, noise)
        nn.init.zeros_(self.tell.weight)
        nn.init.zeros_(self.tell.bias)

    def passing(self, time_nt: Tensor, grid: tuple[int, int]) -> Tensor:
        """All filters for a grid of tokens, float32 (n, filters, tokens, tokens).

        `time_nt` is the embedding of t.
        """
        with without_autocast(time_nt.device.type):
            pairs = frequency_pairs(grid, time_nt.device)
            time = time_nt.float()
            if not torch.is_grad_enabled():
                return torch.stack([each(pairs, time) for each in self.filters], dim=1)
            # A filter's layers hold a hundred times what it gives: computed again for the gradient.
            kept = (
                checkpoint(each, pairs, time, use_reentrant=False, preserve_rng_state=False)
                for each in self.filters
            )
            return torch.stack(list(kept), dim=1)

    def forward(self, noise_nchw: Tensor, condition_nchw: Tensor, passing: Tensor | None) -> Tensor:
        """D's deepest feature afterwards.

        Parameters
        ----------
        noise_nchw, condition_nchw : the deepest features of D and C.
        passing : what `passing` gives, or None without filters.
        """
        for mixed in self.states(noise_nchw, condition_nchw, passing):
            last = mixed.condition_ntd
        with without_autocast(last.device.type):
            added: Tensor = self.tell(last).mT.reshape(noise_nchw.shape)
        return noise_nchw + added.to(noise_nchw.dtype)

    def states(
        self, noise_nchw: Tensor, condition_nchw: Tensor, passing: Tensor | None
    ) -> Iterator[Mixed]:
        """Yields what the first block is given, and what each block gives; takes as `forward`."""
        grid = (noise_nchw.shape[2], noise_nchw.shape[3])
        with without_autocast(noise_nchw.device.type):
            place = self._places(grid, noise_nchw.device)
            noise = self.from_noise(_tokens(noise_nchw)) + place
            condition = self.from_condition(_tokens(condition_nchw)) + place
        mixed = Mixed(condition, condition.new_zeros(0))
        yield mixed
        for number, block in enumerate(self.blocks):
            filters = (None, None) if passing is None else passing[:, 2 * number :][:, :2].unbind(1)
            with without_autocast(noise.device.type):
                mixed = block(mixed.condition_ntd, noise, grid, filters)
            yield mixed

    def _places(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """The tokens' places as sinusoids, (tokens, width): half for the row, half for the column.

        They do not depend on the size of the grid.
        """
        half = self.tell.in_features // 2
        rows, columns = (
            sinusoids(torch.arange(side, device=device), half, longest=64.0) for side in grid
        )
        shape = (*grid, half)
        both = [rows[:, None].expand(shape), columns[None].expand(shape)]
        return torch.cat(both, dim=2).flatten(0, 1)


def _spectrum(tokens_ntd: Tensor, grid: tuple[int, int]) -> Tensor:
    """The discrete Fourier transform of tokens over their grid, complex64 (n, tokens, width)."""
    spectrum: Tensor = torch.fft.fft2(tokens_ntd.view(len(tokens_ntd), *grid, -1), dim=(1, 2))
    return spectrum.flatten(1, 2)


def _tokens(feature_nchw: Tensor) -> Tensor:
    """A feature's places as tokens, float32 (n, rows × columns, channels)."""
    return feature_nchw.float().flatten(2).mT
