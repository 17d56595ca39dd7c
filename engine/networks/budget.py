"""A model's file decides how much is computed: what is beyond use is refused beforehand."""

from __future__ import annotations

import os

from engine.errors import TooLarge
from engine.networks.table import architecture
from engine.types import ModelSpec

#: Of one member, in bytes; on small machines it is half of their memory.
MOST_BYTES = 1 << 30
#: In a diffusion step of one member, of which nothing is seen before its end: up to a minute.
MOST_MULTIPLICATIONS = 4e12


def expect_affordable(spec: ModelSpec) -> None:
    """Raise TooLarge where a step of one member takes more memory or time than anybody waits for.

    The figures are those of inference on a CPU, to a factor of two. Raises UnknownArchitecture.
    """
    cost = architecture(spec.architecture).cost(spec)
    most_bytes = min(MOST_BYTES, _machine_bytes() // 2)
    if cost.memory_bytes > most_bytes or cost.multiplications > MOST_MULTIPLICATIONS:
        raise TooLarge(spec.size, cost.updates, cost.memory_bytes / 1e9)


def _machine_bytes() -> int:
    """The memory of this machine, or much where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 50
