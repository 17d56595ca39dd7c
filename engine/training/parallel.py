"""Several processes that train one network, as torchrun starts them; alone, all of it is nothing.

A value that must be the same in every process (a mean, a decision to stop) is agreed on here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor

from engine.networks.device import choose
from engine.networks.preload import load_optimizer
from engine.types import Device


@contextmanager
def group(device: Device = "auto") -> Iterator[None]:
    """Join the processes torchrun started, if it did; gloo on CPUs, nccl on CUDA devices.

    A process that ends by an exception, an interruption too, leaves without waiting for the others.
    One that ends well has none of the group's threads left.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    cuda = choose(device).name == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Some of torch's functions take the group of the moment they are imported as a default, and so
    # keep it for good. Imported by the optimizers, within the group, they kept gloo's threads
    # running, and one that let go of a tensor while the interpreter ended aborted the process.
    load_optimizer()
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
        # A process that leaves while another still talks to it can take that one down.
        dist.barrier()
    finally:
        dist.destroy_process_group()


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0; 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


def expect_shares(batch: int) -> None:
    """Raise ValueError where the processes cannot share a batch of that size equally."""
    if batch % size():
        raise ValueError(f"batch_size must be a multiple of the {size()} processes")


def mean(tensor: Tensor) -> Tensor:
    """The mean of every process's tensor, on the same device in all; it may be changed in place."""
    if size() > 1:
        dist.all_reduce(tensor)
        tensor /= size()
    return tensor


def total(value: float) -> float:
    """The sum of every process's value, the same in all."""
    if size() == 1:
        return value
    place = "cuda" if dist.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor(value, dtype=torch.float64, device=place)
    dist.all_reduce(tensor)
    return cast(float, tensor.item())
