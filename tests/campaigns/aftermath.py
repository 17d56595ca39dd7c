"""What lies on disk after a program was ended, held against what it had told."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from engine.errors import EngineError
from engine.study.export import export_dataset
from engine.study.study import Study
from nca_seg_app.state import settings as settings_files
from tests.campaigns.harness import Program, Verdict, mask_hash, unfinished_files

#: What one kill may leave, before the next start.
MOST_LEFT = 4
AGE_S = 60 * 24 * 3600.0

Line = dict[str, Any]


@dataclass
class Faults:
    """What was found in one trial."""

    found: list[tuple[Verdict, str]] = field(default_factory=list)

    def add(self, verdict: Verdict, text: str) -> None:
        """Note a fault."""
        self.found.append((verdict, text))

    def complaint(self, run: Program, who: str) -> None:
        """Note a traceback or crash that a program has printed, or told as unexpected."""
        if told := run.complaint():
            self.add("traceback", f"{who}: {told}")
        for line in run.lines():
            if line["event"] == "failed" and "unexpected" in line["told"]:
                self.add("traceback", f"{who}: {line['told']}")

    def leftovers(self, folder: Path) -> None:
        """Note half-written files that are still there although they are months old.

        Called after a second start.
        """
        left = unfinished_files(folder)
        if len(left) > MOST_LEFT:
            self.add("wrong", f"{len(left)} half-written files are left, as {left[0].name}")


def age(folder: Path) -> None:
    """Make what a kill has left look months old, so that the next start may sweep it."""
    moment = time.time() - AGE_S
    trainings = folder / "home" / "nca-seg" / "training"
    for path in [*unfinished_files(folder), *reversed([*trainings.rglob("*")])]:
        os.utime(path, (moment, moment))


def examine_study(
    folder: Path,
    told: list[Line],
    killed_at: float,
    most_lost_s: float,
    gentle: bool,
    faults: Faults,
) -> dict[str, str]:
    """Note what is wrong with a study; the mask, by image, that opening it must show.

    `most_lost_s` is how old the newest lost stroke may be; `gentle` ends lose no finished stroke.
    """
    shown: dict[str, str] = {}
    try:
        study = Study.open(folder)
        statuses = {image.path.name: image.status for image in study.images()}
    except EngineError as error:
        faults.add("lost", f"the study does not open: {error}")
        return shown
    for path in sorted(folder.glob("*.jpg")):
        with PillowImage.open(path) as picture:
            shape = picture.height, picture.width
        try:
            saved, draft = study.load(path, shape), study.load_draft(path, shape)
        except EngineError as error:
            faults.add("lost", f"{path.name}: {error}")
            continue
        saved_hash = mask_hash(saved.mask_hw) if saved is not None else None
        of_image = [line for line in told if line.get("image") == path.name]
        _examine_saved(path.name, of_image, saved_hash, saved and saved.record.reviewed, faults)
        newer = draft is not None and draft.newer
        if newer and statuses[path.name] != "draft":
            faults.add("wrong", f"{path.name} has a draft but is called {statuses[path.name]}")
        now = mask_hash(draft.mask_hw) if draft is not None and newer else saved_hash
        _examine_strokes(path.name, of_image, now, killed_at, most_lost_s, gentle, faults)
        if now is not None:
            shown[path.name] = now
    age(folder.parent)
    _examine_rest(study, folder, faults)
    return shown


def _examine_saved(
    name: str, told: list[Line], on_disk: str | None, reviewed: bool | None, faults: Faults
) -> None:
    """The mask on disk is the newest that was saved, or the one that was being saved."""
    done: Line = {"mask": None, "reviewed": False}
    under_way: Line | None = None
    for line in told:
        if line.get("call") not in ("save", "set_reviewed"):
            continue
        if line["event"] == "begin":
            under_way = line
        elif line["event"] == "end":
            done, under_way = {**done, **line}, None
    if on_disk == done["mask"]:
        if under_way is None and bool(reviewed) != done["reviewed"]:
            faults.add("lost", f"{name} was left reviewed={done['reviewed']}, is {reviewed}")
    elif under_way is None or on_disk != under_way.get("mask"):
        faults.add("lost", f"the saved mask of {name} is {on_disk}, was {done['mask']}")


def _examine_strokes(
    name: str, told: list[Line], now: str | None, killed_at: float, most_lost_s: float,
    gentle: bool, faults: Faults,
) -> None:  # fmt: skip
    """What was on the screen is on disk, but for the newest strokes."""
    states = [line for line in told if line["event"] in ("opened", "state")]
    # Before it was first drawn on nothing had to be kept.
    if now is None and states:
        now = states[0]["mask"]
    places = [place for place, line in enumerate(states) if line["mask"] == now]
    if not states:
        return
    if not places:
        faults.add("lost", f"the mask of {name} on disk was never on the screen")
        return
    # What was done while the program was already ending does not count, nor a stroke under way
    # where it was asked to end.
    lost = [line for line in states[places[-1] + 1 :] if line["t"] <= killed_at]
    if gentle:
        if finished := sum(not line["drawing"] for line in lost):
            faults.add("lost", f"{finished} finished strokes on {name} are lost")
    elif lost and (gone_s := killed_at - lost[0]["t"]) > most_lost_s:
        faults.add("lost", f"strokes of the last {gone_s:.1f} s on {name} are lost")


def _examine_rest(study: Study, folder: Path, faults: Faults) -> None:
    """Settings are whole, and an export can be begun again."""
    home = folder.parent / "home" / "nca-seg"
    try:
        settings_files.load(home / "config" / "settings.json")
    except settings_files.UnreadableSettings as error:
        faults.add("lost", f"settings: {error.reason}")
    exported = folder.parent / "exported"
    try:
        if samples := study.saved_samples():
            for _ in export_dataset(samples, exported):
                pass
    except EngineError as error:
        faults.add("wrong", f"the export cannot be repeated: {error}")
    shutil.rmtree(exported, ignore_errors=True)
