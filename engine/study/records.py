"""Reads and writes the record beside each saved mask: its image, origin and time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from engine.errors import StudyProblem
from engine.files import LONGEST_NAME, Stamp, read_regular, stamp, write_atomic
from engine.masks.arrays import Mask
from engine.masks.reading import read_mask
from engine.types import Base, Origin, SampleSettings

Status = Literal["new", "draft", "saved", "reviewed"]

FORMAT = {"format": "nca-seg/origin", "version": 1}
#: A record has some hundred bytes; a mask of the largest image that is read, some megabytes.
MOST_RECORD_BYTES, MOST_MASK_BYTES = 1_000_000, 1_000_000_000


#: A file, and what tells whether it is still the one that was read.
Seen = tuple[Path, Stamp | None]


@dataclass(frozen=True)
class Record:
    """What is known of a mask.

    `image` is the file name of its image, empty if not known. `origin` is None for a mask whose
    origin is not known; `note` then says why, if there is a reason. `over` is what a draft was
    drawn over, where that is known.
    """

    image: str
    origin: Origin | None
    reviewed: bool
    saved_at: datetime
    note: str = ""
    over: Base | None = None


@dataclass(frozen=True)
class StudyImage:
    """An image of the study and how far its annotation is.

    A "draft" has strokes that were never saved. `expected_error` is that of the newest result.
    """

    path: Path
    status: Status = "new"
    origin: Origin | None = None
    saved_at: datetime | None = None
    expected_error: float | None = None


@dataclass(frozen=True, eq=False)
class Annotation:
    """A person's mask as it lies on disk: bool (rows, columns), the image's size, and its record.

    `seen` is its file as it was read. `newer` tells of a draft that it is not what is saved
    already.
    """

    mask_hw: Mask
    record: Record
    seen: Seen
    newer: bool = False


def read_annotation(path: Path, shape: tuple[int, int], newer: bool = False) -> Annotation:
    """The mask in a file of an image of `shape` (rows, columns). Raises UnreadableMask."""
    seen = path, stamp(path)
    return Annotation(read_mask(path, shape), read_record(path), seen, newer)


@contextmanager
def study_trouble(path: Path) -> Iterator[None]:
    """Raise StudyProblem in place of an OSError in the block, for its file or else `path`."""
    try:
        yield
    except OSError as error:
        raise StudyProblem(error.filename or path, error.strerror or str(error)) from error


def record_path(mask_path: Path) -> Path:
    """Where the record of a mask lies."""
    return mask_path.with_suffix(".json")


def record_text(
    mask_png: bytes, image: str, origin: Origin | None, reviewed: bool, over: Base | None = None
) -> str:
    """The text of a mask's record, as it is written beside the mask.

    Parameters
    ----------
    mask_png : the bytes of the mask's file; their hash binds the record to them.
    image : the file name of the mask's image.
    origin : how the mask came to be, None where that is not known.
    reviewed : whether a person has looked at it again.
    over : of a draft, the versions that it was drawn over.
    """
    content = {
        **FORMAT,
        "image": image,
        "mask_sha256": hashlib.sha256(mask_png).hexdigest(),
        "reviewed": reviewed,
        "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "origin": origin_to_json(origin),
    }
    if over is not None:
        content["over"] = asdict(over)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def write_record(mask_path: Path, image: str, origin: Origin | None, reviewed: bool) -> None:
    """Write the record of a mask that is there. OSError passes through."""
    text = record_text(read_regular(mask_path, MOST_MASK_BYTES), image, origin, reviewed)
    write_atomic(record_path(mask_path), text)


def read_record(mask_path: Path) -> Record:
    """The record of a mask that is there; one that is missing or wrong becomes a note.

    A damaged record does not keep anyone from the mask. Raises StudyProblem where the mask itself
    cannot be read.
    """
    return read_record_of(mask_path)[0]


def read_record_of(mask_path: Path) -> tuple[Record, str]:
    """The record of a mask that is there, as `read_record` gives it, and the hash of its file."""
    path = record_path(mask_path)
    with study_trouble(mask_path):
        digest = hashlib.sha256(read_regular(mask_path, MOST_MASK_BYTES)).hexdigest()
    written_at = _moment(modified_ns(mask_path) / 1e9)
    image, over = "", None
    try:
        content = json.loads(read_regular(path, MOST_RECORD_BYTES))
        if {key: content[key] for key in FORMAT} != FORMAT:
            raise ValueError("unknown format or version")
        image = content["image"]
        if not isinstance(image, str) or len(image) > LONGEST_NAME or {"/", "\0"} & {*image}:
            image = ""
            raise ValueError("the name of its image is none")
        with suppress(KeyError, TypeError, ValueError):
            over = Base(str(content["over"]["image"]), str(content["over"]["mask"]))
        if content["mask_sha256"] != digest:
            note = f"the mask is newer than {path.name}"
            return Record(image, None, False, written_at, note, over), digest
        # Years of one digit cannot be told in every time zone.
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            written_at = datetime.fromisoformat(content["saved_at"]).astimezone(UTC)
        origin = origin_from_json(content["origin"])
        return Record(image, origin, content["reviewed"] is True, written_at, over=over), digest
    except FileNotFoundError:
        return Record("", None, False, written_at, f"there is no {path.name}"), digest
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        note = f"{path.name} is damaged: {reason}"
        return Record(image, None, False, written_at, note, over), digest


def _moment(seconds: float) -> datetime:
    """A file's time; file systems can hold times that calendars do not."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


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
    numbers = (origin.threshold, origin.pixels_changed)
    if not all(isinstance(text, str) for text in (origin.model, origin.fingerprint)):
        raise TypeError("the name or fingerprint of its model is not text")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise TypeError("its threshold or its number of pixels is not a number")
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
