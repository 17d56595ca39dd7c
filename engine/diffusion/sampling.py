"""Samples masks from noise step by step, given a denoiser and a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from engine.diffusion import noise
from engine.diffusion.model import Denoiser
from engine.diffusion.noise import Purpose
from engine.diffusion.schedule import alpha_bars, ddim_step, ddpm_step, walk
from engine.errors import NotFinite
from engine.networks.device import DeviceChoice
from engine.types import DenoiseStep, Float, ModelSpec, SampleSettings


class Denoises(Protocol):
    """What the sampler needs of a model: an `engine.diffusion.model.Model`, or a test's own."""

    spec: ModelSpec
    device: DeviceChoice

    def denoiser(self, image_chw: Float, seed: int, members: Sequence[int]) -> Denoiser:
        """The function from x_t and t to the clean mask; see `Model.denoiser`."""
        ...


@torch.no_grad()
def denoise(
    model: Denoises, image_chw: Float, settings: SampleSettings, members: Sequence[int]
) -> Iterator[DenoiseStep]:
    """Sample the masks of some members of one image; yields every diffusion step.

    Parameters
    ----------
    model : what has the denoiser.
    image_chw : float32 in [0, 1], (3, rows, columns) of the grid times `spec.pixels_per_cell`.
    settings : sampler, steps and seed. If the model has fewer timesteps than `settings.steps`, it
        takes all it has.
    members : numbers of the members.

    Yields
    ------
    DenoiseStep : `clean_nhw` of the last one is the answer.

    Raises
    ------
    NotFinite : at the step whose prediction is not finite.
    """
    spec, seed = model.spec, settings.seed
    pixels = spec.pixels_per_cell
    shape = (image_chw.shape[1] // pixels, image_chw.shape[2] // pixels)
    predict_clean = model.denoiser(image_chw, seed, members)
    bars = alpha_bars(spec.schedule, spec.timesteps)
    noisy = noise.normal(seed, members, Purpose.START, spec.timesteps, shape)
    noisy = noisy.to(model.device.name)
    pairs = walk(spec.timesteps, min(settings.steps, spec.timesteps))
    for done, (timestep, following) in enumerate(pairs, start=1):
        clean = predict_clean(noisy, timestep)
        clean_nhw = (clean[:, 0] / (2 * spec.mask_scale) + 0.5).cpu().numpy()
        # NaN compared with a threshold is False: it would pass for skin without any uncertainty.
        if not np.isfinite(clean_nhw).all():
            raise NotFinite(spec.name)
        yield DenoiseStep(
            done=done,
            total=len(pairs),
            timestep=timestep,
            noisy_nhw=noisy[:, 0].cpu().numpy().copy(),
            clean_nhw=clean_nhw,
        )
        bar, bar_next = float(bars[timestep]), float(bars[following])
        if settings.sampler == "ddpm":
            fresh = noise.normal(seed, members, Purpose.ANCESTRAL, timestep, shape)
            noisy = ddpm_step(noisy, clean, bar, bar_next, fresh.to(noisy.device))
        else:
            noisy = ddim_step(noisy, clean, bar, bar_next)
