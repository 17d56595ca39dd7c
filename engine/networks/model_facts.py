"""Remembers what is known of model files, so that a large one is read once, not at each listing.

What a file holds is remembered for as long as its stamp (times, size, inode) stays, in this process
and, where reading it takes long, in a file of facts in the home folder, which may be lost or
damaged: then the models are read again. Whoever loads a model reads and checks its whole file.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UnreadableModel
from engine.files import Stamp, read_regular, stamp, write_atomic
from engine.folders import home_folder
from engine.networks import checkpoint
from engine.networks.table import architecture
from engine.types import ModelSpec

#: Files from this size on are remembered beyond the process.
LARGE_BYTES = 16 << 20
#: The longest file of facts that is read, and the most models in it.
MOST_BYTES, MOST_MODELS = 4 << 20, 200
FORMAT, VERSION = "nca-seg/model-facts", 1


@dataclass(frozen=True)
class ModelFacts:
    """What a list of models tells of a file; `parameters` counts its weights."""

    spec: ModelSpec
    fingerprint: str
    parameters: int


_known: dict[tuple[str, Stamp], ModelFacts] = {}
_lock = threading.Lock()


def facts(path: Path) -> ModelFacts:
    """What the model file holds; it is read only if it is not known as it is now.

    Raises UnreadableModel.
    """
    at = stamp(path)
    key = None if at is None else (str(path.absolute()), at)
    found = _known.get(key) if key is not None else None
    if found is not None:
        return found
    is_large = at is not None and at[2] >= LARGE_BYTES
    found = _stored().get(key) if key is not None and is_large else None
    if found is None:
        spec, arrays = checkpoint.read(path)
        row = architecture(spec.architecture)
        count = row.parameters(spec) if row.stored else sum(a.size for a in arrays.values())
        found = ModelFacts(spec, checkpoint.fingerprint(spec, arrays), count)
        # Not where it was changed meanwhile: it is not known what of it was read.
        if key is not None and is_large and stamp(path) == at:
            _store(key, found)
    if key is not None and stamp(path) == at:
        _known[key] = found
    return found


def facts_path() -> Path:
    """The file of facts about large models; it need not exist."""
    return home_folder() / "model-facts.json"


def _stored() -> dict[tuple[str, Stamp], ModelFacts]:
    """What the file of facts holds; empty where there is none or it is damaged."""
    try:
        whole = json.loads(read_regular(facts_path(), MOST_BYTES))
        if (whole["format"], whole["version"]) != (FORMAT, VERSION):
            return {}
        return dict(_read(row) for row in whole["models"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UnreadableModel):
        return {}


def _read(row: Mapping[str, Any]) -> tuple[tuple[str, Stamp], ModelFacts]:
    """A model of the file of facts. Raises ValueError, KeyError, TypeError, UnreadableModel."""
    changed_ns, made_ns, size, inode = (int(each) for each in row["stamp"])
    path, print_, count = row["path"], row["fingerprint"], row["parameters"]
    if not isinstance(path, str) or not isinstance(print_, str) or not isinstance(count, int):
        raise ValueError("not the facts of a model")
    spec = checkpoint.described_spec(Path(path), row["header"])
    return (path, (changed_ns, made_ns, size, inode)), ModelFacts(spec, print_, count)


def _store(key: tuple[str, Stamp], found: ModelFacts) -> None:
    """Add a model to the file of facts, and drop those that are not as they were."""
    with _lock:
        rows = {
            known: each for known, each in _stored().items() if stamp(Path(known[0])) == known[1]
        }
        rows = dict([*rows.items(), (key, found)][-MOST_MODELS:])
        whole = {
            "format": FORMAT,
            "version": VERSION,
            "models": [
                {
                    "path": path,
                    "stamp": list(at),
                    "fingerprint": each.fingerprint,
                    "parameters": each.parameters,
                    "header": checkpoint.header(each.spec),
                }
                for (path, at), each in rows.items()
            ],
        }
        # A home folder that cannot be written, or is full, costs time at the next start only.
        with suppress(OSError, UnicodeEncodeError):
            facts_path().parent.mkdir(parents=True, exist_ok=True)
            write_atomic(facts_path(), json.dumps(whole))
