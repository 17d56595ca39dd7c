"""The other side of every comparison: the automaton as its papers write it, in float32.

There every cell passes through the MLP, and those that do not fire keep their state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from engine.diffusion.model import Model
from engine.networks.automaton.cell import Automaton
from engine.networks.automaton.fast import DenseCell
from engine.networks.device import DeviceChoice
from engine.networks.table import build
from engine.types import ModelSpec


class PlainModel(Model):
    """A model of plain cells; ask it for one member at a time, with all cores at it."""

    def __init__(self, network: Automaton) -> None:
        super().__init__(plain(network), DeviceChoice("cpu", "float32", "the plain side"))

    def _answer(self, seed: int, members: Sequence[int]) -> Callable[..., Tensor]:
        """As `Model._answer`, in the caller's thread with all cores inside each operation."""

        @torch.no_grad()
        def answer(image: Tensor, noisy: Tensor, time: Tensor, timestep: int) -> Tensor:
            fires = self._fires(seed, members, timestep)
            return self.network.answer(image, noisy, time, fires).float()

        return answer


def trained_like(spec: ModelSpec) -> Automaton:
    """A network whose cells all do something, as after training; the same ones every time."""
    torch.manual_seed(0)
    network = build(spec)
    for cell in network.levels:
        torch.nn.init.normal_(cell.act.weight, std=0.01)  # type: ignore[union-attr,arg-type]
    return network


def plain(network: Automaton) -> Automaton:
    """The same network with plain cells; it shares no weights with the given one."""
    spec = network.spec
    twin = build(spec)
    twin.load_state_dict(network.state_dict())
    twin.levels = nn.ModuleList(DenseCell(cell) for cell in twin.levels)  # type: ignore[arg-type]
    return twin
