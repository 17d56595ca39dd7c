"""The FF-Parser: a spectrum that is learned at one size and interpolated to others."""

from __future__ import annotations

import pytest
import torch

from engine.networks.medsegdiff.ff_parser import FFParser

GRIDS = [(16, 16), (8, 8), (32, 32), (24, 10), (2, 2)]


@pytest.mark.parametrize("grid", GRIDS)
def test_it_begins_by_changing_nothing(grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    feature = torch.randn(2, 3, *grid)
    torch.testing.assert_close(FFParser(3, 16)(feature), feature, rtol=1e-4, atol=1e-5)


def test_at_its_own_size_it_multiplies_the_spectrum() -> None:
    torch.manual_seed(0)
    parser, feature = FFParser(3, 16), torch.randn(2, 3, 16, 16)
    torch.nn.init.normal_(parser.spectrum)
    # Rows of rising frequency become those of the transform.
    real, imaginary = torch.fft.ifftshift(parser.spectrum, dim=2)
    expected = torch.fft.irfft2(torch.fft.rfft2(feature) * torch.complex(real, imaginary))
    torch.testing.assert_close(parser(feature), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_smooth_spectrum_means_the_same_at_every_size(grid: tuple[int, int]) -> None:
    parser = FFParser(1, 16)
    frequency = torch.fft.fftshift(torch.fft.fftfreq(16)).abs()[:, None] + torch.fft.rfftfreq(16)
    with torch.no_grad():
        parser.spectrum[0] = 1 - frequency
    rows, columns = torch.fft.fftfreq(grid[0]).abs(), torch.fft.rfftfreq(grid[1])
    factors = parser.resized(grid)
    torch.testing.assert_close(factors.real[0], 1 - rows[:, None] - columns)
    assert not factors.imag.any()


def test_its_spectrum_learns_at_other_sizes_too() -> None:
    torch.manual_seed(0)
    parser = FFParser(2, 16)
    parser(torch.randn(1, 2, 32, 20)).square().mean().backward()
    assert parser.spectrum.grad is not None
    assert (parser.spectrum.grad[0].abs() > 0).float().mean() > 0.9
