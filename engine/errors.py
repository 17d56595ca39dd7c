"""Errors carry facts, not sentences: the window and the command line write the sentences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from engine.types import Base


class EngineError(Exception):
    """Any failure the engine foresees; everything else is a defect."""


class _FileProblem(EngineError):
    """A file that cannot be used, and why."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


class UnreadableImage(_FileProblem):
    """An image file that cannot be read."""


class UnreadableMask(_FileProblem):
    """A mask file that cannot be read, or does not fit its image."""


class UnreadableModel(_FileProblem):
    """A model file that is not one of ours, is damaged, or is from a newer version."""


class DatasetProblem(_FileProblem):
    """A data set folder whose content contradicts itself or is missing."""


class StudyProblem(_FileProblem):
    """A study folder that cannot be opened or written."""


class Vanished(StudyProblem):
    """A study's folder, or one of its images, that was there and is gone."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, "is not there any more")


class ChangedOutside(_FileProblem):
    """A file that another window or program changed since it was read; nothing was written.

    `what` is a "mask" or an "image". `found` is what lies there now, and `reviewed` tells whether
    a mask there is. `fits` tells whether the mask to be saved has the size of the image.
    """

    def __init__(
        self,
        path: Path | str,
        what: Literal["mask", "image"],
        found: Base,
        reviewed: bool = False,
        fits: bool = True,
    ) -> None:
        self.what = what
        self.found = found
        self.reviewed = reviewed
        self.fits = fits
        super().__init__(path, f"this {what} was changed by another window or program")


class MaskKept(_FileProblem):
    """A file that a result would have replaced, and why it stays as it is."""


class UnknownArchitecture(EngineError):
    """An architecture, or model name, that is not known here."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(f"{name!r} is not one of {', '.join(self.known)}")


class OutOfMemory(EngineError):
    """A run that did not fit into memory.

    `batch` members of an ensemble, or samples of a training (`what`), were computed together.
    """

    def __init__(self, batch: int, size: int, what: Literal["members", "samples"]) -> None:
        self.batch = batch
        self.size = size
        self.what = what
        super().__init__(f"{batch} {what} on {size} × {size} cells do not fit into memory")

    @property
    def smaller(self) -> int:
        """A batch size that may fit, or 0 where a single one did not."""
        return self.batch // 2


class TooLarge(EngineError):
    """A model that asks for more than is computed; `memory_gb` is about what a member takes."""

    def __init__(self, size: int, updates: int, memory_gb: float) -> None:
        self.size = size
        self.updates = updates
        self.memory_gb = memory_gb
        super().__init__(
            f"{size} × {size} cells with {updates} updates in a step and {memory_gb:.1f} GB for a "
            "member are more than is computed"
        )


class NotFinite(EngineError):
    """A model whose numbers overflowed, so that its answer means nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} computed numbers that are not finite")


class Diverged(EngineError):
    """A training whose loss or weights grew beyond all bounds at a step.

    `best` is the file of the best weights before that, or None where none were judged.
    """

    def __init__(self, step: int, learning_rate: float, best: Path | None) -> None:
        self.step = step
        self.learning_rate = learning_rate
        self.best = best
        super().__init__(f"the training diverged at step {step}, at a rate of {learning_rate:g}")


class FolderInUse(_FileProblem):
    """A folder that another training writes to."""
