"""A model's file decides how much is computed: what is beyond use is refused beforehand."""

from __future__ import annotations

import os

from engine.errors import TooLarge
from engine.networks.presets import parameter_count
from engine.types import ModelSpec

#: Of one member, in bytes; on small machines it is half of their memory.
MOST_BYTES = 1 << 30
#: In a diffusion step of one member, of which nothing is seen before its end: up to a minute.
MOST_MULTIPLICATIONS = 4e12


def expect_affordable(spec: ModelSpec) -> None:
    """Raise TooLarge where a step of one member takes more memory or time than anybody waits for.

    The figures are those of inference on a CPU, to a factor of two.
    """
    memory = memory_bytes(spec)
    if memory > min(MOST_BYTES, _machine_bytes() // 2) or multiplications(spec) > (
        MOST_MULTIPLICATIONS
    ):
        updates = spec.updates
        if spec.architecture.startswith("multi"):
            updates += spec.coarse_updates or spec.updates
        raise TooLarge(spec.size, updates, memory / 1e9)


def memory_bytes(spec: ModelSpec) -> int:
    """About what one member takes: two states, where each cell's neighbours lie, and the image."""
    return spec.size**2 * (6 * spec.channels + 100 + 12 * spec.detail**2)


def multiplications(spec: ModelSpec) -> float:
    """About how many numbers are multiplied in a diffusion step of one member."""
    two = spec.architecture.startswith("multi")
    updates: float = spec.updates
    if two:
        updates += (spec.coarse_updates or spec.updates) / spec.factor**2
    return spec.size**2 * updates * parameter_count(spec) / (2 if two else 1)


def _machine_bytes() -> int:
    """The memory of this machine, or much where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 50
