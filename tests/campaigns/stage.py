"""What the scenarios of the disk stand on: a small disk that can be filled, and a session."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication

from engine.cli.options import sentence
from engine.errors import ChangedOutside, EngineError
from engine.masks.edits import find_mask, read_mask, replace
from engine.study.mask_files import MASKS
from nca_seg_app.services.engine import Whose
from nca_seg_app.session import Session
from nca_seg_app.state.settings import Settings
from tests.campaigns.harness import Verdict
from tests.campaigns.journal import note
from tests.fakes import DiskModel, Person, fake_engine, write_image

SHAPE = (300, 400)
LIMIT_S = 20.0
SETTINGS = Settings(autosave_s=600.0, run_ahead=False)


class Skipped(Exception):
    """What a scenario needs is not there."""


class Mind(Person):
    """A person who wants a file written to `path`, and loses nothing where there are two masks."""

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        super().ask_whose(name, changed)
        return self.whose if changed.fits or self.whose == "cancel" else "theirs"


def fault(verdict: Verdict, text: str) -> None:
    """Tell what is wrong."""
    note("fault", verdict=verdict, text=text)


def expect(fact: object, text: str, verdict: Verdict = "lost") -> None:
    """Tell a fault where something does not hold."""
    if not fact:
        fault(verdict, text)


def grain(rng: random.Random, shape: tuple[int, int] = SHAPE) -> NDArray[np.bool_]:
    """A mask that does not compress: some ten kilobytes as a PNG."""
    return np.random.default_rng(rng.randrange(10**9)).random(shape) < 0.5


def refused(work: Callable[[], object]) -> bool:
    """Whether some work was refused, which must be in one bounded sentence."""
    try:
        work()
    except (EngineError, OSError) as error:
        told = sentence(error)
        expect(len(told) <= 400 and told.isprintable(), f"an odd sentence: {told[:200]!r}", "wrong")
        return True
    return False


class SmallDisk:
    """A file system of a few megabytes in memory, which can be filled, removed and locked."""

    def __init__(self, place: Path, megabytes: int = 2) -> None:
        self.place = place
        self._size = f"size={megabytes}m"
        place.mkdir(parents=True, exist_ok=True)
        self.mount()

    def mount(self) -> None:
        """Put it (a new and empty one) in its place."""
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            raise Skipped("a small disk needs Linux and its superuser")
        _system("mount", "-t", "tmpfs", "-o", self._size, "tmpfs", str(self.place))

    def leave(self, kilobytes: int) -> None:
        """Fill it but for so much."""
        self.free()
        room = shutil.disk_usage(self.place).free - kilobytes * 1024
        with (self.place / "ballast").open("wb") as stream:
            stream.write(bytes(max(0, room)))

    def free(self) -> None:
        """Make room again."""
        (self.place / "ballast").unlink(missing_ok=True)

    def set_writable(self, writable: bool) -> None:
        """Let nobody write, or anybody again."""
        _system("mount", "-o", f"remount,{'rw' if writable else 'ro'}", str(self.place))

    def move(self, to: Path) -> None:
        """Take it away from its place, where an empty folder stays; or bring it back."""
        to.mkdir(exist_ok=True)
        _system("mount", "--move", str(self.place), str(to))
        self.place = to

    def close(self) -> None:
        """Remove it."""
        subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)


@contextmanager
def small_disk(place: Path, megabytes: int = 2) -> Iterator[SmallDisk]:
    """A small disk that is gone afterwards."""
    disk = SmallDisk(place, megabytes)
    try:
        yield disk
    finally:
        disk.close()


def _system(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise Skipped(f"there is no {command[0]}")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"{' '.join(command)}: {done.stderr.strip()}"[:200])


def images(folder: Path, *names: str) -> Path:
    """A folder of small pictures."""
    for name in names or ("a.png", "b.png", "c.png"):
        write_image(folder / name, SHAPE)
    return folder


class Desk:
    """A session over a folder, with a person before it, without a window."""

    def __init__(self, folder: Path, own: Path) -> None:
        self.application = QCoreApplication.instance() or QCoreApplication([])
        self.person, self.folder = Mind(save="save", whose="both"), folder
        self.session = Session(fake_engine(own, DiskModel()), self.person, SETTINGS)
        self.failures: list[str] = []
        self.saves: list[Path] = []
        self.session.context.failed.connect(self._note_failure)
        self.session.saving.saved.connect(self.saves.append)
        self.session.opening.open_path(folder)
        self.settle()

    def _note_failure(self, told: str, details: str) -> None:
        self.failures.append(told)
        expect("unexpected" not in told, f"{told} {details[-200:]}", "traceback")

    def settle(self) -> None:
        """Wait until nothing is under way."""
        session, quiet, end = self.session, 0, time.monotonic() + LIMIT_S
        while quiet < 5:
            self.application.processEvents()
            time.sleep(0.005)
            busy = (
                session.context.lane.pending
                or session.context.aside.pending
                or session.opening.under_way
            )
            quiet = 0 if busy or session.context.jobs.current is not None else quiet + 1
            if time.monotonic() > end:
                fault("hung", "the session does not come to rest")
                return

    def draw(self, mask_hw: NDArray[np.bool_]) -> None:
        """Draw a whole mask."""
        document = self.session.workspace.document
        expect(document is not None, "no image is open")
        if document is not None:
            document.edit("Drawing", lambda old_hw: replace(old_hw, mask_hw))

    def save(self) -> bool:
        """Whether saving is said to have worked; else it must have said why, or asked."""
        count, told = len(self.saves), len(self.failures) + len(self.person.asked)
        self.session.save()
        self.settle()
        worked = len(self.saves) > count
        expect(
            worked or len(self.failures) + len(self.person.asked) > told,
            "saving says nothing",
            "wrong",
        )
        return worked

    def draft(self) -> None:
        """Have the draft written now."""
        self.session.saving.write_draft()
        self.settle()

    def expect_shown(self, mask_hw: NDArray[np.bool_], moment: str) -> None:
        """What was drawn is still on the screen, and not taken for saved."""
        document = self.session.workspace.document
        shown = document is not None and np.array_equal(document.mask_hw, mask_hw)
        expect(shown, f"{moment}: what was drawn is not on the screen any more")
        expect(document is not None and document.unsaved, f"{moment}: it counts as saved", "wrong")

    def close(self) -> None:
        """Let it go."""
        self.person.agrees, self.person.save = True, "discard"
        self.session.close()


def saved_mask(folder: Path, name: str = "a") -> NDArray[np.bool_] | None:
    """The mask on disk beside an image, or None."""
    path = find_mask(folder / MASKS, name)
    return None if path is None else read_mask(path)


def drawn_desk(
    rng: random.Random, folder: Path, place: Path
) -> tuple[Desk, NDArray[np.bool_], NDArray[np.bool_]]:
    """A desk whose first image has a saved mask; that mask, and the one to draw next."""
    first_hw, drawn_hw = grain(rng), grain(rng)
    images(folder)
    desk = Desk(folder, place / "own")
    desk.draw(first_hw)
    expect(desk.save(), "the first mask cannot be saved")
    return desk, first_hw, drawn_hw


def expect_saves(desk: Desk, drawn_hw: NDArray[np.bool_]) -> None:
    """What is drawn can be saved now, and is."""
    expect(desk.save(), f"it cannot be saved afterwards: {desk.failures[-1:]}")
    found_hw = saved_mask(desk.folder)
    same = found_hw is not None and np.array_equal(found_hw, drawn_hw)
    expect(same, "what was saved afterwards is not there")


def expect_exports(desk: Desk, drawn_hw: NDArray[np.bool_], place: Path) -> None:
    """The work can be written elsewhere."""
    desk.person.path = place / "elsewhere.png"
    desk.session.export.export_mask()
    desk.settle()
    there = desk.person.path.exists() and np.array_equal(read_mask(desk.person.path), drawn_hw)
    expect(there, "the work cannot be written elsewhere")
