"""Beside every mask of a person lies a record of where it came from, bound to it by its hash."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import StudyProblem
from engine.files import write_atomic
from engine.types import Origin, SampleSettings

FORMAT = {"format": "nca-seg/origin", "version": 1}


@dataclass(frozen=True)
class Record:
    """What is known of a mask.

    `image` is the file name of its image, empty if not known. `origin` is None for a mask whose
    origin is not known; `note` then says why, if there is a reason.
    """

    image: str
    origin: Origin | None
    reviewed: bool
    saved_at: datetime
    note: str = ""


def record_path(mask_path: Path) -> Path:
    """Where the record of a mask lies."""
    return mask_path.with_suffix(".json")


def write_record(mask_path: Path, image: str, origin: Origin | None, reviewed: bool) -> None:
    """Write the record of a mask that has just been written. OSError passes through."""
    content = {
        **FORMAT,
        "image": image,
        "mask_sha256": _sha256(mask_path),
        "reviewed": reviewed,
        "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "origin": origin_to_json(origin),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_atomic(record_path(mask_path), text + "\n")


def read_record(mask_path: Path) -> Record:
    """The record of a mask that is there; one that is missing or wrong becomes a note.

    A damaged record does not keep anyone from the mask. Raises StudyProblem where the file system
    fails.
    """
    path = record_path(mask_path)
    written_at = datetime.fromtimestamp(modified_ns(mask_path) / 1e9, UTC)
    image = ""
    try:
        content = json.loads(path.read_bytes())
        if {key: content[key] for key in FORMAT} != FORMAT:
            raise ValueError("unknown format or version")
        image = str(content["image"])
        if content["mask_sha256"] != _sha256(mask_path):
            return Record(image, None, False, written_at, f"the mask is newer than {path.name}")
        with suppress(KeyError, TypeError, ValueError):
            written_at = datetime.fromisoformat(content["saved_at"]).astimezone(UTC)
        origin = origin_from_json(content["origin"])
        return Record(image, origin, content["reviewed"] is True, written_at)
    except FileNotFoundError:
        return Record("", None, False, written_at, f"there is no {path.name}")
    except OSError as error:
        raise StudyProblem(path, error.strerror or str(error)) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return Record(image, None, False, written_at, f"{path.name} is damaged: {error}")


def origin_to_json(origin: Origin | None) -> dict[str, Any] | None:
    """An origin as plain JSON values."""
    return None if origin is None else asdict(origin)


def origin_from_json(content: Any) -> Origin | None:
    """The origin that `origin_to_json` described, or TypeError or ValueError."""
    if content is None:
        return None
    if not isinstance(content, dict):
        raise TypeError("an origin is not an object")
    settings = content.get("settings")
    origin = Origin(**{**content, "settings": None})
    return replace(origin, settings=None if settings is None else SampleSettings(**settings))


def is_text(name: str) -> bool:
    """Whether a file's name can be written in a record: on Linux it may be any bytes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def modified_ns(path: Path) -> int:
    """When a file was last written, in nanoseconds since 1970; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
