"""A model's proposal, as it forms: shown while it grows, taken over only by a person's wish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from engine.types import CellStep, EnsembleResult, Float, SampleSettings

if TYPE_CHECKING:
    from nca_seg_app.ports import ModelEntry
    from nca_seg_app.session import Session


@dataclass(frozen=True, eq=False)
class FilmStep:
    """One diffusion step of one member, on the grid: x_t and the mask it then believed in.

    `noisy_hw` is in mask units, `clean_hw` a probability in [0, 1].
    """

    member: int
    timestep: int
    noisy_hw: Float
    clean_hw: Float


class Film:
    """Every diffusion step of a run by member; written by the job's thread, read by any."""

    @property
    def members(self) -> int:
        """How many members have steps."""
        raise NotImplementedError

    def steps(self, member: int) -> tuple[FilmStep, ...]:
        """The steps of `member` so far, first to last."""
        raise NotImplementedError


class Segmentation(QObject):
    """The run, its result so far, its film, and what a person does with them."""

    #: `result` is another one, or None.
    result_changed = Signal()
    #: The film grew or is a new one.
    film_changed = Signal()
    #: The run began, paused, went on, or ended.
    running_changed = Signal()
    threshold_changed = Signal(float)
    #: The run reached its end; `result` is the answer.
    completed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)

    @property
    def result(self) -> EnsembleResult | None: ...

    @property
    def film(self) -> Film:
        """The film of the newest run; empty before the first."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        raise NotImplementedError

    @property
    def paused(self) -> bool:
        raise NotImplementedError

    @property
    def progress(self) -> tuple[int, int]:
        """(done, total) diffusion steps of the run; (0, 0) without one."""
        raise NotImplementedError

    @property
    def seconds_left(self) -> float | None:
        """Time the run still needs, or None while that is unknown."""
        raise NotImplementedError

    @property
    def threshold(self) -> float:
        raise NotImplementedError

    @property
    def settings(self) -> SampleSettings:
        """What the result at hand was, or the next run will be, drawn with."""
        raise NotImplementedError

    @property
    def model(self) -> ModelEntry | None:
        """The model that drew the result at hand."""
        raise NotImplementedError

    def segment(self) -> None:
        """Draw an ensemble for the open image with the chosen model and settings."""

    def pause(self) -> None:
        """Pause the run, or let it go on."""

    def step(self) -> None:
        """Let a paused run take one diffusion step; a running one pauses."""

    def cancel(self) -> None:
        """Stop the run; what it has so far stays as the result."""

    def set_threshold(self, threshold: float) -> None:
        """Move the proposal's outline; in [0, 1]."""

    def accept(self, then: Callable[[], None] | None = None) -> None:
        """Make the result the mask, as one undo step; `then` is called when it is done."""

    def use_member(self, member: int) -> None:
        """Make one member's answer the mask, as one undo step."""

    def discard(self) -> None:
        """Stop the run and drop the result; the mask stays as it is."""

    def replay(self, member: int, timestep: int, done: Callable[[list[CellStep]], None]) -> None:
        """Give `done` every cell update of that diffusion step, recomputed in the background."""
