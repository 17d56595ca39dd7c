"""The questions that services put to a person; the window answers them, tests fake it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from engine.errors import ChangedOutside

PathKind = Literal["image", "folder", "model", "mask", "dataset"]
Answer = Literal["save", "discard", "cancel"]
Whose = Literal["theirs", "mine", "both", "cancel"]


class Prompts(Protocol):
    """Asks a person; each method waits for the answer."""

    def ask_save(self, name: str) -> Answer:
        """Ask what to do with the unsaved mask of the image `name`."""

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        """Ask which mask of the image `name` to keep, after another window or program changed it.

        Only "theirs" or "cancel" if the mask no longer fits the image (`changed.fits`).
        """

    def ask_path(self, kind: PathKind, suggestion: Path) -> Path | None:
        """Ask what to open ("image", "folder", "model") or where to save ("mask", "dataset").

        `suggestion` is the path that the dialog begins with. None if the person cancels.
        """

    def confirm(self, question: str) -> bool:
        """Ask a question that is answered by yes or no."""
