"""A network without cells: what a second architecture has to write, and its entry in the table."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from engine.networks.architecture import Architecture, Cost
from engine.networks.network import Chance, Network, Outputs, Steering, Tensors
from engine.networks.table import ARCHITECTURES
from engine.settings import Flag, bounded
from engine.types import ModelSpec, NetworkConfig


@dataclass(frozen=True)
class ToyConfig(NetworkConfig):
    """How many features the toy sees of the image."""

    width: int = bounded(4, low=1, high=64, flag=Flag("Features of the image.", low=1, high=64))


class Toy(Network):
    """One convolution of the image, and one that mixes it with x_t and t."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        assert isinstance(spec.config, ToyConfig)
        self.see = nn.Conv2d(3, spec.config.width, 3, padding=1)
        self.tell = nn.Conv2d(spec.config.width + 2, 1, 1)

    def condition(self, image_n3hw: Tensor) -> Tensors:
        return (self.see(image_n3hw).relu(),)

    def time_condition(self, time_n: Tensor, grid: tuple[int, int]) -> Tensors:
        return (time_n[:, None, None, None].expand(-1, 1, *grid),)

    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        return Outputs(self.tell(torch.cat([*image_given, noisy_n1hw, *time_given], dim=1)))


def parameters(spec: ModelSpec) -> int:
    assert isinstance(spec.config, ToyConfig)
    return 29 * spec.config.width + 3


TOY = Architecture(
    label="toy",
    presets=(ModelSpec("Toy", "toy", ToyConfig(), predicts="clean", mask_scale=0.2, size=16),),
    build=Toy,
    parameters=parameters,
    cost=lambda spec: Cost(400 * spec.size**2, spec.size**2 * parameters(spec)),
)


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the toy into the table for the time of a test."""
    monkeypatch.setitem(ARCHITECTURES, TOY.name, TOY)
