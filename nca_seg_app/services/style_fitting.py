"""Finds the style and width in which a study's saved masks are drawn, and chooses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PySide6.QtCore import Signal

from engine.errors import UnreadableImage, UnreadableMask
from engine.images.reading import read_image
from engine.masks.arrays import Mask
from engine.masks.outlines import shrunk
from engine.masks.reading import read_mask
from engine.study.study import Study
from engine.types import FEWEST_FITTED, Fitting, Image, Sample, StyleChoice, StyleFit, evenly
from nca_seg_app.background.job_controller import JobController
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.style_words import drawn_like
from nca_seg_app.services.styling import Styling

#: More masks would take longer than a person waits for.
MOST = 12
#: The longer side of the pictures that are compared; models see far less.
PICTURE_PX = 1024


@dataclass(eq=False)
class _Fitted:
    """Of which study a fit is, and on how many masks; 0 until they have been read."""

    study: Study
    masks: int = 0


class StyleFitting(JobController):
    """Fits style and width to the masks that a person drew or changed, without training."""

    #: `progress` changed.
    progressed = Signal()
    #: `told` changed.
    told_changed = Signal()

    def __init__(self, context: Context, models: ModelLibrary, styling: Styling) -> None:
        super().__init__(context.jobs, context)
        self._context, self._workspace = context, context.workspace
        self._models, self._styling = models, styling
        self._told = ""
        self._progress = (0, 0)
        self._fitted: _Fitted | None = None
        self._workspace.image_changed.connect(self._note_image)

    @property
    def told(self) -> str:
        """What the newest fit found in the open study, as sentences; "" before one."""
        return self._told

    @property
    def progress(self) -> tuple[int, int]:
        """(done, total) of the fit under way; (0, 0) before its first step."""
        return self._progress if self.running else (0, 0)

    def fit(self) -> None:
        """Fit style and width to the study's masks, and choose them if that is nearer.

        Does nothing without a study or a model that can be told a style, or while another job runs.
        """
        study, entry = self._workspace.study, self._models.chosen
        if study is None or entry is None or not self._styling.offered:
            return
        if self._context.jobs.current is not None:
            return
        device, threshold = self._context.settings.device, self._context.settings.threshold
        cache, engine, fitted = self._models.cache, self._context.engine, _Fitted(study)

        def stream() -> Iterator[Fitting]:
            pairs = []
            drawn = [sample for sample in study.saved_samples() if sample.is_by_a_person]
            for sample in evenly(drawn, MOST):
                # What cannot be read is reported where it is opened.
                with suppress(UnreadableImage, UnreadableMask):
                    pairs.append(small_pair(sample))
            fitted.masks = len(pairs)
            if len(pairs) >= FEWEST_FITTED:
                events = engine.fit_style(cache.get(entry, device).handle, pairs, threshold)
                with closing(events) as steps:  # type: ignore[type-var]
                    yield from steps

        self._fitted, self._progress = fitted, (0, 0)
        self._begin(stream)
        self._tell("")

    def stop(self) -> None:
        """End the fit; style and width stay as they are."""
        if self._job is not None:
            self._job.cancel()

    # Inside

    def _note_image(self) -> None:
        if self._fitted is not None and self._fitted.study != self._workspace.study:
            self.stop()
            self._let_go()
            self._fitted = None
            self._tell("")

    def _tell(self, words: str) -> None:
        self._told = words
        self.told_changed.emit()

    def _show(self, event: Fitting) -> None:
        self._progress = event.done, event.total
        self.progressed.emit()

    def _complete(self, event: Fitting | None) -> None:
        found = event.fit if event is not None else None
        if found is None:
            masks = self._fitted.masks if self._fitted is not None else 0
            self._tell(_too_few(masks))
            return
        choice = found.choice if found.is_nearer else StyleChoice()
        self._styling.choose_fitted(choice)
        self._tell(_words(found))

    def _stopped(self, event: Fitting | None) -> None:
        self._tell("")

    def _fail(self, error: BaseException) -> None:
        self._tell("")
        self._context.fail(error)


def small_pair(sample: Sample) -> tuple[Image, Mask]:
    """A sample's image with its mask, made small. Raises UnreadableImage or UnreadableMask."""
    image = read_image(sample.image_path)
    mask_hw = read_mask(sample.mask_path, (image.height, image.width))
    shrinks_by = -(-max(mask_hw.shape) // PICTURE_PX)
    if shrinks_by == 1:
        return image, mask_hw
    picture = PillowImage.fromarray(image.pixels_hwc).reduce(shrinks_by)
    return Image(np.asarray(picture)), shrunk(mask_hw, picture.size) >= 0.5


def _too_few(masks: int) -> str:
    there = {0: "There is no mask", 1: "There is 1 mask"}.get(masks, f"There are {masks} masks")
    return (
        f"{there} in this folder that you drew or changed. It takes {FEWEST_FITTED} to fit a "
        "style to them."
    )


def _words(found: StyleFit) -> str:
    if not found.is_nearer:
        return (
            "Your masks are drawn as everybody draws: no style and no width comes nearer to all of "
            f"them. Dice on them {found.dice_before:.3f} ({found.images} images)."
        )
    return (
        f"Your masks are drawn like: {drawn_like(found.choice)}. Dice on them "
        f"{found.dice_before:.3f} → {found.dice_left_out:.3f} ({found.images} images, each judged "
        "by the others' fit)."
    )
