"""The other side of every comparison: the automaton as its papers write it, in float32.

There every cell passes through the MLP, and those that do not fire keep their state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from engine.diffusion.model import Model
from engine.networks.automaton.fast import DenseCell
from engine.networks.automaton.levels import Automaton
from engine.networks.device import DeviceChoice
from engine.networks.network import Network, Steering, Tensors
from engine.networks.table import build
from engine.types import ModelSpec


class PlainModel(Model):
    """A model of plain cells; ask it for one member at a time, with all cores at it."""

    def __init__(self, network: Network) -> None:
        super().__init__(plain(network), DeviceChoice("cpu", "float32", "the plain side"))

    def _inferring(self) -> Network:
        return self.network

    def _predict(
        self,
        network: Network,
        seed: int,
        members: Sequence[int],
        steering: Steering | None,
    ) -> Callable[[Tensors, Tensors, Tensor, int], Tensor]:
        """As `Model._predict`, in the caller's thread with all cores inside each operation."""

        @torch.no_grad()
        def predict(
            image_given: Tensors, time_given: Tensors, noisy: Tensor, timestep: int
        ) -> Tensor:
            chance = self._chance(seed, members, timestep)
            outputs = network.predict(image_given, time_given, noisy, chance, steering)
            return outputs.prediction_n1hw.float()

        return predict


def automaton(network: Network) -> Automaton:
    """The network, which has to be an automaton."""
    if not isinstance(network, Automaton):
        raise TypeError(f"{network.spec.name!r} is no automaton")
    return network


def trained_like(spec: ModelSpec) -> Automaton:
    """A network whose cells all do something, as after training; the same ones every time."""
    torch.manual_seed(0)
    network = automaton(build(spec))
    for cell in network.levels:
        torch.nn.init.normal_(cell.act.weight, std=0.01)  # type: ignore[union-attr,arg-type]
    return network


def plain(network: Network) -> Automaton:
    """The same network with plain cells; it shares no weights with the given one."""
    twin = automaton(build(network.spec))
    twin.load_state_dict(network.state_dict())
    twin.levels = nn.ModuleList(DenseCell(cell) for cell in twin.levels)  # type: ignore[arg-type]
    return twin
