"""Scores by the tool that made the experts' masks, beside how much people agree with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from engine.metrics import Overlap, interval
from engine.types import Style, Tool

#: The keys of `ByStyle.tools` in words. T2 stands for masks of unspecified tools, too.
TOOLS = {
    "T1": "T1, points by hand",
    "T2": "T2, flood fill",
    "T3": "T3, automatic fill",
    "several": "several tools",
    "unknown": "not known",
}


@dataclass(frozen=True)
class ToolScores:
    """The scores on the images of one tool; `dice` is the mean, `interval` its 95 % bootstrap."""

    images: int
    dice: float
    interval: tuple[float, float]
    pooled_dice: float


@dataclass(frozen=True)
class HumanAgreement:
    """How much the authors of images with several masks agree, and the model on the same images.

    `dice` is the mean over images of their authors' mean pairwise Dice, `interval` its 95 %
    bootstrap, `model_dice` the model's mean Dice with the one mask that the data set took. The
    medians tell the usual image: a mask that is plainly wrong pulls a mean far down.
    """

    images: int
    dice: float
    interval: tuple[float, float]
    median: float
    model_dice: float
    model_median: float


@dataclass(frozen=True)
class ByStyle:
    """Scores by tool, "unknown" last; those without an image are left out.

    `people` is None where no image evaluated is known to have several masks.
    """

    tools: dict[str, ToolScores]
    people: HumanAgreement | None


def by_style(styles: Sequence[Style | None], overlaps: Sequence[Overlap]) -> ByStyle | None:
    """Group the overlaps of images by how these were annotated; None where no style is known."""
    if not any(styles):
        return None
    by_tool: dict[str, list[Overlap]] = {}
    for style, one in zip(styles, overlaps, strict=True):
        by_tool.setdefault(style.tool or "unknown" if style else "unknown", []).append(one)
    order = (*get_args(Tool), "unknown")
    tools = {name: _scores(by_tool[name]) for name in order if name in by_tool}
    twice = [
        (style.agreement, one.dice)
        for style, one in zip(styles, overlaps, strict=True)
        if style is not None and style.agreement is not None
    ]
    return ByStyle(tools, _people(twice) if twice else None)


def _scores(overlaps: Sequence[Overlap]) -> ToolScores:
    dice_n = np.array([one.dice for one in overlaps])
    pooled = sum(overlaps, start=Overlap())
    return ToolScores(len(overlaps), float(dice_n.mean()), interval(dice_n), pooled.dice)


def _people(twice: Sequence[tuple[float, float]]) -> HumanAgreement:
    agreement_n, dice_n = np.array(twice).T
    return HumanAgreement(
        images=len(twice),
        dice=float(agreement_n.mean()),
        interval=interval(agreement_n),
        median=float(np.median(agreement_n)),
        model_dice=float(dice_n.mean()),
        model_median=float(np.median(dice_n)),
    )
