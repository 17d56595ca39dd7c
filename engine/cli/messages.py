"""Sentences for the person at the command line, from errors and for what was done."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import (
    DatasetProblem,
    Diverged,
    FolderInUse,
    MaskKept,
    MissingExtra,
    NotFinite,
    NotRun,
    NotTrainable,
    OutOfMemory,
    StudyProblem,
    StyleNotKnown,
    TooLarge,
    UnknownArchitecture,
    UnreadableImage,
    UnreadableMask,
    UnreadableModel,
)
from engine.plaintext import (
    LONGEST_PATH,
    NAME,
    fitting,
    one_line,
    shown_file,
    shown_path,
    shown_reason,
)


class Refusal(Exception):
    """A sentence for the person, where nothing could be done."""


def sentence(error: BaseException) -> str:
    """What happened and what to do, naming file and reason: one bounded line of plain text."""
    return fitting(lambda path, reason: _sentence(error, path, reason))


def _sentence(error: BaseException, most_path: int, most: int) -> str:
    place = shown_path(getattr(error, "path", ""), most_path)
    why = shown_reason(getattr(error, "reason", ""), most)
    match error:
        case UnreadableImage():
            return f"The image {place} cannot be read: {why}."
        case UnreadableMask():
            return f"The mask {place} cannot be used: {why}."
        case UnreadableModel():
            return f"The model {place} cannot be used: {why}."
        case DatasetProblem() | StudyProblem():
            return f"{place}: {why}."
        case FolderInUse():
            return f"{place} is in use: {why}. Wait for it, or choose another --out."
        case TooLarge():
            return (
                f"The model asks for {error.size} × {error.size} cells with {error.updates} "
                f"updates in a step, about {error.memory_gb:.1f} GB for each member: more than is "
                "computed. Choose a smaller one."
            )
        case StyleNotKnown() | MissingExtra() | NotTrainable() | NotRun() | NotFinite():
            return f"The model {one_line(error.name, NAME)} {_unusable(error, why)}"
        case Diverged():
            best = "" if error.best is None else shown_path(error.best, most_path)
            kept = f" The best weights before it are {best}." if best else ""
            return (
                f"The training diverged at step {error.step}: its loss or its weights grew "
                f"beyond all bounds. No model was added.{kept} Try a --learning-rate lower "
                f"than {error.learning_rate:.2g}."
            )
        case MaskKept():
            return f"{place} stays as it is: {why}. Choose another --out, or add --overwrite."
        case UnknownArchitecture(known=()):
            return "No model is installed. Train one with nca-seg train, or name a file."
        case UnknownArchitecture():
            known = shown_reason(", ".join(error.known), most)
            return f"There is no model {one_line(repr(error.name), NAME)} here, only {known}."
        case OutOfMemory(batch=1):
            return f"The model at {error.size} cells does not fit into memory."
        case OutOfMemory():
            return (
                f"{error.batch} {error.what} at once do not fit into memory. "
                f"Try --batch-size {error.smaller}."
            )
        case OSError():
            return f"{shown_file(error, most_path)}: {shown_reason(error.strerror or error, most)}."
        case MemoryError():
            return "There is not enough memory for this."
    return str(error)


def _unusable(
    error: StyleNotKnown | MissingExtra | NotTrainable | NotRun | NotFinite, why: str
) -> str:
    """What a model lacks, and what to do, after its name."""
    match error:
        case StyleNotKnown():
            return _untaught(error)
        case MissingExtra():
            return (
                f"needs packages that are not installed; pip install 'nca-seg[{error.extra}]' "
                "brings them."
            )
        case NotTrainable():
            return (
                "cannot be trained: a network from an ONNX file is run as it is. Choose another "
                "model."
            )
        case NotRun():
            return f"could not be run: {why}."
        case NotFinite():
            return (
                "computed numbers that are not finite, so there is no result. Its weights are "
                "unusable; choose another one."
            )


def _untaught(error: StyleNotKnown) -> str:
    if error.asked == "width":
        return "was not trained to draw tighter or wider. Choose another model, or the usual width."
    if error.asked == "style":
        return "was not trained to draw in a style. Choose another model."
    if not error.known:
        return "was not trained to draw in a style. Choose another model, or ask for no style."
    known = ", ".join(error.known)
    return f"was not trained with masks of {error.asked}, only of {known}. Choose one of these."


def say(text: str) -> None:
    """A line for the person, beside the output; where nobody can read it the work goes on."""
    with suppress(OSError, ValueError):
        print(f"nca-seg: {one_line(text)}", file=sys.stderr, flush=True)


def show(path: Path | str) -> str:
    """A path as a line of output has it: whole, and on one line whatever its name holds."""
    return one_line(path, LONGEST_PATH)


def print_json(content: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(content, indent=1))
