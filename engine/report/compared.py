"""The same few images as every model outlines them: the paper's Figure 4 with other models."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.report.worst import small
from engine.types import Sample, evenly, frozen_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.evaluation import Examined

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
    """The same with what a model made of the newest image, where that is one of those shown."""
    name, scores = examined.evaluation.images[-1]
    if name not in shown:
        return compared
    pixels_hwc = small(examined.image.pixels_hwc)
    shape = pixels_hwc.shape[0], pixels_hwc.shape[1]
    answer = Answer(model, _small_mask(examined.mask_hw, shape), scores.dice)
    if all(one.id != name for one in compared):
        truth_hw = _small_mask(examined.truth_hw, shape)
        return (*compared, Compared(name, pixels_hwc, truth_hw, (answer,)))
    return tuple(
        replace(one, answers=(*one.answers, answer)) if one.id == name else one for one in compared
    )


def drawing(compared: Sequence[Compared], models: Sequence[tuple[str, str]]) -> bytes:
    """A PNG of the masks without the photographs, a row an image; it may be passed on.

    `models` are (name, title) in the order of the columns; the expert's mask comes first. Needs
    matplotlib.
    """
    from matplotlib.figure import Figure

    titles = ["expert", *(title for _, title in models)]
    drawn = Figure(figsize=(1.7 * len(titles), 1.75 * len(compared) + 0.4), layout="constrained")
    grid = drawn.subplots(len(compared), len(titles), squeeze=False)
    for row, one in zip(grid, compared, strict=True):
        answers = {answer.model: answer for answer in one.answers}
        for axes, title, model in zip(
            row, titles, ["", *(name for name, _ in models)], strict=True
        ):
            axes.set(xticks=[], yticks=[])
            if not model:
                axes.set_ylabel(one.id, fontsize=8)
                axes.imshow(one.truth_hw, cmap="gray", vmin=0, vmax=1)
            elif model in answers:
                axes.imshow(answers[model].mask_hw, cmap="gray", vmin=0, vmax=1)
                axes.set_xlabel(f"Dice {answers[model].dice:.2f}", fontsize=8)
            if row is grid[0]:
                axes.set_title(title, fontsize=9)
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=80, metadata={"Software": ""})
    return stream.getvalue()


def _small_mask(mask_hw: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    picture = PillowImage.fromarray(mask_hw.astype(np.uint8) * np.uint8(255))
    scaled = picture.resize(shape[::-1], PillowImage.Resampling.BOX, reducing_gap=3.0)
    return np.asarray(scaled) >= 128
