"""Shows names as they are: Qt is never left to guess whether a text is rich."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from engine.plaintext import one_line

#: In characters; a path may be long, and a menu is as broad as its longest line.
LONGEST_ENTRY = 100


class PlainLabel(QLabel):
    """A label whose text is plain, whatever it looks like."""

    def __init__(
        self, text: str = "", parent: QWidget | None = None, *, wraps: bool = False
    ) -> None:
        """A label that says `text`; where it `wraps`, in as many lines as it needs."""
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wraps)
        self.setText(text)


def tip(text: str) -> str:
    """`text` as a tool tip; Qt takes one that looks rich for rich, and can be told nothing else."""
    shown = "\n".join(one_line(line) for line in text.split("\n"))
    # Of all others Qt does not think so.
    if "<" not in shown and "&lt;" not in shown:
        return shown
    return f"<qt>{escape(shown)}</qt>".replace("\n", "<br>")


def entry(text: str) -> str:
    """`text` as an entry of a menu or a list, whose ampersands are no mnemonics."""
    return one_line(text, LONGEST_ENTRY).replace("&", "&&")


def title(text: str) -> str:
    """`text` as a part of a window's title, where [*] is the mark of unsaved changes."""
    # Twice it stands for itself.
    return one_line(text, LONGEST_ENTRY).replace("[*]", "[*][*]")
