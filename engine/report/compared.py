"""Collects what every model makes of the same few images, as in the paper's Figure 4."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.report.worst import share, small
from engine.types import Sample, evenly, frozen_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.evaluation.scoring import Examined

#: So many images of test are shown, spread evenly over it: nobody chose them.
SHOWN = 5


@dataclass(frozen=True, eq=False)
class Answer:
    """What one model, by the name `--model` takes, made of an image; Dice at its full size."""

    model: str
    mask_hw: NDArray[np.bool_]
    dice: float

    def __post_init__(self) -> None:
        frozen_array(self.mask_hw)


@dataclass(frozen=True, eq=False)
class Compared:
    """An image made small, uint8 (rows, columns, 3) sRGB, the expert's mask and every answer."""

    id: str
    pixels_hwc: NDArray[np.uint8]
    truth_hw: NDArray[np.bool_]
    answers: tuple[Answer, ...] = ()

    def __post_init__(self) -> None:
        frozen_array(self.pixels_hwc)
        frozen_array(self.truth_hw)


def shown_ids(test: Sequence[Sample]) -> frozenset[str]:
    """The ids of the images that are shown."""
    return frozenset(sample.id for sample in evenly(test, SHOWN))


def with_answer(
    compared: tuple[Compared, ...], shown: frozenset[str], model: str, examined: Examined
) -> tuple[Compared, ...]:
    """Add what a model made of the newest image, where that is one of those shown.

    Parameters
    ----------
    compared : what there is so far; a new tuple is returned.
    shown : ids of the images that are shown.
    model : the name that `--model` takes for the model.
    examined : the newest event of its evaluation.
    """
    name, scores = examined.evaluation.images[-1]
    if name not in shown:
        return compared
    pixels_hwc = small(examined.image.pixels_hwc)
    shape = pixels_hwc.shape[0], pixels_hwc.shape[1]
    answer = Answer(model, share(examined.mask_hw, shape) >= 0.5, scores.dice)
    if all(one.id != name for one in compared):
        truth_hw = share(examined.truth_hw, shape) >= 0.5
        return (*compared, Compared(name, pixels_hwc, truth_hw, (answer,)))
    return tuple(
        replace(one, answers=(*one.answers, answer)) if one.id == name else one for one in compared
    )


def drawing(compared: Sequence[Compared], models: Sequence[tuple[str, str]]) -> bytes:
    """A PNG of the masks without the photographs, a row an image; it may be passed on.

    Of the images it holds only the outlines of these few lesions. `models` are (name, title) in the
    order of the columns, a title may have several lines; the expert's mask comes first. Needs
    matplotlib.
    """
    from matplotlib.figure import Figure

    drawn = Figure(
        figsize=(1.75 * (1 + len(models)), 1.85 * len(compared) + 0.8), layout="constrained"
    )
    grid = drawn.subplots(len(compared), 1 + len(models), squeeze=False)
    for axes, title in zip(grid[0], ("Expert", *(title for _, title in models)), strict=True):
        axes.set_title(_mathtext(title), fontsize=8)
    for row, one in zip(grid, compared, strict=True):
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(color="0.7", linewidth=0.5)
        row[0].set_ylabel(one.id, fontsize=8)
        _show(row[0], one.truth_hw)
        answers = {answer.model: answer for answer in one.answers}
        for axes, (name, _) in zip(row[1:], models, strict=True):
            if name in answers:
                _show(axes, answers[name].mask_hw)
                axes.set_xlabel(f"Dice {answers[name].dice:.3f}", fontsize=8)
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=100, metadata={"Software": ""})
    return stream.getvalue()


def _show(axes: Any, mask_hw: NDArray[np.bool_]) -> None:
    axes.imshow(mask_hw, cmap="gray", vmin=0, vmax=1)


def _mathtext(title: str) -> str:
    """A title with the paper's symbols set as it sets them, and no other sign taken for one."""
    return re.sub(r"\bL_(\w+)", r"$L_{\\mathrm{\1}}$", title.replace("$", r"\$"))
