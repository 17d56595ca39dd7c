"""The base class of services that run one job at a time: starts, pauses, and passes on events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from PySide6.QtCore import QObject, Signal

from nca_seg_app.background.jobs import Job, Jobs
from nca_seg_app.background.time_left import TimeLeft


class JobController(QObject):
    """Runs one job at a time, and estimates the time it still needs.

    Segmentation, fine-tuning and export are subclasses, which override what an event and each of
    the three endings do. When an ending is handled, the job no longer runs.
    """

    #: The job began, paused, continued or ended.
    running_changed = Signal()

    def __init__(self, jobs: Jobs, parent: QObject) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._job: Job | None = None
        self._time_left = TimeLeft()

    @property
    def running(self) -> bool:
        """Whether a job is under way, paused or not."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """Whether the job is paused."""
        return self._job is not None and self._job.paused

    @property
    def seconds_left(self) -> float | None:
        """The estimated time that the job still needs, or None while that is unknown."""
        return self._time_left.seconds if self.running else None

    def pause(self) -> None:
        """Pause the job, or continue it if it is paused."""
        if self._job is not None:
            if self._job.paused:
                self._job.resume()
            else:
                self._job.pause()

    # For the subclass

    def _work(self, event: Any) -> tuple[int, int]:
        """(done, total) in steps of equal length, from which the time left is estimated."""
        return event.done, event.total

    def _show(self, event: Any) -> None:
        """Handle a new event."""
        raise NotImplementedError

    def _complete(self, event: Any) -> None:
        """Handle that the job reached its end; `event` is its answer."""
        raise NotImplementedError

    def _stopped(self, event: Any) -> None:
        """Handle that the job was cancelled; `event` is its last one, or None."""
        raise NotImplementedError

    def _fail(self, error: BaseException) -> None:
        """Handle that the job raised `error`."""
        raise NotImplementedError

    def _begin(self, stream: Callable[[], Iterator[Any]]) -> None:
        """Start a job that runs `stream`. Raises RuntimeError if a job is under way."""
        self._time_left = TimeLeft()
        job = self._job = self._jobs.start(stream)

        def wanted(slot: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda carried: slot(carried) if job is self._job else None

        def ending(slot: Callable[[Any], None]) -> Callable[[Any], None]:
            return wanted(lambda carried: self._end(slot, carried))

        job.progressed.connect(wanted(self._note_progress))
        job.paused_changed.connect(wanted(self._note_pause))
        job.completed.connect(ending(self._complete))
        job.cancelled.connect(ending(self._stopped))
        job.failed.connect(ending(self._fail))
        self.running_changed.emit()

    def _let_go(self) -> None:
        """Ignore the job from now on, whatever it still signals."""
        if self._job is not None:
            self._job = None
            self.running_changed.emit()

    def _note_progress(self, event: Any) -> None:
        self._time_left.note(*self._work(event))
        self._show(event)

    def _note_pause(self, paused: bool) -> None:
        self._time_left.hold(paused)
        self.running_changed.emit()

    def _end(self, slot: Callable[[Any], None], carried: Any) -> None:
        self._job = None
        slot(carried)
        self.running_changed.emit()
