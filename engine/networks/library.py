"""Models are files: the shipped ones stay, a person's own can be dropped but not lost."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources
from itertools import count
from pathlib import Path

from engine.errors import UnknownArchitecture, UnreadableModel
from engine.files import sweep_parts, write_new
from engine.folders import home_folder
from engine.networks.checkpoint import content, fingerprint, read
from engine.networks.table import architecture
from engine.types import ModelSpec

SUFFIX = ".safetensors"
#: File names that Windows keeps for devices, whatever their suffix.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be loaded. `name` is its file's name without suffix, unique in the list."""

    name: str
    path: Path
    spec: ModelSpec
    fingerprint: str
    shipped: bool

    @property
    def inspectable(self) -> bool:
        """Whether what its network does in a diffusion step can be looked at."""
        return architecture(self.spec.architecture).inspectable


def models_folder() -> Path:
    """Where a person's own models lie; it need not exist yet."""
    return home_folder() / "models"


def installed() -> tuple[ModelEntry, ...]:
    """The models that can be loaded: shipped ones first, then by name.

    The first shipped one is the default.
    """
    return _scan()[0]


def broken() -> tuple[UnreadableModel, ...]:
    """The installed files that cannot be used, each with its reason."""
    return _scan()[1]


def find(name: str | Path = "") -> ModelEntry:
    """The model of a name, or of a path to a model file; the default model for "".

    Raises UnknownArchitecture with the names that are known, or UnreadableModel.
    """
    if str(name).endswith(SUFFIX):
        path = Path(name)
        # Not Path.resolve(), which raises where links lead in a circle.
        folders = (os.path.realpath(folder) for folder in (path.parent, _shipped_folder()))
        return _entry(path, len(set(folders)) == 1)
    entries, problems = _scan()
    for entry in entries:
        if entry.name == str(name) or not str(name):
            return entry
    for problem in problems:
        if problem.path.stem == str(name):
            raise problem
    raise UnknownArchitecture(str(name), [entry.name for entry in entries])


def unused_name(base: str, *, numbered: bool = True) -> str:
    """A free name for a model made from `base`: "lesion" gives "lesion+1", that "lesion+2".

    Not `numbered`, it is `base` itself where nothing is called that.
    """
    safe = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', "-", base).strip(" .")[:80]
    stem = re.sub(r"(\+\d+)+$", "", safe)
    usable = bool(stem) and not RESERVED.fullmatch(stem)
    # Some file systems take "A" and "a" for one name.
    taken = {path.stem.casefold() for path, _ in _files(also_discarded=True)}
    if not numbered and usable and safe.casefold() not in taken:
        return safe
    if not usable:
        stem = f"model-{stem}" if stem else "model"
    number = 1
    while f"{stem}+{number}".casefold() in taken:
        number += 1
    return f"{stem}+{number}"


def training_folder(parent: str) -> Path:
    """A new folder for a fine-tuning of the model `parent`, which no other run has."""
    base = home_folder() / "training" / unused_name(parent)
    base.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        # Not looked up first: of two runs that begin at once one would get the other's folder.
        with suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


def adopt(weights: Path, parent: ModelEntry) -> ModelEntry:
    """A fine-tuned model, copied from the file `weights` into the list beside its parent."""
    return _copied(weights, parent.name)


def add(weights: Path) -> ModelEntry:
    """A model copied from a file into the list, under its own name or a free one like it.

    One that answers as a model of the list does is that model. Raises UnreadableModel.
    """
    given = _entry(weights, shipped=False)
    for entry in installed():
        if entry.fingerprint == given.fingerprint:
            return entry
    return _copied(weights, given.spec.name, numbered=False)


def remove(name: str) -> Path:
    """Where a person's own model now lies, out of the list; a broken one too.

    Raises UnreadableModel for a shipped one, UnknownArchitecture for a name that is not there.
    """
    files = list(_files())
    for path, shipped in files:
        if path.stem != name:
            continue
        if shipped:
            raise UnreadableModel(path, "is part of the program and stays")
        target = path.parent / "discarded" / path.name
        if target.exists():
            target = target.with_name(f"{path.stem}-{time.time_ns()}{SUFFIX}")
        try:
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
        except OSError as error:
            raise UnreadableModel(path, error.strerror or str(error)) from error
        return target
    raise UnknownArchitecture(name, [path.stem for path, _ in files])


def _copied(weights: Path, base: str, *, numbered: bool = True) -> ModelEntry:
    """The model of a file, copied into the list under the name that `unused_name` gives it."""
    spec, arrays = read(weights)
    models_folder().mkdir(parents=True, exist_ok=True)
    sweep_parts(models_folder())
    while True:
        name = unused_name(base, numbered=numbered)
        target = models_folder() / f"{name}{SUFFIX}"
        # Another program may have taken the name since.
        with suppress(FileExistsError):
            write_new(target, content(arrays, replace(spec, name=name)))
            return find(target)


def _shipped_folder() -> Path:
    # The package is always installed as files: Qt reads its icons by path as well.
    return Path(str(resources.files("resources")))


def _files(also_discarded: bool = False) -> list[tuple[Path, bool]]:
    """Every model file, shipped ones first, and whether it is shipped."""
    shipped = _shipped_folder()
    own = [models_folder(), *([models_folder() / "discarded"] if also_discarded else [])]
    return [
        (path, folder == shipped)
        for folder in (shipped, *own)
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        if not path.name.startswith(".")
    ]


def _scan() -> tuple[tuple[ModelEntry, ...], tuple[UnreadableModel, ...]]:
    entries: dict[str, ModelEntry] = {}
    problems = []
    for path, shipped in _files():
        try:
            entry = _entry(path, shipped)
            if entry.name in entries:
                raise UnreadableModel(path, "has the name of a model that is part of the program")
            entries[entry.name] = entry
        except UnreadableModel as error:
            problems.append(error)
    return tuple(entries.values()), tuple(problems)


def _entry(path: Path, shipped: bool) -> ModelEntry:
    spec, arrays = read(path)
    return ModelEntry(path.stem, path, spec, fingerprint(spec, arrays), shipped)
