"""A model against expert masks, image by image: every event holds all that is known so far."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from engine.ensemble import segment
from engine.images import read_image
from engine.masks import read_mask
from engine.metrics import dice, iou, threshold_jaccard
from engine.sampling import Denoises
from engine.types import Sample, SampleSettings


@dataclass(frozen=True)
class Scores:
    """One image's scores, or the mean of several.

    All are in [0, 1] but `seconds`: from the picture in memory to its mask at the image's own size.
    """

    dice: float
    iou: float
    threshold_jaccard: float
    seconds: float
    disagreement: float


@dataclass(frozen=True)
class Evaluation:
    """The scores of the first `done` samples, by id, in their order."""

    done: int
    total: int
    images: tuple[tuple[str, Scores], ...]

    @property
    def mean(self) -> Scores:
        """The mean of each score over the images."""
        rows = [scores for _, scores in self.images]
        return Scores(
            *(sum(getattr(row, f.name) for row in rows) / len(rows) for f in fields(Scores))
        )


def evaluate(
    model: Denoises, samples: Sequence[Sample], settings: SampleSettings, threshold: float = 0.5
) -> Iterator[Evaluation]:
    """One event per sample: its ensemble's mask against the expert's, at the image's own size.

    Raises UnreadableImage, UnreadableMask and OutOfMemory at the sample that causes it.
    """
    images: tuple[tuple[str, Scores], ...] = ()
    for done, sample in enumerate(samples, start=1):
        image = read_image(sample.image_path)
        truth_hw = read_mask(sample.mask_path, (image.height, image.width))
        began = time.perf_counter()
        *_, result = segment(model, image, settings)
        mask_hw = result.mask(threshold)
        scores = Scores(
            dice=dice(mask_hw, truth_hw),
            iou=iou(mask_hw, truth_hw),
            threshold_jaccard=threshold_jaccard(mask_hw, truth_hw),
            seconds=time.perf_counter() - began,
            disagreement=result.disagreement,
        )
        images = (*images, (sample.id, scores))
        yield Evaluation(done, len(samples), images)
