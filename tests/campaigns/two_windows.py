"""Two windows on one folder: nobody's work is replaced without somebody having been asked."""

from __future__ import annotations

import json
import queue
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.masks.files import find_mask
from engine.masks.reading import read_mask
from engine.study.mask_files import MASKS
from tests.campaigns.aftermath import Faults
from tests.campaigns.harness import Trial, answering, chances, mask_hash
from tests.fakes import write_image

SHAPE = (48, 64)
IMAGES = ("a.png", "b.png", "c.png")
LIMIT_S = 30.0
STEPS = 40
#: What a person does, and how often beside the others.
ACTIONS = {
    "draw": 8, "save": 5, "review": 3, "segment": 1, "accept_and_next": 2, "next": 2,
    "previous": 2, "draft": 3, "undo": 1, "reopen": 1,
}  # fmt: skip
ANSWERS = ("mine", "theirs", "both", "cancel")
Line = dict[str, Any]


def campaign() -> TwoWindows:
    """The campaign."""
    return TwoWindows()


class TwoWindows:
    """Each trial is a conversation of two windows with one folder, at times both at once."""

    count = 60

    def trial(self, number: int, seed: int, folder: Path) -> Trial:
        """Forty actions, each followed by a look at the disk."""
        rng, faults = chances("two_windows", seed, number), Faults()
        study = folder / "study"
        for name in IMAGES:
            write_image(study / name, SHAPE)
        windows = [_Window(study, folder / f"window{place}", place) for place in range(2)]
        judge = _Judge(study, faults)
        try:
            for window in windows:
                judge.hear(window, window.do("open", "both", 0))
            for step in range(STEPS):
                _act(windows, rng, judge)
                judge.look(f"step {step + 1}")
                if faults.found:
                    break
            _leave(windows, rng, judge)
        except _Silent as error:
            faults.add("hung", str(error))
        finally:
            for window in windows:
                window.end()
        kind = "at once" if number % 2 else "in turns"
        return Trial.of(number, kind, faults.found)

    def close(self) -> None:
        """Nothing is kept between trials."""


def _act(windows: list[_Window], rng: random.Random, judge: _Judge) -> None:
    """One of them acts, or both do at the same time."""
    acting = windows if rng.random() < 0.3 else [rng.choice(windows)]
    for window in acting:
        (what,) = rng.choices(list(ACTIONS), list(ACTIONS.values()))
        window.ask(what, rng.choice(ANSWERS), rng.randrange(10**6))
    heard = [(window, window.hear()) for window in acting]
    judge.hear_all(heard)


def _leave(windows: list[_Window], rng: random.Random, judge: _Judge) -> None:
    """What is on the screens lies on disk before they are killed, or closed with "save"."""
    for window in windows:
        told = window.do("draft", "both", 0)
        judge.hear(window, told)
        judge.expect_kept(window, told[-1])
        if rng.random() < 0.5:
            window.end()
        else:
            judge.hear(window, window.do("close", "both", 0, "closed"))
            judge.look("closing")


class _Silent(Exception):
    """A window does not answer."""


class _Window:
    """A process with a session in it."""

    def __init__(self, study: Path, own: Path, number: int) -> None:
        own.mkdir()
        self.number = number
        #: What it was shown, by image: the newest mask that it has read, or saved.
        self.knows: dict[str, str | None] = {}
        self._doing: list[str] = []
        self._log = own / "stderr"
        # One home for both, as a person has one.
        self._process, self._lines = answering(
            "actor", study, own, number, home=study.parent / "home", log=self._log
        )

    @property
    def doing(self) -> str:
        """What it was asked to do last, and before, for whoever reads of a fault."""
        return ", ".join(self._doing[-3:])

    def ask(self, what: str, answer: str, seed: int) -> None:
        """Have it begin an action."""
        assert self._process.stdin is not None
        self._doing.append(what)
        told = {"do": what, "answer": answer, "seed": seed}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def hear(self, until: str = "done") -> list[Line]:
        """What it tells until the action is done."""
        told: list[Line] = []
        while not told or told[-1]["event"] != until:
            try:
                line = self._lines.get(timeout=LIMIT_S)
            except queue.Empty:
                raise _Silent(f"no end of: {self.doing}") from None
            if not line:
                last = self._log.read_text(encoding="utf-8", errors="replace").strip()[-300:]
                raise _Silent(f"the window died at: {self.doing}: {last}")
            told.append(json.loads(line))
        return told

    def do(self, what: str, answer: str, seed: int, until: str = "done") -> list[Line]:
        """Have an action done."""
        self.ask(what, answer, seed)
        return self.hear(until)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


@dataclass
class _Saved:
    """What lies on disk for an image as the windows have told it."""

    mask: str | None = None
    owner: int = -1
    reviewed: bool = False


@dataclass
class _Judge:
    """Follows what the windows tell, and holds the disk against it."""

    study: Path
    faults: Faults
    saved: dict[str, _Saved] = field(default_factory=lambda: {name: _Saved() for name in IMAGES})
    #: (window, image) → the mask that its person was told is kept as a draft.
    drafts: dict[tuple[int, str], str] = field(default_factory=dict)
    #: Masks that were to be kept beside the one that replaced them.
    copies: set[str] = field(default_factory=set)

    def hear(self, window: _Window, told: list[Line]) -> None:
        """Follow one window."""
        self.hear_all([(window, told)])

    def hear_all(self, heard: list[tuple[_Window, list[Line]]]) -> None:
        """Follow windows that acted at the same time, in the order of what they did."""
        lines = [(line, window, told) for window, told in heard for line in told]
        for line, window, told in sorted(lines, key=lambda each: each[0]["t"]):
            asked = [each for each in told if each.get("question") == "conflict"]
            match line["event"], line.get("call"):
                case "asked", _ if line["question"] == "conflict":
                    if line["answer"] == "theirs" and line["mine"] is not None:
                        self.copies.add(line["mine"])
                case "end", "keep_copy" if line.get("mask") is not None:
                    self.copies.add(line["mask"])
                case "end", "load":
                    window.knows[line["image"]] = line["mask"]
                case "end", "save":
                    self._note_save(window, line, asked)
                case "end", "set_reviewed":
                    self._note_review(window, line, asked)
                case "end", "save_draft":
                    self.drafts[window.number, line["image"]] = line["mask"]
                case "begin", "drop_draft":
                    self.drafts.pop((window.number, line["image"]), None)
                case "failed", _ if "unexpected" in line["told"]:
                    self.faults.add("traceback", f"at {window.doing}: {line['told']}")

    def _note_save(self, window: _Window, line: Line, asked: list[Line]) -> None:
        name, now = line["image"], line["mask"]
        before = self.saved[name]
        strange = before.owner not in (-1, window.number) and before.mask != window.knows.get(name)
        if strange and before.mask != now:
            answers = {each["answer"] for each in asked}
            what = f"the other's {'reviewed ' if before.reviewed else ''}mask of {name}"
            if not asked:
                self.faults.add("lost", f"{what} is replaced unasked, at {window.doing}")
            elif answers <= {"theirs", "cancel"}:
                self.faults.add("lost", f"{what} is replaced against the answer")
            elif "both" in answers and before.mask is not None:
                self.copies.add(before.mask)
        self.drafts.pop((window.number, name), None)
        self.saved[name] = _Saved(now, window.number, line["reviewed"])
        window.knows[name] = now

    def _note_review(self, window: _Window, line: Line, asked: list[Line]) -> None:
        before = self.saved[line["image"]]
        unseen = before.mask != window.knows.get(line["image"])
        if unseen and line["reviewed"] and not asked:
            self.faults.add(
                "lost",
                f"a mask of {line['image']} that was not seen is reviewed, at {window.doing}",
            )
        before.reviewed, before.owner = line["reviewed"], window.number

    def look(self, moment: str) -> None:
        """Hold the disk against what was told."""
        there = self._on_disk()
        for name, saved in self.saved.items():
            path = find_mask(self.study / MASKS, Path(name).stem)
            found = self._hash(path) if path is not None else None
            if saved.mask is not None and found != saved.mask:
                self.faults.add("lost", f"{moment}: the mask of {name} is not the one saved last")
        if self.copies - there:
            self.faults.add("lost", f"{moment}: a mask that was to be kept, too, is gone")
        for (number, name), mask in self.drafts.items():
            if mask not in there:
                self.faults.add("lost", f"{moment}: window {number}'s draft of {name} is gone")

    def expect_kept(self, window: _Window, line: Line) -> None:
        """What is on a screen lies somewhere on disk."""
        if line["unsaved"] and line["mask"] not in self._on_disk():
            self.faults.add(
                "lost", f"what window {window.number} shows of {line['image']} is not kept"
            )

    def _on_disk(self) -> set[str]:
        folders = (self.study, self.study.parent / "home")
        return {
            self._hash(path) for folder in folders for path in folder.rglob("*_segmentation*.png")
        }

    def _hash(self, path: Path) -> str:
        try:
            return mask_hash(read_mask(path, SHAPE))
        except EngineError as error:
            self.faults.add("lost", f"{error}"[:200])
            return ""
