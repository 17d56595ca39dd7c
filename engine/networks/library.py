"""Lists, finds, adds and removes models: those of the program and a person's own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from engine.errors import UnknownArchitecture, UnreadableModel
from engine.files import sweep_parts, write_new
from engine.folders import home_folder
from engine.networks.architecture import Architecture
from engine.networks.checkpoint import content, fingerprint, read
from engine.networks.model_facts import facts
from engine.networks.onnx import description
from engine.networks.table import architecture
from engine.types import ModelSpec

SUFFIX = ".safetensors"
#: File names that Windows keeps for devices, whatever their suffix.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be loaded.

    `name` is its file's name without suffix, unique in the list. `parameters` counts its weights.
    `shipped` tells whether it is part of the program.
    """

    name: str
    path: Path
    spec: ModelSpec
    fingerprint: str
    parameters: int
    shipped: bool

    @property
    def architecture(self) -> Architecture:
        """What its network is: its words, and whether it can be looked into."""
        return architecture(self.spec.architecture)


def models_folder() -> Path:
    """The folder of a person's own models; it need not exist yet."""
    return home_folder() / "models"


def installed() -> tuple[ModelEntry, ...]:
    """The models that can be loaded, shipped ones first, then by name; the first is the default."""
    return _scan()[0]


def broken() -> tuple[UnreadableModel, ...]:
    """The installed files that cannot be used, each with its reason."""
    return _scan()[1]


def find(name: str | Path = "") -> ModelEntry:
    """The model of this name or, if it ends in ".safetensors", at this path; the default for "".

    Raises UnknownArchitecture, with the names that are known, if there is no such model, and
    UnreadableModel if its file cannot be used.
    """
    if str(name).endswith(SUFFIX):
        path = Path(name)
        # Path.resolve() raises for links that lead in a circle.
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
    """A free name for a model made from `base`: "lesion+1" for "lesion", "lesion+2" for that.

    Without `numbered` it is `base` itself if no model has that name. Characters that a file name
    may not have are replaced.
    """
    safe = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', "-", base).strip(" .")[:80]
    stem = re.sub(r"(\+\d+)+$", "", safe)
    usable = bool(stem) and not RESERVED.fullmatch(stem)
    # On some file systems "A" and "a" are the same name.
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
    """A new, empty folder for a fine-tuning of the model `parent`."""
    base = home_folder() / "training" / unused_name(parent)
    base.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        # Making it is the test: two runs that both looked first could take the same folder.
        with suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


def adopt(weights: Path, parent: ModelEntry) -> ModelEntry:
    """Copy a fine-tuned model from the file `weights` into the list, named after its parent.

    Raises UnreadableModel if the file cannot be used.
    """
    return _written(*read(weights), parent.name)


def add(weights: Path) -> ModelEntry:
    """Copy a model from a file into the list, under its own name or a free one like it.

    The file is one of ours, or an ONNX file with a JSON file of the same name beside it
    (`engine.networks.onnx.description`). If a model of the list has the same fingerprint, nothing
    is copied and that one is returned. Raises UnreadableModel if the file cannot be used, and
    MissingExtra for an ONNX file where onnxruntime is not installed.
    """
    is_onnx = weights.suffix.lower() == description.SUFFIX
    spec, arrays = description.read(weights) if is_onnx else read(weights)
    own = fingerprint(spec, arrays)
    for entry in installed():
        if entry.fingerprint == own:
            return entry
    return _written(spec, arrays, spec.name, numbered=False)


def remove(name: str) -> Path:
    """Move a person's own model, which may be broken, out of the list; its new path.

    Raises UnreadableModel for a shipped model or if the file cannot be moved, and
    UnknownArchitecture if there is no such model.
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


def _written(
    spec: ModelSpec, arrays: Mapping[str, NDArray[Any]], base: str, *, numbered: bool = True
) -> ModelEntry:
    """Write a model into the list under the name that `unused_name` gives it."""
    models_folder().mkdir(parents=True, exist_ok=True)
    sweep_parts(models_folder())
    while True:
        name = unused_name(base, numbered=numbered)
        target = models_folder() / f"{name}{SUFFIX}"
        # Another program may take the name in between; then the next free one is tried.
        with suppress(FileExistsError):
            write_new(target, content(arrays, replace(spec, name=name)))
            return find(target)


def _shipped_folder() -> Path:
    # The package is always installed as plain files, because Qt reads its icons by path.
    return Path(str(resources.files("resources")))


def _files(also_discarded: bool = False) -> list[tuple[Path, bool]]:
    """Every model file with whether it is shipped, shipped ones first, then by name."""
    shipped = _shipped_folder()
    own = [models_folder(), *([models_folder() / "discarded"] if also_discarded else [])]
    return [
        (path, folder == shipped)
        for folder in (shipped, *own)
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        if not path.name.startswith(".")
    ]


def _scan() -> tuple[tuple[ModelEntry, ...], tuple[UnreadableModel, ...]]:
    """The models that can be loaded, and the reasons why the other files cannot."""
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
    known = facts(path)
    return ModelEntry(path.stem, path, known.spec, known.fingerprint, known.parameters, shipped)
