"""Borders and enlarging are torch's own, with gradients made of other operations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.networks.automaton.borders import enlarged, reflected

SHAPES = [(2, 2), (2, 3), (3, 2), (9, 11)]


def state_of(shape: tuple[int, int]) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    state = torch.randn(3, *shape, 5, generator=draws).permute(0, 3, 1, 2)
    return state.requires_grad_()


def slopes(mine: Tensor, theirs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    weights = torch.randn(mine.shape, generator=torch.Generator().manual_seed(1))
    found = (torch.autograd.grad((whole * weights).sum(), state)[0] for whole in (mine, theirs))
    first, second = found
    return first, second


@pytest.mark.parametrize("shape", SHAPES)
def test_a_border_is_reflected_and_stays_in_channels_last(shape: tuple[int, int]) -> None:
    state = state_of(shape)
    mine, theirs = reflected(state), F.pad(state, (1, 1, 1, 1), mode="reflect")
    assert torch.equal(mine, theirs)
    assert mine.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(*slopes(mine, theirs, state))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_state_is_enlarged_bilinearly(shape: tuple[int, int]) -> None:
    state, size = state_of(shape), (4 * shape[0], 4 * shape[1] + 1)
    mine = enlarged(state, *size)
    theirs = F.interpolate(state, size, mode="bilinear", align_corners=False)
    assert torch.equal(mine, theirs)
    torch.testing.assert_close(*slopes(mine, theirs, state))
