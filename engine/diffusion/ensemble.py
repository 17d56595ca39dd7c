"""The whole path from an image to an ensemble's masks, and the replay of any step of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import torch

from engine.diffusion.fusion import settled
from engine.diffusion.model import Model
from engine.diffusion.sampling import Denoises, denoise
from engine.networks.budget import expect_affordable
from engine.networks.device import in_memory, rounds, small_round
from engine.types import CellStep, EnsembleResult, Float, Image, SampleSettings, Views

#: Where the number of members is left to the program: the most it draws, and how many of the last
#: must agree.
MOST_MEMBERS, LAST_MEMBERS = 50, 5


@torch.no_grad()
def segment(model: Denoises, image: Image, settings: SampleSettings) -> Iterator[EnsembleResult]:
    """The ensemble as it forms: one event per diffusion step of each batch of members.

    Every event is usable: members still being drawn count with what they believe now. With 0
    members it draws until the last five changed the mask by less than 0.1 % (`fusion.settled`), and
    `total`, till then the most it may take, becomes what it took. Raises TooLarge before it begins,
    OutOfMemory, naming a smaller batch that may fit, and NotFinite.
    """
    expect_affordable(model.spec)
    frame = model.spec.frame(image.height, image.width)
    image_chw = frame.apply(image.pixels_hwc, model.spec.pixels_per_cell)
    limit = settings.members or MOST_MEMBERS
    batches = _batches(model, settings, limit)
    total = len(batches) * min(settings.steps, model.spec.timesteps)
    finished = np.zeros((0, *frame.grid_shape), dtype=np.float32)
    done = 0
    for members in batches:
        first = members.start
        steps = denoise(model, image_chw, settings, members)
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


def _batches(model: Denoises, settings: SampleSettings, limit: int) -> list[range]:
    """The members of each round, `limit` of them in all."""
    batch, device = settings.batch_size, model.device.name
    if settings.members and not batch:
        sizes = rounds(model.spec, device, limit)
    else:
        # Where the number is open, small rounds: members beyond those that settle it are lost.
        batch = batch or small_round(model.spec, device, LAST_MEMBERS)
        sizes = [min(batch, limit - first) for first in range(0, limit, batch)]
    ends = list(accumulate(sizes))
    return [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _enough(members_nhw: Float, before: int) -> int | None:
    """How many members settled the result, of those beyond `before`; None where it is open.

    Each is asked for in turn, so that the answer is the same whatever the batch.
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
    seed: int,
    member: int,
    views: Views = "mirrored",
) -> Iterator[CellStep]:
    """Every channel of the network at every update of one diffusion step of one member.

    `noisy_hw` is the x_t that the step was given (`DenoiseStep.noisy_nhw`), so the replay is the
    step itself again. States are float32 (channels, rows, columns). Raises TooLarge, OutOfMemory;
    ValueError for a network with nothing to look at (`Architecture.inspectable`).
    """
    total = model.network.moments
    if not total:
        raise ValueError(f"{model.spec.name!r} has nothing to look at")
    expect_affordable(model.spec)
    frame = model.spec.frame(image.height, image.width)
    image_chw = frame.apply(image.pixels_hwc, model.spec.pixels_per_cell)
    moments = model.evolve(image_chw, noisy_hw, timestep, seed, member, views)
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
