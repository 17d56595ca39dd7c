"""The other side of every comparison: the automaton as its papers write it, in float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.device import DeviceChoice
from engine.model import Model
from engine.models import build
from engine.models.nca import Automaton, Cell
from engine.types import ModelSpec


class PlainCell(Cell):
    """The same update, channels first, with every cell through the MLP."""

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        attended = state_nchw if self.attention is None else self.attention(state_nchw)
        neighbours = self.perceive(F.pad(attended, (1, 1, 1, 1), mode="reflect"))
        perceived = torch.cat([attended, neighbours], dim=1).permute(0, 2, 3, 1)
        change = self.act(F.leaky_relu(self.think(perceived))).permute(0, 3, 1, 2)
        return state_nchw + change * fires_n1hw


class PlainModel(Model):
    """A model of plain cells; ask it for one member at a time, with all cores at it."""

    def __init__(self, network: Automaton) -> None:
        super().__init__(plain(network), DeviceChoice("cpu", "float32", "the plain side"))

    def _inferring(self) -> Automaton:
        return self.network


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
    for cell in twin.levels:
        cell.__class__ = PlainCell
    return twin
