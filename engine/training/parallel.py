"""Lets several processes, started by torchrun, train one network by exchanging means and sums.

In a single process every function returns at once, with the process's own value.
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
    """Join the processes that torchrun started, if it did, for the time of the block.

    gloo connects them on CPUs, nccl on CUDA devices. If the block ends by an exception, an
    interruption included, the process leaves without waiting for the others. If it ends normally,
    none of the group's threads are left.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    cuda = choose(device).name == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Some of torch's functions take the group that exists when they are imported as a default
    # argument, which keeps it alive. Imported within the group, by the optimizers, they kept gloo's
    # threads running, and one that freed a tensor while the interpreter ended aborted the process.
    load_optimizer()
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
        # A process that leaves while another still communicates with it can make that one fail.
        dist.barrier()
    finally:
        dist.destroy_process_group()


def size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0; process 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


def expect_shares(batch: int) -> None:
    """Raise ValueError if a batch of that size cannot be divided equally among the processes."""
    if batch % size():
        raise ValueError(f"batch_size must be a multiple of the {size()} processes")


def mean(tensor: Tensor) -> Tensor:
    """The mean of the tensor over all processes; the tensor may be changed in place.

    It must be on the same kind of device in all.
    """
    if size() > 1:
        dist.all_reduce(tensor)
        tensor /= size()
    return tensor


def total(value: float) -> float:
    """The sum of the value over all processes."""
    if size() == 1:
        return value
    place = "cuda" if dist.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor(value, dtype=torch.float64, device=place)
    dist.all_reduce(tensor)
    return cast(float, tensor.item())
