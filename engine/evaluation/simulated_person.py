"""A simulated person who corrects outlines stroke by stroke, and what each stroke brings.

The person knows the expert's mask. They look for the wrong region into which the largest disc fits,
and paint a stroke there along the region's medial axis, through its deepest point: positive where
lesion is missing, negative where there is too much. A stroke stays on its own side of the expert's
outline. They stop when the Dice is high enough or they have painted all their strokes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Denoiser
from engine.diffusion.outlines import outlines
from engine.diffusion.sampling import Denoises
from engine.errors import UnreadableImage, UnreadableMask
from engine.images.reading import read_image
from engine.masks.arrays import EIGHT_NEIGHBOURS, bounding_window
from engine.masks.reading import read_mask
from engine.metrics import dice
from engine.types import Float, Image, Prompt, Sample, SampleSettings, StyleChoice

Mask = NDArray[np.bool_]
Hint = NDArray[np.int8]

#: The Dice from which a person is content.
ENOUGH = 0.95
#: The radius of a stroke, as a share of the depth of the region that it is painted in.
RADIUS = 0.7
#: The thickest radius and the longest stroke, as shares of the root of the image's area.
THICKEST, LONGEST = 0.05, 0.25
#: An image is bad, and one to rescue, below this Dice.
BAD = 0.9
#: The Dice that the strokes are counted to.
GOALS = (0.90, 0.95)


@dataclass(frozen=True)
class Arm:
    """A way in which strokes change an outline.

    Parameters
    ----------
    label : in words.
    asks : whether the model outlines the image again after each stroke, and holds to what was
        painted; if not, strokes are painted into its first outline.
    hears : whether the network is told what was painted.
    paints : whether all that was painted is in the outline, whatever the model says.
    styled : whether the person takes the best of the outlines of all styles first.
    """

    label: str
    asks: bool = True
    hears: bool = True
    paints: bool = True
    styled: bool = False


#: The ways by name. Those that hear or choose a style need a steerable model.
ARMS = {
    "paint": Arm("painted", asks=False, hears=False),
    "held": Arm("held", hears=False, paints=False),
    "heard": Arm("held and heard", paints=False),
    "both": Arm("held, heard, the rest painted"),
    "style": Arm("best style first, then so", styled=True),
}


def stroke(mask_hw: Mask, truth_hw: Mask, hint_hw: Hint) -> Hint | None:
    """What a person paints next, int8 (height, width): 1 lesion or −1 skin, 0 nothing.

    Parameters
    ----------
    mask_hw, truth_hw : the outline as it is and as it should be, bool (height, width).
    hint_hw : what was painted before; it is not painted again.

    None where nothing is wrong.
    """
    # Loaded here, as elsewhere: whoever only evaluates does not wait for them.
    from scipy import ndimage  # type: ignore[import-untyped]
    from skimage.morphology import medial_axis

    root_px = math.sqrt(mask_hw.size)
    wrong_hw = (mask_hw != truth_hw) & (hint_hw == 0)
    around = bounding_window(wrong_hw, margin_px=math.ceil(THICKEST * root_px) + 1)
    if around is None:
        return None
    wrong_hw, lesion_hw = wrong_hw[around], truth_hw[around]
    depths = {value: _depth(wrong_hw & (lesion_hw == (value > 0))) for value in (1, -1)}
    value = max(depths, key=lambda each: depths[each].max())
    depth_hw = depths[value]
    numbered_hw, _ = ndimage.label(depth_hw > 0)
    region_hw = numbered_hw == numbered_hw.flat[depth_hw.argmax()]
    # Where several pixels are as deep, as in a long band, the one in their middle.
    deepest_rc = np.argwhere(region_hw & (depth_hw == depth_hw.max()))
    off_n = np.abs(deepest_rc - deepest_rc.mean(axis=0)).sum(axis=1)
    row, column = map(int, deepest_rc[off_n.argmin()])
    radius_px = max(1.0, min(RADIUS * depth_hw[row, column], THICKEST * root_px))
    rows, columns = np.ogrid[: depth_hw.shape[0], : depth_hw.shape[1]]
    near_hw = np.hypot(rows - row, columns - column) <= LONGEST / 2 * root_px
    axis_hw: Mask = medial_axis(region_hw, rng=0)  # type: ignore[no-untyped-call]
    axis_hw &= near_hw & (depth_hw >= radius_px)
    axis_hw[row, column] = True
    numbered_hw, _ = ndimage.label(axis_hw, EIGHT_NEIGHBOURS)
    line_hw = numbered_hw == numbered_hw[row, column]
    near_line_hw = ndimage.distance_transform_edt(~line_hw) <= radius_px
    drawn_hw = np.zeros_like(hint_hw)
    drawn_hw[around][near_line_hw & (lesion_hw == (value > 0))] = value
    return drawn_hw


def _depth(region_hw: Mask) -> NDArray[np.float64]:
    """How deep each pixel is in a region, in pixels; the border of the image is a border too."""
    from scipy import ndimage

    inner = slice(1, -1)
    depth_hw: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(region_hw, 1))
    return depth_hw[inner, inner]


@dataclass(frozen=True)
class Correction:
    """How one image was corrected in one way.

    Parameters
    ----------
    dice : Dice before the first stroke and after each, one number more than strokes.
    first_s : seconds from each stroke to the first outline that hears it.
    whole_s : seconds from each stroke to the whole ensemble.
    """

    dice: tuple[float, ...]
    first_s: tuple[float, ...]
    whole_s: tuple[float, ...]

    def after(self, strokes: int) -> float:
        """Dice after so many strokes; of the last, where there were fewer."""
        return self.dice[min(strokes, len(self.dice) - 1)]

    def reaches(self, goal: float) -> int | None:
        """After how many strokes the Dice reached `goal`; None if it never did."""
        return next((count for count, each in enumerate(self.dice) if each >= goal), None)


@dataclass(frozen=True)
class Corrected:
    """How one image was corrected in each way, by the name of the arm.

    `choice` is the style that the person took first where the best style comes first; None where
    they were content at once, or the model is not steerable.
    """

    id: str
    arms: dict[str, Correction]
    choice: StyleChoice | None = None


@dataclass(frozen=True)
class ArmScores:
    """What strokes bring in one way, over some images.

    Parameters
    ----------
    images : how many.
    dice : mean Dice after 0, 1, … strokes.
    removed : the share of the remaining error, 1 − Dice, that each stroke removed: of the means.
    strokes : by goal, the mean number of strokes to reach it; an image that did not reach it counts
        with all strokes.
    reached : by goal, the share of the images that reached it.
    first_s, whole_s : mean seconds from a stroke to the first outline and to the whole ensemble;
        None without a stroke.
    """

    images: int
    dice: tuple[float, ...]
    removed: tuple[float, ...]
    strokes: dict[str, float]
    reached: dict[str, float]
    first_s: float | None
    whole_s: float | None


@dataclass(frozen=True)
class Simulation:
    """The corrections of the first `done` samples; `left_out` could not be read."""

    done: int
    total: int
    strokes: int
    corrected: tuple[Corrected, ...]
    left_out: tuple[UnreadableImage | UnreadableMask, ...] = ()

    @property
    def bad(self) -> tuple[Corrected, ...]:
        """The images whose outline in the settings' own style is bad (`BAD`)."""
        return tuple(each for each in self.corrected if each.arms["paint"].dice[0] < BAD)

    def scores(self, only_bad: bool = False) -> dict[str, ArmScores]:
        """The scores of each arm over all images or the bad ones; empty without an image."""
        corrected = self.bad if only_bad else self.corrected
        names = corrected[0].arms if corrected else ()
        return {name: self._scores([each.arms[name] for each in corrected]) for name in names}

    def _scores(self, corrections: Sequence[Correction]) -> ArmScores:
        counts = range(self.strokes + 1)
        mean = [float(np.mean([each.after(count) for each in corrections])) for count in counts]
        reached = {goal: [each.reaches(goal) for each in corrections] for goal in GOALS}
        return ArmScores(
            images=len(corrections),
            dice=tuple(mean),
            removed=tuple(
                (after - before) / (1 - before) if before < 1 else 0.0
                for before, after in pairwise(mean)
            ),
            strokes={
                f"{goal:.2f}": float(np.mean([self.strokes if n is None else n for n in found]))
                for goal, found in reached.items()
            },
            reached={
                f"{goal:.2f}": float(np.mean([n is not None for n in found]))
                for goal, found in reached.items()
            },
            first_s=_mean([second for each in corrections for second in each.first_s]),
            whole_s=_mean([second for each in corrections for second in each.whole_s]),
        )


def _mean(numbers: Sequence[float]) -> float | None:
    return float(np.mean(numbers)) if numbers else None


class _Deaf:
    """A model that is not told what was painted; the sampler holds to it all the same."""

    def __init__(self, model: Denoises) -> None:
        self._model = model
        self.spec, self.device = model.spec, model.device

    def denoiser(
        self,
        image_chw: Float,
        settings: SampleSettings,
        members: Sequence[int],
        hint_hw: Float | None,
    ) -> Denoiser:
        return self._model.denoiser(image_chw, settings, members, None)


def simulate(
    model: Denoises, samples: Sequence[Sample], settings: SampleSettings, strokes: int = 5
) -> Iterator[Simulation]:
    """Have a simulated person correct a model's outlines in each way; one event for each sample.

    A model that is not steerable has no arms that hear or choose a style.

    Parameters
    ----------
    model : what is corrected.
    samples : images with expert masks; one that cannot be read is left out, and the event says why.
    settings : of each ensemble.
    strokes : the most that a person paints in an image.

    Raises
    ------
    TooLarge, StyleNotKnown, OutOfMemory, NotFinite : as `segment`.
    """
    event = Simulation(0, len(samples), strokes, ())
    for sample in samples:
        try:
            one = _corrected(model, sample, settings, strokes)
            event = replace(event, done=event.done + 1, corrected=(*event.corrected, one))
        except (UnreadableImage, UnreadableMask) as error:
            event = replace(event, done=event.done + 1, left_out=(*event.left_out, error))
        yield event


def _corrected(
    model: Denoises, sample: Sample, settings: SampleSettings, strokes: int
) -> Corrected:
    image = read_image(sample.image_path)
    truth_hw = read_mask(sample.mask_path, (image.height, image.width))
    *_, result = segment(model, image, settings)
    own_hw = styled_hw = result.mask()
    styled, choice = settings, None
    # Who is content looks at no other styles.
    if model.spec.steerable and dice(own_hw, truth_hw) < ENOUGH:
        choice = best_style(model, image, truth_hw, settings)
        styled = choice.applied(settings)
        *_, result = segment(model, image, styled)
        styled_hw = result.mask()
    known = {
        name: arm
        for name, arm in ARMS.items()
        if model.spec.steerable or not (arm.asks and arm.hears)
    }
    arms = {
        name: correct(
            model, image, truth_hw, styled if arm.styled else settings, arm,
            styled_hw if arm.styled else own_hw, strokes,
        )
        for name, arm in known.items()
    }  # fmt: skip
    return Corrected(sample.id, arms, choice)


def best_style(
    model: Denoises, image: Image, truth_hw: Mask, settings: SampleSettings
) -> StyleChoice:
    """The style whose outline is nearest to the truth, as a person takes it who sees them all."""
    *_, last = outlines(model, image, settings)
    return max(last.found, key=lambda each: dice(each.result.mask(), truth_hw)).choice


def correct(
    model: Denoises,
    image: Image,
    truth_hw: Mask,
    settings: SampleSettings,
    arm: Arm,
    first_hw: Mask,
    strokes: int,
) -> Correction:
    """Correct one image in one way until it is good enough or all strokes are painted.

    Parameters
    ----------
    model, image, settings : as for `segment`.
    truth_hw : the mask that the person has in mind.
    arm : the way.
    first_hw : the outline before the first stroke.
    strokes : the most that are painted.
    """
    asked = model if arm.hears else _Deaf(model)
    mask_hw, hint_hw = first_hw, np.zeros(truth_hw.shape, np.int8)
    found, first_s, whole_s = [dice(mask_hw, truth_hw)], [], []
    while len(found) <= strokes and found[-1] < ENOUGH:
        painted_hw = stroke(mask_hw, truth_hw, hint_hw)
        if painted_hw is None:
            break
        hint_hw = np.where(painted_hw != 0, painted_hw, hint_hw)
        prompt, began = Prompt(hint_hw), time.perf_counter()
        mask_hw, first = first_hw, None
        if arm.asks:
            for result in segment(asked, image, settings, prompt):
                if first is None:
                    result.mask()
                    first = time.perf_counter() - began
            mask_hw = result.mask()
        if arm.paints:
            mask_hw = prompt.painted(mask_hw)
        whole_s.append(time.perf_counter() - began)
        first_s.append(whole_s[-1] if first is None else first)
        found.append(dice(mask_hw, truth_hw))
    return Correction(tuple(found), tuple(first_s), tuple(whole_s))


def as_json(simulation: Simulation) -> dict[str, Any]:
    """What a file holds: the scores over all images and the bad ones, and each image."""
    return {
        "strokes": simulation.strokes,
        "enough": ENOUGH,
        "bad_below": BAD,
        "all": {name: vars(each) for name, each in simulation.scores().items()},
        "bad": {name: vars(each) for name, each in simulation.scores(only_bad=True).items()},
        "images": [
            {
                "id": one.id,
                "style": None if one.choice is None else vars(one.choice),
                "arms": {name: vars(each) for name, each in one.arms.items()},
            }
            for one in simulation.corrected
        ],
    }
