"""Segments an image by an ensemble of members, and replays any diffusion step of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import torch

from engine.diffusion.fusion import settled
from engine.diffusion.model import Model
from engine.diffusion.sampling import UNPROMPTED, Denoises, GridPrompt, denoise, on_grid, plan
from engine.diffusion.views import most_members
from engine.framing import Frame
from engine.networks.budget import expect_affordable
from engine.networks.device import in_memory, rounds, small_round
from engine.networks.steerability import expect_style
from engine.types import CellStep, EnsembleResult, Float, Image, ModelSpec, Prompt, SampleSettings

#: If the number of members is automatic: the most that are drawn, and over how many of the last
#: the result must rest.
MOST_MEMBERS, LAST_MEMBERS = 50, 5


@torch.no_grad()
def segment(
    model: Denoises,
    image: Image,
    settings: SampleSettings,
    prompt: Prompt | None = None,
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
    prompt : what a person painted, the box that they drew, the mask that they begin from. With a
        box the result's frame lies over it, and the mask has nothing outside.

    Yields
    ------
    EnsembleResult : the last one is the answer.

    Raises
    ------
    TooLarge, StyleNotKnown, ValueError : before the first event; the last if the prompt does not
        fit the image.
    OutOfMemory : naming a smaller batch that may fit.
    NotFinite : if the model computes numbers that are not finite.
    """
    expect_affordable(model.spec)
    expect_style(model.spec, settings)
    frame, image_chw, given = _framed(model.spec, image, prompt)
    limit = settings.members or MOST_MEMBERS
    limit = min(limit, most_members(model.spec, settings.views) or limit)
    batches = _batches(model, settings, limit)
    total = len(batches) * len(plan(model.spec, settings, given))
    finished = np.zeros((0, *frame.grid_shape), dtype=np.float32)
    done = 0
    for members in batches:
        first = members.start
        steps = denoise(model, image_chw, settings, members, given)
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


def _framed(
    spec: ModelSpec, image: Image, prompt: Prompt | None
) -> tuple[Frame, Float, GridPrompt]:
    """The frame over the image or the prompt's box, and image and prompt on its grid."""
    frame = spec.frame(image.height, image.width, prompt.box if prompt else None)
    image_chw = frame.apply(image.pixels_hwc, spec.pixels_per_cell)
    return frame, image_chw, on_grid(prompt, frame) if prompt else UNPROMPTED


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
    prompt: Prompt | None = None,
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
    prompt : that of the run, of which hint and box count.

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
    _, image_chw, given = _framed(model.spec, image, prompt)
    moments = model.evolve(image_chw, noisy_hw, timestep, settings, member, given.hint_hw)
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
