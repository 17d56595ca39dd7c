"""Tries a model with fewer steps and members on the same images, to find the cheapest setting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.fusion import fuse
from engine.diffusion.sampling import Denoises
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from engine.metrics import dice
from engine.types import EnsembleResult, ModelSpec, Sample, Sampler, SampleSettings

#: Members that are drawn at each number of diffusion steps that is tried. Many members at many
#: steps would cost most of the hours and could not be the cheapest setting; one member, which all
#: have, is enough to say whether many steps are better.
MEMBERS = {100: 1, 50: 1, 20: 2, 10: 4, 5: 8, 3: 20, 2: 20, 1: 20}
#: A setting is as good as the best where its mean Dice is at most this much lower.
TOLERANCE = 0.002


@dataclass(frozen=True)
class Point:
    """One setting, its mean Dice in [0, 1] and the mean seconds that an image took."""

    sampler: Sampler
    steps: int
    members: int
    dice: float
    seconds: float

    @property
    def cost(self) -> int:
        """How often the network is asked for one image: on one processor, time goes with it."""
        return self.steps * self.members


@dataclass(frozen=True)
class Curve:
    """What one sampler with so many steps gives for 1, 2, … members.

    One step from noise to mask is the same for both samplers; its curve says "ddim".
    `dice` has a row for each image: the Dice of the mean of its first 1, 2, … members. `seconds`
    is, for each image, from the picture in memory to the mask of all members.
    """

    sampler: Sampler
    steps: int
    dice: tuple[tuple[float, ...], ...]
    seconds: tuple[float, ...]

    @property
    def members(self) -> int:
        """The most members that were drawn."""
        return len(self.dice[0])

    def column(self, members: int) -> NDArray[np.float64]:
        """The Dice of each image with so many members, (images,) float64 in [0, 1]."""
        return np.array([row[members - 1] for row in self.dice], dtype=np.float64)

    def point(self, members: int) -> Point:
        """The mean over the images with so many members; of the seconds, their share."""
        seconds = float(np.mean(self.seconds)) * members / self.members
        mean = float(self.column(members).mean())
        return Point(self.sampler, self.steps, members, mean, seconds)


@dataclass(frozen=True)
class Sweep:
    """The curves of every sampler and number of steps, over the images that have all of them.

    `done` counts ensembles, `images` are the ids of the whole images. Until one is whole there are
    no curves.
    """

    done: int
    total: int
    images: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()

    @property
    def members(self) -> int:
        """The most members that every curve has, to compare steps at equal members; 0: no curve."""
        return min((curve.members for curve in self.curves), default=0)

    @property
    def cost(self) -> int:
        """How often the network was asked for each image."""
        return sum(curve.steps * curve.members for curve in self.curves)

    def of(self, sampler: Sampler) -> tuple[Curve, ...]:
        """The curves of a sampler, most steps first, with that of the one step that both share."""
        found = (each for each in self.curves if each.steps == 1 or each.sampler == sampler)
        return tuple(sorted(found, key=lambda curve: -curve.steps))

    def column(self, point: Point) -> NDArray[np.float64]:
        """The Dice of each image at one of `points`, (images,) float64 in [0, 1]."""
        named = (point.sampler, point.steps)
        (curve,) = (each for each in self.curves if (each.sampler, each.steps) == named)
        return curve.column(point.members)

    @property
    def points(self) -> tuple[Point, ...]:
        """Every setting measured."""
        return tuple(
            curve.point(members) for curve in self.curves for members in range(1, curve.members + 1)
        )


def planned(spec: ModelSpec, settings: SampleSettings) -> tuple[SampleSettings, ...]:
    """The settings that a sweep tries: each sampler and number of steps that the model has.

    Seed and batch are those of `settings`. One step is tried with DDIM alone: from the first step's
    belief both samplers would answer the same.
    """
    return tuple(
        replace(settings, sampler=sampler, steps=steps, members=members)
        for sampler in get_args(Sampler)
        for steps, members in MEMBERS.items()
        if steps <= spec.timesteps and not (sampler == "ddpm" and steps == 1)
    )


def sweep(model: Denoises, samples: Sequence[Sample], settings: SampleSettings) -> Iterator[Sweep]:
    """Segment samples with every setting that is `planned`; one event for each ensemble.

    Masks are the mean of the members, cut at 0.5, at the image's own size. Raises what
    `engine.evaluation.scoring.evaluate` raises.
    """
    tried = planned(model.spec, settings)
    newest = Sweep(0, len(samples) * len(tried))
    for sample in samples:
        image = read_image(sample.image_path)
        truth_hw = read_mask(sample.mask_path, (image.height, image.width))
        measured: tuple[Curve, ...] = ()
        for chosen in tried:
            began = time.perf_counter()
            *_, result = segment(model, image, chosen)
            result.mask()
            seconds = time.perf_counter() - began
            row = _dice_by_members(result, truth_hw)
            measured = (*measured, Curve(chosen.sampler, chosen.steps, (row,), (seconds,)))
            if len(measured) == len(tried):
                newest = _joined(newest, sample.id, measured)
            newest = replace(newest, done=newest.done + 1)
            yield newest


def best(points: Sequence[Point]) -> Point:
    """The point of the highest Dice, the cheapest of equal ones. ValueError without a point."""
    return max(points, key=lambda point: (point.dice, -point.cost))


def cheapest(points: Sequence[Point], tolerance: float = TOLERANCE) -> Point:
    """Of the points whose Dice is within `tolerance` of the best one's, that of the least cost.

    Of equal cost, the one of higher Dice. ValueError where there is no point.
    """
    highest = best(points).dice
    # The last digits of a mean are rounding, and 0.852 is within 0.002 of 0.854.
    enough = [point for point in points if point.dice >= highest - tolerance - 1e-9]
    return min(enough, key=lambda point: (point.cost, -point.dice))


def _dice_by_members(result: EnsembleResult, truth_hw: NDArray[np.bool_]) -> tuple[float, ...]:
    members_nhw, restore = result.members_nhw, result.frame.restore
    return tuple(
        dice(restore(fuse(members_nhw[:count])) >= 0.5, truth_hw)
        for count in range(1, len(members_nhw) + 1)
    )


def _joined(before: Sweep, name: str, measured: tuple[Curve, ...]) -> Sweep:
    """The sweep with one more whole image."""
    curves = measured
    if before.curves:
        curves = tuple(
            replace(old, dice=old.dice + new.dice, seconds=old.seconds + new.seconds)
            for old, new in zip(before.curves, measured, strict=True)
        )
    return replace(before, images=(*before.images, name), curves=curves)
