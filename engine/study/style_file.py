"""Reads and writes the file of a study that says in which style its outlines are drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.files import read_regular, write_atomic
from engine.types import StyleChoice

#: Beside the masks of a study.
STYLE_FILE = "style.json"
FORMAT = {"format": "nca-seg/style", "version": 1}
MOST_BYTES = 100_000


def read_style(folders: Iterable[Path]) -> StyleChoice:
    """The style and width that the first of the folders with such a file names.

    A value that is missing or none of its kind, as of a newer program, is the default. So is
    everything where no file can be read.
    """
    for folder in folders:
        content = _content(folder / STYLE_FILE)
        if content is not None:
            return _choice(content)
    return StyleChoice()


def write_style(folder: Path, choice: StyleChoice) -> None:
    """Write the style of a study, atomically, and nothing where it is there already.

    What else a newer program wrote into the file stays. OSError passes through.
    """
    content = _content(folder / STYLE_FILE)
    if content is not None and _named(content) == _named(_as_json(choice)):
        return
    whole = {**FORMAT, **(content or {}), **_as_json(choice)}
    write_atomic(folder / STYLE_FILE, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


def _as_json(choice: StyleChoice) -> dict[str, Any]:
    return {"style": choice.style, "width": choice.width}


def _named(content: dict[str, Any]) -> tuple[Any, Any]:
    return content.get("style"), content.get("width")


def _content(path: Path) -> dict[str, Any] | None:
    """What a file holds; None where there is none, or it is none of these files."""
    try:
        content = json.loads(read_regular(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(content, dict) and content.get("format") == FORMAT["format"]
    return content if ours else None


def _choice(content: dict[str, Any]) -> StyleChoice:
    """The two values of a file, each by itself."""
    choice = StyleChoice()
    with suppress(ValueError, TypeError):
        choice = StyleChoice(style=content["style"]) if "style" in content else choice
    with suppress(ValueError, TypeError):
        choice = StyleChoice(choice.style, content["width"]) if "width" in content else choice
    return choice
