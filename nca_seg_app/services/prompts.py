"""The questions that services put to a person; the window answers them, tests fake it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from engine.errors import ChangedOutside

PathKind = Literal["image", "folder", "model", "mask", "dataset"]
Answer = Literal["save", "discard", "cancel"]
Whose = Literal["theirs", "mine", "both", "cancel"]


class Prompts(Protocol):
    """Questions to a person; the window implements it, tests fake it."""

    def ask_save(self, name: str) -> Answer:
        """What to do with the unsaved mask of the image `name`."""

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        """Whose mask of the image `name` is kept, where another window or program wrote one.

        Only "theirs" or "cancel" where the mask does not fit the image any more.
        """

    def ask_path(self, kind: PathKind, suggestion: Path) -> Path | None:
        """Where to open ("image", "folder", "model") or save ("mask", "dataset"), or None."""

    def confirm(self, question: str) -> bool:
        """Whether the person agrees."""
