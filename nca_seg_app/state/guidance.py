"""What a person showed the model in an image: strokes, boxes and the mask to begin from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.framing import Box
from engine.masks import edits
from engine.types import EnsembleResult, Prompt
from nca_seg_app.state.undo import Mask

#: How much of the mask a refinement forgets, as for `engine.types.Prompt`.
REFINE_NOISE = 0.5


@dataclass(frozen=True)
class Stroke:
    """A line drawn for the model to hear.

    Parameters
    ----------
    points : its corners, (row, column) in pixel-edge coordinates of the image; one is a dot.
    radius_px : half its width in pixels of the image.
    lesion : whether it says that here is lesion; else it says that here is skin.
    """

    points: tuple[tuple[float, float], ...]
    radius_px: float
    lesion: bool


@dataclass(frozen=True, eq=False)
class Guidance:
    """What a run is told beside the image; each gesture makes a new one from the one `before`.

    Parameters
    ----------
    strokes : in the order in which they were drawn; the later one counts where two overlap.
    box : the part of the image that is segmented alone, or None.
    parts : results of boxes drawn before, which belong to what is proposed.
    start : gives the mask from which the members begin, or None.
    alone : whether what is proposed is all there is; else a box leaves the mask outside it.
    before : what was told before the newest gesture, or None.
    """

    strokes: tuple[Stroke, ...] = ()
    box: Box | None = None
    parts: tuple[EnsembleResult, ...] = ()
    start: Callable[[], Mask] | None = None
    alone: bool = False
    before: Guidance | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was told."""
        return self.before is None

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All boxes drawn, the newest last."""
        drawn = [part.frame.box for part in self.parts] + [self.box]
        return tuple(box for box in drawn if box is not None)

    def cropped(self, crop: Box, shape: tuple[int, int]) -> tuple[Stroke, ...]:
        """The strokes on a grid of `shape` (rows, columns) over a part of the image."""
        high, wide = shape[0] / crop.height, shape[1] / crop.width
        return tuple(
            Stroke(
                tuple(
                    ((row - crop.top) * high, (column - crop.left) * wide)
                    for row, column in each.points
                ),
                each.radius_px * (high * wide) ** 0.5,
                each.lesion,
            )
            for each in self.strokes
        )

    def with_stroke(self, stroke: Stroke) -> Guidance:
        """The same and one more stroke."""
        return replace(self, strokes=(*self.strokes, stroke), before=self)

    def with_box(self, box: Box, shown: EnsembleResult | None, alone: bool) -> Guidance:
        """The same and one more box; the result `shown` of the box before stays a part.

        `alone` says whether the first box takes the place of all that the mask holds.
        """
        parts = self.parts
        if self.box is not None and shown is not None and shown.frame.box == self.box:
            parts = (*parts, shown)
        alone = self.alone if self.box is not None else alone
        return replace(self, box=box, parts=parts, alone=alone, start=None, before=self)

    def with_start(self, start: Callable[[], Mask]) -> Guidance:
        """The same strokes over the whole image, begun from a mask."""
        return Guidance(self.strokes, start=start, before=self)

    def prompt(self, shape: tuple[int, int]) -> Prompt | None:
        """What the engine is told for an image of `shape` (height, width); None: nothing."""
        if self.is_empty:
            return None
        return Prompt(
            hint_hw=painted(self.strokes, shape) if self.strokes else None,
            box=self.box,
            start_hw=self.start() if self.start is not None else None,
            noise=REFINE_NOISE,
        )

    def placed(
        self, found_hw: Mask, mask_hw: Mask, prompt: Prompt | None, threshold: float
    ) -> Mask:
        """The mask once the answer `found_hw` of a run has been accepted over `mask_hw`.

        Painted pixels are as they were painted; outside of boxes the mask stays.
        """
        if self.box is None:
            return prompt.painted(found_hw) if prompt is not None else found_hw
        placed_hw = mask_hw & False if self.alone else mask_hw.copy()
        for part in self.parts:
            if part.frame.box is not None:
                window = part.frame.box.window
                placed_hw[window] = part.mask(threshold)[window]
        # Boxes that overlap are two lesions, of which the later one takes nothing from the earlier.
        window = self.box.window
        kept_hw = placed_hw[window] if self._overlaps else False
        placed_hw[window] = found_hw[window] | kept_hw
        return prompt.painted(placed_hw) if prompt is not None else placed_hw

    @property
    def _overlaps(self) -> bool:
        return any(_meet(self.box, part.frame.box) for part in self.parts)


#: Nothing was told.
NO_GUIDANCE = Guidance()


def painted(strokes: tuple[Stroke, ...], shape: tuple[int, int]) -> NDArray[np.int8]:
    """Strokes as a hint, int8 `shape` (height, width): 1 lesion, −1 skin, 0 nothing."""
    hint_hw = np.zeros(shape, np.int8)
    blank_hw = np.zeros(shape, np.bool_)
    for stroke in strokes:
        patch = edits.stroke(blank_hw, np.array(stroke.points), stroke.radius_px, True)
        if patch is not None:
            rows, columns = patch.after_hw.shape
            window_hw = hint_hw[patch.top : patch.top + rows, patch.left : patch.left + columns]
            window_hw[patch.after_hw] = 1 if stroke.lesion else -1
    return hint_hw


def _meet(one: Box | None, other: Box | None) -> bool:
    if one is None or other is None:
        return False
    return (
        max(one.top, other.top) < min(one.top + one.height, other.top + other.height)
        and max(one.left, other.left) < min(one.left + one.width, other.left + other.width)
    )  # fmt: skip
