"""Judges an ensemble's uncertainty: does it rank images as their errors do, is it calibrated?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.types import frozen_array

Float = NDArray[np.float32]
Numbers = NDArray[np.float64]
Values = Sequence[float] | NDArray[Any]

#: A temperature is looked for between these; at one of them the logits are no logits.
TEMPERATURES = (0.05, 20.0)
#: Nearest a probability may be to 0 or 1 before its logit is taken.
_EDGE = 1e-6


# Does an uncertainty rank the images as their errors do


def spearman(a: Values, b: Values) -> float:
    """Spearman's rank correlation of two rows of numbers of one length, in [−1, 1].

    Equal numbers share the mean of their ranks. NaN where a row is constant (or one number long):
    it ranks nothing. ValueError where the lengths differ or a number is not finite.
    """
    a_n, b_n = _rows(a, b)
    if a_n.min() == a_n.max() or b_n.min() == b_n.max():
        return math.nan
    ranks_a, ranks_b = _ranks(a_n), _ranks(b_n)
    centred_a, centred_b = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    spread = math.sqrt(float(centred_a @ centred_a) * float(centred_b @ centred_b))
    return min(1.0, max(-1.0, float(centred_a @ centred_b) / spread))


def auroc(scores: Values, failed: Sequence[bool] | NDArray[np.bool_]) -> float:
    """Chance that a failed image has a higher score than a good one, in [0, 1]; ties count half.

    The area under the receiver operating characteristic (Hanley and McNeil 1982): 0.5 is a score
    that knows nothing. `failed` is bool, one for each score. NaN where all images failed or none
    did. ValueError where the lengths differ, `failed` is not bool or a score is not finite.
    """
    failed_n = np.asarray(failed)
    if failed_n.dtype != np.bool_:
        raise ValueError(f"failed must be bool, got {failed_n.dtype}")
    scores_n, _ = _rows(scores, failed_n)
    bad = int(np.count_nonzero(failed_n))
    good = failed_n.size - bad
    if not bad or not good:
        return math.nan
    # Mann and Whitney's U: the ranks of the failed, less the ranks they have among themselves.
    above = float(_ranks(scores_n)[failed_n].sum()) - bad * (bad + 1) / 2
    return above / (bad * good)


def risk_coverage(uncertainty: Values, risk: Values) -> tuple[Numbers, Numbers]:
    """What the error is if only the surest images are kept (Geifman and El-Yaniv 2017).

    Parameters
    ----------
    uncertainty : one number per image, higher is less sure.
    risk : each image's error, for instance 1 − Dice.

    Returns
    -------
    coverage : (n,) float64, the shares kept: 1/n, 2/n, …, 1.
    kept_risk : (n,) float64, the mean risk of the images kept; the last is the mean of all.

    Images of equal uncertainty come in no order: each counts with the mean risk of all of them.
    ValueError where the lengths differ, there is no image or a number is not finite.
    """
    uncertainty_n, risk_n = _rows(uncertainty, risk)
    _, group_n, size_g = np.unique(uncertainty_n, return_inverse=True, return_counts=True)
    mean_g = np.bincount(group_n, weights=risk_n) / size_g
    kept = np.arange(1, risk_n.size + 1)
    # np.unique numbers its groups from the surest on.
    return kept / risk_n.size, np.cumsum(np.repeat(mean_g, size_g)) / kept


def aurc(uncertainty: Values, risk: Values) -> float:
    """Area under `risk_coverage`, the mean of its risks (Geifman et al. 2019); lower is better.

    In the unit of `risk`. The least possible is `aurc(risk, risk)`; an order that knows nothing
    has the mean risk.
    """
    _, kept_risk = risk_coverage(uncertainty, risk)
    return float(kept_risk.mean())


def excess_aurc(uncertainty: Values, risk: Values) -> float:
    """How much more `aurc` is than that of the best possible order, at least 0 (E-AURC).

    Geifman et al. 2019: 0 where the uncertainty ranks the images as their risks do. Unlike
    `aurc` it judges the order alone, so that models of different error can be compared. Arguments
    as in `risk_coverage`.
    """
    # Never negative, but rounding may say −1e-17.
    return max(0.0, aurc(uncertainty, risk) - aurc(risk, risk))


# Does a probability of 0.8 come true eight times in ten


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted and true shares of lesion, counted in equal bins of the predicted probability.

    All three are float64 or int64 (bins,), read-only. `cells` counts the cells whose probability
    falls into [k, k + 1) / bins (1 falls into the last); `predicted_sums` adds their
    probabilities, `lesion_sums` their truths. Calibrations of several images are added with `+`,
    so that a data set needs no more memory than one image:
    `sum((reliability_bins(p, t) for p, t in images), start=Calibration.none())`.
    """

    cells: NDArray[np.int64]
    predicted_sums: Numbers
    lesion_sums: Numbers

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.cells, self.predicted_sums, self.lesion_sums)}
        if len(shapes) != 1 or self.cells.ndim != 1 or not self.cells.size:
            raise ValueError("cells, predicted_sums and lesion_sums must have one (bins,) shape")
        for array in (self.cells, self.predicted_sums, self.lesion_sums):
            frozen_array(array)

    @classmethod
    def none(cls, bins: int = 15) -> Calibration:
        """The calibration of no image, to start a sum from."""
        return cls(np.zeros(bins, dtype=np.int64), np.zeros(bins), np.zeros(bins))

    def __add__(self, other: Calibration) -> Calibration:
        if self.cells.shape != other.cells.shape:
            raise ValueError(f"{self.cells.size} bins and {other.cells.size} cannot be added")
        return Calibration(
            self.cells + other.cells,
            self.predicted_sums + other.predicted_sums,
            self.lesion_sums + other.lesion_sums,
        )

    @property
    def predicted(self) -> Numbers:
        """Mean probability in each bin, (bins,) in [0, 1]; NaN where a bin is empty."""
        return self._mean(self.predicted_sums)

    @property
    def lesion(self) -> Numbers:
        """True share of lesion in each bin, (bins,) in [0, 1]; NaN where a bin is empty."""
        return self._mean(self.lesion_sums)

    @property
    def ece(self) -> float:
        """Expected calibration error, in [0, 1]: eq. 3 of Guo et al. 2017; NaN without a cell.

        Bins are of the probability of lesion, from 0 to 1, not of the confidence in the likelier
        answer (0.5 to 1), so that doubt about lesion and about skin do not make up for each other.
        """
        if not self.cells.any():
            return math.nan
        return float(np.abs(self.predicted_sums - self.lesion_sums).sum() / self.cells.sum())

    def _mean(self, sums: Numbers) -> Numbers:
        return np.where(self.cells > 0, sums / np.maximum(self.cells, 1), np.nan)


def reliability_bins(
    probabilities: NDArray[Any], truths: NDArray[Any], bins: int = 15
) -> Calibration:
    """Predicted against true shares of lesion of one image or many: the reliability diagram.

    Parameters
    ----------
    probabilities : probability of lesion in each cell, [0, 1], of any shape.
    truths : of the same shape; bool, or the share of lesion in each cell, [0, 1].
    bins : bins of equal width.

    ValueError where the shapes differ, a number is outside [0, 1] or there is no bin.
    """
    if probabilities.shape != truths.shape:
        raise ValueError(f"{probabilities.shape} probabilities and {truths.shape} truths")
    if bins < 1:
        raise ValueError(f"bins is {bins}, below 1")
    predicted_p = probabilities.astype(np.float64).ravel()
    lesion_p = truths.astype(np.float64).ravel()
    for values_p in (predicted_p, lesion_p):
        # Written so that NaN fails too.
        if not ((values_p >= 0) & (values_p <= 1)).all():
            raise ValueError("probabilities and truths must be in [0, 1]")
    bin_p = np.minimum((predicted_p * bins).astype(np.int64), bins - 1)
    return Calibration(
        np.bincount(bin_p, minlength=bins).astype(np.int64),
        np.bincount(bin_p, weights=predicted_p, minlength=bins).astype(np.float64),
        np.bincount(bin_p, weights=lesion_p, minlength=bins).astype(np.float64),
    )


# Making it come true


def logit(probability: NDArray[Any]) -> Numbers:
    """log(p / (1 − p)) of probabilities in [0, 1], float64 of the same shape, within ±13.8.

    Probabilities nearer to 0 or 1 than a millionth count as a millionth, so that it is finite.
    """
    inside = np.clip(probability.astype(np.float64), _EDGE, 1.0 - _EDGE)
    logits: Numbers = np.log(inside) - np.log1p(-inside)
    return logits


def fit_temperature(
    logits: NDArray[Any], truths: NDArray[Any], cells: int = 200_000, seed: int = 0
) -> float:
    """The temperature T, in [0.05, 20], at which logits / T fit the truths best (Guo et al. 2017).

    T minimises the mean cross-entropy of sigmoid(logits / T), so it is to be fitted on val and
    used on test (`apply_temperature`). Above 1 the model was too sure of itself, below 1 not sure
    enough. The cross-entropy is convex in 1 / T, so that the minimum found is the only one.

    Parameters
    ----------
    logits : finite, of any shape; `logit` makes them from probabilities.
    truths : of the same shape; bool, or the share of lesion in each cell, [0, 1].
    cells : where there are more, this many are drawn with replacement: one number needs no more.
    seed : of this draw.

    ValueError where the shapes differ, there is no cell or a logit drawn is not finite.
    """
    # Loaded here: scipy's optimisers take as long to load as all else in this module.
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    if logits.shape != truths.shape or not logits.size:
        raise ValueError(f"{logits.shape} logits and {truths.shape} truths")
    logits_p, truths_p = logits.ravel(), truths.ravel()
    if logits_p.size > cells:
        drawn = np.random.default_rng(seed).integers(logits_p.size, size=cells)
        logits_p, truths_p = logits_p[drawn], truths_p[drawn]
    logits_p, truths_p = logits_p.astype(np.float64), truths_p.astype(np.float64)
    if not np.isfinite(logits_p).all():
        raise ValueError("logits must be finite")

    def cross_entropy(log_temperature: float) -> float:
        scaled_p = logits_p * math.exp(-log_temperature)
        return float((np.logaddexp(0.0, scaled_p) - truths_p * scaled_p).mean())

    low, high = TEMPERATURES
    found = minimize_scalar(cross_entropy, bounds=(math.log(low), math.log(high)), method="bounded")
    return math.exp(float(found.x))


def apply_temperature(probability: NDArray[Any], temperature: float) -> Float:
    """Probabilities at another temperature, sigmoid(logit(p) / T): float32 of the same shape.

    0, 0.5 and 1 stay what they are, so a mask cut at 0.5 stays too; above 1 all others move
    towards 0.5. ValueError where `temperature` is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, not above 0")
    exact = probability.astype(np.float64)
    # The sigmoid of a logit without either: 0 and 1 need no infinities.
    lesion, skin = exact ** (1 / temperature), (1.0 - exact) ** (1 / temperature)
    return (lesion / (lesion + skin)).astype(np.float32)


def _rows(a: Values, b: Values) -> tuple[Numbers, Numbers]:
    """Two rows of finite numbers of one length, at least one each, as float64."""
    a_n, b_n = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a_n.ndim != 1 or a_n.shape != b_n.shape or not a_n.size:
        raise ValueError(f"expected two rows of one length, got {a_n.shape} and {b_n.shape}")
    if not (np.isfinite(a_n).all() and np.isfinite(b_n).all()):
        raise ValueError("the numbers must be finite")
    return a_n, b_n


def _ranks(values_n: Numbers) -> Numbers:
    """Ranks from 1 on, (n,); equal values share the mean of theirs."""
    _, group_n, size_g = np.unique(values_n, return_inverse=True, return_counts=True)
    last_g = np.cumsum(size_g)
    ranks: Numbers = (last_g - (size_g - 1) / 2)[group_n]
    return ranks
