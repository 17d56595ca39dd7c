"""The diffusion functions are those of diffusers' schedulers, step for step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from engine.diffusion.schedule import (
    add_noise,
    alpha_bars,
    clean_from,
    ddim_step,
    ddpm_step,
    network_input,
    velocity,
    walk,
)

THEIRS = {"cosine": "squaredcos_cap_v2", "linear": "linear"}
PREDICTION = {"noise": "epsilon", "clean": "sample", "velocity": "v_prediction"}


def ddim(name: str, kind: str, timesteps: int = 100) -> DDIMScheduler:
    scale = 1000 / timesteps
    return DDIMScheduler(
        num_train_timesteps=timesteps,
        beta_schedule=THEIRS[name],
        beta_start=1e-4 * scale,
        beta_end=0.02 * scale,
        prediction_type=PREDICTION[kind],
        timestep_spacing="trailing",
        clip_sample=True,
        clip_sample_range=1.0,
        set_alpha_to_one=True,
    )


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("timesteps", [2, 10, 100, 1000])
def test_the_schedule_is_theirs(name: str, timesteps: int) -> None:
    if name == "linear" and timesteps < 100:
        pytest.skip("theirs leaves betas above 0.999 as they are")
    ours = alpha_bars(name, timesteps)  # type: ignore[arg-type]
    np.testing.assert_allclose(
        ours[1:], ddim(name, "noise", timesteps).alphas_cumprod.numpy(), rtol=2e-3, atol=1e-9
    )
    assert ours[0] == 1
    assert (np.diff(ours) < 0).all()


@pytest.mark.parametrize("kind", PREDICTION)
@pytest.mark.parametrize("steps", [1, 5, 10, 100])
def test_a_whole_ddim_walk_is_theirs(kind: str, steps: int) -> None:
    scheduler = ddim("cosine", kind)
    scheduler.set_timesteps(steps)
    bars = alpha_bars("cosine", 100)
    draws = torch.Generator().manual_seed(3)
    ours = theirs = torch.randn(2, 1, 8, 8, generator=draws, dtype=torch.float64)
    pairs = walk(100, steps)
    assert [t - 1 for t, _ in pairs] == scheduler.timesteps.tolist()
    for timestep, following in pairs:
        raw = torch.randn(2, 1, 8, 8, generator=draws, dtype=torch.float64)
        theirs_output = torch.tanh(raw / 2) if kind == "clean" else raw
        theirs = scheduler.step(
            theirs_output, timestep - 1, theirs, use_clipped_model_output=True
        ).prev_sample
        bar, bar_next = float(bars[timestep]), float(bars[following])
        clean = clean_from(raw, ours, bar, kind, 1.0)  # type: ignore[arg-type]
        ours = ddim_step(ours, clean, bar, bar_next)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("timestep", [1, 2, 37, 99, 100])
def test_a_ddpm_step_is_theirs(timestep: int) -> None:
    scheduler = DDPMScheduler(
        num_train_timesteps=100,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        variance_type="fixed_small",
        clip_sample=False,
    )
    bars = alpha_bars("cosine", 100)
    draws = torch.Generator().manual_seed(5)
    noisy = torch.randn(1, 1, 6, 6, generator=draws)
    clean = torch.rand(1, 1, 6, 6, generator=draws) * 2 - 1
    theirs = scheduler.step(
        clean, timestep - 1, noisy, generator=torch.Generator().manual_seed(9)
    ).prev_sample
    fresh = torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(9))
    ours = ddpm_step(noisy, clean, float(bars[timestep]), float(bars[timestep - 1]), fresh)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_forward_process_is_theirs() -> None:
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    draws = torch.Generator().manual_seed(1)
    clean = torch.rand(4, 1, 5, 5, generator=draws)
    noise = torch.randn(4, 1, 5, 5, generator=draws)
    timesteps = torch.tensor([1, 20, 60, 100])
    bars = torch.from_numpy(alpha_bars("cosine", 100).copy()).float()[timesteps]
    bar = bars[:, None, None, None]
    theirs = scheduler.add_noise(clean, noise, timesteps - 1)
    torch.testing.assert_close(add_noise(clean, noise, bar), theirs, rtol=1e-4, atol=1e-4)
    theirs_v = scheduler.get_velocity(clean, noise, timesteps - 1)
    torch.testing.assert_close(velocity(clean, noise, bar), theirs_v, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["noise", "velocity"])
def test_a_perfect_prediction_gives_the_clean_mask_back(kind: str) -> None:
    draws = torch.Generator().manual_seed(2)
    clean = 0.2 * torch.sign(torch.randn(3, 1, 8, 8, generator=draws))
    noise = torch.randn(3, 1, 8, 8, generator=draws)
    bar = float(alpha_bars("cosine", 100)[60])
    noisy = add_noise(clean, noise, bar)
    output = noise if kind == "noise" else velocity(clean, noise, bar)
    found = clean_from(output, noisy, bar, kind, 0.2)  # type: ignore[arg-type]
    torch.testing.assert_close(found, clean, rtol=1e-4, atol=1e-5)


def test_the_network_sees_unit_variance_at_every_timestep() -> None:
    draws = torch.Generator().manual_seed(4)
    clean = 0.2 * torch.sign(torch.randn(1, 1, 256, 256, generator=draws))
    noise = torch.randn(1, 1, 256, 256, generator=draws)
    for timestep in (1, 50, 100):
        bar = float(alpha_bars("cosine", 100)[timestep])
        seen = network_input(add_noise(clean, noise, bar), bar, 0.2)
        assert float(seen.std()) == pytest.approx(1, abs=0.02)


def test_a_walk_ends_at_zero_and_refuses_more_steps_than_there_are() -> None:
    for steps in (1, 3, 7, 100):
        pairs = walk(100, steps)
        assert len(pairs) == steps
        assert pairs[0][0] == 100
        assert pairs[-1][1] == 0
        assert all(now > following for now, following in pairs)
    with pytest.raises(ValueError, match="outside 1 to 100"):
        walk(100, 101)
