"""The SS-Former: its laws in the Fourier domain, and filters that depend on t and grid alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.networks.medsegdiff.filters import BandPassFilter, frequency_pairs
from engine.networks.medsegdiff.ss_former import SpectralAttention, SSFormer

GRIDS = [(4, 4), (6, 4), (3, 5), (1, 1)]


def attention(grid: tuple[int, int]) -> tuple[SpectralAttention, Tensor, Tensor]:
    """An attention, and tokens that ask and are asked."""
    torch.manual_seed(0)
    tokens = grid[0] * grid[1]
    return SpectralAttention(8), torch.randn(2, tokens, 8), torch.randn(2, tokens, 8)


@pytest.mark.parametrize("grid", GRIDS)
def test_with_a_filter_of_ones_real_weights_give_plain_dot_products(grid: tuple[int, int]) -> None:
    spectral, query, key = attention(grid)
    torch.nn.init.zeros_(spectral.query.imaginary)
    torch.nn.init.zeros_(spectral.key.imaginary)
    count = grid[0] * grid[1]
    plain = (query @ spectral.query.real) @ (key @ spectral.key.real).mT / math.sqrt(8 * count)
    for passing in (None, torch.ones(2, count, count)):
        affinity = spectral.affinity(query, key, grid, passing)
        torch.testing.assert_close(affinity, plain, rtol=1e-4, atol=1e-5)


def test_complex_weights_without_a_filter_lose_their_imaginary_part_alone() -> None:
    spectral, query, key = attention((4, 4))
    matrices = [torch.complex(each.real, each.imaginary) for each in (spectral.query, spectral.key)]
    pairs = (query.cfloat() @ matrices[0]) @ (key.cfloat() @ matrices[1]).mT
    affinity = spectral.affinity(query, key, (4, 4), None)
    torch.testing.assert_close(affinity, pairs.real / math.sqrt(8 * 16), rtol=1e-4, atol=1e-5)


def test_a_filter_of_one_frequency_leaves_means() -> None:
    spectral, query, key = attention((4, 4))
    passing = torch.zeros(2, 16, 16)
    passing[:, 0, 0] = 1
    affinity = spectral.affinity(query, key, (4, 4), passing)
    torch.testing.assert_close(affinity, affinity[:, :1, :1].expand_as(affinity))
    means = (each.mean(dim=1, keepdim=True).expand_as(each) for each in (query, key))
    torch.testing.assert_close(affinity, spectral.affinity(*means, (4, 4), None))


def test_half_a_filter_halves_the_affinity() -> None:
    spectral, query, key = attention((6, 4))
    half = torch.full((2, 24, 24), 0.5)
    whole = spectral.affinity(query, key, (6, 4), None)
    torch.testing.assert_close(spectral.affinity(query, key, (6, 4), half), whole / 2)


def test_frequencies_are_those_of_the_transform_and_the_same_on_every_grid() -> None:
    pairs = frequency_pairs((4, 2), torch.device("cpu"))
    assert pairs.shape == (8, 8, 4)
    assert pairs[:, 0, 0].tolist() == [0, 0, 0.5, 0.5, -1, -1, -0.5, -0.5]
    assert pairs[:, 0, 1].tolist() == [0, -1] * 4
    assert pairs[:, 0, 2:].unique().tolist() == [0]
    torch.testing.assert_close(pairs[..., :2], pairs.transpose(0, 1)[..., 2:])
    torch.manual_seed(0)
    weigh, time = BandPassFilter(8), torch.randn(1, 8)
    small = weigh(frequency_pairs((4, 4), torch.device("cpu")), time).view(4, 4, 4, 4)
    large = weigh(frequency_pairs((8, 8), torch.device("cpu")), time).view(8, 8, 8, 8)
    torch.testing.assert_close(large[::2, ::2, ::2, ::2], small)


def test_filters_depend_on_t_and_lie_between_0_and_1() -> None:
    torch.manual_seed(0)
    former = SSFormer(16, 24, 8, 2, 12, filtered=True)
    times = torch.randn(3, 12)
    passing = former.passing(times, (3, 2))
    assert passing.shape == (3, 4, 6, 6)
    assert 0 < passing.min() <= passing.max() < 1
    assert not torch.allclose(passing[0], passing[1])
    assert not torch.allclose(passing[:, 0], passing[:, 1])
    torch.testing.assert_close(former.passing(times[1:2], (3, 2)), passing[1:2])
    with torch.no_grad():
        assert torch.equal(former.passing(times, (3, 2)), passing)


@pytest.mark.parametrize("filtered", [True, False])
def test_it_computes_in_float32_whatever_it_is_given(filtered: bool) -> None:
    torch.manual_seed(0)
    former = SSFormer(16, 24, 8, 2, 12, filtered=filtered)
    torch.nn.init.normal_(former.tell.weight)
    noise, condition = torch.randn(2, 16, 6, 4).bfloat16(), torch.randn(2, 24, 6, 4).bfloat16()
    time = torch.randn(2, 12)
    passing = former.passing(time, (6, 4)) if filtered else None
    with torch.autocast("cpu", torch.bfloat16):
        low = former(noise, condition, passing)
        if passing is not None:
            torch.testing.assert_close(former.passing(time, (6, 4)), passing)
    assert low.dtype == torch.bfloat16
    exact = former(noise.float(), condition.float(), passing)
    # What is added is rounded, and so is the sum.
    torch.testing.assert_close(low.float(), exact, rtol=0.01, atol=0.01)


def test_it_knows_where_a_token_lies() -> None:
    torch.manual_seed(0)
    former = SSFormer(16, 24, 8, 1, 12, filtered=False)
    torch.nn.init.normal_(former.tell.weight)
    alike = torch.ones(1, 16, 4, 4), torch.ones(1, 24, 4, 4)
    told = former(*alike, None)
    rows, columns = told[0].std(dim=1), told[0].std(dim=2)
    assert rows.min() > 1e-4
    assert columns.min() > 1e-4
