"""The table of architectures by name, and what can be asked of it; importing loads no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import UnknownArchitecture
from engine.networks.architecture import Architecture
from engine.networks.automaton.architectures import AUTOMATA
from engine.networks.medsegdiff.architectures import FAMILY
from engine.types import ModelSpec, ProtocolName

if TYPE_CHECKING:
    from engine.networks.network import Network

#: Every architecture that model files, command line and window know.
ARCHITECTURES: dict[str, Architecture] = {each.name: each for each in (*AUTOMATA, *FAMILY)}
#: The one that is trained unless another is asked for.
DEFAULT = "multicbam"


def architecture(name: str) -> Architecture:
    """The architecture of that name. Raises UnknownArchitecture."""
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise UnknownArchitecture(name, ARCHITECTURES) from None


def build(spec: ModelSpec) -> Network:
    """An untrained network for a spec; loads torch. Raises UnknownArchitecture."""
    return architecture(spec.architecture).build(spec)


def parameter_count(spec: ModelSpec) -> int:
    """How many parameters a spec's network has, without building it. Raises UnknownArchitecture."""
    return architecture(spec.architecture).parameters(spec)


def presets() -> tuple[ModelSpec, ...]:
    """The presets of all architectures."""
    return tuple(spec for each in ARCHITECTURES.values() for spec in each.presets)


def preset(name: str) -> ModelSpec:
    """A preset by its own name, or the first one of the architecture of that name ("multicbam").

    Upper and lower case are alike. Raises UnknownArchitecture with the names that are known.
    """
    for spec in presets():
        if name.lower() in (spec.name.lower(), spec.architecture):
            return spec
    raise UnknownArchitecture(name, [*(spec.name for spec in presets()), *ARCHITECTURES])


def trainable(name: str, protocol: ProtocolName = "own") -> ModelSpec:
    """A preset by name, as `nca-seg train` begins with it by its own or the paper's protocol.

    Raises UnknownArchitecture.
    """
    own = preset(name)
    if protocol == "paper":
        return replace(own, predicts="noise", mask_scale=1.0, framing="square", steerable=False)
    return own
