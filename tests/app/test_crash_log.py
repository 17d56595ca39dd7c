"""Law: what went wrong is on disk afterwards, of each window, whatever it is made of."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

from nca_seg_app import crash_log
from tests.conftest import PROJECT

BEGIN = "import logging, sys; from nca_seg_app.crash_log import start_log; start_log(); "


def start(program: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        cwd=PROJECT,
        env={**os.environ, **more},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(os.environ["NCA_SEG_HOME"])
    folder.mkdir(parents=True)
    yield folder
    while crash_log._held:
        crash_log._held.pop().close()


def test_the_log_takes_any_name_in_any_language(home: Path) -> None:
    program = r"logging.getLogger('x').error('L\u00e4sion \u75c5\u5909 \udcff')"
    done = start(program, PYTHONUTF8="0", LC_ALL="C", PYTHONCOERCECLOCALE="0")
    _, told = done.communicate(timeout=60)
    assert (done.returncode, told) == (0, "")
    written = (home / "nca-seg-app.log").read_text(encoding="utf-8")
    assert "Läsion 病変 \\udcff" in written


def test_two_windows_have_a_log_each_and_the_next_begins_again(home: Path) -> None:
    say = "logging.getLogger('x').error('from {}'); print('ready', flush=True); sys.stdin.read()"
    windows = []
    for name in ("first", "second"):
        window = start(say.format(name))
        assert window.stdout is not None
        assert window.stdout.readline() == "ready\n"
        windows.append(window)
    for window in windows:
        window.communicate(timeout=60)
        assert window.returncode == 0
    third = start("logging.getLogger('x').error('from third')")
    third.communicate(timeout=60)
    assert "from second" in (home / "nca-seg-app-2.log").read_text(encoding="utf-8")
    first = (home / "nca-seg-app.log").read_text(encoding="utf-8")
    assert "from first" in first
    assert "from third" in first
    assert "from second" not in first


def test_a_log_that_another_window_holds_is_left_to_it(home: Path) -> None:
    assert crash_log._own_log(home) == home / "nca-seg-app.log"
    assert crash_log._own_log(home) == home / "nca-seg-app-2.log"
    for _ in range(2, crash_log.MOST_LOGS):
        assert crash_log._own_log(home) is not None
    assert crash_log._own_log(home) is None


def test_a_log_is_bounded(home: Path) -> None:
    handler = crash_log._rotating(home / "x.log")
    assert isinstance(handler, RotatingFileHandler)
    assert (handler.maxBytes, handler.backupCount) == (crash_log.LOG_BYTES, 1)
    handler.close()


@pytest.mark.parametrize("way", ["faulthandler._sigsegv()", "faulthandler._sigabrt()"])
def test_a_crash_says_where_it_was(way: str, home: Path) -> None:
    done = start(f"import faulthandler\ndef here(): {way}\nhere()")
    done.communicate(timeout=60)
    assert done.returncode != 0
    assert "in here" in (home / "nca-seg-app.crash").read_text(encoding="utf-8")


@pytest.mark.parametrize("gone", ["stderr = None", "stderr = sys.stdout = None"])
def test_a_program_without_a_console_has_its_log(gone: str, home: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-c",
            f"import sys; sys.{gone}\n{BEGIN}logging.getLogger('x').critical('worst')",
        ],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "worst" in (home / "nca-seg-app.log").read_text(encoding="utf-8")


def test_where_no_log_can_be_written_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = start("logging.getLogger('x').error('lost')", NCA_SEG_HOME=str(tmp_path / "file"))
    _, told = done.communicate(timeout=60)
    assert (done.returncode, told) == (0, "")


def test_a_log_on_a_full_disk_is_not_told_at_each_line(home: Path) -> None:
    program = (
        "handler = logging.getLogger().handlers[-1]; handler.stream = open('/dev/full', 'w')\n"
        "handler.maxBytes = 0; logging.getLogger('x').error('lost'); handler.stream = None"
    )
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    done = start(program)
    _, told = done.communicate(timeout=60)
    assert (done.returncode, "Logging error" in told) == (0, False)
    assert logging.raiseExceptions
