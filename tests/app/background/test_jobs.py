"""Laws: one outcome, last, after the stream is closed; the newest event; no backlog."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from nca_seg_app.background.jobs import Job, Jobs
from nca_seg_app.background.tasks import Tasks
from nca_seg_app.background.time_left import TimeLeft

#: A busy machine may keep a thread waiting.
PATIENCE_MS = 20_000


class Steps:
    """A stream of `total` numbers that can be held, that fails, and that knows it was closed."""

    def __init__(self, total: int, holds_at: int = -1, fails_at: int = -1) -> None:
        self.total = total
        self.holds_at = holds_at
        self.fails_at = fails_at
        self.gate = threading.Event()
        self.reached = threading.Event()
        self.closed = False
        self.thread = 0

    @property
    def stands(self) -> bool:
        """Whether the thread of the stream waits to be let on, outside of the stream."""
        frame, names = sys._current_frames().get(self.thread), []
        while frame is not None:
            names.append(frame.f_code)
            frame = frame.f_back
        return threading.Condition.wait.__code__ in names and Steps.__call__.__code__ not in names

    def __call__(self) -> Iterator[int]:
        try:
            self.thread = threading.get_ident()
            for number in range(1, self.total + 1):
                if number == self.holds_at:
                    self.reached.set()
                    assert self.gate.wait(20)
                if number == self.fails_at:
                    raise OSError("the disk is full")
                yield number
        finally:
            self.closed = True


class Heard:
    """Everything a job told, in order, and whether the stream was closed by then."""

    def __init__(self, job: Job, steps: Steps) -> None:
        self.told: list[tuple[str, Any, bool]] = []
        for name in ("progressed", "completed", "cancelled", "failed"):
            signal = getattr(job, name)
            signal.connect(lambda value, name=name: self.told.append((name, value, steps.closed)))

    @property
    def outcomes(self) -> list[tuple[str, Any, bool]]:
        return [each for each in self.told if each[0] != "progressed"]


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


def test_a_stream_runs_elsewhere_and_completes_with_its_last_event(
    qtbot: QtBot, jobs: Jobs
) -> None:
    steps = Steps(50)
    job = jobs.start(steps)
    heard = Heard(job, steps)
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)
    assert heard.outcomes == [("completed", 50, True)]
    assert heard.told[-1][0] == "completed"
    assert steps.thread != threading.get_ident()
    numbers = [value for _, value, _ in heard.told]
    assert numbers == sorted(numbers)


def test_a_slow_window_sees_the_newest_event_and_no_backlog(qtbot: QtBot, jobs: Jobs) -> None:
    steps = Steps(400, holds_at=400)
    job = jobs.start(steps)
    heard = Heard(job, steps)
    assert steps.reached.wait(20)
    # The window was busy all the while: no event loop has run.
    qtbot.waitUntil(lambda: bool(heard.told), timeout=PATIENCE_MS)
    assert heard.told == [("progressed", 399, False)]
    steps.gate.set()
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)


def test_a_quick_stream_is_told_once_in_a_while(
    qtbot: QtBot, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nca_seg_app.background.jobs.PROGRESS_EVERY_MS", 60_000)
    steps = Steps(400, holds_at=400)
    job = jobs.start(steps)
    heard = Heard(job, steps)
    qtbot.waitUntil(lambda: bool(heard.told) and steps.reached.is_set(), timeout=PATIENCE_MS)
    # The stream has sent all that it sends by then.
    QCoreApplication.processEvents()
    assert len(heard.told) == 1
    steps.gate.set()
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)
    assert [(name, value) for name, value, _ in heard.told[1:]] == [("completed", 400)]


def test_every_single_step_of_a_paused_stream_is_told(
    qtbot: QtBot, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nca_seg_app.background.jobs.PROGRESS_EVERY_MS", 60_000)
    steps, told = Steps(10, holds_at=2), []
    job = jobs.start(steps)
    job.progressed.connect(told.append)
    qtbot.waitUntil(lambda: told == [1] and steps.reached.is_set(), timeout=PATIENCE_MS)
    job.pause()
    steps.gate.set()
    qtbot.waitUntil(lambda: told == [1, 2], timeout=PATIENCE_MS)
    for last in (3, 4, 5):
        job.advance()
        qtbot.waitUntil(lambda last=last: told == list(range(1, last + 1)), timeout=PATIENCE_MS)


def test_a_pause_tells_what_came_before_it_and_then_every_step(
    qtbot: QtBot, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nca_seg_app.background.jobs.PROGRESS_EVERY_MS", 60_000)
    gate, asked = threading.Semaphore(0), threading.Semaphore(0)

    def stream() -> Iterator[int]:
        for number in range(1, 9):
            yield number
            # By now the job has sent word of this number.
            asked.release()
            assert gate.acquire(timeout=20)

    told: list[int] = []
    job = jobs.start(stream)
    job.progressed.connect(told.append)
    qtbot.waitUntil(lambda: told == [1], timeout=PATIENCE_MS)
    gate.release()
    for _ in range(2):
        assert asked.acquire(timeout=20)
    QCoreApplication.processEvents()
    assert job.latest == 2
    assert told == [1]
    job.pause()
    assert told == [1, 2]
    # The step that was under way at the pause, and those asked for.
    for last in (3, 4, 5):
        gate.release()
        qtbot.waitUntil(lambda last=last: told == list(range(1, last + 1)), timeout=PATIENCE_MS)
        job.advance()
    job.cancel()
    gate.release()
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)


def test_what_came_in_between_is_told_though_nothing_follows(qtbot: QtBot, jobs: Jobs) -> None:
    gates = [threading.Event(), threading.Event()]

    def stream() -> Iterator[int]:
        for number, gate in enumerate(gates, 1):
            yield number
            assert gate.wait(20)

    told: list[int] = []
    jobs.start(stream).progressed.connect(told.append)
    qtbot.waitUntil(lambda: told == [1], timeout=PATIENCE_MS)
    gates[0].set()
    qtbot.waitUntil(lambda: told == [1, 2], timeout=PATIENCE_MS)
    gates[1].set()
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)


def test_cancelling_closes_the_stream_within_a_step(qtbot: QtBot, jobs: Jobs) -> None:
    steps = Steps(10, holds_at=4)
    job = jobs.start(steps)
    heard = Heard(job, steps)
    assert steps.reached.wait(20)
    job.cancel()
    assert job.stopping
    steps.gate.set()
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)
    assert heard.outcomes == [("cancelled", 4, True)]


def test_a_failure_is_told_once_with_its_error(qtbot: QtBot, jobs: Jobs) -> None:
    steps = Steps(10, fails_at=3)
    job = jobs.start(steps)
    heard = Heard(job, steps)
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)
    ((name, error, closed),) = heard.outcomes
    assert (name, str(error), closed) == ("failed", "the disk is full", True)


def test_a_stream_that_cannot_be_made_fails(qtbot: QtBot, jobs: Jobs) -> None:
    def factory() -> Iterator[int]:
        raise MemoryError

    heard: list[BaseException] = []
    jobs.start(factory).failed.connect(heard.append)
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)
    assert isinstance(heard[0], MemoryError)


def test_a_paused_stream_waits_and_takes_single_steps(qtbot: QtBot, jobs: Jobs) -> None:
    steps = Steps(10, holds_at=3)
    job = jobs.start(steps)
    assert steps.reached.wait(20)
    job.pause()
    steps.gate.set()
    qtbot.waitUntil(lambda: job.latest == 3 and steps.stands, timeout=PATIENCE_MS)
    assert (job.latest, job.paused) == (3, True)
    job.advance()
    job.advance()
    qtbot.waitUntil(lambda: job.latest == 5 and steps.stands, timeout=PATIENCE_MS)
    assert job.latest == 5
    with qtbot.waitSignal(job.completed, timeout=PATIENCE_MS):
        job.resume()


def test_a_paused_stream_can_be_cancelled(qtbot: QtBot, jobs: Jobs) -> None:
    job = jobs.start(Steps(10))
    job.pause()
    with qtbot.waitSignal(job.finished, timeout=PATIENCE_MS):
        job.cancel()


def test_only_one_job_runs_and_the_next_may_start_when_it_ended(qtbot: QtBot, jobs: Jobs) -> None:
    steps = Steps(3, holds_at=2)
    jobs.start(steps)
    with pytest.raises(RuntimeError):
        jobs.start(Steps(3))
    steps.gate.set()
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)
    with qtbot.waitSignal(jobs.start(Steps(3)).completed, timeout=PATIENCE_MS):
        pass


def test_a_spare_job_gives_way_and_the_persons_begins_after_its_end(
    qtbot: QtBot, jobs: Jobs
) -> None:
    spare_steps, steps = Steps(10, holds_at=3), Steps(3)
    spare = Heard(jobs.start_idle(spare_steps), spare_steps)
    assert jobs.current is None
    qtbot.waitUntil(spare_steps.reached.is_set, timeout=PATIENCE_MS)
    job = jobs.start(steps)
    heard = Heard(job, steps)
    assert jobs.current is job
    QCoreApplication.processEvents()
    assert not job._thread.isRunning()
    assert steps.thread == 0
    spare_steps.gate.set()
    qtbot.waitUntil(lambda: jobs.current is None, timeout=PATIENCE_MS)
    assert spare.outcomes == [("cancelled", 3, True)]
    assert heard.outcomes == [("completed", 3, True)]


def test_a_spare_job_starts_only_where_nothing_runs_or_holds(qtbot: QtBot, jobs: Jobs) -> None:
    called: list[str] = []
    jobs.start_idle(Steps(10**12))
    with pytest.raises(RuntimeError, match="under way"):
        jobs.start_idle(Steps(3))
    jobs.hold(lambda: called.append("held"))
    assert not called
    qtbot.waitUntil(lambda: bool(called), timeout=PATIENCE_MS)
    assert not jobs.free
    with pytest.raises(RuntimeError, match="under way"):
        jobs.start_idle(Steps(3))
    jobs.let_go()
    assert jobs.free
    jobs.start_idle(Steps(3))
    qtbot.waitUntil(lambda: jobs.free, timeout=PATIENCE_MS)


def test_closing_cancels_waits_and_tells_the_outcome(qtbot: QtBot) -> None:
    jobs, steps = Jobs(), Steps(10**12)
    job = jobs.start(steps)
    heard = Heard(job, steps)
    qtbot.waitUntil(lambda: job.latest is not None, timeout=PATIENCE_MS)
    jobs.close()
    assert [(name, closed) for name, _, closed in heard.outcomes] == [("cancelled", True)]
    assert jobs.current is None


def test_tasks_run_in_order_elsewhere_and_deliver_here(qtbot: QtBot) -> None:
    tasks, order, gate = Tasks(), [], threading.Event()
    heard: list[Any] = []
    here = threading.get_ident()

    def work(number: int) -> int:
        # The first one takes longest.
        assert number or gate.wait(20)
        order.append(number)
        return threading.get_ident()

    for number in range(3):
        tasks.run(lambda number=number: work(number), lambda thread: heard.append(thread != here))
    tasks.run(lambda: 1 / 0, None, lambda error: heard.append(type(error)))
    QCoreApplication.processEvents()
    assert not heard
    gate.set()
    qtbot.waitUntil(lambda: len(heard) == 4, timeout=PATIENCE_MS)
    assert order == [0, 1, 2]
    assert heard == [True, True, True, ZeroDivisionError]
    assert tasks.pending == 0
    tasks.close()


def test_closing_tasks_finishes_the_work_but_tells_nobody(qtbot: QtBot) -> None:
    tasks, done = Tasks(), []
    tasks.run(lambda: done.append("written"), lambda _: done.append("told"))
    tasks.close()
    QCoreApplication.processEvents()
    assert done == ["written"]


def test_time_left_follows_the_pace_and_leaves_pauses_out() -> None:
    now = [100.0]
    left = TimeLeft(lambda: now[0])
    left.note(1, 10)
    assert left.seconds is None
    now[0] += 2
    left.note(2, 10)
    assert left.seconds == pytest.approx(16)
    left.hold(True)
    now[0] += 1000
    left.hold(False)
    now[0] += 2
    left.note(3, 10)
    assert left.seconds == pytest.approx(14)
