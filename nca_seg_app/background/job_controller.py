"""Runs one job at a time for a service: it ends once, and a job let go of is not listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from PySide6.QtCore import QObject, Signal

from nca_seg_app.background.jobs import Job, Jobs
from nca_seg_app.background.time_left import TimeLeft


class JobController(QObject):
    """What segmenting, fine-tuning and exporting share: a run, with the time it still needs.

    A subclass says what each event means, and each of the three ends; nothing runs by then.
    """

    #: The run began, paused, went on or ended.
    running_changed = Signal()

    def __init__(self, jobs: Jobs, parent: QObject) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._job: Job | None = None
        self._time_left = TimeLeft()

    @property
    def running(self) -> bool:
        """Whether a run is under way, pauses included."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """Whether the run waits."""
        return self._job is not None and self._job.paused

    @property
    def seconds_left(self) -> float | None:
        """Time the run still needs, or None while that is unknown."""
        return self._time_left.seconds if self.running else None

    def pause(self) -> None:
        """Pause the run, or let it go on."""
        if self._job is not None:
            if self._job.paused:
                self._job.resume()
            else:
                self._job.pause()

    # For the subclass

    def _work(self, event: Any) -> tuple[int, int]:
        """(done, total) in steps that take equally long: what the time left is reckoned from."""
        return event.done, event.total

    def _show(self, event: Any) -> None:
        """A newer event has come."""
        raise NotImplementedError

    def _complete(self, event: Any) -> None:
        """The run reached its end; `event` is the answer."""
        raise NotImplementedError

    def _stopped(self, event: Any) -> None:
        """The run was cancelled; `event` is the last one, or None."""
        raise NotImplementedError

    def _fail(self, error: BaseException) -> None:
        """The run broke."""
        raise NotImplementedError

    def _begin(self, stream: Callable[[], Iterator[Any]]) -> None:
        """Run `stream`. RuntimeError if another job is under way."""
        self._time_left = TimeLeft()
        job = self._job = self._jobs.start(stream)

        def wanted(slot: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda told: slot(told) if job is self._job else None

        def ending(slot: Callable[[Any], None]) -> Callable[[Any], None]:
            return wanted(lambda told: self._end(slot, told))

        job.progressed.connect(wanted(self._note_progress))
        job.paused_changed.connect(wanted(self._note_pause))
        job.completed.connect(ending(self._complete))
        job.cancelled.connect(ending(self._stopped))
        job.failed.connect(ending(self._fail))
        self.running_changed.emit()

    def _let_go(self) -> None:
        """Listen to the run no more, whatever it still tells."""
        if self._job is not None:
            self._job = None
            self.running_changed.emit()

    def _note_progress(self, event: Any) -> None:
        self._time_left.note(*self._work(event))
        self._show(event)

    def _note_pause(self, paused: bool) -> None:
        self._time_left.hold(paused)
        self.running_changed.emit()

    def _end(self, slot: Callable[[Any], None], told: Any) -> None:
        self._job = None
        slot(told)
        self.running_changed.emit()
