"""Counts the floating point operations that a network takes for a step and for an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, get_args

import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.diffusion import noise
from engine.diffusion.views import most_members, views_of
from engine.networks.network import Network, Steering
from engine.types import ModelSpec, SampleSettings, Tool

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Flops:
    """Operations of a network for a square image of its size, a multiplication and an addition two.

    Counted are convolutions and matrix products, as torch counts them; Fourier transforms and what
    is done number by number are not. `condition` is what is computed once for each view of an
    image, `time` once for each diffusion step, `predict` for each member in each step.
    """

    condition: int
    time: int
    predict: int

    def step(self, spec: ModelSpec) -> int:
        """Those of one step of one member; of a network of one step all that it does."""
        return self.time + self.predict + (0 if spec.sees_noise else self.condition)

    def answer(self, spec: ModelSpec, settings: SampleSettings) -> int:
        """Those of a whole ensemble; `settings.members` is a number, not automatic."""
        members = min(settings.members, most_members(spec, settings.views) or settings.members)
        views = len(set(views_of(range(members), settings.views)))
        steps = min(settings.steps, spec.timesteps)
        return views * self.condition + steps * (self.time + members * self.predict)


@torch.no_grad()
def count_flops(network: Network) -> Flops:
    """Count the operations of a network by running it once on an empty image."""
    spec = network.spec
    place = next(network.parameters()).device
    grid = (spec.size, spec.size)
    side = spec.size * spec.pixels_per_cell
    image_n3hw = torch.zeros(1, 3, side, side, device=place)
    noisy_n1hw = torch.zeros(1, 1, *grid, device=place)
    time_n = torch.ones(1, device=place)
    told = None
    if spec.steerable:
        style_n5 = torch.zeros(1, len(get_args(Tool)) + 1, device=place)
        told = Steering(style_n5, torch.zeros_like(noisy_n1hw))

    def chance(first: int, second: int, shape: tuple[int, int]) -> torch.Tensor:
        return noise.uniform(0, [0], spec.timesteps, (first, second), shape)

    image_given, condition = _counted(lambda: network.condition(image_n3hw))
    time_given, time = _counted(lambda: network.time_condition(time_n, grid))
    _, predict = _counted(
        lambda: network.predict(image_given, time_given, noisy_n1hw, chance, told)
    )
    return Flops(condition, time, predict)


def _counted(act: Callable[[], _Result]) -> tuple[_Result, int]:
    with FlopCounterMode(display=False) as counter:
        result = act()
    return result, counter.get_total_flops()
