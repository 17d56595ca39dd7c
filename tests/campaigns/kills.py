"""Programs are ended at any moment, and nothing that a person was told to be kept is gone."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns import kill_commands
from tests.campaigns.aftermath import Faults, examine_study
from tests.campaigns.harness import SAMPLES, Program, Trial, chances, program, wait_until

#: Settings of the person: drafts come this often, and an ensemble is small.
AUTOSAVE_S = 1.0
#: A draft waits its turn behind other short work, and then for the disk.
MARGIN_S = 2.0
#: How long a program that was asked to end may take.
END_S = 20.0
START_S = 60.0

#: Of ten trials: half of them `kill -9` of the window, two other ends of it, three of commands.
TURNS = ("kill", "kill", "term", "kill", "command", "kill", "display", "kill", "command", "command")
GENTLE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def campaign() -> Kills:
    """The campaign."""
    return Kills()


class Kills:
    """A hundred ends of the real window with the real model, and of the commands."""

    count = 100

    def trial(self, number: int, seed: int, folder: Path) -> Trial:
        """One program is started, ended at a moment of chance, looked at, and started again."""
        if not hasattr(signal, "SIGKILL"):
            return Trial(number, "kill -9", "skipped", "there is none on this system")
        rng, turn = chances("kills", seed, number), TURNS[number % len(TURNS)]
        if turn == "command":
            place = 3 * (number // len(TURNS)) + TURNS[: number % len(TURNS)].count("command")
            return kill_commands.trial(number, place, rng, folder)
        if turn == "display":
            if shutil.which("Xvfb") is None:
                return Trial(number, "window, display goes away", "skipped", "there is no Xvfb")
            with _display(folder) as (server, name):
                more = {"DISPLAY": name, "QT_QPA_PLATFORM": "xcb"}
                return _window(number, rng, folder, "display goes away", server.kill, more)
        if turn == "term":
            sign = GENTLE[number // len(TURNS) % len(GENTLE)]
            return _window(number, rng, folder, sign.name, sign, {})
        return _window(number, rng, folder, signal.SIGKILL.name, signal.SIGKILL, {})

    def close(self) -> None:
        """Nothing is kept between trials."""


def _window(
    number: int,
    rng: random.Random,
    folder: Path,
    how: str,
    end: signal.Signals | Callable[[], None],
    more: dict[str, str],
) -> Trial:
    study, faults = make_study(folder, rng), Faults()
    # Without its display a window cannot start at all.
    moment = Moment.draw(rng, while_it_starts=not more)
    with program(
        "tests.campaigns.scripted", study, rng.random(), folder=folder, name="window", **more
    ) as run:
        ended_early = not moment.comes(run)
        killed_at = time.monotonic()
        if isinstance(end, signal.Signals):
            run.process.send_signal(end)
        else:
            end()
        gentle = end is not signal.SIGKILL
        if not run.ends(END_S):
            faults.add("hung", f"does not end {END_S:.0f} s after {how}")
        if ended_early and not run.lines():
            faults.add("traceback", f"ended by itself before anything was drawn {run.complaint()}")
        # Qt itself aborts where its display is gone; what counts then is what lies on disk.
        faults.complaint(run, "the window")
    told = run.lines()
    if more and not told:
        why = run.err.read_text(encoding="utf-8").strip()[:200]
        return Trial(number, f"window, {how}", "skipped", f"no window opens on Xvfb: {why}")
    shown = examine_study(
        study, told, killed_at, 0.0 if gentle else AUTOSAVE_S + MARGIN_S, gentle, faults
    )
    _second_start(study, folder, shown, faults, more if how != "display goes away" else {})
    faults.leftovers(folder)
    return Trial.of(number, f"window, {how}", faults.found)


def make_study(folder: Path, rng: random.Random) -> Path:
    """A folder of samples, and settings with which an outline takes a second or two."""
    study = folder / "study"
    study.mkdir()
    for path in sorted(SAMPLES.glob("*.jpg")):
        shutil.copy(path, study)
    config = folder / "home" / "nca-seg" / "config"
    config.mkdir(parents=True)
    chosen = {
        "format": "nca-seg/settings",
        "version": 1,
        "autosave_s": AUTOSAVE_S,
        "run_ahead": rng.random() < 0.5,
        "sample": {"steps": 2, "members": 2},
    }
    (config / "settings.json").write_text(json.dumps(chosen), encoding="utf-8")
    return study


@dataclass(frozen=True)
class Moment:
    """When a program is ended: `delay_s` after it has told `count` events of a sort."""

    event: str
    count: int
    delay_s: float

    @classmethod
    def draw(cls, rng: random.Random, while_it_starts: bool) -> Moment:
        """While it starts, at any time, or just as it writes."""
        sort = rng.random()
        if sort < 0.1 and while_it_starts:
            return cls("", 0, rng.uniform(0.0, 3.0))
        if sort < 0.6:
            return cls("opened", 1, rng.uniform(0.0, 6.0))
        return cls("begin", rng.randint(2, 60), rng.uniform(0.0, 0.02))

    def comes(self, run: Program) -> bool:
        """Wait for it; False where the program ended before, or never got there."""

        def is_there() -> bool:
            if run.process.poll() is not None:
                return True
            return run.out.read_bytes().count(f'"event": "{self.event}"'.encode()) >= self.count

        if self.event and not wait_until(is_there, START_S):
            return False
        time.sleep(self.delay_s)
        return run.process.poll() is None


def _second_start(
    study: Path, folder: Path, shown: dict[str, str], faults: Faults, more: dict[str, str]
) -> None:
    """The window opens again, shows what lies on disk, and closes by itself."""
    with program(
        "tests.campaigns.scripted", study, "look", folder=folder, name="again", **more
    ) as run:
        if not run.ends(START_S):
            faults.add("hung", "the second start does not open and close")
        elif run.process.returncode:
            faults.add("traceback", f"the second start ends with {run.process.returncode}")
        faults.complaint(run, "the second start")
        opened = [line for line in run.lines() if line["event"] == "opened"]
        if not opened:
            faults.add("lost", "the second start opens no image")
        for line in opened[:1]:
            if line["mask"] != shown.get(line["image"], line["mask"]):
                faults.add("lost", f"the second start shows another mask of {line['image']}")


@contextmanager
def _display(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """An X server of its own, and its name."""
    told = folder / "display"
    with told.open("wb") as stream:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-nolisten", "tcp"],
            stdout=stream,
            stderr=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: told.read_bytes().endswith(b"\n"), 20)
        yield server, f":{told.read_text().strip()}"
    finally:
        if server.poll() is None:
            server.kill()
        server.wait()
