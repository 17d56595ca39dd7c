"""Steers the model by what a person shows it: strokes, boxes, and the mask to begin from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from engine.framing import Box
from engine.masks.arrays import Window
from engine.types import EnsembleResult, Float
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.run import Run
from nca_seg_app.services.segmentation import Segmentation
from nca_seg_app.state.document import Mask
from nca_seg_app.state.guidance import NO_GUIDANCE, Guidance, Stroke

#: Disagreement of the members, 0 to 1, from which a pixel is doubtful.
DOUBTFUL = 0.25


class Steering(QObject):
    """What the model was shown in the open image; each gesture has it drawn anew at once.

    The newest gesture wins: a run that does not know it ends. What comes of it is a proposal
    like any other (`services.proposal`). The gestures belong to their run: they are seen while
    its result waits for a decision, and are back where the result is.
    """

    #: `shown` is other gestures.
    changed = Signal()

    def __init__(
        self,
        context: Context,
        models: ModelLibrary,
        segmentation: Segmentation,
        proposal: Proposal,
    ) -> None:
        super().__init__(context)
        self._context, self._workspace, self._models = context, context.workspace, models
        self._segmentation, self._proposal = segmentation, proposal
        self._guidance = NO_GUIDANCE
        #: The finished result from before the first gesture, to which the last step back leads.
        self._unguided: tuple[Run, EnsembleResult] | None = None
        #: Whether a run with the guidance as it is has still to begin.
        self._wanted = False
        #: What waits for the answer to the newest gesture.
        self._then: Callable[[], object] | None = None
        segmentation.run_changed.connect(self._note_run)
        segmentation.result_changed.connect(self._note_result)
        segmentation.running_changed.connect(self._note_running)
        proposal.changed.connect(self._go)
        proposal.changed.connect(self.changed)
        context.jobs.changed.connect(self._go)

    @property
    def shown(self) -> Guidance:
        """The gestures that may be taken back; an empty one where none waits for a decision."""
        waits = self._wanted or self._segmentation.running or self._proposal.proposed
        return self._guidance if waits else NO_GUIDANCE

    def when_answered(self, command: Callable[[], object]) -> None:
        """Do `command` now, or once the model has answered the newest gesture.

        It is dropped where that is taken back, another one made, or the run ends without answer.
        """
        if self._wanted or (self._segmentation.running and not self._guidance.is_empty):
            self._then = command
        else:
            command()

    def add_stroke(self, stroke: Stroke) -> None:
        """Have the model hear a stroke."""
        self._begin_with(self._guidance.with_stroke(stroke))

    def add_box(self, box: Box) -> None:
        """Have the model outline the lesion in a box, beside those in boxes before."""
        run, result = self._segmentation.run, self._segmentation.result
        of_whole = run is not None and run.guidance.box is None and self._proposal.is_taken
        self._begin_with(self._guidance.with_box(box, result, alone=of_whole))

    def refine(self) -> None:
        """Have the model go on from the mask as it is."""
        document = self._workspace.document
        if document is not None and not document.is_empty:
            self._begin_with(self._guidance.with_start(document.snapshot()))

    def take_back(self) -> None:
        """Take the last gesture back."""
        before = self._guidance.before
        if before is None:
            return
        unguided = self._unguided
        if not before.is_empty:
            self._set(before, wanted=True)
        elif unguided is not None:
            self._set(before, wanted=False)
            self._segmentation.put_up(*unguided)
        else:
            self._set(before, wanted=False)
            self._segmentation.drop()

    def segment(self) -> None:
        """Outline the image anew, with what the model was shown if that waits for a decision."""
        if self.shown.is_empty:
            self._segmentation.segment()
        else:
            self._set(self._guidance, wanted=True)

    def doubtful(self, window: Window) -> Mask | None:
        """Where in a window (rows, columns) the members disagree; None without a result."""
        result = self._segmentation.result
        if result is None:
            return None
        disagreement_hw = 2 * np.sqrt(np.clip(result.variance_hw, 0, 0.25))
        return _within(disagreement_hw, result.frame.crop, window) >= DOUBTFUL

    # Inside

    def _begin_with(self, guidance: Guidance) -> None:
        if self._models.chosen is None:
            self._context.message.emit("There is no model to steer.")
            return
        run, result = self._segmentation.run, self._segmentation.result
        if self._guidance.is_empty:
            is_whole = result is not None and result.done == result.total
            self._unguided = (run, result) if run and result and is_whole else None
        self._set(guidance, wanted=True)

    def _set(self, guidance: Guidance, *, wanted: bool) -> None:
        self._guidance, self._wanted, self._then = guidance, wanted, None
        self.changed.emit()
        self._go()

    def _go(self) -> None:
        """Begin the run that is wanted, or as soon as what is in its way has ended."""
        if not self._wanted or self._proposal.taking:
            return
        if self._segmentation.running:
            self._segmentation.cancel()
        elif self._context.jobs.current is None:
            self._wanted = False
            run = Run.chosen(self._context, self._models, self._guidance)
            if run is not None:
                self._segmentation.begin(run, shows_before=True)

    def _note_run(self) -> None:
        run = self._segmentation.run
        if run is None:
            # Another image, or another one's result: what was shown went with it.
            self._guidance, self._wanted, self._then = NO_GUIDANCE, False, None
        elif not self._wanted:
            self._guidance = run.guidance
        self.changed.emit()

    def _note_running(self) -> None:
        self.changed.emit()
        run, result = self._segmentation.run, self._segmentation.result
        if self._then is None or self._wanted or self._segmentation.running:
            return
        command, self._then = self._then, None
        answers = run is not None and run.guidance is self._guidance
        if answers and result is not None and result.done == result.total:
            command()

    def _note_result(self) -> None:
        is_dropped = self._segmentation.result is None and not self._segmentation.running
        if is_dropped and not self._wanted:
            self._guidance = NO_GUIDANCE
            self.changed.emit()


def _within(map_hw: Float, crop: Box, window: Window) -> Float:
    """A map on a grid over `crop`, interpolated at the pixels of a window (rows, columns)."""

    def places(pixels: slice, first: int, extent: int, cells: int) -> tuple[Any, Any, Any]:
        centres = (np.arange(pixels.start, pixels.stop) + 0.5 - first) * cells / extent - 0.5
        centres = np.clip(centres, 0, cells - 1)
        low = np.minimum(centres.astype(int), max(0, cells - 2))
        return low, np.minimum(low + 1, cells - 1), centres - low

    top, bottom, down = places(window[0], crop.top, crop.height, map_hw.shape[0])
    left, right, across = places(window[1], crop.left, crop.width, map_hw.shape[1])
    rows_hw = map_hw[top] * (1 - down)[:, None] + map_hw[bottom] * down[:, None]
    within: Float = rows_hw[:, left] * (1 - across) + rows_hw[:, right] * across
    return within
