"""Scores a model against expert masks, image by image."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.fusion import fuse
from engine.diffusion.sampling import Denoises
from engine.errors import UnreadableImage, UnreadableMask
from engine.evaluation.reliability import Calibration, excess_aurc, reliability_bins
from engine.evaluation.styles import ByStyle, GivenStyle, by_style, given_style
from engine.evaluation.uncertainty import UNCERTAINTIES
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from engine.metrics import (
    Overlap,
    ci,
    dice,
    ged,
    hd95_px,
    hd95_share,
    interval,
    iou,
    overlap,
    sensitivity,
    specificity,
    surface_dice,
    threshold_jaccard,
)
from engine.types import (
    EnsembleResult,
    Float,
    Image,
    Sample,
    SampleSettings,
    Style,
    Tool,
    frozen_array,
)

#: Which styles each image is segmented in beside the settings' own: none; that of the tool that
#: made its mask; or each that the model knows.
Beside = Literal["none", "given", "each"]

#: An image has failed where its Dice is below this.
FAILED_DICE = 0.8


def _score(label: str, digits: int = 4, better: str = "") -> Any:
    """A field that says how it is shown; `better` is "high", "low" or neither."""
    return field(metadata={"label": label, "digits": digits, "better": better})


@dataclass(frozen=True)
class Scores:
    """One image's scores, or the mean of several; `engine.metrics` defines them.

    `dice` to `surface_dice` are of the mean of the members, cut at the threshold; `dice_majority`
    and `dice_staple` of the other fusions, cut at 0.5; `ged` and `ci` of the members' own masks.
    All at the image's own size. `variance` to `expected_error` are the uncertainties that
    `engine.evaluation.uncertainty` defines, on the grid. `seconds` is from the picture in memory
    to its mask.
    """

    dice: float = _score("Dice", better="high")
    iou: float = _score("IoU", better="high")
    threshold_jaccard: float = _score("Threshold Jaccard", better="high")
    sensitivity: float = _score("Sensitivity", better="high")
    specificity: float = _score("Specificity", better="high")
    hd95_px: float = _score("HD95, pixels", 1, better="low")
    hd95_share: float = _score("HD95, of diagonal", better="low")
    surface_dice: float = _score("Surface Dice", better="high")
    dice_majority: float = _score("Dice, majority", better="high")
    dice_staple: float = _score("Dice, STAPLE", better="high")
    ged: float = _score("GED", better="low")
    ci: float = _score("CI")
    variance: float = _score("Variance")
    entropy: float = _score("Entropy")
    disagreement: float = _score("Disagreement")
    expected_error: float = _score("Expected error")
    members: float = _score("Members", 1)
    seconds: float = _score("Seconds an image", 2, better="low")


@dataclass(frozen=True)
class Scored:
    """An image with its scores, the pixels that its mask shares with the truth, and its style.

    `in_styles` has the pixels of the masks drawn in the styles of tools, where that was asked for.
    """

    id: str
    scores: Scores
    overlap: Overlap
    style: Style | None = None
    in_styles: Mapping[Tool, Overlap] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The scores of the first `done` samples, in their order.

    `left_out` tells of those among them that could not be read; all figures are of `scored` alone,
    and without one there are none. The model knows `styles_known` styles.
    """

    done: int
    total: int
    scored: tuple[Scored, ...]
    calibration: Calibration
    left_out: tuple[UnreadableImage | UnreadableMask, ...] = ()
    styles_known: int = 0

    @property
    def images(self) -> tuple[tuple[str, Scores], ...]:
        """The scores of each image, by its id."""
        return tuple((one.id, one.scores) for one in self.scored)

    def column(self, name: str) -> NDArray[np.float64]:
        """One score of every image, (done,) float64."""
        return np.array([getattr(one.scores, name) for one in self.scored], dtype=np.float64)

    @property
    def mean(self) -> Scores:
        """The mean of each score over the images."""
        return Scores(*(float(self.column(each.name).mean()) for each in fields(Scores)))

    @property
    def failed(self) -> float:
        """The share of the images whose Dice is below `FAILED_DICE`, in [0, 1]."""
        return float((self.column("dice") < FAILED_DICE).mean())

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % bootstrap interval of each mean."""
        return {each.name: interval(self.column(each.name)) for each in fields(Scores)}

    @property
    def pooled(self) -> Overlap:
        """The pixels of all images as if they were one image; its Dice and IoU are the pooled."""
        return sum((one.overlap for one in self.scored), start=Overlap())

    @property
    def pooled_intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % bootstrap intervals of pooled Dice and IoU, over images as those of means."""
        weights = {
            "dice": [one.overlap.areas_px for one in self.scored],
            "iou": [one.overlap.union_px for one in self.scored],
        }
        return {
            name: interval(self.column(name), weights=counted) for name, counted in weights.items()
        }

    @property
    def excess_aurc(self) -> dict[str, float]:
        """How far each uncertainty is from ranking the images as their errors, 1 − Dice, do."""
        risk_n = 1 - self.column("dice")
        return {name: excess_aurc(self.column(name), risk_n) for name in UNCERTAINTIES}

    @property
    def styles(self) -> ByStyle | None:
        """Scores by the tool of the masks beside what people reach; None where none is known."""
        return by_style(
            [one.style for one in self.scored],
            [one.overlap for one in self.scored],
        )

    @property
    def given(self) -> GivenStyle | None:
        """What it brings to give each image's own tool as style; None where none was given."""
        drawn = [
            (one.style.tool, one.overlap, one.in_styles)
            for one in self.scored
            if one.style is not None and one.style.tool is not None
        ]
        return given_style(drawn, self.styles_known)

    def as_json(self) -> dict[str, Any]:
        """Means, intervals and every image's scores as plain JSON values."""
        styles, given = self.styles, self.given
        return {
            "done": self.done,
            "total": self.total,
            "scored": len(self.scored),
            "left_out": [{"file": str(e.path), "reason": e.reason} for e in self.left_out],
            "mean": asdict(self.mean),
            "intervals": self.intervals,
            "pooled": {
                "dice": self.pooled.dice,
                "iou": self.pooled.iou,
                "intervals": self.pooled_intervals,
            },
            "failed": self.failed,
            "excess_aurc": self.excess_aurc,
            "styles": None if styles is None else asdict(styles),
            "given_style": None if given is None else asdict(given),
            "expected_calibration_error": self.calibration.ece,
            "images": {one.id: asdict(one.scores) for one in self.scored},
            "pixels": {one.id: asdict(one.overlap) for one in self.scored},
        }


@dataclass(frozen=True, eq=False)
class Examined:
    """The newest sample of an evaluation, with all that its scores were counted from.

    `truth_hw` and `mask_hw`, bool, and `probability_hw`, float32 in [0, 1], the mean of the
    members, are (height, width) at the image's own size.
    """

    evaluation: Evaluation
    image: Image
    result: EnsembleResult
    truth_hw: NDArray[np.bool_]
    mask_hw: NDArray[np.bool_]
    probability_hw: Float

    def __post_init__(self) -> None:
        for array in (self.truth_hw, self.mask_hw, self.probability_hw):
            frozen_array(array)

    @property
    def done(self) -> int:
        return self.evaluation.done

    @property
    def total(self) -> int:
        return self.evaluation.total


@dataclass(frozen=True, eq=False)
class Unread:
    """The newest sample of an evaluation, which could not be read; `error` says why."""

    evaluation: Evaluation
    error: UnreadableImage | UnreadableMask


def evaluate(
    model: Denoises,
    samples: Sequence[Sample],
    settings: SampleSettings,
    threshold: float = 0.5,
    beside: Beside = "none",
) -> Iterator[Evaluation]:
    """Score a model on samples, one event for each: its mask against the expert's.

    Parameters
    ----------
    model : what is asked.
    samples : images with expert masks; one that cannot be read is left out, and the event says why.
    settings : of each ensemble.
    threshold : the mean probability from which a pixel is lesion.
    beside : the styles in which each image is segmented once more, with the settings otherwise.

    Each event holds the scores of all samples so far, at the images' own sizes. Raises OutOfMemory.
    """
    for event in examine(model, samples, settings, threshold, beside):
        yield event.evaluation


def examine(
    model: Denoises,
    samples: Sequence[Sample],
    settings: SampleSettings,
    threshold: float = 0.5,
    beside: Beside = "none",
) -> Iterator[Examined | Unread]:
    """Score a model as `evaluate` does; each event holds its sample's picture and masks as well.

    A sample that cannot be read is left out, and its event says why. Raises OutOfMemory.
    """
    known = len(model.spec.styles)
    evaluation = Evaluation(0, len(samples), (), Calibration.none(), styles_known=known)
    for sample in samples:
        event: Examined | Unread
        try:
            event = _examined(model, sample, settings, threshold, beside, evaluation)
        except (UnreadableImage, UnreadableMask) as error:
            left_out = (*evaluation.left_out, error)
            done = evaluation.done + 1
            event = Unread(replace(evaluation, done=done, left_out=left_out), error)
        evaluation = event.evaluation
        yield event


def _examined(
    model: Denoises,
    sample: Sample,
    settings: SampleSettings,
    threshold: float,
    beside: Beside,
    before: Evaluation,
) -> Examined:
    """One more sample, with the evaluation that `before` becomes by it."""
    image = read_image(sample.image_path)
    truth_hw = read_mask(sample.mask_path, (image.height, image.width))
    began = time.perf_counter()
    *_, result = segment(model, image, settings)
    mask_hw = result.mask(threshold)
    seconds = time.perf_counter() - began
    scores, pixels = score(result, mask_hw, truth_hw, seconds), overlap(mask_hw, truth_hw)
    in_styles: dict[Tool, Overlap] = {}
    for tool in _beside(model, sample, beside):
        *_, other = segment(model, image, replace(settings, style=tool))
        in_styles[tool] = overlap(other.mask(threshold), truth_hw)
    probability_hw = result.frame.restore(result.mean_hw).clip(0, 1)
    evaluation = replace(
        before,
        done=before.done + 1,
        scored=(*before.scored, Scored(sample.id, scores, pixels, sample.style, in_styles)),
        calibration=before.calibration + reliability_bins(probability_hw, truth_hw),
    )
    return Examined(evaluation, image, result, truth_hw, mask_hw, probability_hw)


def _beside(model: Denoises, sample: Sample, beside: Beside) -> tuple[Tool, ...]:
    """The styles in which an image is segmented once more."""
    known: tuple[Tool, ...] = tuple(model.spec.styles)
    if beside == "each":
        return known
    own = sample.style.tool if sample.style is not None and beside == "given" else None
    return (own,) if own in known and own is not None else ()


def score(
    result: EnsembleResult,
    mask_hw: NDArray[np.bool_],
    truth_hw: NDArray[np.bool_],
    seconds: float,
) -> Scores:
    """Every score of a finished ensemble.

    Parameters
    ----------
    result : the ensemble.
    mask_hw : its mask, bool (height, width), at the image's own size.
    truth_hw : the expert's mask, of the same size.
    seconds : how long it took.
    """
    restore, members_nhw = result.frame.restore, result.members_nhw
    fused = {how: restore(fuse(members_nhw, how)) >= 0.5 for how in ("majority", "staple")}
    own_nhw = np.stack([restore(member_hw) >= 0.5 for member_hw in members_nhw])
    return Scores(
        dice=dice(mask_hw, truth_hw),
        iou=iou(mask_hw, truth_hw),
        threshold_jaccard=threshold_jaccard(mask_hw, truth_hw),
        sensitivity=sensitivity(mask_hw, truth_hw),
        specificity=specificity(mask_hw, truth_hw),
        hd95_px=hd95_px(mask_hw, truth_hw),
        hd95_share=hd95_share(mask_hw, truth_hw),
        surface_dice=surface_dice(mask_hw, truth_hw),
        dice_majority=dice(fused["majority"], truth_hw),
        dice_staple=dice(fused["staple"], truth_hw),
        ged=ged(own_nhw, truth_hw[None]),
        ci=ci(own_nhw),
        **{name: measure(members_nhw) for name, measure in UNCERTAINTIES.items()},
        members=len(members_nhw),
        seconds=seconds,
    )
