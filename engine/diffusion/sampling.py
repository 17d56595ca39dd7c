"""Samples masks from noise step by step, given a denoiser and a schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.diffusion import noise
from engine.diffusion.model import Denoiser
from engine.diffusion.noise import Purpose
from engine.diffusion.schedule import (
    add_noise,
    alpha_bars,
    ddim_step,
    ddpm_step,
    renoised,
    walk,
)
from engine.errors import NotFinite
from engine.framing import Frame
from engine.networks.device import DeviceChoice
from engine.types import DenoiseStep, Float, ModelSpec, Prompt, SampleSettings


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


class GridPrompt(NamedTuple):
    """A person's `Prompt` on the grid.

    `hint_hw` is in each cell the share painted as lesion less that painted as skin, `start_hw` the
    share of lesion in the mask from which the members begin; both float32 (rows, columns) or None.
    `noise` and `resamplings` are those of the prompt.
    """

    hint_hw: Float | None = None
    start_hw: Float | None = None
    noise: float = 1.0
    resamplings: int = 1


#: Nothing was shown: the members begin from pure noise, and nothing is held.
UNPROMPTED = GridPrompt()


def on_grid(prompt: Prompt, frame: Frame) -> GridPrompt:
    """A prompt on the grid of a frame, which lies over the prompt's box."""
    hint_hw = start_hw = None
    if prompt.hint_hw is not None:
        hint_hw = frame.apply_mask(prompt.hint_hw > 0) - frame.apply_mask(prompt.hint_hw < 0)
    if prompt.start_hw is not None:
        start_hw = frame.apply_mask(prompt.start_hw)
    return GridPrompt(hint_hw, start_hw, prompt.noise, prompt.resamplings)


def plan(
    spec: ModelSpec, settings: SampleSettings, prompt: GridPrompt
) -> list[tuple[int, int, int]]:
    """The diffusion steps of a run in order: t, the next t, and how often it was taken before."""
    first = spec.timesteps
    if prompt.start_hw is not None:
        first = max(1, round(prompt.noise * first))
    times = range(1 if prompt.hint_hw is None else prompt.resamplings)
    pairs = walk(first, min(settings.steps, first))
    return [(timestep, following, time) for timestep, following in pairs for time in times]


@torch.no_grad()
def denoise(
    model: Denoises,
    image_chw: Float,
    settings: SampleSettings,
    members: Sequence[int],
    prompt: GridPrompt = UNPROMPTED,
) -> Iterator[DenoiseStep]:
    """Sample the masks of some members of one image; yields every diffusion step.

    Parameters
    ----------
    model : what has the denoiser.
    image_chw : float32 in [0, 1], (3, rows, columns) of the grid times `spec.pixels_per_cell`.
    settings : how they are drawn. If the model has fewer timesteps than `settings.steps`, it takes
        all it has.
    members : numbers of the members.
    prompt : what a person showed. Cells painted whole are held: at every step x_t and the predicted
        mask there are those of the painted mask (Lugmayr 2022).

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
    predict_clean = model.denoiser(image_chw, settings, members, prompt.hint_hw)
    bars = alpha_bars(spec.schedule, spec.timesteps)
    steps = plan(spec, settings, prompt)

    def fresh(purpose: Purpose, timestep: int, time: int = 0) -> Tensor:
        drawn = noise.normal(seed, members, purpose, timestep, shape, time)
        return drawn.to(model.device.name)

    start = fresh(Purpose.START, spec.timesteps)
    hold = _holder(prompt.hint_hw, start, spec.mask_scale)
    noisy = start
    if prompt.start_hw is not None:
        clean = spec.mask_scale * (2 * torch.from_numpy(prompt.start_hw.copy()) - 1)
        noisy = add_noise(clean.to(start.device), start, float(bars[steps[0][0]]))
    for done, (timestep, following, time) in enumerate(steps, start=1):
        bar, bar_next = float(bars[timestep]), float(bars[following])
        if time:
            again = fresh(Purpose.RESAMPLING, timestep, time)
            noisy = renoised(noisy, bar_next, bar, again)
        noisy = hold(noisy, bar)
        clean = hold(predict_clean(noisy, timestep), 1.0)
        clean_nhw = (clean[:, 0] / (2 * spec.mask_scale) + 0.5).cpu().numpy()
        # NaN compared with a threshold is False: it would pass for skin without any uncertainty.
        if not np.isfinite(clean_nhw).all():
            raise NotFinite(spec.name)
        yield DenoiseStep(
            done=done,
            total=len(steps),
            timestep=timestep,
            noisy_nhw=noisy[:, 0].cpu().numpy().copy(),
            clean_nhw=clean_nhw,
        )
        if settings.sampler == "ddpm":
            noisy = ddpm_step(noisy, clean, bar, bar_next, fresh(Purpose.ANCESTRAL, timestep, time))
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
