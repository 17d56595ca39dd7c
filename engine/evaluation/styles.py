"""Scores by the tool that made the experts' masks, beside how much people agree with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class GivenScores:
    """Mean Dice on images without and with their own tool given as style, and of the best style.

    `interval` is the 95 % bootstrap of `given`; `gain` is `given` less `before`, `gain_interval`
    its own. `best` is what a person could reach who picks the best of the outlines in the model's
    styles for each image; None where not all of them were drawn.
    """

    images: int
    before: float
    given: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]
    pooled_before: float
    pooled_given: float
    best: float | None


@dataclass(frozen=True)
class GivenStyle:
    """`GivenScores` of all images whose tool is known to data and model, and by tool."""

    whole: GivenScores
    tools: dict[str, GivenScores]


#: Of an image: its tool, its overlap with no style given, and with each style that was given.
Drawn = tuple[Tool, Overlap, Mapping[Tool, Overlap]]


def given_style(drawn: Sequence[Drawn], whole: int) -> GivenStyle | None:
    """Gather what giving a style brings.

    Parameters
    ----------
    drawn : of each image; those whose own tool was not given are left out.
    whole : how many styles the model knows, all of which `best` needs.

    None where no image is left.
    """
    known = [each for each in drawn if each[0] in each[2]]
    if not known:
        return None
    tools = {
        tool: _given([each for each in known if each[0] == tool], whole)
        for tool in get_args(Tool)
        if any(each[0] == tool for each in known)
    }
    return GivenStyle(_given(known, whole), tools)


def _given(drawn: Sequence[Drawn], whole: int) -> GivenScores:
    before_n = np.array([before.dice for _, before, _ in drawn])
    given_n = np.array([styles[tool].dice for tool, _, styles in drawn])
    best_n = [max(one.dice for one in styles.values()) for _, _, styles in drawn]
    every = all(len(styles) == whole for _, _, styles in drawn)
    return GivenScores(
        images=len(drawn),
        before=float(before_n.mean()),
        given=float(given_n.mean()),
        interval=interval(given_n),
        gain=float((given_n - before_n).mean()),
        gain_interval=interval(given_n - before_n),
        pooled_before=sum((before for _, before, _ in drawn), start=Overlap()).dice,
        pooled_given=sum((styles[tool] for tool, _, styles in drawn), start=Overlap()).dice,
        best=float(np.mean(best_n)) if every and whole > 1 else None,
    )


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
