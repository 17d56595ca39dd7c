"""All that the session needs from outside: the engine's functions and a person's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.types import (
    Device,
    Image,
)

PathKind = Literal["image", "folder", "mask", "dataset", "model"]
Answer = Literal["save", "discard", "cancel"]


class Prompts(Protocol):
    """Questions to a person; the window implements it, tests fake it."""

    def ask_save(self, name: str) -> Answer:
        """What to do with the unsaved mask of the image `name`."""

    def ask_path(self, kind: PathKind, suggestion: Path) -> Path | None:
        """Where to open or save; None where the person cancels."""

    def confirm(self, question: str) -> bool:
        """Whether the person agrees."""


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be chosen. `figures` is a short text, as "Dice 0.86 on test"."""

    name: str
    path: Path
    architecture: str = ""
    parent: str = ""
    size: int = 0
    figures: str = ""


@dataclass(frozen=True)
class ImageRow:
    """An image of the open study, as the images panel lists it.

    `status`: "new" (no mask), "annotated" (mask saved), "reviewed". `doubt` is the disagreement of
    the last result, in [0, 1], or None.
    """

    path: Path
    status: Literal["new", "annotated", "reviewed"] = "new"
    doubt: float | None = None


@dataclass(frozen=True)
class Engine:
    """The handful of engine functions the session calls; tests put small real fakes here."""

    read_image: Callable[[Path], Image]
    list_images: Callable[[Path], list[Path]]
    open_study: Callable[[Path], Any]
    installed: Callable[[], tuple[ModelEntry, ...]]
    load_model: Callable[[Path, Device], Any]
    segment: Callable[..., Iterator[Any]]
    replay: Callable[..., Iterator[Any]]
