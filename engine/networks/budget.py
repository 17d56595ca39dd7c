"""Refuses models whose diffusion step would take more memory or time than is of use."""

from __future__ import annotations

import os

from engine.errors import TooLarge
from engine.networks.table import architecture
from engine.types import ModelSpec

#: The most memory for one member, in bytes; half of the machine's memory where that is less.
MOST_BYTES = 1 << 30
#: The most multiplications in a diffusion step of one member: up to a minute, during which a
#: person sees no progress.
MOST_MULTIPLICATIONS = 4e12


def expect_affordable(spec: ModelSpec) -> None:
    """Raise TooLarge if a diffusion step of one member takes more than the limits above.

    Compared is the cost of inference on a CPU, which is right to a factor of two. Raises
    UnknownArchitecture if the table has no such architecture.
    """
    cost = architecture(spec.architecture).cost(spec)
    most_bytes = min(MOST_BYTES, _machine_bytes() // 2)
    if cost.memory_bytes > most_bytes or cost.multiplications > MOST_MULTIPLICATIONS:
        raise TooLarge(spec.size, cost.updates, cost.memory_bytes / 1e9)


def _machine_bytes() -> int:
    """The memory of this machine in bytes, or 2**50 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 50
