"""Finds the weights that a killed fine-tuning left, and removes its useless or forgotten files."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine import locks
from engine.errors import UnreadableModel
from engine.files import sweep_parts
from engine.folders import home_folder
from engine.networks import checkpoint, library
from engine.types import ModelSpec

#: A run's files, named as in `engine.training.loop`, which is not imported because it loads torch.
BEST, LAST = "best.safetensors", "last.safetensors"
#: Folders of the window's fine-tunings, named by the time; removed once the person has decided.
OF_WINDOW = re.compile(r".*-\d{8}-\d{6}-\d{6}")
#: Folders of nca-seg finetune, as `engine.networks.library.training_folder` names them.
OF_COMMAND = re.compile(r".*\+\d+(-\d+)?")
#: Ages, since the newest file, at which folders without and with weights are removed.
USELESS_S, FORGOTTEN_S = 3600, 7 * 24 * 3600


@dataclass(frozen=True)
class Leftover:
    """The file of the best weights of a fine-tuning that was killed, and their spec."""

    weights: Path
    spec: ModelSpec


def trainings_folder() -> Path:
    """The folder that holds the folders of fine-tunings; it need not exist yet."""
    return home_folder() / "training"


def unfinished() -> Leftover | None:
    """The newest weights that a killed fine-tuning left and that are not in the list, or None.

    Removes what else killed runs left: weights older than a week if there are newer ones, folders
    without weights after an hour, and files that were being written. Folders in use stay, and those
    of runs by command that came to their end.
    """
    for folder in (library.models_folder(), library.models_folder() / "discarded", home_folder()):
        sweep_parts(folder)
    known = {entry.fingerprint for entry in library.installed()}
    newest: Leftover | None = None
    for changed_s, folder in sorted(_killed(), reverse=True):
        left = _leftover(folder / BEST, known)
        age_s = abs(time.time() - changed_s)
        if left is not None and newest is None:
            newest = left
        elif age_s > (FORGOTTEN_S if left is not None else USELESS_S):
            shutil.rmtree(folder, ignore_errors=True)
    return newest


def _killed() -> Iterator[tuple[float, Path]]:
    """Yields the folders of killed fine-tunings, each after the time of its newest file."""
    with suppress(OSError):
        for folder in sorted(trainings_folder().iterdir()):
            window = OF_WINDOW.fullmatch(folder.name)
            ended = not window and (folder / LAST).exists() and (folder / BEST).exists()
            ours = window or OF_COMMAND.fullmatch(folder.name)
            if not ours or ended or folder.is_symlink() or not folder.is_dir():
                continue
            if not locks.in_use(folder):
                times = [path.lstat().st_mtime for path in (folder, *folder.iterdir())]
                yield max(times), folder


def _leftover(best: Path, known: set[str]) -> Leftover | None:
    """The model in the file `best`; None if it cannot be read or its fingerprint is `known`."""
    try:
        spec, arrays = checkpoint.read(best)
    except UnreadableModel:
        return None
    return None if checkpoint.fingerprint(spec, arrays) in known else Leftover(best, spec)
