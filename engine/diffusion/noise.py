"""Draws random numbers by their address in a run, so that the same place always gets the same.

An address is (seed, member, purpose, timestep, and two places within the network, such as level
and update). Numbers are drawn on the CPU, one member at a time, so that neither batch size nor
device changes them. Training draws its numbers on the device, by `engine.diffusion.philox`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor


class Purpose(IntEnum):
    """What a random number is for: a part of its address. ORDER to STROKES are training's alone."""

    START = 1
    ANCESTRAL = 2
    CHANCE = 3
    ORDER = 4
    VIEW = 5
    GRAIN = 6
    RECYCLING = 7
    STYLE = 8
    STROKES = 9
    RESAMPLING = 10


def generator(seed: int, member: int, purpose: Purpose, *place: int) -> torch.Generator:
    """A generator for one address.

    Parameters
    ----------
    seed : seed of the run.
    member : number of the member.
    purpose : what is drawn.
    place : up to three integers: the timestep, and two places within it.

    Raises
    ------
    ValueError : for more than three places.
    """
    if len(place) > 3:
        raise ValueError(f"an address has at most three places, not {len(place)}")
    address = struct.pack("<6q", seed, member, purpose, *(*place, 0, 0, 0)[:3])
    digest = hashlib.blake2b(address, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def normal(
    seed: int,
    members: Sequence[int],
    purpose: Purpose,
    timestep: int,
    shape: tuple[int, int],
    time: int = 0,
) -> Tensor:
    """Standard normal numbers, float32 (members, 1, rows, columns) on the CPU.

    Parameters
    ----------
    seed, purpose, timestep : parts of the address.
    members : numbers of the members.
    shape : (rows, columns).
    time : how often this was drawn at the timestep before, where a step is taken several times.
    """
    draws = [
        torch.randn(1, *shape, generator=generator(seed, member, purpose, timestep, time))
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
    """Uniform numbers in [0, 1), float32 (members, 1, rows, columns) on the CPU.

    Parameters
    ----------
    seed, timestep : parts of the address.
    members : numbers of the members.
    place : the place within the network, as for `engine.networks.network.Chance`.
    shape : (rows, columns).
    """
    draws = [
        torch.rand(1, *shape, generator=generator(seed, member, Purpose.CHANCE, timestep, *place))
        for member in members
    ]
    return torch.stack(draws)
