"""The FF-Parser of MedSegDiff: weighs the frequencies of a feature by a learned spectrum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.networks.device import without_autocast


class FFParser(nn.Module):
    """Multiplies a feature's spectrum by a learned one, which is interpolated for other sizes.

    It begins as one that changes nothing, and computes in float32.

    Parameters
    ----------
    channels : of the feature.
    side : of the square grid for which the spectrum is stored.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        #: The factors' real and imaginary parts, (2, channels, rows, columns): rows of rising
        #: frequency, the middle one that of the mean, and of the columns the half that is not
        #: redundant.
        spectrum = torch.zeros(2, channels, side, side // 2 + 1)
        spectrum[0] = 1
        self.spectrum = nn.Parameter(spectrum)

    def forward(self, feature_nchw: Tensor) -> Tensor:
        """The feature with its frequencies weighed; its sides are even."""
        size = (feature_nchw.shape[2], feature_nchw.shape[3])
        with without_autocast(feature_nchw.device.type):
            factors = self.resized(size)
            spectrum = torch.fft.rfft2(feature_nchw.float()) * factors
            parsed: Tensor = torch.fft.irfft2(spectrum, s=size)
        return parsed.to(feature_nchw.dtype)

    def resized(self, size: tuple[int, int]) -> Tensor:
        """The factors for a feature of that size, complex64, in the order of `torch.fft.rfft2`."""
        rows, columns = size
        side, device = self.spectrum.shape[2], self.spectrum.device
        by_row = _nearness(torch.fft.fftfreq(rows, device=device) * side + side // 2, side, side)
        by_column = _nearness(torch.fft.rfftfreq(columns, device=device) * side, side // 2 + 1)
        factors = by_row @ self.spectrum.float() @ by_column.mT
        return torch.complex(factors[0], factors[1])


def _nearness(places: Tensor, count: int, period: int = 0) -> Tensor:
    """The matrix of linear interpolation at places between 0 … count − 1, (places, count).

    With a period the numbers repeat after as many.
    """
    away = (places[:, None] - torch.arange(count, device=places.device)).abs()
    if period:
        away = torch.minimum(away, period - away)
    return (1 - away).clamp(min=0)
