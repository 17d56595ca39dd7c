"""Finds the three directions in which cells differ most, to show all channels as colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.types import CellStep, Float

#: Cells of each moment that the directions are found from; all moments count alike.
CELLS = 500
#: Standard deviations that a colour runs through, on both sides of its middle.
REACH = 2.0


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Principal components over all updates of a replay, so that a colour stays what it means.

    `mean_c` and the rows of `axes_3c` are in states divided by `scales_c`; `spread_3` are the
    standard deviations along the axes.
    """

    scales_c: Float
    mean_c: Float
    axes_3c: Float
    spread_3: Float

    @classmethod
    def of(cls, steps: Sequence[CellStep], scales_c: Float) -> PrincipalComponents:
        """Those of the states in `steps`, each channel divided by its scale."""
        some = np.concatenate([_some(step.state_chw) for step in steps])
        states_nc = (some / scales_c).astype(np.float64)
        mean_c = states_nc.mean(axis=0)
        variance, axes = np.linalg.eigh(np.cov(states_nc - mean_c, rowvar=False))
        axes_3c = axes[:, ::-1][:, :3].T
        # An axis has no direction of its own; this one is the same whenever it is found.
        largest = np.abs(axes_3c).argmax(axis=1)
        axes_3c = axes_3c * np.sign(axes_3c[np.arange(len(axes_3c)), largest])[:, None]
        spread = np.sqrt(np.maximum(variance[::-1][:3], 1e-12))
        whole = (scales_c, mean_c, axes_3c, spread)
        return cls(*(np.asarray(each, np.float32) for each in whole))

    def colours(self, step: CellStep) -> Float:
        """Red, green and blue of every cell, (rows, columns, 3) in [0, 1]."""
        states_hwc = np.moveaxis(step.state_chw / self.scales_c[:, None, None], 0, 2) - self.mean_c
        along_hwc = states_hwc @ self.axes_3c.T / (2 * REACH * self.spread_3)
        return np.asarray(np.clip(along_hwc + 0.5, 0, 1), np.float32)


def _some(state_chw: Float) -> Float:
    cells_nc = state_chw.reshape(len(state_chw), -1).T
    return cells_nc[:: max(1, len(cells_nc) // CELLS)]
