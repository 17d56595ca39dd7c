"""Computes the gradient of an optimizer step, on a CPU in parts of the batch by several threads."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.networks.device import share_out, worker_count
from engine.training import parallel

#: The most samples in a part. Parts of one sample each would cost a fifth more.
MOST_IN_PART = 2


def give_gradient(
    network: nn.Module, loss_of: Callable[[Tensor], Tensor], samples: int, device: str
) -> float:
    """Set the weights' gradients to those of a step's mean loss over all processes.

    On a CPU the gradients of the parts are added up in the order of the samples, whichever thread
    computed them, so two runs on one machine agree bit for bit. The number of cores changes only
    the rounding.

    Parameters
    ----------
    network : whose weights get the gradient.
    loss_of : from places of samples in the batch, int64 (k,), to their mean loss, a scalar with
        gradient. Several threads call it at the same time.
    samples : how many samples this process has.
    device : "cpu" or "cuda".

    Returns
    -------
    The mean loss.
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
