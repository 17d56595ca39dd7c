"""Law: the watch sees a window that does not answer, and only then."""

from __future__ import annotations

import logging

import pytest
from pytestqt.qtbot import QtBot

from nca_seg_app.ui.stall_watch import BOUND_MS, StallWatch

LONG_S = 3 * BOUND_MS / 1e3


class Clock:
    """A time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now_s, self.looks = 100.0, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now_s


def look(qtbot: QtBot, clock: Clock) -> None:
    """Wait until the watch, which runs, has looked again."""
    before = clock.looks
    qtbot.waitUntil(lambda: clock.looks > before)


def test_a_stall_is_measured_and_logged(qtbot: QtBot, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    watch = StallWatch(clock=clock)
    watch.set_running(True)
    with caplog.at_level(logging.WARNING), qtbot.waitSignal(watch.stalled) as told:
        clock.now_s += LONG_S
    assert told.args is not None
    assert told.args[0] >= 2 * BOUND_MS
    assert watch.longest_ms >= told.args[0]
    assert watch.count == 1
    assert "did not answer" in caplog.text


def test_what_happens_while_it_rests_is_not_counted(qtbot: QtBot) -> None:
    clock = Clock()
    watch = StallWatch(clock=clock)
    clock.now_s += LONG_S
    watch.set_running(True)
    look(qtbot, clock)
    watch.set_running(False)
    clock.now_s += LONG_S
    watch.set_running(True)
    look(qtbot, clock)
    assert watch.longest_ms == 0
    assert watch.count == 0


def test_a_short_wait_is_measured_and_no_stall(qtbot: QtBot) -> None:
    clock = Clock()
    watch = StallWatch(clock=clock)
    watch.set_running(True)
    clock.now_s += BOUND_MS / 1e3
    look(qtbot, clock)
    assert 0 < watch.longest_ms <= BOUND_MS
    assert watch.count == 0
