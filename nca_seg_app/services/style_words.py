"""Names styles and widths, and says what a fit of them found, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.types import StyleChoice, StyleName

#: Of widths up to these the words are used; a smaller one than the first is not worth a word.
DEGREES = ((0.1, ""), (0.4, "a little "), (0.75, ""), (1.0, "much "))


@dataclass(frozen=True)
class StyleWords:
    """What a style is called, and what its outlines were made with."""

    name: str
    tip: str


STYLES: Mapping[StyleName, StyleWords] = {
    "mixed": StyleWords(
        "As everybody (mixed)",
        "Each member draws in the style of another tool, as often as people used it: the outline "
        "lies between them all.",
    ),
    "unknown": StyleWords("Not said", "The model is told no tool, and goes by the picture alone."),
    "T1": StyleWords(
        "Points by hand",
        "As by a person who set points around the lesion, which lines join.",
    ),
    "T2": StyleWords(
        "Flood fill",
        "As by a person who clicked into the lesion and had all around of a like colour filled.",
    ),
    "T3": StyleWords(
        "Automatic fill",
        "As by a program that found the border by itself, looked over by a person.",
    ),
    "several": StyleWords(
        "Several tools",
        "As in pictures outlined more than once, with different tools.",
    ),
}


def drawn_like(choice: StyleChoice) -> str:
    """A style and width as the end of "Your masks are drawn like: …"."""
    name = STYLES[choice.style].name.lower()
    degree = next(word for most, word in DEGREES if abs(choice.width) <= most)
    if abs(choice.width) <= DEGREES[0][0]:
        return name
    return f"{name}, {degree}{'wider' if choice.width > 0 else 'tighter'}"
