"""A model learns from saved masks into a new model beside its parent, never in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from engine.types import TrainSettings, TrainStep

if TYPE_CHECKING:
    from nca_seg_app.ports import ModelEntry
    from nca_seg_app.session import Session


class Learning(QObject):
    """A fine-tuning under way, its curve, and the new model it leads to."""

    #: The curve grew or is a new one.
    curve_changed = Signal()
    #: The run began, paused, went on or ended.
    running_changed = Signal()
    #: `candidate` is another one, or None.
    candidate_changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)

    @property
    def running(self) -> bool:
        raise NotImplementedError

    @property
    def paused(self) -> bool:
        raise NotImplementedError

    @property
    def curve(self) -> tuple[TrainStep, ...]:
        """Every step of the newest run so far, none left out."""
        raise NotImplementedError

    @property
    def seconds_left(self) -> float | None:
        raise NotImplementedError

    @property
    def candidate(self) -> ModelEntry | None:
        """The new model that waits for a decision."""
        raise NotImplementedError

    def finetune(self, settings: TrainSettings | None = None) -> None:
        """Fine-tune the chosen model on the study's saved masks."""

    def pause(self) -> None:
        """Pause the run, or let it go on."""

    def stop_and_keep(self) -> None:
        """End the run; the best weights so far become the candidate."""

    def cancel(self) -> None:
        """End the run and drop what it made."""

    def accept(self) -> None:
        """Add the candidate to the models, beside its parent, and choose it."""

    def discard(self) -> None:
        """Delete the candidate."""
