"""Pads and enlarges states in channels-last memory; the gradients are the same in every run.

torch's own gradients of both add up in another order in every run on CUDA, and its padding turns
channels-last memory into another layout there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor
from torch.autograd.function import FunctionCtx


def reflected(state_nchw: Tensor) -> Tensor:
    """The state with a border of one cell, reflected: the outermost cells are not repeated.

    Takes (n, channels, rows, columns), two rows and columns at least.
    """
    padded: Tensor = _Reflected.apply(state_nchw)  # type: ignore[no-untyped-call]
    return padded


def enlarged(state_nchw: Tensor, rows: int, columns: int) -> Tensor:
    """The state on a larger grid, bilinear between the centres of the cells."""
    whole: Tensor = _Enlarged.apply(state_nchw, rows, columns)  # type: ignore[no-untyped-call]
    return whole


class _Reflected(torch.autograd.Function):
    @staticmethod
    def forward(_: FunctionCtx, state: Tensor) -> Tensor:
        n, channels, rows, columns = state.shape
        padded = state.new_empty(n, rows + 2, columns + 2, channels).permute(0, 3, 1, 2)
        padded[:, :, 1:-1, 1:-1] = state
        padded[:, :, 0, 1:-1], padded[:, :, -1, 1:-1] = state[:, :, 1], state[:, :, -2]
        # Whole columns of what is there already, so that the corners are reflected twice.
        padded[..., 0], padded[..., -1] = padded[..., 2], padded[..., -3]
        return padded

    @staticmethod
    def backward(_: FunctionCtx, slope: Tensor) -> Tensor:
        tall = slope[:, :, 1:-1].clone(memory_format=torch.preserve_format)
        tall[:, :, 1] += slope[:, :, 0]
        tall[:, :, -2] += slope[:, :, -1]
        inner = tall[..., 1:-1]
        inner[..., 1] += tall[..., 0]
        inner[..., -2] += tall[..., -1]
        return inner


class _Enlarged(torch.autograd.Function):
    @staticmethod
    def forward(context: FunctionCtx, state: Tensor, rows: int, columns: int) -> Tensor:
        context.shape = state.shape  # type: ignore[attr-defined]
        return F.interpolate(state, (rows, columns), mode="bilinear", align_corners=False)

    @staticmethod
    def backward(context: FunctionCtx, slope: Tensor) -> tuple[Tensor, None, None]:
        n, channels, rows, columns = context.shape  # type: ignore[attr-defined]
        slope_nhwc = slope.permute(0, 2, 3, 1)
        _, high, wide, _ = slope_nhwc.shape
        down, across = _shares(rows, high, slope), _shares(columns, wide, slope)
        narrow = across @ slope_nhwc.reshape(n * high, wide, channels)
        whole = down @ narrow.reshape(n, high, columns * channels)
        return whole.view(n, rows, columns, channels).permute(0, 3, 1, 2), None, None


def _shares(few: int, many: int, like: Tensor) -> Tensor:
    """How much of each of `few` places goes into each of `many`, (few, many)."""
    single = torch.eye(few, dtype=like.dtype, device=like.device)
    return F.interpolate(single[None], many, mode="linear", align_corners=False)[0]
