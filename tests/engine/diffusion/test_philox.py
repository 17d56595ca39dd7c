"""Numbers by counter are the published ones, and depend on nothing but their address."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.diffusion.noise import Purpose
from engine.diffusion.philox import from_uniform, normal, philox, uniform

#: Counter, key and result of Philox4x32-10, from kat_vectors of Random123.
PUBLISHED = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), PUBLISHED)
def test_the_words_are_the_published_ones(counter: str, key: str, result: str) -> None:
    given = [torch.tensor([word, 0]) for word in words(counter)]
    low, high = words(key)
    found = philox(tuple(given), (low, high))  # type: ignore[arg-type]
    assert [int(word[0]) for word in found] == words(result)
    # What was given is as it was.
    assert [int(word[0]) for word in given] == words(counter)


def drawn(sample_n: Tensor, seed: int = 3, place: tuple[int, int] = (1, 2)) -> Tensor:
    return uniform(seed, sample_n, Purpose.VIEW, place, (3, 5))


def test_a_number_depends_on_its_address_alone() -> None:
    sample_n = torch.tensor([7, 0, 2**32 + 7, 10**10])
    whole = drawn(sample_n)
    assert whole.shape == (4, 3, 5)
    assert whole.dtype == torch.float32
    for place, sample in enumerate(sample_n):
        assert torch.equal(drawn(sample[None])[0], whole[place])
    assert torch.equal(drawn(sample_n.flip(0)), whole.flip(0))
    # Every part of the address counts.
    others = [
        drawn(sample_n, seed=4),
        drawn(sample_n, place=(2, 1)),
        drawn(sample_n, place=(1, 3)),
        uniform(3, sample_n, Purpose.RECYCLING, (1, 2), (3, 5)),
    ]
    for other in others:
        assert not bool((other == whole).any())
    assert len(whole.unique()) == whole.numel()


def test_a_place_that_does_not_fit_is_refused() -> None:
    for place in ((1 << 16, 0), (0, -1)):
        with pytest.raises(ValueError, match="a place is two numbers"):
            drawn(torch.zeros(1, dtype=torch.int64), place=place)


def test_uniform_numbers_are_even_and_normal_ones_normal() -> None:
    sample_n = torch.arange(50)
    even = uniform(0, sample_n, Purpose.VIEW, (0, 0), (2000,))
    assert float(even.min()) >= 0
    assert float(even.max()) < 1
    counts = torch.histc(even, 10, 0, 1)
    assert float(((counts - 10_000) ** 2 / 10_000).sum()) < 33.7  # p = 0.0001, 9 degrees
    bell = normal(0, sample_n, Purpose.VIEW, (0, 1), (2001,))
    assert bell.shape == (50, 2001)
    # A standard error is 0.003; that of the fourth moment is 0.03.
    assert float(bell.mean()) == pytest.approx(0, abs=0.012)
    assert float(bell.square().mean()) == pytest.approx(1, abs=0.02)
    assert float(bell.pow(4).mean()) == pytest.approx(3, abs=0.12)
    # Neither neighbours nor samples follow each other.
    assert float((bell[:, 1:] * bell[:, :-1]).mean()) == pytest.approx(0, abs=0.012)
    assert float((bell[1:] * bell[:-1]).mean()) == pytest.approx(0, abs=0.012)


def test_the_ends_of_the_uniform_numbers_have_finite_normal_ones() -> None:
    ends = torch.tensor([[0.0, 1 - 2.0**-24, 0.0, 1 - 2.0**-24]])
    assert bool(from_uniform(ends).isfinite().all())
