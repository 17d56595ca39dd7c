"""The diffusion process as pure functions: schedule, forward process, DDPM and DDIM steps.

Timesteps run from 0 (no noise) to `timesteps` (almost only noise). `alpha_bar[t]` is the share of
signal variance that is left at t, so `alpha_bar[0]` is 1. Masks are in mask units: the clean mask
is −mask_scale outside the lesion and +mask_scale inside.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.types import Prediction, ScheduleName


@lru_cache(maxsize=16)
def alpha_bars(name: ScheduleName, timesteps: int) -> NDArray[np.float64]:
    """alpha_bar for t = 0 … timesteps, float64 (timesteps + 1,), read-only.

    Parameters
    ----------
    name : "cosine" is eq. 17 of Nichol & Dhariwal 2021, with beta at most 0.999. "linear" is Ho
        2020's 1e-4 … 0.02 over a thousand steps, scaled so that any number of steps ends at about
        the same noise.
    timesteps : how many there are.
    """
    if name == "cosine":

        def share(position: float) -> float:
            return math.cos((position + 0.008) / 1.008 * math.pi / 2) ** 2

        beta = np.array(
            [
                min(1 - share((t + 1) / timesteps) / share(t / timesteps), 0.999)
                for t in range(timesteps)
            ]
        )
    else:
        scale = 1000 / timesteps
        beta = np.minimum(np.linspace(1e-4 * scale, 0.02 * scale, timesteps), 0.999)
    bars = np.concatenate([[1.0], np.cumprod(1 - beta)])
    bars.flags.writeable = False
    return bars


def renoised(noisy: Tensor, alpha_bar: float, alpha_bar_before: float, noise: Tensor) -> Tensor:
    """x_t of a smaller t taken back to a larger one by the forward process, eq. 2 of Ho 2020.

    Parameters
    ----------
    noisy : x at the smaller t.
    alpha_bar : that of the smaller t, in (0, 1].
    alpha_bar_before : that of the larger t, which is smaller.
    noise : standard normal, of the shape of `noisy`.
    """
    kept = alpha_bar_before / alpha_bar
    return math.sqrt(kept) * noisy + math.sqrt(1 - kept) * noise


def walk(timesteps: int, steps: int) -> list[tuple[int, int]]:
    """The pairs (t, next t) of `steps` even steps from t = `timesteps` down to 0.

    Raises ValueError unless `steps` lies in 1 to `timesteps`.
    """
    if not 1 <= steps <= timesteps:
        raise ValueError(f"steps is {steps}, outside 1 to {timesteps}")
    stops = [round(timesteps * (steps - i) / steps) for i in range(steps + 1)]
    return list(pairwise(stops))


def add_noise(clean: Tensor, noise: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """x_t = sqrt(alpha_bar) x_0 + sqrt(1 − alpha_bar) ε, the argument of ε_θ in eq. 3.

    Parameters
    ----------
    clean : x_0, (n, 1, rows, columns) in [−mask_scale, mask_scale].
    noise : ε, standard normal, of the same shape.
    alpha_bar : in [0, 1], one number or (n, 1, 1, 1).
    """
    alpha_bar = torch.as_tensor(alpha_bar, dtype=clean.dtype, device=clean.device)
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def network_input(noisy: Tensor, alpha_bar: Tensor | float, mask_scale: float) -> Tensor:
    """x_t scaled to unit variance (Chen 2023, arXiv 2301.10972).

    Parameters
    ----------
    noisy : x_t, of any shape.
    alpha_bar : as for `add_noise`.
    mask_scale : in (0, 1].
    """
    alpha_bar = torch.as_tensor(alpha_bar, dtype=noisy.dtype, device=noisy.device)
    return noisy / (alpha_bar * mask_scale**2 + 1 - alpha_bar).sqrt()


def velocity(clean: Tensor, noise: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """v = sqrt(alpha_bar) ε − sqrt(1 − alpha_bar) x_0 (Salimans & Ho 2022).

    Parameters
    ----------
    clean, noise, alpha_bar : as for `add_noise`.
    """
    alpha_bar = torch.as_tensor(alpha_bar, dtype=clean.dtype, device=clean.device)
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean


def clean_from(
    output: Tensor, noisy: Tensor, alpha_bar: float, predicts: Prediction, mask_scale: float
) -> Tensor:
    """The clean mask, in [−mask_scale, mask_scale], that follows from a network's prediction.

    Parameters
    ----------
    output : what the network predicted.
    noisy : x_t, of the same shape.
    alpha_bar : in (0, 1].
    predicts : what `output` means. "clean": the logit of lesion. "noise" and "velocity" are solved
        for x_0, and the result is clipped.
    mask_scale : in (0, 1].
    """
    if predicts == "clean":
        return mask_scale * torch.tanh(output / 2)
    signal, spread = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
    if predicts == "noise":
        clean = (noisy - spread * output) / signal
    else:
        clean = signal * noisy - spread * output
    return clean.clamp(-mask_scale, mask_scale)


def ddim_step(noisy: Tensor, clean: Tensor, alpha_bar: float, alpha_bar_next: float) -> Tensor:
    """x at the next timestep without new noise (Song 2021, eq. 12 with σ = 0).

    Parameters
    ----------
    noisy : x_t.
    clean : the predicted x_0, of the same shape.
    alpha_bar : that of t, in [0, 1).
    alpha_bar_next : that of the next timestep, which is larger.
    """
    noise = (noisy - math.sqrt(alpha_bar) * clean) / math.sqrt(1 - alpha_bar)
    return math.sqrt(alpha_bar_next) * clean + math.sqrt(1 - alpha_bar_next) * noise


def ddpm_step(
    noisy: Tensor, clean: Tensor, alpha_bar: float, alpha_bar_next: float, noise: Tensor
) -> Tensor:
    """A sample of q(x_next | x_t, x_0), the posterior of Ho 2020, eqs. 6 and 7, for any stride.

    Parameters
    ----------
    noisy, clean, alpha_bar, alpha_bar_next : as for `ddim_step`.
    noise : standard normal, of the shape of `noisy`.
    """
    alpha = alpha_bar / alpha_bar_next
    beta = 1 - alpha
    clean_share = math.sqrt(alpha_bar_next) * beta / (1 - alpha_bar)
    noisy_share = math.sqrt(alpha) * (1 - alpha_bar_next) / (1 - alpha_bar)
    variance = beta * (1 - alpha_bar_next) / (1 - alpha_bar)
    return clean_share * clean + noisy_share * noisy + math.sqrt(variance) * noise
