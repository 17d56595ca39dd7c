"""Runs streams of the engine in threads, one at a time, and passes on the newest event of each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal, Slot

log = logging.getLogger(__name__)

#: The stack of a job's thread. Some systems give only half a megabyte, too little for torch.
STACK_BYTES = 16 * 1024 * 1024
#: The time between two signalled events. Four pictures a second can be followed, and painting more
#: would take time from the stream, which uses all cores.
PROGRESS_EVERY_MS = 250


class Job(QObject):
    """Runs one stream in a thread.

    Exactly one of `completed`, `cancelled` and `failed` is emitted, after the stream was closed;
    then `finished`. All signals are emitted in the thread in which the job was made. Stopping takes
    at most one step of the stream. Jobs are made by `Jobs`.

    Parameters
    ----------
    factory : makes the stream, in the job's thread.
    parent : the Qt parent.
    """

    #: There is a new event; carries the newest. Emitted at most every `PROGRESS_EVERY_MS` unless
    #: the job is paused.
    progressed = Signal(object)
    #: The job was paused (True) or resumed (False).
    paused_changed = Signal(bool)
    #: The stream ended; carries its last event, the answer.
    completed = Signal(object)
    #: The job was cancelled; carries the last event before, or None.
    cancelled = Signal(object)
    #: The stream raised; carries the exception.
    failed = Signal(object)
    #: Emitted after any of the three.
    finished = Signal()

    def __init__(self, factory: Callable[[], Iterator[Any]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._outcome: Literal["", "completed", "cancelled", "failed"] = ""
        self._error: BaseException | None = None
        self._latest: Any = None
        #: Whether `latest` has been signalled.
        self._signalled = True
        self._over = False
        self._paused = False
        self._steps = 0
        self._stop = False
        self._gate = threading.Condition()
        self._rest = QTimer(self, singleShot=True, interval=PROGRESS_EVERY_MS)
        self._rest.timeout.connect(self._signal_progress)
        self._thread = _StreamThread(self, factory)
        self._thread.arrived.connect(self._arrive, Qt.ConnectionType.QueuedConnection)
        self._thread.finished.connect(self._conclude, Qt.ConnectionType.QueuedConnection)

    @property
    def latest(self) -> Any:
        """The newest event, or None before the first."""
        with self._gate:
            return self._latest

    @property
    def running(self) -> bool:
        """Whether the job has not ended yet, paused or not."""
        return not self._over

    @property
    def paused(self) -> bool:
        """Whether the stream waits for `resume()` or `advance()`."""
        return self._paused

    @property
    def stopping(self) -> bool:
        """Whether `cancel()` was called."""
        return self._stop

    def pause(self) -> None:
        """Pause the stream after the step that it is in."""
        self._set_paused(True)

    def resume(self) -> None:
        """Continue the stream."""
        self._set_paused(False)

    def advance(self) -> None:
        """Let the stream take one step, then pause it."""
        with self._gate:
            self._steps += 1
            self._gate.notify_all()
        self._set_paused(True)

    def cancel(self) -> None:
        """Ask the stream to stop; `cancelled` follows within one step, unless it ends by itself."""
        with self._gate:
            self._stop = True
            self._gate.notify_all()

    def wait(self) -> None:
        """Block until the stream is closed; the job's ending is signalled before this returns."""
        self._thread.wait()
        self._conclude()

    def _start(self) -> None:
        self._thread.setStackSize(STACK_BYTES)
        self._thread.start()

    def _set_paused(self, paused: bool) -> None:
        if self._over or paused == self._paused:
            return
        with self._gate:
            self._paused = paused
            self._steps = self._steps if paused else 0
            self._gate.notify_all()
        self.paused_changed.emit(paused)
        if paused:
            # Signal the event that came since the last signal, which no later one will replace.
            self._signal_progress()

    @Slot()
    def _arrive(self) -> None:
        # While paused, every step that a person asks for is signalled.
        if self._paused or not self._rest.isActive():
            self._signal_progress()

    @Slot()
    def _signal_progress(self) -> None:
        with self._gate:
            is_new, self._signalled, event = not self._signalled, True, self._latest
        if is_new and not self._over:
            self._rest.start()
            self.progressed.emit(event)

    @Slot()
    def _conclude(self) -> None:
        if self._over:
            return
        self._thread.wait()
        self._over = True
        if self._outcome == "completed":
            self.completed.emit(self._latest)
        elif self._outcome == "cancelled":
            self.cancelled.emit(self._latest)
        else:
            self.failed.emit(self._error)
        self.finished.emit()


class _StreamThread(QThread):
    """The thread that iterates over the stream and hands its events to the job."""

    arrived = Signal()

    def __init__(self, job: Job, factory: Callable[[], Iterator[Any]]) -> None:
        super().__init__(job)
        self._job = job
        self._factory = factory

    def run(self) -> None:
        job = self._job
        try:
            stream = self._factory()
            try:
                job._outcome = self._walk(stream)
            finally:
                close = getattr(stream, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            # Any error must reach the person instead of ending the thread silently.
            log.exception("A job failed")
            job._error, job._outcome = error, "failed"

    def _walk(self, stream: Iterator[Any]) -> Literal["completed", "cancelled"]:
        job = self._job
        while True:
            with job._gate:
                while job._paused and not job._steps and not job._stop:
                    job._gate.wait()
                if job._stop:
                    return "cancelled"
                job._steps = max(0, job._steps - 1)
            try:
                event = next(stream)
            except StopIteration:
                return "completed"
            with job._gate:
                job._latest = event
                waits, job._signalled = not job._signalled, False
            # While an event waits to be signalled, the newest takes its place.
            if not waits:
                self.arrived.emit()


class Jobs(QObject):
    """Starts long work as jobs, at most one at a time, and prefers a person's work to idle jobs.

    An idle job is cancelled as soon as a job of the person's is started, which waits for its end,
    one step at most. `current` does not show idle jobs.
    """

    #: A job began, paused, continued or ended.
    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._current: Job | None = None
        self._idle: Job | None = None
        self._waiting: list[Callable[[], None]] = []
        self._holds = 0

    @property
    def current(self) -> Job | None:
        """The person's job under way, or None."""
        return self._current

    @property
    def free(self) -> bool:
        """Whether nothing runs or is about to, so that an idle job may start."""
        return self._current is None and self._idle is None and not self._holds

    def start(self, factory: Callable[[], Iterator[Any]]) -> Job:
        """Start a job that runs the stream `factory()`; both run in the job's thread.

        None of its signals is emitted before the event loop runs again, so the caller can connect
        to them first. Raises RuntimeError if a job of the person's is under way.
        """
        if self._current is not None:
            raise RuntimeError("a job is under way")
        job = Job(factory, self)
        self._current = job
        job.paused_changed.connect(self._announce)
        job.finished.connect(self._release)
        self._after_idle(job._start)
        self.changed.emit()
        return job

    def start_idle(self, factory: Callable[[], Iterator[Any]]) -> Job:
        """Start a job as `start()` does, but one that gives way to all others.

        Raises RuntimeError unless `free`.
        """
        if not self.free:
            raise RuntimeError("something is under way")
        job = self._idle = Job(factory, self)
        job.finished.connect(self._release_idle)
        job._start()
        return job

    def hold(self, go: Callable[[], None]) -> None:
        """Call `go` once no idle job runs; none starts until `let_go()` is called for each call."""
        self._holds += 1
        self._after_idle(go)

    def let_go(self) -> None:
        """Allow idle jobs again after one `hold()`."""
        self._holds -= 1
        self.changed.emit()

    def close(self) -> None:
        """Cancel all jobs and wait for their ends, which are signalled before this returns."""
        jobs = [job for job in (self._idle, self._current) if job is not None]
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait()

    def _after_idle(self, go: Callable[[], None]) -> None:
        if self._idle is None:
            go()
        else:
            self._idle.cancel()
            self._waiting.append(go)

    @Slot()
    def _release_idle(self) -> None:
        job, self._idle = self._idle, None
        if job is not None:
            job.deleteLater()
        waiting, self._waiting = self._waiting, []
        for go in waiting:
            go()
        self.changed.emit()

    @Slot()
    def _announce(self) -> None:
        self.changed.emit()

    @Slot()
    def _release(self) -> None:
        job, self._current = self._current, None
        if job is not None:
            job.deleteLater()
        self.changed.emit()
