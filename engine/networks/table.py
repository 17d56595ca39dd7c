"""Networks by name: the paper's four models are two switches of one automaton."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engine.errors import UnknownArchitecture
from engine.networks.automaton.cell import Automaton
from engine.types import ModelSpec

ARCHITECTURES: dict[str, Callable[[ModelSpec], Automaton]] = {
    "basic": partial(Automaton, levels=1, attention=False),
    "cbam": partial(Automaton, levels=1, attention=True),
    "multi": partial(Automaton, levels=2, attention=False),
    "multicbam": partial(Automaton, levels=2, attention=True),
}


def build(spec: ModelSpec) -> Automaton:
    """An untrained network for a spec. Raises UnknownArchitecture."""
    try:
        architecture = ARCHITECTURES[spec.architecture]
    except KeyError:
        raise UnknownArchitecture(spec.architecture, ARCHITECTURES) from None
    return architecture(spec)
