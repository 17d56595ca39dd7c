"""The errors that the engine raises, as facts; window and command line write the sentences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from engine.types import Base


class EngineError(Exception):
    """Any failure that the engine foresees; any other exception is a defect of the program."""


class _FileProblem(EngineError):
    """A file or folder that cannot be used, with the reason as a part of a sentence."""

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
    """A data set folder that lacks something or contradicts itself."""


class StudyProblem(_FileProblem):
    """A study folder that cannot be opened or written."""


class Vanished(StudyProblem):
    """A study's folder, or one of its images, that no longer exists."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, "is not there any more")


class ChangedOutside(_FileProblem):
    """A file that another window or program changed since it was read; nothing was written.

    Parameters
    ----------
    path : the file.
    what : whether it is the mask or the image.
    found : the versions of both on disk now.
    reviewed : whether the mask on disk is reviewed.
    fits : whether the mask to be saved has the size of the image.
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
    """A file that a result would have replaced and that was left as it is, with the reason."""


class UnknownArchitecture(EngineError):
    """An architecture or model of this name does not exist; `known` lists those that do."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(f"{name!r} is not one of {', '.join(self.known)}")


class OutOfMemory(EngineError):
    """A computation that did not fit into memory.

    Parameters
    ----------
    batch : how many members or samples were computed together.
    size : side of the grid in cells.
    what : members of an ensemble, or samples of a training.
    """

    def __init__(self, batch: int, size: int, what: Literal["members", "samples"]) -> None:
        self.batch = batch
        self.size = size
        self.what = what
        super().__init__(f"{batch} {what} on {size} × {size} cells do not fit into memory")

    @property
    def smaller(self) -> int:
        """A batch size that may fit, or 0 if not even a single member or sample did."""
        return self.batch // 2


class TooLarge(EngineError):
    """A model whose diffusion step would take too much memory or time.

    Parameters
    ----------
    size : side of the grid in cells.
    updates : how often the network goes over its grid in a diffusion step.
    memory_gb : estimated memory of one member.
    """

    def __init__(self, size: int, updates: int, memory_gb: float) -> None:
        self.size = size
        self.updates = updates
        self.memory_gb = memory_gb
        super().__init__(
            f"{size} × {size} cells with {updates} updates in a step and {memory_gb:.1f} GB for a "
            "member are more than is computed"
        )


class MissingExtra(EngineError):
    """A model needs packages that are installed with an extra only, and they are not there.

    Parameters
    ----------
    extra : the name of the extra, as in "nca-seg[baselines]".
    name : the model's name.
    """

    def __init__(self, extra: str, name: str) -> None:
        self.extra = extra
        self.name = name
        super().__init__(f"{name!r} needs the packages of nca-seg[{extra}]")


class NotTrainable(EngineError):
    """A model of an architecture that is only run, and of which nothing is learned."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} cannot be trained")


class NotRun(EngineError):
    """A network of another program that could not be run on an image.

    Parameters
    ----------
    name : the model's name.
    reason : why, as a part of a sentence.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name!r} could not be run: {reason}")


class NotFinite(EngineError):
    """The model of this name computed numbers that are not finite, so its answer is useless."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} computed numbers that are not finite")


class StyleNotKnown(EngineError):
    """A style or width that a model was not trained to draw in.

    Parameters
    ----------
    name : that of the model.
    asked : the style, "style" for any of them, or "width" where only that was asked for.
    known : the tools that the model can be told; none of a model that is not steerable.
    """

    def __init__(self, name: str, asked: str, known: Iterable[str]) -> None:
        self.name = name
        self.asked = asked
        self.known = tuple(known)
        super().__init__(f"{name!r} was not trained to be told {asked}")


class Diverged(EngineError):
    """A training whose loss or weights grew without bound.

    Parameters
    ----------
    step : the number of the step, from 1.
    learning_rate : that of the step.
    best : the file of the best weights before it, or None if none were validated.
    """

    def __init__(self, step: int, learning_rate: float, best: Path | None) -> None:
        self.step = step
        self.learning_rate = learning_rate
        self.best = best
        super().__init__(f"the training diverged at step {step}, at a rate of {learning_rate:g}")


class FolderInUse(_FileProblem):
    """A folder that another training is writing to."""
