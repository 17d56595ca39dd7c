"""Runs a network in bfloat16 on a processor that multiplies it, for inference."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from engine.networks.device import DeviceChoice
from engine.networks.network import Chance, Network, Outputs, Steering, Tensors


class LowPrecision(Network):
    """A copy of a network whose products are computed in bfloat16 on the CPU.

    Made by `of`. Everything that it gives is float32.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network.spec)
        self.network = deepcopy(network).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def of(cls, network: Network, device: DeviceChoice) -> Network:
        """The network's form for inference on a device: itself where that computes in float32.

        On a GPU the caller sets the precision.
        """
        low = device.name == "cpu" and device.precision == "bfloat16"
        return cls(network) if low else network

    def condition(self, image_n3hw: Tensor) -> Tensors:
        with _low():
            return _float(self.network.condition(_laid_out(image_n3hw)))

    def time_condition(self, time_n: Tensor, grid: tuple[int, int]) -> Tensors:
        with _low():
            return _float(self.network.time_condition(time_n, grid))

    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        """The prediction of the network, without extras."""
        with _low():
            outputs = self.network.predict(image_given, time_given, noisy_n1hw, chance, steering)
        return Outputs(outputs.prediction_n1hw.float())


def _low() -> torch.autocast:
    # Without autocast's cache, which all threads would share.
    return torch.autocast("cpu", torch.bfloat16, cache_enabled=False)


def _laid_out(picture_nchw: Tensor) -> Tensor:
    return picture_nchw.contiguous(memory_format=torch.channels_last)


def _float(tensors: Tensors) -> Tensors:
    return tuple(each.float() for each in tensors)
