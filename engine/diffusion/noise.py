"""Random numbers by address, not by call order: the same place in a run always draws the same.

An address is (seed, member, purpose, timestep, and two places within the network, such as level
and update). Draws are made on the CPU, one member at a time, so that neither the batch nor the
device changes them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor


class Purpose(IntEnum):
    """What a draw is for; part of its address."""

    START = 1
    ANCESTRAL = 2
    CHANCE = 3


def generator(seed: int, member: int, purpose: Purpose, *place: int) -> torch.Generator:
    """A generator at one address; `place` is up to three integers (timestep, and two within it).

    ValueError for more.
    """
    if len(place) > 3:
        raise ValueError(f"an address has at most three places, not {len(place)}")
    address = struct.pack("<6q", seed, member, purpose, *(*place, 0, 0, 0)[:3])
    digest = hashlib.blake2b(address, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def normal(
    seed: int, members: Sequence[int], purpose: Purpose, timestep: int, shape: tuple[int, int]
) -> Tensor:
    """Standard normal numbers, float32 (members, 1, rows, columns) on the CPU."""
    draws = [
        torch.randn(1, *shape, generator=generator(seed, member, purpose, timestep))
        for member in members
    ]
    return torch.stack(draws)


def uniform(
    seed: int,
    members: Sequence[int],
    timestep: int,
    place: tuple[int, int],
    shape: tuple[int, int],
) -> Tensor:
    """Numbers drawn evenly from [0, 1) at a place in the network, as `networks.network.Chance`.

    float32 (members, 1, rows, columns) on the CPU; `shape` is (rows, columns).
    """
    draws = [
        torch.rand(1, *shape, generator=generator(seed, member, Purpose.CHANCE, timestep, *place))
        for member in members
    ]
    return torch.stack(draws)
