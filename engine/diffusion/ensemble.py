"""Segments an image by an ensemble of members, and replays any diffusion step of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from engine.diffusion.fusion import settled
from engine.diffusion.model import Model
from engine.diffusion.sampling import Denoises, denoise
from engine.diffusion.views import most_members
from engine.framing import Frame
from engine.networks.budget import expect_affordable
from engine.networks.device import in_memory, rounds, small_round
from engine.networks.steerability import expect_style
from engine.types import CellStep, EnsembleResult, Float, Image, SampleSettings

#: If the number of members is automatic: the most that are drawn, and over how many of the last
#: the result must rest.
MOST_MEMBERS, LAST_MEMBERS = 50, 5


@torch.no_grad()
def segment(
    model: Denoises,
    image: Image,
    settings: SampleSettings,
    hint_hw: NDArray[np.int8] | None = None,
) -> Iterator[EnsembleResult]:
    """Segment an image; yields the ensemble so far after every diffusion step of every round.

    Every event is usable: unfinished members count with the mask they predict now. With 0 members
    (automatic) it draws until the last five changed the mask by less than 0.1 % (`fusion.settled`);
    `total` is the most steps that this may take, and in the last event the number it took. A
    network that sees no noise draws one member for each view and no more.

    Parameters
    ----------
    model : a loaded model, or anything else that has a denoiser.
    image : of any size.
    settings : how the ensemble is drawn.
    hint_hw : what a person painted, int8 (height, width) of the image: 1 lesion, −1 skin, 0
        nothing. The members hold to it (`engine.diffusion.sampling.denoise`).

    Yields
    ------
    EnsembleResult : the last one is the answer.

    Raises
    ------
    TooLarge, StyleNotKnown : before the first event.
    OutOfMemory : naming a smaller batch that may fit.
    NotFinite : if the model computes numbers that are not finite.
    """
    expect_affordable(model.spec)
    expect_style(model.spec, settings)
    frame = model.spec.frame(image.height, image.width)
    image_chw = frame.apply(image.pixels_hwc, model.spec.pixels_per_cell)
    hint = None if hint_hw is None else _on_grid(frame, hint_hw)
    limit = settings.members or MOST_MEMBERS
    limit = min(limit, most_members(model.spec, settings.views) or limit)
    batches = _batches(model, settings, limit)
    total = len(batches) * min(settings.steps, model.spec.timesteps)
    finished = np.zeros((0, *frame.grid_shape), dtype=np.float32)
    done = 0
    for members in batches:
        first = members.start
        steps = denoise(model, image_chw, settings, members, hint)
        while True:
            with in_memory(len(members), model.spec.size, "members"):
                step = next(steps, None)
            if step is None:
                break
            done += 1
            members_nhw = np.concatenate([finished, step.clean_nhw])
            whole = step.done == step.total
            if whole and not settings.members:
                enough = _enough(members_nhw, first)
                if enough is not None:
                    members_nhw, total = members_nhw[:enough], done
            yield EnsembleResult(
                done=done,
                total=total,
                frame=frame,
                members_nhw=members_nhw,
                finished=len(members_nhw) if whole else first,
                first_member=first,
                step=step,
            )
        if done == total:
            return
        finished = members_nhw


def _on_grid(frame: Frame, hint_hw: NDArray[np.int8]) -> Float:
    """The hint on the grid: in each cell the share painted as lesion less that painted as skin."""
    return frame.apply_mask(hint_hw > 0) - frame.apply_mask(hint_hw < 0)


def _batches(model: Denoises, settings: SampleSettings, limit: int) -> list[range]:
    """The numbers of the members that each round draws, `limit` of them in all."""
    batch, device = settings.batch_size, model.device.name
    if settings.members and not batch:
        sizes = rounds(model.spec, device, limit)
    else:
        # If the number is automatic, rounds are small: members after the result has settled are
        # dropped, and their time is lost.
        batch = batch or small_round(model.spec, device, LAST_MEMBERS)
        sizes = [min(batch, limit - first) for first in range(0, limit, batch)]
    ends = list(accumulate(sizes))
    return [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _enough(members_nhw: Float, before: int) -> int | None:
    """The least number of members, more than `before`, whose result has settled; None if none has.

    Each number is tried in turn, so that the answer does not depend on the batch size.
    """
    for count in range(before + 1, len(members_nhw) + 1):
        if settled(members_nhw[:count], last=LAST_MEMBERS):
            return count
    return None


@torch.no_grad()
def replay(
    model: Model,
    image: Image,
    noisy_hw: Float,
    timestep: int,
    settings: SampleSettings,
    member: int,
    hint_hw: NDArray[np.int8] | None = None,
) -> Iterator[CellStep]:
    """Compute one diffusion step of one member again; yields the state after every cell update.

    Parameters
    ----------
    model : the model of the run.
    image : the image of the run.
    noisy_hw : the x_t that the step began from, a row of `DenoiseStep.noisy_nhw`.
    timestep : t of the step.
    settings : those of the run.
    member : number of the member, from 0.
    hint_hw : what was painted in the run, as for `segment`.

    Yields
    ------
    CellStep : states are float32 (channels, rows, columns).

    Raises
    ------
    TooLarge, OutOfMemory : as for `segment`.
    ValueError : if the network has nothing to show (`Architecture.inspection`).
    """
    total = model.network.moments
    if not total:
        raise ValueError(f"{model.spec.name!r} has nothing to look at")
    expect_affordable(model.spec)
    frame = model.spec.frame(image.height, image.width)
    image_chw = frame.apply(image.pixels_hwc, model.spec.pixels_per_cell)
    hint = None if hint_hw is None else _on_grid(frame, hint_hw)
    moments = model.evolve(image_chw, noisy_hw, timestep, settings, member, hint)
    for done in range(1, total + 1):
        with in_memory(1, model.spec.size, "members"):
            moment = next(moments)
        yield CellStep(
            done=done,
            total=total,
            level=moment.level,
            update=moment.update,
            state_chw=moment.state_nchw[0].float().cpu().contiguous().numpy().copy(),
            fires_hw=moment.fires_n1hw[0, 0].cpu().numpy().copy(),
            channels=model.network.channels,
        )
