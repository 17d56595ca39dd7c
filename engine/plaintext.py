"""Turns names and reasons, whatever they hold, into bounded plain text for one line."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

#: In characters: of a sentence, of a name in it, of a path, of a reason.
SENTENCE, NAME, PATH, REASON = 300, 80, 200, 160
#: Of a path that is output, where all of it is wanted: the systems' own bound.
LONGEST_PATH = 4096
#: They join letters and emoji, in Persian and elsewhere; a name without them is another.
JOINERS = "\u200c\u200d"


def one_line(text: object, most: int = SENTENCE) -> str:
    """`text` as one line of at most `most` characters, its middle elided where it is longer.

    Line breaks and tabs become spaces. What is invisible or turns the direction of writing, and
    halves of characters (bytes of a name that are no text), become "?".
    """
    shown = "".join(map(_visible, str(text)))
    if len(shown) <= most:
        return shown
    head = most // 2
    return f"{shown[:head]}…{shown[len(shown) - (most - head - 1) :]}"


def shown_name(path: Path | str) -> str:
    """The last part of a path, to stand in a sentence."""
    return one_line(Path(path).name or path, NAME)


def shown_text(text: object) -> str:
    """An id or another short text that a file holds, to stand in a sentence."""
    return one_line(text, NAME)


def shown_path(path: Path | str, most: int = PATH) -> str:
    """A whole path, to stand in a sentence."""
    return one_line(path, most)


def shown_file(error: OSError, most: int = PATH) -> str:
    """The file that an error of the system is about."""
    given = error.filename
    if isinstance(given, bytes):
        given = os.fsdecode(given)
    return shown_path(given, most) if isinstance(given, str) and given else "A file"


def fitting(told: Callable[[int, int], str]) -> str:
    """A sentence that is a line of bounded length.

    `told` gives it with at most so many characters of a path and of a reason. Where it is too long
    these are shortened, so that what a person can do about it stays.
    """
    for shorter in (1, 2, 4):
        line = told(PATH // shorter, REASON // shorter)
        if len(line) <= SENTENCE:
            break
    return one_line(line)


def shown_reason(text: object, most: int = REASON) -> str:
    """A reason to stand in a sentence, without a full stop; never empty."""
    return one_line(text, most).strip().rstrip(".") or "no reason given"


def _visible(character: str) -> str:
    if character == " " or character.isprintable() or character in JOINERS:
        return character
    if character in "\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029":
        return " "
    return character if unicodedata.category(character) == "Zs" else "?"
