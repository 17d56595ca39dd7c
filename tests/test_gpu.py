"""Law: on a bare machine the command for a GPU does everything, and no part stops the next."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.gpu import __main__ as driver
from tests.gpu import worker
from tests.gpu.parts import PARTS, Given, Part, Result, named
from tests.sources import PROJECT

#: What a bare machine has not. (What starts a Python looks for this module.)
BARE = """
import sys

MISSING = {"platformdirs", "PySide6", "shiboken6", "pyqtgraph", "monai", "pytest", "rich"}


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            raise ModuleNotFoundError(f"{name} is not on a bare machine", name=name)


sys.meta_path.insert(0, Missing())
"""
#: A worker whose parts do what they are called.
WORKER = """
import json, os, sys, threading

asked = json.loads(sys.argv[1])
for part in asked["parts"]:
    end_s = 0 if part.startswith("hang") else asked["end_s"]
    print(json.dumps({"part": part, "begun": True, "end_s": end_s}), flush=True)
    if part.startswith("die"):
        os._exit(7)
    if part.startswith("device"):
        print(json.dumps({"part": part, "what": "broke", "passed": False}), flush=True)
        os._exit(3)
    if part.startswith("hang"):
        threading.Event().wait()
    print(json.dumps({"part": part, "what": "found", "passed": True}), flush=True)
"""
#: A command whose only worker tells its number and waits for ever.
COMMAND = """
import sys
import time
from pathlib import Path

from tests.gpu import __main__ as driver

with driver.cut_off_as_interrupted():
    log = driver.Log(Path(sys.argv[1]))
    driver.run(["one"], {"end_s": time.time() + 60}, log, ("-c", sys.argv[2]))
"""
WAITING = """
import json, os, threading

print(json.dumps({"part": "pid", "what": os.getpid()}), flush=True)
threading.Event().wait()
"""


def results(out: Path) -> list[dict[str, Any]]:
    lines = (out / driver.RESULTS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """The project's own samples as a data set folder."""
    source, root = PROJECT / "resources" / "samples", tmp_path / "samples"
    shutil.copytree(source / "masks", root / "masks")
    (root / "images").mkdir()
    for path in source.glob("*.jpg"):
        shutil.copy(path, root / "images")
    return root


@pytest.mark.timeout(500)
def test_everything_runs_on_a_bare_machine(samples: Path, tmp_path: Path) -> None:
    bare, out = tmp_path / "bare", tmp_path / "out"
    bare.mkdir()
    (bare / "sitecustomize.py").write_text(BARE)
    named_elsewhere = {"NCA_SEG_HOME", "PYTHONPATH"}
    surroundings = {key: each for key, each in os.environ.items() if key not in named_elsewhere}
    environment = {**surroundings, "PYTHONPATH": str(bare)}

    def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert "bare machine" in python("-c", "import rich").stderr
    packed = python("-m", "engine", "pack", samples, "--out", tmp_path / "pack")
    assert packed.returncode == 0, packed.stderr
    common = ("--data", tmp_path / "pack", "--out", out, "--quick", "--device", "cpu")
    done = python("-m", "tests.gpu", *common, "--", "--learning-rate", "2e-3")
    assert done.returncode == 0, done.stdout + done.stderr
    found = results(out)
    assert list(dict.fromkeys(each["part"] for each in found)) == ["machine", *PARTS]
    assert {each["what"] for each in found if each["part"] in ("graph", "processor")} == {"skipped"}
    assert all("CUDA" in each["reason"] for each in found if each["what"] == "skipped")
    judged = {each["part"] for each in found if each.get("passed") is True}
    assert judged == {"repeatable", "precision", "batch", "stale", "train"}
    assert len(done.stdout.splitlines()) == len(found)
    assert (out / "training/best.safetensors").is_file()
    (score,) = (each for each in found if each["part"] == "evaluate")
    assert 0 <= score["figures"]["dice"] <= 1
    from engine.networks.checkpoint import read_spec

    assert read_spec(out / "training/best.safetensors").training["learning_rate"] == 2e-3


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> driver.Log:
    monkeypatch.setattr(driver, "GRACE_S", 0.3)
    return driver.Log(tmp_path / driver.RESULTS)


def run(log: driver.Log, *names: str, seconds: float = 60.0) -> None:
    asked = {"end_s": time.time() + seconds}
    driver.run(list(names), asked, log, ("-c", WORKER))


def test_a_part_that_ends_its_process_stops_no_other(log: driver.Log, tmp_path: Path) -> None:
    run(log, "one", "die", "two", "device", "three")
    found = [(each["part"], each["what"], each.get("passed")) for each in results(tmp_path)]
    assert found == [
        ("one", "found", True),
        ("die", "ended", False),
        ("two", "found", True),
        ("device", "broke", False),
        ("device", "ended", None),
        ("three", "found", True),
    ]
    assert log.failed == 2


def test_a_part_that_hangs_is_ended_and_the_next_follows(log: driver.Log, tmp_path: Path) -> None:
    run(log, "hang", "one")
    first, second = results(tmp_path)
    assert (first["part"], first["passed"]) == ("hang", False)
    assert "took too long" in first["reason"]
    assert second["part"] == "one"


def test_what_there_is_no_time_for_is_said(log: driver.Log, tmp_path: Path) -> None:
    run(log, "one", "two", seconds=-1.0)
    assert [each["what"] for each in results(tmp_path)] == ["left out", "left out"]


def test_a_worker_that_does_not_start_is_not_started_again(log: driver.Log, tmp_path: Path) -> None:
    driver.run(["one"], {"end_s": time.time() + 60}, log, ("-c", "raise SystemExit(1)"))
    first, second = results(tmp_path)
    assert (first["part"], first["passed"], second["part"]) == ("worker", False, "one")


def test_a_command_that_is_cut_off_leaves_nothing_running(tmp_path: Path) -> None:
    path = tmp_path / driver.RESULTS
    command = [sys.executable, "-c", COMMAND, str(path), WAITING]
    running = subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert running.stdout is not None
    assert "pid" in running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    with pytest.raises(ProcessLookupError):
        os.kill(results(tmp_path)[0]["what"], 0)


def test_what_goes_wrong_in_a_part_is_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ModuleType("tests.gpu.made")

    def wrong(given: Given) -> Iterator[Result]:
        yield Result("half", {"figure": 1.0})
        raise ArithmeticError("two is odd")

    def right(given: Given) -> Iterator[Result]:
        yield Result("whole", {"left": given.end_s}, passed=True)

    made.wrong, made.right, made.gpu = wrong, right, right  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, made.__name__, made)
    parts = {"wrong": Part("made", "checks", 9), "gpu": Part("made", "checks", 9, "it is its rate")}
    monkeypatch.setattr(worker, "PARTS", {**parts, "right": Part("made", "checks", None)})
    lines, end_s = StringIO(), time.time() + 1000
    given = Given(tmp_path, tmp_path, "cpu", True, (), end_s)
    worker.run(["wrong", "gpu", "right"], given, lines)
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    said = [(each["part"], each.get("what"), each.get("passed")) for each in told]
    assert said == [
        ("wrong", None, None),
        ("wrong", "half", None),
        ("wrong", "broke", False),
        ("gpu", None, None),
        ("gpu", "skipped", None),
        ("right", None, None),
        ("right", "whole", True),
    ]
    assert told[2]["reason"] == "ArithmeticError: two is odd"
    assert told[4]["reason"] == "needs CUDA: it is its rate"
    # Only one without a limit may take what is left.
    assert told[0]["end_s"] < time.time() + 9 < told[5]["end_s"] < end_s
    assert "two is odd" in capsys.readouterr().err


def test_parts_are_asked_for_by_name_or_kind() -> None:
    assert named(["train", "graph"]) == ["graph", "train", "evaluate"]
    assert named(["checks", "bench", "train"]) == list(PARTS)
