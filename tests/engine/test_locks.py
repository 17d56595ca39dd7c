"""Of two that want to write to a folder one does, and a lock is never left behind."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from engine import locks
from engine.errors import FolderInUse

HOLDER = """
import sys
from pathlib import Path
from engine.locks import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_one_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = locks.Lock(tmp_path)
    assert locks.in_use(tmp_path)
    with pytest.raises(FolderInUse) as caught, locks.holding(tmp_path):
        pass
    assert caught.value.path == tmp_path
    # Another kind is another lock.
    locks.Lock(tmp_path, "window").release()
    first.release()
    first.release()
    assert not locks.in_use(tmp_path)
    with locks.holding(tmp_path):
        assert locks.in_use(tmp_path)


def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert locks.in_use(tmp_path)
        process.kill()
    assert not locks.in_use(tmp_path)


def test_where_there_are_no_locks_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locks.holding(tmp_path), locks.holding(tmp_path):
        assert not locks.in_use(tmp_path)
    with locks.holding(tmp_path / "missing"):
        pass
