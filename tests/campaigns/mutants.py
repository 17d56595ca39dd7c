"""Damaged files of every kind that is read: a right answer, or a refusal in one sentence."""

from __future__ import annotations

import json
import queue
import shutil
import tempfile
import threading
from pathlib import Path

from tests.campaigns.harness import Trial, answering

LIMIT_S = 10.0
START_S = 120.0


def campaign() -> Mutants:
    """The campaign."""
    return Mutants()


class Mutants:
    """Two thousand files; each is read by a worker that is ended where it does not answer."""

    count = 2000

    def __init__(self) -> None:
        self._held = threading.local()
        self._workers: list[_Worker] = []

    def trial(self, number: int, seed: int, folder: Path) -> Trial:
        """Have one damaged file read."""
        worker: _Worker | None = getattr(self._held, "worker", None)
        if worker is None or not worker.lives:
            worker = self._held.worker = _Worker()
            self._workers.append(worker)
        return worker.ask(number, seed, folder)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process that reads one file after the other."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="nca-seg-mutants-"))
        self._log = self._folder / "stderr"
        self._process, self._lines = answering(
            "mutant_worker", self._folder / "sound", home=self._folder / "home", log=self._log
        )
        if self._lines.get(timeout=START_S) != "ready\n":
            raise RuntimeError(f"no worker starts: {self._log.read_text()[-2000:]}")

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, number: int, seed: int, folder: Path) -> Trial:
        """One trial; a worker that does not answer, or dies, is a fault and is ended."""
        assert self._process.stdin is not None
        asked = {"number": number, "seed": seed, "folder": str(folder)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        kind = _kind(number)
        try:
            line = self._lines.get(timeout=LIMIT_S)
        except queue.Empty:
            self.end()
            return Trial(number, kind, "hung", f"no answer within {LIMIT_S:.0f} s")
        if not line:
            told = self._log.read_text(encoding="utf-8", errors="replace").strip()[-200:]
            self.end()
            return Trial(number, kind, "traceback", f"the process died: {told}")
        answer = json.loads(line)
        return Trial(number, answer["kind"], answer["verdict"], answer["found"])

    def end(self) -> None:
        """End the process; what it had drawn is removed."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _kind(number: int) -> str:
    from tests.campaigns.specimens import SPECIMENS

    names = list(SPECIMENS)
    return names[number % len(names)].split(" (")[0]
