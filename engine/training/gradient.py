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
    network: nn.Module, loss_of: Callable[[slice], Tensor], samples: int, device: str
) -> Tensor:
    """Set the weights' gradients to those of a step's mean loss over all processes.

    On a CPU the gradients of the parts are added up in the order of the parts, whichever thread
    computed them, so two runs on one machine agree bit for bit. The number of cores changes only
    the rounding.

    Parameters
    ----------
    network : whose weights get the gradient.
    loss_of : from a slice of the batch to the mean loss of its samples, a scalar with gradient.
        Several threads call it at the same time.
    samples : how many samples this process has.
    device : "cpu", or the name of another device, which computes the whole batch at once.

    Returns
    -------
    The mean loss, without dimensions, on the device.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]

    def part_of(part: slice) -> Tensor:
        with torch.enable_grad():
            loss = loss_of(part)
            slopes = torch.autograd.grad(loss, weights)
        whole = torch.cat([loss.detach().reshape(1), *(slope.reshape(-1) for slope in slopes)])
        return whole * (len(range(samples)[part]) / samples)

    if device == "cpu":
        total = torch.stack(share_out(part_of, parts(samples, worker_count()))).sum(dim=0)
    else:
        total = part_of(slice(None))
    sizes = [1, *(weight.numel() for weight in weights)]
    mean, *slopes = torch.split(parallel.mean(total), sizes)
    for weight, slope in zip(weights, slopes, strict=True):
        weight.grad = slope.view_as(weight)
    return mean.squeeze(0)


def parts(samples: int, workers: int) -> list[slice]:
    """The parts of a batch of so many samples, of nearly equal size.

    The first samples of a batch cost more, because they are recycled. Each part takes every so
    manyth sample, so that all parts have nearly as many of them, and all workers as much to do.
    """
    count = math.ceil(samples / min(MOST_IN_PART, math.ceil(samples / workers)))
    return [slice(first, samples, count) for first in range(count)]
