"""Networks of the family that are small enough for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.networks.medsegdiff.networks import DiffusionUNet
from engine.networks.network import Outputs, Tensors
from engine.networks.table import build, preset
from engine.types import ModelSpec

ARCHITECTURES = ("medsegdiff-v2", "medsegdiff", "segdiff", "ensemdiff")
SIZES: dict[str, dict[str, Any]] = {
    "medsegdiff-v2": {
        "condition_base": 8,
        "condition_multipliers": (1, 2, 2),
        "tokens": 16,
        "depth": 2,
    },
    "medsegdiff": {"condition_base": 8, "spectrum": 64},
}


def tiny(architecture: str = "medsegdiff-v2", **changes: Any) -> ModelSpec:
    """A spec whose network runs in milliseconds; it reduces the sides by 4."""
    sizes = {"base": 8, "multipliers": (1, 2, 2), "blocks": 1, "size": 32}
    return preset(architecture).changed(**{**sizes, **SIZES.get(architecture, {}), **changes})


def lively(spec: ModelSpec, seed: int = 0) -> DiffusionUNet:
    """A network none of whose parts is without effect because it begins at zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(spec)
        assert isinstance(network, DiffusionUNet)
        for name, weight in network.named_parameters():
            if name.endswith(("table", "spectrum", "norm.weight", "norm_again.weight")):
                continue
            torch.nn.init.normal_(weight, std=0.15)
    return network


def seen(
    rows: int = 16, columns: int = 16, n: int = 2, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """An image, x_t and t / timesteps for each of n samples."""
    draw = torch.Generator().manual_seed(seed)
    image = 2 * torch.rand(n, 3, rows, columns, generator=draw) - 1
    noisy = torch.randn(n, 1, rows, columns, generator=draw)
    return image, noisy, torch.arange(1, n + 1) / 10


def no_chance(first: int, second: int, shape: tuple[int, int]) -> Tensor:
    """The family draws no random numbers."""
    raise AssertionError


def answer(network: DiffusionUNet, inputs: Sequence[Tensor]) -> tuple[Outputs, Tensors, Tensors]:
    """What `predict`, `condition` and `time_condition` give for what `seen` gives."""
    image, noisy, time = inputs
    given = network.condition(image)
    times = network.time_condition(time, (noisy.shape[2], noisy.shape[3]))
    return network.predict(given, times, noisy, no_chance), given, times


def predicted(network: DiffusionUNet, inputs: Sequence[Tensor]) -> Tensor:
    """The prediction alone, without gradients."""
    with torch.no_grad():
        return answer(network, inputs)[0].prediction_n1hw
