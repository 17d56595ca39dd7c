"""A log that something else wrote to costs no training."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.training.curves import COLUMNS, LOG, draw_curves, logged, read_curves
from engine.types import TrainStep

HEAD = ",".join(COLUMNS).encode() + b"\n"
LINE = b"1,9,0.5,0.1,3,,,\n"


def step(done: int) -> TrainStep:
    return TrainStep(done, 9, 0.5, 0.1, 3.0, None, None, None)


@pytest.mark.parametrize(
    ("content", "rows"),
    {
        b"": 0,
        HEAD: 0,
        HEAD + LINE: 1,
        HEAD + LINE + b"2,9,0.5": 1,
        HEAD + b"\xff\xfe\xe4\n" + LINE: 1,
        (HEAD + LINE).decode().encode("utf-16"): 0,
        HEAD + b'"' + LINE * 9000: 8999,
        HEAD + b"7" * 200_000 + b"\n" + LINE: 1,
        HEAD + b"\0\0\n" + LINE: 1,
        os.urandom(5000): 0,
    }.items(),
)
def test_what_is_no_line_of_a_log_is_left_out(tmp_path: Path, content: bytes, rows: int) -> None:
    path = tmp_path / LOG
    path.write_bytes(content)
    assert len(read_curves(path)) == rows
    list(logged(iter([step(5), step(6)]), path))
    assert [row["done"] for row in read_curves(path)] == [1] * rows + [5, 6]


def test_a_damaged_log_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / LOG).write_bytes(HEAD + LINE + b"nan,1,inf,nan,inf,-inf,,\n\xff\n")
    draw_curves(tmp_path / LOG, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_in_place_of_a_log_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOG)
    with pytest.raises(OSError, match="not a regular file"):
        read_curves(tmp_path / LOG)
    with pytest.raises(OSError, match="not a regular file"):
        next(logged(iter([step(1)]), tmp_path / LOG))


def test_a_skipped_step_is_counted_in_the_log_and_has_no_loss(tmp_path: Path) -> None:
    path, skipped = tmp_path / LOG, replace(step(2), loss=math.nan, skipped=1)
    list(logged(iter([step(1), skipped, replace(step(3), skipped=1)]), path))
    rows = read_curves(path)
    assert [row["skipped"] for row in rows] == [0, 1, 1]
    assert [row["loss"] for row in rows] == [0.5, None, 0.5]
    pytest.importorskip("matplotlib")
    draw_curves(path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_a_log_from_before_steps_were_skipped_goes_on(tmp_path: Path) -> None:
    path = tmp_path / LOG
    path.write_bytes(HEAD.replace(b",skipped", b"") + LINE)
    assert [(row["done"], row["skipped"]) for row in read_curves(path)] == [(1, None)]
    list(logged(iter([step(2)]), path))
    assert [(row["done"], row["skipped"]) for row in read_curves(path)] == [(1, None), (2, 0)]
