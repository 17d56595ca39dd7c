"""Checks, measures and trains on a GPU within some minutes, and keeps each result at once.

    python -m tests.gpu --data PACK --out DIR [--minutes 9] [--parts checks bench train] [--quick]
                        [-- FLAGS OF nca-seg train]

DIR/results.jsonl gets a line for each result as it is found, DIR/training the weights of the
training, so the command may be cut off at any time; docs/gpu.md says more. It needs torch, numpy,
scipy, scikit-image, Pillow, safetensors, typer and matplotlib, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from tests.gpu.parts import PARTS, named
from tests.gpu.worker import BROKEN

RESULTS = "results.jsonl"
#: A part ends itself in time if it can; it is ended so long after, and killed after as long again.
GRACE_S = 10.0
#: How long a worker may take to begin, with torch and the device.
START_S = 90.0


class Log:
    """Appends each result to a file at once, and prints it."""

    def __init__(self, path: Path) -> None:
        self.began_s = time.time()
        self.failed = 0
        self._path = path

    def add(self, result: dict[str, Any]) -> None:
        """Keep a result, with the seconds since the beginning."""
        at_s = round(time.time() - self.began_s, 1)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at_s": at_s, **result}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.failed += result.get("passed") is False
        print(f"{at_s:7.1f} s  {_shown(result)}", flush=True)


def _shown(result: dict[str, Any]) -> str:
    """A result as a line for people."""
    figures = result.get("figures") or {}
    words = [f"{name} {_number(value)}" for name, value in figures.items()]
    words += [str(result["reason"])] if "reason" in result else []
    verdict = {True: "  PASSED", False: "  FAILED"}.get(result.get("passed"), "")  # type: ignore[call-overload]
    return f"{result['part']}: {result['what']}  {', '.join(words)}{verdict}"


def _number(value: object) -> str:
    return f"{value:,.5g}" if isinstance(value, float) else str(value)


def run(
    names: list[str],
    asked: dict[str, Any],
    log: Log,
    program: tuple[str, str] = ("-m", "tests.gpu.worker"),
) -> None:
    """Run parts in a worker; where one ends its worker, the rest is run in a new one.

    Parameters
    ----------
    names : of the parts.
    asked : what the worker is asked for, besides the parts.
    log : where results go.
    program : the worker, as Python is told it.
    """
    waiting = list(names)
    while waiting and time.time() < asked["end_s"]:
        begun, reason = "worker", ""
        command = [sys.executable, *program, json.dumps({"parts": waiting, **asked})]
        # A session of its own, so that it can be ended with all that it started.
        worker = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            for line in _lines(worker, asked["end_s"]):
                if line.pop("begun", False):
                    begun = waiting.pop(0)
                else:
                    log.add(line)
            worker.wait(GRACE_S)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        finally:
            _end(worker)
        if worker.returncode != 0:
            reason = reason or f"its process ended with {worker.returncode}"
            # Where the device broke the part has failed already.
            failed = {} if worker.returncode == BROKEN else {"passed": False}
            log.add({"part": begun, "what": "ended", "reason": reason, **failed})
        if begun == "worker":
            break
    for name in waiting:
        log.add({"part": name, "what": "left out", "reason": "no time was left"})


def _lines(worker: subprocess.Popen[str], end_s: float) -> Iterator[dict[str, Any]]:
    """What a worker says, as it says it. Raises TimeoutError if a part takes too long."""
    assert worker.stdout is not None
    said: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pass_on, args=(worker.stdout, said), daemon=True).start()
    limit_s, part = min(end_s, time.time() + START_S), "the start of its process"
    while True:
        try:
            line = said.get(timeout=max(0.0, limit_s + GRACE_S - time.time()))
        except queue.Empty:
            raise TimeoutError(f"{part} took too long, and was ended") from None
        if line is None:
            return
        told = json.loads(line)
        if told.get("begun"):
            limit_s, part = told["end_s"], told["part"]
        yield told


def _pass_on(stream: TextIO, said: queue.Queue[str | None]) -> None:
    with stream:
        for line in stream:
            said.put(line)
    said.put(None)


def _end(worker: subprocess.Popen[str]) -> None:
    """End a worker, and all that it started, if it has not ended; a training keeps its weights."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if worker.poll() is None:
            os.killpg(worker.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                worker.wait(GRACE_S)


@contextmanager
def cut_off_as_interrupted() -> Iterator[None]:
    """Takes the signal by which a command is ended for Ctrl+C, so that it ends its workers."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> int:
    """Run the parts that are asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(
        "python -m tests.gpu", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="data set folder, as of a pack")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything found")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all parts together")
    parser.add_argument("--parts", nargs="+", default=["checks", "bench", "train"], metavar="PART")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--quick", action="store_true", help="only show that everything runs")
    parser.add_argument("flags", nargs="*", help="after --: flags of nca-seg train")
    given = parser.parse_args()
    kinds = {part.kind for part in PARTS.values()}
    if unknown := {*given.parts} - {*PARTS} - kinds:
        parser.error(f"{', '.join(sorted(unknown))}: not {', '.join((*sorted(kinds), *PARTS))}")
    given.out.mkdir(parents=True, exist_ok=True)
    log = Log(given.out / RESULTS)
    # Or it would be looked for, which needs platformdirs.
    os.environ.setdefault("NCA_SEG_HOME", str((given.out / "home").absolute()))
    asked = {
        "data": str(given.data),
        "out": str(given.out),
        "device": given.device,
        "quick": given.quick,
        "train_flags": given.flags,
        "end_s": log.began_s + 60 * given.minutes,
    }
    try:
        with cut_off_as_interrupted():
            run(named(given.parts), asked, log)
    except KeyboardInterrupt:
        log.add({"part": "all", "what": "interrupted"})
        return 130
    return int(log.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
