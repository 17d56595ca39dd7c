"""The table of architectures by name, and what can be asked of it; importing loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import NotTrainable, UnknownArchitecture
from engine.networks.architecture import Architecture, PaperProtocol
from engine.networks.automaton.architectures import AUTOMATA
from engine.networks.baselines.architectures import BASELINES
from engine.networks.medsegdiff.architectures import FAMILY
from engine.networks.onnx.architectures import ONNX
from engine.types import ModelSpec, ProtocolName

if TYPE_CHECKING:
    from engine.networks.network import Network

#: Every architecture that model files, command line and window know.
ARCHITECTURES: dict[str, Architecture] = {
    each.name: each for each in (*AUTOMATA, *FAMILY, *BASELINES, ONNX)
}
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
    """How many parameters a spec's network has; loads torch for some that are no presets.

    Raises UnknownArchitecture.
    """
    row = architecture(spec.architecture)
    for each in row.presets:
        if each.name in row.counted and _alike(each, spec):
            return row.counted[each.name]
    return row.parameters(spec)


def _alike(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether the networks of two specs have the same parameters."""
    return all(
        getattr(one, name) == getattr(other, name) for name in ("config", "size", "timesteps")
    )


def stored_count(spec: ModelSpec) -> int:
    """How many numbers a file of a spec's network holds; otherwise as `parameter_count`."""
    row = architecture(spec.architecture)
    return row.stored(spec) if row.stored is not None else parameter_count(spec)


def presets() -> tuple[ModelSpec, ...]:
    """The presets of all architectures."""
    return tuple(spec for each in ARCHITECTURES.values() for spec in each.presets)


def offered() -> dict[str, str]:
    """What a person may train here, by name: one sentence about each preset.

    Those are left out whose packages are not installed, and those of which nothing is said.
    """
    return {
        name: sentence
        for each in ARCHITECTURES.values()
        if each.is_installed
        for name, sentence in each.about.items()
    }


def preset(name: str) -> ModelSpec:
    """A preset by its own name, or the first one of the architecture of that name ("multicbam").

    Upper and lower case are alike. Raises NotTrainable for an architecture without presets, and
    UnknownArchitecture with the names that are known.
    """
    for spec in presets():
        if name.lower() in (spec.name.lower(), spec.architecture):
            return spec
    if name.lower() in ARCHITECTURES:
        raise NotTrainable(name)
    raise UnknownArchitecture(name, [*(spec.name for spec in presets()), *trained_names()])


def trained_names() -> tuple[str, ...]:
    """The names of the architectures that can be trained."""
    return tuple(name for name, each in ARCHITECTURES.items() if each.presets)


def expect_trainable(spec: ModelSpec) -> None:
    """Raise NotTrainable if nothing is learned of a spec's architecture."""
    if not architecture(spec.architecture).presets:
        raise NotTrainable(spec.name)


def trainable(name: str, protocol: ProtocolName = "own") -> ModelSpec:
    """A preset by name, as `nca-seg train` begins with it by its own or its paper's protocol.

    Raises UnknownArchitecture, NotTrainable, and ValueError for the protocol of a paper where there
    is none.
    """
    own = preset(name)
    return own if protocol == "own" else own.changed(**paper_protocol(own).spec)


def paper_protocol(spec: ModelSpec) -> PaperProtocol:
    """How the paper trains that a spec's architecture is of. Raises ValueError if there is none."""
    found = architecture(spec.architecture).paper
    if found is None:
        raise ValueError(f"{spec.architecture} is of no paper whose protocol is known")
    return found
