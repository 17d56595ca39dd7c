"""Fits style and width of outlines to masks that a person drew, before any weight is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.sampling import Denoises
from engine.errors import StyleNotKnown
from engine.metrics import dice
from engine.types import (
    FEWEST_FITTED,
    Fitting,
    Float,
    Image,
    SampleSettings,
    StyleChoice,
    StyleFit,
    Tool,
)

Mask = NDArray[np.bool_]

#: The ensembles that are compared: few members are enough, for all choices share their noise.
SETTINGS = SampleSettings(members=4, steps=2)
#: In nats a pixel: what is less likely than another by less than this is as good, and what is
#: asked first is taken.
TIE = 1e-4
#: Probabilities are cut to this and 1 less this, so that no single pixel decides.
CUT = 0.01
#: How far from 0 the first widths lie; those around the likeliest choice, half as far from it.
WIDTH_STEP = 0.5
#: Of so many styles, the likeliest at width 0, are widths tried.
STYLES_WIDENED = 2


def fit_style(
    model: Denoises,
    pairs: Sequence[tuple[Image, Mask]],
    settings: SampleSettings = SETTINGS,
    threshold: float = 0.5,
) -> Iterator[Fitting]:
    """Find the style and width under which a person's masks are likeliest; the last event tells.

    All styles that the model knows are tried at width 0, then widths of the likeliest two, then
    nearer ones of the likeliest of all: at most 11 ensembles an image.

    Parameters
    ----------
    model : one that is steerable.
    pairs : images, each with the person's mask, bool (height, width) of the image.
    settings : of the ensembles; their style and width do not count.
    threshold : the mean probability from which a pixel is lesion, for Dice.

    Raises
    ------
    StyleNotKnown : before the first event, for a model that is not steerable.
    ValueError : without a pair.
    """
    if not model.spec.steerable:
        raise StyleNotKnown(model.spec.name, "style", ())
    if not pairs:
        raise ValueError("there are no masks to fit a style to")
    search = _Search(model, pairs, settings)
    at_zero = [StyleChoice(), *(StyleChoice(tool) for tool in get_args(Tool) if tool in search)]
    widened = min(STYLES_WIDENED, len(at_zero))
    if len(pairs) < FEWEST_FITTED:
        at_zero, widened = at_zero[:1], 0
    total = len(pairs) * (len(at_zero) + 2 * widened + (2 if widened else 0))

    def tried(choices: Sequence[StyleChoice]) -> Iterator[Fitting]:
        for choice in choices:
            yield from (Fitting(done, total) for done in search.tried(choice))

    yield from tried(at_zero)
    if widened:
        likeliest = sorted(at_zero, key=search.mean, reverse=True)[:widened]
        far = [near for each in likeliest for near in _around(each, WIDTH_STEP)]
        yield from tried(far)
        best = max(*at_zero, *far, key=search.mean)
        yield from tried(_around(best, WIDTH_STEP / 2))
    yield Fitting(total, total, search.fit(threshold))


def _around(choice: StyleChoice, step: float) -> list[StyleChoice]:
    """The choices of the same style that are tighter and wider by a step."""
    return [StyleChoice(choice.style, choice.width + by) for by in (-step, step)]


class _Search:
    """The likelihoods of every choice tried so far, and the mean masks to judge them by Dice."""

    def __init__(
        self, model: Denoises, pairs: Sequence[tuple[Image, Mask]], settings: SampleSettings
    ) -> None:
        self._model, self._pairs, self._settings = model, pairs, settings
        self._frames = [model.spec.frame(image.height, image.width) for image, _ in pairs]
        self._means: dict[StyleChoice, list[Float]] = {}
        self._likelihoods: dict[StyleChoice, NDArray[np.float64]] = {}
        self._done = 0

    def __contains__(self, tool: str) -> bool:
        """Whether the model knows the style of a tool."""
        return tool in self._model.spec.styles

    def tried(self, choice: StyleChoice) -> Iterator[int]:
        """Draw every image by a choice; gives the number of ensembles drawn, after each."""
        means, found = [], []
        for (image, mask_hw), frame in zip(self._pairs, self._frames, strict=True):
            *_, result = segment(self._model, image, choice.applied(self._settings))
            means.append(result.mean_hw)
            found.append(_likelihood(result.mean_hw, frame.apply_mask(mask_hw)))
            self._done += 1
            yield self._done
        self._means[choice], self._likelihoods[choice] = means, np.array(found)

    def mean(self, choice: StyleChoice) -> float:
        """The mean log-likelihood of all masks."""
        return float(self._likelihoods[choice].mean())

    def fit(self, threshold: float) -> StyleFit:
        """The likeliest choice, and what it brings."""
        before, best = StyleChoice(), self._likeliest()
        places = range(len(self._pairs))
        return StyleFit(
            best,
            len(self._pairs),
            self.mean(before),
            self.mean(best),
            self._dice([before for _ in places], threshold),
            self._dice([best for _ in places], threshold),
            self._dice([self._likeliest(without=place) for place in places], threshold),
        )

    def _likeliest(self, without: int | None = None) -> StyleChoice:
        """The likeliest choice by all images, or all but one; of equals the one asked first."""
        best, most = StyleChoice(), -np.inf
        for choice, likelihood_n in self._likelihoods.items():
            left_n = likelihood_n
            if without is not None and len(likelihood_n) > 1:
                left_n = np.delete(likelihood_n, without)
            if left_n.mean() > most + TIE:
                best, most = choice, float(left_n.mean())
        return best

    def _dice(self, choices: Sequence[StyleChoice], threshold: float) -> float:
        """The mean Dice at the images' own sizes, each drawn by the choice in its place."""
        drawn = zip(choices, self._frames, self._pairs, strict=True)
        found = [
            dice(frame.restore(self._means[choice][place]) >= threshold, mask_hw)
            for place, (choice, frame, (_, mask_hw)) in enumerate(drawn)
        ]
        return float(np.mean(found))


def _likelihood(mean_hw: Float, share_hw: Float) -> float:
    """The mean log-likelihood of a cell's share of mask under the ensemble's mean."""
    sure_hw = mean_hw.astype(np.float64).clip(CUT, 1 - CUT)
    each_hw = share_hw * np.log(sure_hw) + (1 - share_hw) * np.log(1 - sure_hw)
    return float(each_hw.mean())
