"""Turns names, paths and reasons of any content into plain text of one line and bounded length."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

#: The most characters of a sentence, and of a name, a path and a reason within it.
SENTENCE, NAME, PATH, REASON = 300, 80, 200, 160
#: The most characters of a path that is printed as output, whole: the systems' own limit.
LONGEST_PATH = 4096
#: Invisible characters that are kept: they join letters and emoji, so without them a name changes.
JOINERS = "\u200c\u200d"


def one_line(text: object, most: int = SENTENCE) -> str:
    """`text` as one line of at most `most` characters, with "…" for the middle if it is longer.

    Line breaks and tabs become spaces. Characters that are invisible or change the direction of
    writing become "?", and so do lone surrogates (bytes of a file's name that are not text).
    """
    shown = "".join(map(_visible, str(text)))
    if len(shown) <= most:
        return shown
    head = most // 2
    return f"{shown[:head]}…{shown[len(shown) - (most - head - 1) :]}"


def shown_name(path: Path | str) -> str:
    """The last part of a path as it is shown in a sentence."""
    return one_line(Path(path).name or path, NAME)


def shown_text(text: object) -> str:
    """An id, or another short text from a file, as it is shown in a sentence."""
    return one_line(text, NAME)


def shown_path(path: Path | str, most: int = PATH) -> str:
    """A whole path, of at most `most` characters, as it is shown in a sentence."""
    return one_line(path, most)


def shown_file(error: OSError, most: int = PATH) -> str:
    """The path, of at most `most` characters, that an OSError names, or "A file" if none."""
    name = error.filename
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    return shown_path(name, most) if isinstance(name, str) and name else "A file"


def fitting(write: Callable[[int, int], str]) -> str:
    """A sentence of at most `SENTENCE` characters.

    `write(path, reason)` gives the sentence with at most so many characters of the path and of the
    reason in it. These are shortened first, so that what a person can do about it is kept.
    """
    for shorter in (1, 2, 4):
        line = write(PATH // shorter, REASON // shorter)
        if len(line) <= SENTENCE:
            break
    return one_line(line)


def shown_reason(text: object, most: int = REASON) -> str:
    """A reason of at most `most` characters for a sentence, without a full stop; never empty."""
    return one_line(text, most).strip().rstrip(".") or "no reason given"


def _visible(character: str) -> str:
    """The character itself if it can be seen, a space for white space, else "?"."""
    if character == " " or character.isprintable() or character in JOINERS:
        return character
    if character in "\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029":
        return " "
    return character if unicodedata.category(character) == "Zs" else "?"
