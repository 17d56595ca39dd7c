"""Computes off the main thread how far the members of the newest result agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from engine.metrics import Numbers, pairwise_dice
from engine.types import EnsembleResult, Float
from nca_seg_app.session import Session
from nca_seg_app.ui.widgets.refresh import Refresh

#: A member outlines the cells that it holds for lesion at least this likely.
MEMBER_THRESHOLD = 0.5
#: Members that agree when one speaks of "the members", and those that are no single one.
MOST_MEMBERS, SOME_MEMBERS = 0.9, 0.1


@dataclass(frozen=True, eq=False)
class Agreement:
    """Holds what the members of `result` say together, on the grid.

    `mean_hw` and `share_hw` (of members that outline the cell) lie in [0, 1], `variance_hw` in
    [0, 0.25], `entropy_hw` of the mean in [0, 1] bit. `dice` holds one overlap for each pair;
    `expected_error` is the result's.
    """

    result: EnsembleResult
    mean_hw: Float
    variance_hw: Float
    entropy_hw: Float
    share_hw: Float
    dice: Numbers
    expected_error: float

    def outlined(self, threshold: float) -> float:
        """Share of the image that the proposal outlines at `threshold`, in [0, 1]."""
        return float((self.mean_hw >= threshold).mean())

    def enough(self, share: float) -> Float:
        """1 where at least this share of the members outlines the cell, else 0."""
        # A little less, because a third of three members is not exactly a third.
        return (self.share_hw >= share - 1e-6).astype(np.float32)

    @property
    def agreed(self) -> float | None:
        """Of the area that one in ten members outlines, the share that nine in ten outline.

        None where no member outlines anything.
        """
        some, most = (int(self.enough(share).sum()) for share in (SOME_MEMBERS, MOST_MEMBERS))
        return most / some if some else None


def agreement_of(result: EnsembleResult) -> Agreement:
    """The agreement of the members of `result`; takes milliseconds, more with many members."""
    masks_nhw = result.members_nhw >= MEMBER_THRESHOLD
    mean_hw = result.mean_hw
    certain_hw = np.clip(mean_hw, 1e-6, 1 - 1e-6)
    entropy_hw = -(certain_hw * np.log2(certain_hw) + (1 - certain_hw) * np.log2(1 - certain_hw))
    return Agreement(
        result,
        mean_hw,
        result.variance_hw,
        entropy_hw.astype(np.float32),
        masks_nhw.mean(axis=0, dtype=np.float32),
        pairwise_dice(masks_nhw),
        result.expected_error,
    )


class AgreementWatch(Refresh):
    """Keeps `newest` near the session's result while `panel` is seen."""

    changed = Signal()

    def __init__(self, session: Session, panel: QWidget) -> None:
        super().__init__(panel, self._work)
        self._session = session
        self._busy = False
        self.newest: Agreement | None = None
        session.proposal.changed.connect(self._note)

    def _note(self) -> None:
        result = self._session.segmentation.result
        if result is None and self.newest is not None:
            self.newest = None
            self.changed.emit()
        if result is not None:
            self.ask()

    def _work(self) -> None:
        result = self._session.segmentation.result
        known = self.newest is not None and self.newest.result is result
        if result is not None and not known and not self._busy:
            self._busy = True
            self._session.context.aside.run(lambda: agreement_of(result), self._take, self._fail)

    def _take(self, agreement: Agreement) -> None:
        self._busy = False
        result = self._session.segmentation.result
        if result is not None:
            self.newest = agreement
            self.changed.emit()
            if result is not agreement.result:
                self.ask()

    def _fail(self, error: BaseException) -> None:
        self._busy = False
        self._session.context.fail(error)
