"""What the table of networks says about an architecture; importing loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types import ModelSpec, NetworkConfig

if TYPE_CHECKING:
    from engine.networks.network import Network


@dataclass(frozen=True)
class Cost:
    """About what inference takes on a CPU, to a factor of two.

    `memory_bytes` is what one member takes, `multiplications` how many numbers are multiplied in a
    diffusion step of it. `updates` is how often the network goes over its grid in a step, which is
    told where the cost is too much.
    """

    memory_bytes: int
    multiplications: float
    updates: int = 1


@dataclass(frozen=True)
class Architecture:
    """An architecture of the table: how it is built, what it costs, what is said about it.

    Nothing in it may load torch but `build`, when it is called.

    Parameters
    ----------
    label : what it is called within a sentence, as "two-level automaton".
    presets : specs to train from, as `nca-seg train` begins with them unless its flags say
        otherwise; the name of the architecture alone means the first. All have configs of one
        class.
    build : an untrained network for a spec.
    parameters : how many parameters the network of a spec has, which are all that its file holds.
    cost : what a step of a spec's network takes.
    inspectable : whether what happens in a step can be looked at (`Network.inspect`).
    own_loss : what a report calls the loss terms of the network's own (`Network.losses`), where
        `TrainSettings.rgb_weight` weighs them.
    """

    label: str
    presets: tuple[ModelSpec, ...]
    build: Callable[[ModelSpec], Network]
    parameters: Callable[[ModelSpec], int]
    cost: Callable[[ModelSpec], Cost]
    inspectable: bool = False
    own_loss: str = ""

    @property
    def name(self) -> str:
        """The architecture's name in files and on the command line."""
        return self.presets[0].architecture

    @property
    def config(self) -> type[NetworkConfig]:
        """The class of its configs."""
        return type(self.presets[0].config)
