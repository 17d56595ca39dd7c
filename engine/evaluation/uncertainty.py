"""Tells in one number how unsure an ensemble is about its image: one table of such scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.diffusion.fusion import fuse
from engine.metrics import disagreement, expected_error

Float = NDArray[np.float32]


def variance_score(members_nhw: Float) -> float:
    """The members' variance summed over the grid, per cell of their mask; at least 0.

    `members_nhw` is float32 (members, rows, columns) in [0, 1], else ValueError. The mask is where
    their mean is 0.5 or more; dividing by its area makes large lesions no more doubtful for having
    a longer outline. An empty mask counts as one cell: members that found nothing together are
    sure of it, others are as doubtful as can be.
    """
    mean_hw = fuse(members_nhw, "mean")
    return _per_lesion_cell(members_nhw.var(axis=0, dtype=np.float32), mean_hw)


def entropy_score(members_nhw: Float) -> float:
    """The entropy of the members' mean summed over the grid, in nats per cell of their mask.

    −p log p − (1 − p) log(1 − p) of the mean probability p. Unlike the variance it also grows
    where every member is equally unsure. Members, mask and the empty mask as in `variance_score`.
    """
    mean_hw = fuse(members_nhw, "mean")
    exact_hw = mean_hw.astype(np.float64)
    entropy_hw = np.zeros_like(exact_hw)
    for share_hw in (exact_hw, 1.0 - exact_hw):
        # p log p is 0 at p = 0, which only its limit says.
        entropy_hw -= share_hw * np.log(np.where(share_hw > 0, share_hw, 1.0))
    return _per_lesion_cell(entropy_hw, mean_hw)


#: Every uncertainty, by name; higher is less sure. A further one here is in every evaluation and
#: report; it needs a field of its name in `engine.evaluation.scoring.Scores`.
UNCERTAINTIES: Mapping[str, Callable[[Float], float]] = MappingProxyType(
    {
        "variance": variance_score,
        "entropy": entropy_score,
        "disagreement": disagreement,
        "expected_error": expected_error,
    }
)


def _per_lesion_cell(doubt_hw: NDArray[Any], mean_hw: Float) -> float:
    area = int(np.count_nonzero(mean_hw >= 0.5))
    return float(doubt_hw.sum(dtype=np.float64)) / max(area, 1)
