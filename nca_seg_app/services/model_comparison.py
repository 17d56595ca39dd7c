"""Compares a trained model with another on images that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PySide6.QtCore import QObject, Signal

from engine.errors import UnreadableImage, UnreadableMask
from engine.images.reading import read_image
from engine.masks.outlines import outline, shrunk
from engine.masks.reading import read_mask
from engine.metrics import dice
from engine.types import Sample, SampleSettings, evenly
from nca_seg_app.services.context import Context
from nca_seg_app.services.engine import Engine

#: The most images that are compared; more would take longer than a person looks at them.
IMAGES = 8
#: The longer side of the small pictures, which are shown smaller even on dense screens.
PICTURE_PX = 256
SETTINGS = SampleSettings(members=4)

#: Outlines in pixels of the small picture, each (n, 2) as (row, column).
Outlines = Sequence[NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Compared:
    """An image as outlined by a person and by both models.

    Parameters
    ----------
    path : the image's file.
    picture_hwc : the image made small, uint8 (rows, columns, 3).
    saved : outlines of the saved mask.
    before, after : outlines by the other and by the new model.
    dice_before, dice_after : Dice of both against the saved mask, at the image's own size.
    """

    path: Path
    picture_hwc: NDArray[np.uint8]
    saved: Outlines
    before: Outlines
    after: Outlines
    dice_before: float
    dice_after: float

    @property
    def gain(self) -> float:
        """How much higher the new model's Dice is than the other's."""
        return self.dice_after - self.dice_before


class ModelComparison(QObject):
    """Segments images by both models, one after the other, while no job of the person's runs."""

    #: `found` or `total` changed.
    changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context
        self._models: Callable[[], tuple[Any, ...]] = tuple
        self._found: tuple[Compared, ...] = ()
        self._waiting: tuple[Sample, ...] = ()
        self._busy = False
        self._context.jobs.changed.connect(self._go_on)

    @property
    def found(self) -> tuple[Compared, ...]:
        """The images compared so far."""
        return self._found

    @property
    def total(self) -> int:
        """How many images are compared in all."""
        return len(self._found) + len(self._waiting)

    def begin(self, before: Path, after: Path, judged: Sequence[Sample]) -> None:
        """Start a comparison in place of the one before.

        Parameters
        ----------
        before, after : files of the other and of the new model.
        judged : samples that the new model was validated on; at most `IMAGES` of them are used.
        """
        engine, device = self._context.engine, self._context.settings.device
        # Called in the thread that compares, and loads the models once.
        self._models = cache(
            lambda: tuple(engine.load_model(path, device) for path in (before, after))
        )
        self._found, self._waiting = (), evenly(judged, IMAGES)
        self.changed.emit()
        self._go_on()

    def forget(self) -> None:
        """Stop, and forget what was found."""
        self._models = tuple
        self._found = self._waiting = ()
        self.changed.emit()

    def _go_on(self) -> None:
        models = self._models
        if self._busy or not self._waiting or self._context.jobs.current is not None:
            return
        sample = self._waiting[0]

        def done(compared: Compared | None) -> None:
            self._busy = False
            if models is self._models:
                self._waiting = self._waiting[1:]
                self._found += (compared,) if compared is not None else ()
                if not self._waiting:
                    # Releases both models, which the person's decision does not need.
                    self._models = tuple
                self.changed.emit()
            self._go_on()

        def failed(error: BaseException) -> None:
            if models is self._models:
                self._context.fail(error)
                if not isinstance(error, (UnreadableImage, UnreadableMask)):
                    # The models would fail on the other images as well.
                    self._waiting = self._waiting[:1]
            done(None)

        def work() -> Compared | None:
            # `compare` stops early if the window is closed or another comparison starts.
            return compare(self._context.engine, models(), sample, lambda: models is self._models)

        self._busy = True
        self._context.aside.run(work, done, failed)


def compare(
    engine: Engine,
    models: tuple[Any, ...],
    sample: Sample,
    wanted: Callable[[], bool] = lambda: True,
) -> Compared | None:
    """Compare two models on one sample; may be called in any thread.

    Parameters
    ----------
    engine : segments.
    models : handles of the other and of the new model.
    sample : an image with its saved mask.
    wanted : asked after each step of a run; the comparison stops once it is false.

    Returns
    -------
    The comparison, or None if it was stopped.

    Raises
    ------
    UnreadableImage, UnreadableMask : if the sample cannot be read.
    """
    image = read_image(sample.image_path)
    saved_hw = read_mask(sample.mask_path, (image.height, image.width))
    found = []
    for model in models:
        for result in engine.segment(model, image, SETTINGS, None):  # noqa: B007 - the last one counts
            if not wanted():
                return None
        found.append(result.mask())
    before_hw, after_hw = found
    outlined_hw = (saved_hw, before_hw, after_hw)
    picture = PillowImage.fromarray(image.pixels_hwc)
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    saved, before, after = (outline(shrunk(hw, picture.size)) for hw in outlined_hw)
    dice_before, dice_after = dice(before_hw, saved_hw), dice(after_hw, saved_hw)
    pixels_hwc = np.asarray(picture)
    return Compared(sample.image_path, pixels_hwc, saved, before, after, dice_before, dice_after)
