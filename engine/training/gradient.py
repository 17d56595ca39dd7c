"""The gradient of an optimizer step: a part of the batch at a time, each by a thread of its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.networks.device import share_out, worker_count
from engine.training import parallel

#: Samples of a part where there are enough for every core; alone each costs a fifth more.
MOST_IN_PART = 2


def give_gradient(
    network: nn.Module, loss_of: Callable[[Tensor], Tensor], samples: int, device: str
) -> float:
    """Give the weights the gradient of a step's mean loss, over all processes; that loss.

    On a CPU the parts' gradients are added up in the samples' order, whoever computed them, so two
    runs on one machine agree bit by bit; how many cores there are changes the rounding at most.

    Parameters
    ----------
    loss_of : places of samples in the batch, int64 (k,) → their mean loss, a scalar with gradient.
        Asked by several threads at once.
    samples : how many this process has.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]

    def part_of(places_k: Tensor) -> Tensor:
        with torch.enable_grad():
            loss = loss_of(places_k)
            slopes = torch.autograd.grad(loss, weights)
        whole = torch.cat([loss.detach().reshape(1), *(slope.reshape(-1) for slope in slopes)])
        return whole * (len(places_k) / samples)

    every = torch.arange(samples)
    if device == "cpu":
        parts = torch.split(every, min(MOST_IN_PART, math.ceil(samples / worker_count())))
        total = torch.stack(share_out(part_of, parts)).sum(dim=0)
    else:
        total = part_of(every)
    sizes = [1, *(weight.numel() for weight in weights)]
    mean, *slopes = torch.split(parallel.mean(total), sizes)
    for weight, slope in zip(weights, slopes, strict=True):
        weight.grad = slope.view_as(weight)
    return float(mean)
