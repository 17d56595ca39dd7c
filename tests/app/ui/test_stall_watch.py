"""Law: the watch sees a window that does not answer, and only then."""

from __future__ import annotations

import logging
import time

import pytest
from pytestqt.qtbot import QtBot

from nca_seg_app.ui.stall_watch import BOUND_MS, StallWatch


def test_a_stall_is_measured_and_logged(qtbot: QtBot, caplog: pytest.LogCaptureFixture) -> None:
    watch = StallWatch()
    watch.set_running(True)
    with caplog.at_level(logging.WARNING), qtbot.waitSignal(watch.stalled, timeout=5000) as told:
        time.sleep(3 * BOUND_MS / 1e3)
    assert told.args is not None
    assert told.args[0] >= 2 * BOUND_MS
    assert watch.longest_ms >= told.args[0]
    assert watch.count == 1
    assert "did not answer" in caplog.text


def test_what_happens_while_it_rests_is_not_counted(qtbot: QtBot) -> None:
    watch = StallWatch()
    time.sleep(3 * BOUND_MS / 1e3)
    watch.set_running(True)
    qtbot.wait(30)
    watch.set_running(False)
    time.sleep(3 * BOUND_MS / 1e3)
    qtbot.wait(30)
    watch.set_running(True)
    qtbot.wait(30)
    assert watch.longest_ms < 3 * BOUND_MS
