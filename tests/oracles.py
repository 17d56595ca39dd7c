"""Small real models for tests of the sampler: one knows the truth, one is a tiny automaton."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.diffusion.model import Denoiser, Model, styles_of
from engine.networks.automaton.levels import Automaton
from engine.networks.device import DeviceChoice
from engine.networks.table import build, preset
from engine.types import Float, Image, ModelSpec, SampleSettings

CPU = DeviceChoice("cpu", "float32", "tests are to be equal everywhere")


class OracleModel:
    """A model that knows the mask, whatever the picture and the noise say."""

    def __init__(self, truth_hw: NDArray[np.bool_], **changes: object) -> None:
        self.spec = tiny_spec(size=len(truth_hw)).changed(**changes)
        self.device = CPU
        scale = self.spec.mask_scale
        self.truth = torch.from_numpy(np.where(truth_hw, scale, -scale).astype(np.float32))

    def denoiser(
        self,
        image_chw: Float,
        settings: SampleSettings,
        members: Sequence[int],
        hint_hw: Float | None = None,
    ) -> Denoiser:
        def predict_clean(noisy_n1hw: Tensor, timestep: int) -> Tensor:
            return self.truth.expand_as(noisy_n1hw).clone()

        return predict_clean


def tiny_spec(architecture: str = "multicbam", **changes: object) -> ModelSpec:
    """A spec of a network that runs in milliseconds; it is not steerable unless that is asked."""
    chosen = {"channels": 16, "hidden": 32, "updates": 3, "size": 16, "predicts": "clean"}
    chosen |= {"mask_scale": 0.2, "steerable": False}
    return preset(architecture).changed(**{**chosen, **changes})


def lively_model(architecture: str = "multicbam", seed: int = 0, **changes: object) -> Model:
    """A tiny model whose last layer is not zero, so that its cells do something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(tiny_spec(architecture, **changes))
        assert isinstance(network, Automaton)
        for cell in network.levels:
            torch.nn.init.normal_(cell.act.weight, std=0.2)  # type: ignore[union-attr,arg-type]
    return Model(network, CPU, fingerprint="lively")


def disk(
    size: int, radius: float = 0.3, row: float = 0.5, column: float = 0.5
) -> NDArray[np.bool_]:
    """A disk as a mask, bool (size, size); positions and radius as shares of the side."""
    y, x = np.mgrid[0:size, 0:size] / size
    inside: NDArray[np.bool_] = (y - row) ** 2 + (x - column) ** 2 < radius**2
    return inside


def lesion(mask_hw: NDArray[np.bool_], seed: int = 0) -> Image:
    """A picture in which the mask is brown on pink."""
    grain = np.random.default_rng(seed).normal(0, 8, (*mask_hw.shape, 1))
    colours = np.where(mask_hw[..., None], [110, 70, 50], [225, 180, 160]) + grain
    return Image(colours.clip(0, 255).astype(np.uint8))


#: Radius of the disk that a `StyledModel` draws in each style, in shares of the side.
RADII = {"T1": 0.36, "T2": 0.32, "T3": 0.26, "several": 0.30, None: 0.31}


class StyledModel:
    """A steerable model that draws a disk in the middle, as large as its style and width say."""

    def __init__(self, size: int = 32) -> None:
        shares = {"T1": 0.4, "T2": 0.3, "T3": 0.2, "several": 0.1}
        self.spec = tiny_spec(size=size, channels=16, steerable=True, styles=shares)
        self.device = CPU
        self.asked = 0

    def denoiser(
        self,
        image_chw: Float,
        settings: SampleSettings,
        members: Sequence[int],
        hint_hw: Float | None = None,
    ) -> Denoiser:
        self.asked += 1
        size, scale = self.spec.size, self.spec.mask_scale
        radii = [RADII[tool] for tool in styles_of(members, self.spec, settings.style)]
        drawn = [disk(size, radius * (1 + 0.15 * settings.width)) for radius in radii]
        clean_nhw = np.where(np.stack(drawn), scale, -scale).astype(np.float32)

        def predict_clean(noisy_n1hw: Tensor, timestep: int) -> Tensor:
            return torch.from_numpy(clean_nhw[:, None].copy())

        return predict_clean
