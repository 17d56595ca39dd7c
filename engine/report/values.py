"""What is known of a model under report: its scores, and how each uncertainty ranks the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.diffusion.sampling import Denoises
from engine.errors import UnreadableImage, UnreadableMask
from engine.evaluation.reliability import (
    Calibration,
    aurc,
    auroc,
    excess_aurc,
    risk_coverage,
    spearman,
)
from engine.evaluation.scoring import FAILED_DICE, Evaluation
from engine.evaluation.uncertainty import UNCERTAINTIES
from engine.report.compared import Compared
from engine.report.recipes import Recipe
from engine.report.sweep import Sweep
from engine.report.worst import Worst
from engine.types import SampleSettings

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Subject:
    """A model under report; `name` is what `--model` takes for it: a name or a file."""

    model: Denoises
    name: str
    fingerprint: str
    parameters: int


@dataclass(frozen=True, eq=False)
class Measured:
    """A model and its scores on test, complete or not."""

    subject: Subject
    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class UncertaintyRanking:
    """How an uncertainty, by its name in `UNCERTAINTIES`, ranks the images of test.

    `spearman` is with 1 − Dice, `auroc` for a Dice below 0.8; NaN where nothing can be ranked.
    `coverage` and `kept_risk` are (images,) in [0, 1]; the risk is 1 − Dice, `aurc` its mean and
    `excess_aurc` what that is above the ranking by the error itself.
    """

    name: str
    spearman: float
    auroc: float
    aurc: float
    excess_aurc: float
    coverage: Numbers
    kept_risk: Numbers


@dataclass(frozen=True, eq=False)
class Report:
    """What is known so far; None or empty is what was not begun, or what the data has not.

    `now` says what this event measured. `limit` is the most images of a split. `temperature` was
    fitted on all of val; `calibrated` counts the images of `test` at it. `others` holds the models
    beside `subject`, all at the same `settings`. `left_out` tells of the samples of val and test
    that could not be read; no figure is of them, and a split without any other is None.
    """

    done: int
    total: int
    now: str
    subject: Subject
    data: Path
    settings: SampleSettings
    limit: int | None = None
    val: Evaluation | None = None
    test: Evaluation | None = None
    temperature: float | None = None
    calibrated: Calibration | None = None
    worst: tuple[Worst, ...] = ()
    compared: tuple[Compared, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    others: tuple[Measured, ...] = ()
    sweep: Sweep | None = None
    left_out: tuple[UnreadableImage | UnreadableMask, ...] = ()

    @property
    def rankings(self) -> tuple[UncertaintyRanking, ...]:
        """How each uncertainty ranks the images of test; empty before the first of them."""
        if self.test is None:
            return ()
        return tuple(_ranking(name, self.test.column(name), self.test) for name in UNCERTAINTIES)

    @property
    def floor(self) -> UncertaintyRanking | None:
        """The ranking by the error itself: no uncertainty has a lower `aurc`."""
        if self.test is None:
            return None
        return _ranking("floor", 1 - self.test.column("dice"), self.test)

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Every model that was evaluated on test, the report's own first."""
        own = () if self.test is None else (Measured(self.subject, self.test),)
        return (*own, *self.others)


def _ranking(name: str, score_n: Numbers, evaluation: Evaluation) -> UncertaintyRanking:
    dice_n = evaluation.column("dice")
    risk_n = 1 - dice_n
    return UncertaintyRanking(
        name,
        spearman(score_n, risk_n),
        auroc(score_n, dice_n < FAILED_DICE),
        aurc(score_n, risk_n),
        excess_aurc(score_n, risk_n),
        *risk_coverage(score_n, risk_n),
    )
