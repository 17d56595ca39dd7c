"""One engine stream runs at a time, in its own thread; a slow window sees the newest event only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal, Slot

log = logging.getLogger(__name__)

#: Some systems give secondary threads half a megabyte, too little for a deep numerical library.
STACK_BYTES = 16 * 1024 * 1024
#: Events are told this far apart: four pictures a second are a film that can be followed, and
#: while a stream fills all cores, whatever is painted takes its time away.
TOLD_EVERY_MS = 250


class Job(QObject):
    """One stream under way. Exactly one of `completed`, `cancelled`, `failed` is emitted, last.

    That happens after the stream has been closed. All signals are emitted in the thread the job
    was made in. Stopping takes at most one step of the stream.
    """

    #: A newer event than the last one told; carries the newest. While the stream runs on it comes
    #: at most every `TOLD_EVERY_MS`.
    progressed = Signal(object)
    #: Pause or resume.
    paused_changed = Signal(bool)
    #: The last event: the answer.
    completed = Signal(object)
    #: The last event before the stop, or None.
    cancelled = Signal(object)
    #: The exception.
    failed = Signal(object)
    #: After any of the three.
    finished = Signal()

    def __init__(self, factory: Callable[[], Iterator[Any]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._outcome: Literal["", "completed", "cancelled", "failed"] = ""
        self._error: BaseException | None = None
        self._latest: Any = None
        self._told = True
        self._over = False
        self._paused = False
        self._steps = 0
        self._stop = False
        self._gate = threading.Condition()
        self._rest = QTimer(self, singleShot=True, interval=TOLD_EVERY_MS)
        self._rest.timeout.connect(self._tell)
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
        """Whether the outcome is still to come, pauses included."""
        return not self._over

    @property
    def paused(self) -> bool:
        """Whether the stream waits for `resume()` or `advance()`."""
        return self._paused

    @property
    def stopping(self) -> bool:
        """Whether `cancel()` was asked for."""
        return self._stop

    def pause(self) -> None:
        """Hold the stream after the step it is in."""
        self._set_paused(True)

    def resume(self) -> None:
        """Let the stream run on."""
        self._set_paused(False)

    def advance(self) -> None:
        """Let the stream take one step, and pause it there."""
        with self._gate:
            self._steps += 1
            self._gate.notify_all()
        self._set_paused(True)

    def cancel(self) -> None:
        """Ask the stream to stop; `cancelled` follows within one step, or what came before it."""
        with self._gate:
            self._stop = True
            self._gate.notify_all()

    def wait(self) -> None:
        """Block until the stream is closed, and emit the outcome before returning."""
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
            # What came since the last event told; only then is the next one an arrival.
            self._tell()

    @Slot()
    def _arrive(self) -> None:
        # Who goes on step by step sees every step.
        if self._paused or not self._rest.isActive():
            self._tell()

    @Slot()
    def _tell(self) -> None:
        with self._gate:
            news, self._told, event = not self._told, True, self._latest
        if news and not self._over:
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
    """Walks the stream; talks to its job through the job's gate and two signals."""

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
            # Whatever went wrong in there must reach the person, not kill the thread silently.
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
                told, job._told = job._told, False
            if told:
                self.arrived.emit()


class Jobs(QObject):
    """The one place for long work: at most one stream at a time, and a person's work comes first.

    A idle job gives way: it is cancelled as soon as a person's work wants to begin, which waits
    for its end, one step at most. It is not `current`: nobody has to know of it.
    """

    #: A job began, paused, went on or ended; see `current`.
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
        """Whether nothing runs or is about to, so that a idle job may start."""
        return self._current is None and self._idle is None and not self._holds

    def start(self, factory: Callable[[], Iterator[Any]]) -> Job:
        """The job that walks the stream `factory()` gives; both run in the job's thread.

        Connect to its signals right away: none is emitted before the event loop runs again.
        RuntimeError if a person's job is under way.
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
        """A job as of `start()` that gives way to all others. RuntimeError where not `free`."""
        if not self.free:
            raise RuntimeError("something is under way")
        job = self._idle = Job(factory, self)
        job.finished.connect(self._release_idle)
        job._start()
        return job

    def hold(self, go: Callable[[], None]) -> None:
        """Call `go` once no idle job runs; none starts until `let_go()` is called as often."""
        self._holds += 1
        self._after_idle(go)

    def let_go(self) -> None:
        """What `hold()` made room for is done."""
        self._holds -= 1
        self.changed.emit()

    def close(self) -> None:
        """Cancel what is under way and wait for its end; its outcome is emitted before."""
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
