"""Draws random numbers by counter, on any device: a number is a function of its address alone.

The function is Philox4x32-10 (Salmon et al. 2011), in integer operations on tensors. It keeps no
state, so the same address gives the same number in every batch, order, process and on every device.
An address is (seed, purpose, sample, place, number within the draw).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.diffusion.noise import Purpose

#: Four words of 32 bits, as int64 tensors of one shape.
Words = tuple[Tensor, Tensor, Tensor, Tensor]

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
WORD = 0xFFFFFFFF
#: A number has as many random bits as float32 holds without rounding.
BITS = 24


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """The four random words of each counter.

    Parameters
    ----------
    counter : its four words, each in [0, 2³²); shapes that broadcast.
    key : two words.
    """
    first, second, third, fourth = torch.broadcast_tensors(*counter)  # type: ignore[no-untyped-call]
    low, high = key
    for _ in range(ROUNDS):
        # The product of two words fills 64 bits. Its sign, if it has one, is cut off with the bits
        # above the word, which in the second and fourth word are left until the end.
        one, two = first * MULTIPLIERS[0], third * MULTIPLIERS[1]
        first = (two >> 32).bitwise_xor_(second).bitwise_xor_(low).bitwise_and_(WORD)
        third = (one >> 32).bitwise_xor_(fourth).bitwise_xor_(high).bitwise_and_(WORD)
        second, fourth = two, one
        low, high = (low + WEYL[0]) & WORD, (high + WEYL[1]) & WORD
    return first, second.bitwise_and_(WORD), third, fourth.bitwise_and_(WORD)


def uniform(
    seed: int, sample_n: Tensor, purpose: Purpose, place: tuple[int, int], shape: tuple[int, ...]
) -> Tensor:
    """Uniform numbers in [0, 1) for each sample, float32 (n, *shape) on the device of `sample_n`.

    Parameters
    ----------
    seed : seed of the run, in [0, 2³²).
    sample_n : int64 (n,), what the numbers are for; not negative.
    purpose : what is drawn.
    place : what tells draws of one purpose for one sample apart, as in
        `engine.networks.network.Chance`; each in [0, 2¹⁶), else ValueError.
    shape : of the numbers of one sample. A number's place in it is part of its address, and so is
        how many there are.
    """
    if not all(0 <= each < 1 << 16 for each in place):
        raise ValueError(f"a place is two numbers in [0, 65536), not {place}")
    count = math.prod(shape)
    block = torch.arange(-(-count // 4), device=sample_n.device)
    sample = sample_n[:, None]
    fourth = torch.full_like(sample, place[0] << 16 | place[1])
    words = philox((block, sample & WORD, sample >> 32, fourth), (seed, int(purpose)))
    drawn = torch.cat([(word >> (32 - BITS)).float() for word in words], dim=1)
    return drawn[:, :count].mul(2.0**-BITS).reshape(-1, *shape)


def normal(
    seed: int, sample_n: Tensor, purpose: Purpose, place: tuple[int, int], shape: tuple[int, ...]
) -> Tensor:
    """Standard normal numbers, as `uniform` draws its own.

    Two are made of two uniform numbers (Box and Muller 1958), so they are equal on all devices to
    the rounding of sine, cosine and logarithm.
    """
    count = math.prod(shape)
    even = uniform(seed, sample_n, purpose, place, (count + count % 2,))
    return from_uniform(even)[:, :count].reshape(-1, *shape)


def from_uniform(uniform_nk: Tensor) -> Tensor:
    """Standard normal numbers made of as many uniform ones, (n, k); k is even."""
    radius, angle = uniform_nk.chunk(2, dim=1)
    # 1 − u lies in (0, 1], so its logarithm is finite.
    length = (1 - radius).log_().mul_(-2).sqrt_()
    angle = angle * (2 * math.pi)
    return torch.cat([length * angle.cos(), length * angle.sin()], dim=1)
