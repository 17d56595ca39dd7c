"""What the campaigns share: trials that are repeated by their number, and how they ended."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

PROJECT = Path(__file__).parents[2]
SAMPLES = PROJECT / "resources" / "samples"

#: How a trial may end. The last four are faults, and a campaign with one of them has failed.
Verdict = Literal["held", "refused", "skipped", "lost", "hung", "traceback", "wrong"]
FAULTS = ("lost", "hung", "traceback", "wrong")


@dataclass(frozen=True)
class Trial:
    """One trial: which, of what kind, how it ended, and what was found.

    "held": all was as it must be. "refused": a damaged file was refused in one sentence. "skipped":
    something that the trial needs is not there. "lost": work of a person, or a promise about it.
    "hung": no end within the limit. "traceback": an error that nobody foresaw, or a crash.
    "wrong": an answer that is not right, without a word.
    """

    number: int
    kind: str
    verdict: Verdict
    found: str = ""

    @classmethod
    def of(cls, number: int, kind: str, faults: Sequence[tuple[Verdict, str]]) -> Trial:
        """A trial that held, or failed with the worst of its faults, all of them told."""
        if not faults:
            return cls(number, kind, "held")
        worst = min(faults, key=lambda fault: FAULTS.index(fault[0]))[0]
        return cls(number, kind, worst, "; ".join(text for _, text in faults))


class Campaign(Protocol):
    """Many trials of one sort; `trial` may be called from two threads at once."""

    #: How many trials a whole campaign has.
    count: int

    def trial(self, number: int, seed: int, folder: Path) -> Trial:
        """Do one trial in an empty folder; the same number and seed give the same trial."""

    def close(self) -> None:
        """End the processes that were kept for the next trial."""


@dataclass
class Tally:
    """How the trials of a campaign ended, by kind."""

    name: str
    ends: dict[str, Counter[str]] = field(default_factory=dict)
    faults: int = 0

    def add(self, trial: Trial) -> None:
        """Count a trial."""
        self.ends.setdefault(trial.kind, Counter())[trial.verdict] += 1
        self.faults += trial.verdict in FAULTS

    def rows(self) -> Iterator[tuple[str, int, int, int, int, int, int, int]]:
        """(kind, trials, held, refused, skipped, lost, hung, traceback or wrong)."""
        for kind, ends in sorted(self.ends.items()):
            yield (
                f"{self.name}: {kind}", ends.total(), ends["held"], ends["refused"],
                ends["skipped"], ends["lost"], ends["hung"], ends["traceback"] + ends["wrong"],
            )  # fmt: skip


HEADINGS = ("", "trials", "held", "refused", "skipped", "lost", "hung", "wrong")


def table(tallies: Sequence[Tally]) -> str:
    """All counts as a table in Markdown."""
    rows = [tuple(map(str, row)) for tally in tallies for row in tally.rows()]
    widths = [max(len(row[place]) for row in [HEADINGS, *rows]) for place in range(len(HEADINGS))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust if not place else cell.rjust for place, cell in enumerate(cells)
        )
        numbers = (pad(width) for pad, width in zip(others, widths[1:], strict=True))
        return f"| {' | '.join([first(widths[0]), *numbers])} |"

    dashes = ["-" * (width + 1) for width in widths]
    rule = f"|{dashes[0]}-|{':|'.join(dashes[1:])}:|"
    return "\n".join([line(HEADINGS), rule, *map(line, rows)])


def chances(name: str, seed: int, number: int) -> random.Random:
    """The random numbers of one trial, whatever trials come before it."""
    return random.Random(f"{name}/{seed}/{number}")


def mask_hash(mask_hw: NDArray[np.bool_]) -> str:
    """A short hash of a mask's pixels and size."""
    packed = np.packbits(np.ascontiguousarray(mask_hw)).tobytes()
    return hashlib.sha256(f"{mask_hw.shape}".encode() + packed).hexdigest()[:16]


def environment(home: Path) -> dict[str, str]:
    """Variables with which a program reads and writes nothing of the person who runs this."""
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA", "CACHE")}
    chosen = {
        "NCA_SEG_HOME": str(home / "nca-seg"),
        "QT_QPA_PLATFORM": "offscreen",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(PROJECT),
        "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / "nca-seg-tests-matplotlib"),
    }
    return {**os.environ, **folders, **chosen}


@dataclass(frozen=True, eq=False)
class Program:
    """A program under way, whose output goes to files that outlive it."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def lines(self) -> list[dict[str, Any]]:
        """What it has printed so far, one JSON object a line; a half line is left out."""
        told = self.out.read_bytes()
        whole = told[: told.rfind(b"\n") + 1].splitlines()
        return [json.loads(line) for line in whole if line.startswith(b"{")]

    def ends(self, within_s: float) -> bool:
        """Whether it ends within a time; else it is killed."""
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        return True

    def complaint(self) -> str:
        """The last line of a traceback or a crash on its stderr; empty without one."""
        told = self.err.read_text(encoding="utf-8", errors="replace")
        for sign in ("Traceback (most recent call last)", "Fatal Python error", "Nobody caught"):
            if sign in told:
                return f"{sign}: {told.strip().splitlines()[-1][:300]}"
        return ""


@contextmanager
def program(
    module: str, *arguments: object, folder: Path, name: str, **more: str
) -> Iterator[Program]:
    """`python -m module arguments`, its home in `folder`; it is gone when the block ends."""
    out, err = folder / f"{name}.out", folder / f"{name}.err"
    with out.open("wb") as out_stream, err.open("wb") as err_stream:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=PROJECT,
            env={**environment(folder / "home"), **more},
            stdin=subprocess.DEVNULL,
            stdout=out_stream,
            stderr=err_stream,
        )
    try:
        yield Program(process, out, err)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until(fact: Any, within_s: float, every_s: float = 0.005) -> bool:
    """Whether `fact()` comes true within a time."""
    end = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(every_s)
    return True


def unfinished_files(folder: Path) -> list[Path]:
    """Half-written files below a folder."""
    return sorted(path for path in folder.rglob("*.part") if path.is_file())


def answering(
    module: str, *arguments: object, home: Path, log: Path
) -> tuple[subprocess.Popen[str], queue.Queue[str]]:
    """A process of one of the campaigns' modules that is asked by lines, and the lines it answers.

    An empty line is its end. What it complains of goes to the file `log`.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.campaigns.{module}", *map(str, arguments)],
            cwd=PROJECT,
            env=environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
    lines: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=listen, daemon=True).start()
    return process, lines
