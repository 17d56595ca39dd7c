"""Samples masks from noise step by step, given a denoiser and a schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

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

    def denoiser(
        self,
        image_chw: Float,
        settings: SampleSettings,
        members: Sequence[int],
        hint_hw: Float | None,
    ) -> Denoiser:
        """The function from x_t and t to the clean mask; see `Model.denoiser`."""
        ...


@torch.no_grad()
def denoise(
    model: Denoises,
    image_chw: Float,
    settings: SampleSettings,
    members: Sequence[int],
    hint_hw: Float | None = None,
) -> Iterator[DenoiseStep]:
    """Sample the masks of some members of one image; yields every diffusion step.

    Parameters
    ----------
    model : what has the denoiser.
    image_chw : float32 in [0, 1], (3, rows, columns) of the grid times `spec.pixels_per_cell`.
    settings : how they are drawn. If the model has fewer timesteps than `settings.steps`, it takes
        all it has.
    members : numbers of the members.
    hint_hw : what a person painted, float32 (rows, columns) of the grid: 1 lesion, −1 skin, 0
        nothing. Cells painted whole are held: at every step x_t and the predicted mask there are
        those of the painted mask (Lugmayr 2022, without jumps).

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
    predict_clean = model.denoiser(image_chw, settings, members, hint_hw)
    bars = alpha_bars(spec.schedule, spec.timesteps)
    noisy = noise.normal(seed, members, Purpose.START, spec.timesteps, shape)
    noisy = noisy.to(model.device.name)
    hold = _holder(hint_hw, noisy, spec.mask_scale)
    pairs = walk(spec.timesteps, min(settings.steps, spec.timesteps))
    for done, (timestep, following) in enumerate(pairs, start=1):
        bar = float(bars[timestep])
        noisy = hold(noisy, bar)
        clean = hold(predict_clean(noisy, timestep), 1.0)
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
        bar_next = float(bars[following])
        if settings.sampler == "ddpm":
            fresh = noise.normal(seed, members, Purpose.ANCESTRAL, timestep, shape)
            noisy = ddpm_step(noisy, clean, bar, bar_next, fresh.to(noisy.device))
        else:
            noisy = ddim_step(noisy, clean, bar, bar_next)


def _holder(hint_hw: Float | None, start_n1hw: Tensor, scale: float) -> Callable[..., Tensor]:
    """A function of x_t and ᾱ that puts the noised painted mask where a cell was painted whole.

    Parameters
    ----------
    hint_hw : as for `denoise`.
    start_n1hw : the noise that the members begin from, with which the painted mask is noised.
    scale : the mask is ± this.
    """
    if hint_hw is None:
        return lambda whole_n1hw, bar: whole_n1hw
    painted = torch.from_numpy(hint_hw.copy()).to(start_n1hw.device)
    held = painted.abs() >= 1

    def hold(whole_n1hw: Tensor, bar: float) -> Tensor:
        truth = bar**0.5 * scale * painted + (1 - bar) ** 0.5 * start_n1hw
        return torch.where(held, truth, whole_n1hw)

    return hold
