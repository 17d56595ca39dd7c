"""Law: a name is shown as it is, wherever it stands in the window, and is never markup."""

from __future__ import annotations

import ast
import os
import sys
from html import unescape
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtWidgets import QApplication, QLabel, QListView, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from nca_seg_app.ui.dialogs import Dialogs
from nca_seg_app.ui.panels.wording import offer
from nca_seg_app.ui.widgets.plain_text import LONGEST_ENTRY, PlainLabel, entry, tip, title
from nca_seg_app.ui.window import Window
from tests.app.desks import opened, trigger
from tests.conftest import PROJECT
from tests.fakes import write_image

RICH = "<b>x<i>&lt;img src=a>&amp; [*] 100%p"
#: Where rich text is meant, and no name is in it.
MEANT = ("canvas/doorway.py", "help.py", "plain.py")


def guessed_rich(text: str) -> bool:
    """Whether Qt would take a text for markup."""
    return bool(GuiQt.mightBeRichText(text))


@pytest.mark.parametrize(
    "text", [RICH, "<br>", "1 < 2", "a &lt;b", "<?xml?>", "x\n<b>y", "<a href='x'>y</a>"]
)
def test_a_tip_shows_what_looks_like_markup(text: str) -> None:
    shown = tip(text)
    assert shown.startswith("<qt>")
    inside = shown.removeprefix("<qt>").removesuffix("</qt>")
    assert unescape(inside.replace("<br>", "\n")) == text
    assert "<" not in inside.replace("<br>", "")


@pytest.mark.parametrize("text", ["A & B", "two\nlines", "x > y"])
def test_a_tip_that_is_plain_anyway_stays_as_it_is(text: str) -> None:
    assert tip(text) == text
    assert not guessed_rich(tip(text))


def test_an_entry_has_no_mnemonic_and_no_second_column() -> None:
    assert entry("a&b\tc\nd") == "a&&b c d"
    assert len(entry("x" * 1000)) == LONGEST_ENTRY


def test_a_title_has_no_mark_of_its_own() -> None:
    assert title("a[*]b\u202egnp") == "a[*][*]b?gnp"


def test_a_label_is_plain() -> None:
    assert PlainLabel.__mro__[1] is QLabel
    for path in (PROJECT / "nca_seg_app").rglob("*.py"):
        if path.relative_to(PROJECT / "nca_seg_app").as_posix() in MEANT:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "QLabel", f"{path.name}, line {node.lineno}"


def tips(window: Window) -> list[str]:
    """The tool tips of everything in the window, of lines of its lists, too."""
    things = [window, *window.findChildren(QWidget), *window.findChildren(QAction)]
    found = [thing.toolTip() for thing in things]
    for view in window.findChildren(QListView):
        model = view.model()
        lines = [model.index(line, 0) for line in range(model.rowCount())]
        found += [str(line.data(Qt.ItemDataRole.ToolTipRole) or "") for line in lines]
    return found


@pytest.mark.skipif(os.name == "nt", reason="such names are not possible there")
def test_nothing_in_the_window_takes_a_name_for_markup(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    path = write_image(tmp_path / RICH / f"{RICH}.png", (48, 64))
    session = opened(window, qtbot, path)
    assert f"{RICH}.png" in window.windowTitle().replace("[*][*]", "[*]")
    session.saving.save()
    qtbot.waitUntil(lambda: bool(window.status.saved.toolTip()))
    told = f"Saved {RICH}_segmentation.png"
    qtbot.waitUntil(lambda: window.status.note.text() == told)
    session.context.fail(OSError(5, "Input/output error", str(path)))
    assert RICH in window.strip.sentence
    mentioned = 0
    for label in window.findChildren(QLabel):
        mentioned += RICH in label.text()
        # A label of a field is a word of the program's own.
        if label.text() and label.buddy() is None:
            # Markup is meant in the invitation of the empty canvas alone.
            meant = Qt.TextFormat.RichText if "<a href" in label.text() else Qt.TextFormat.PlainText
            assert label.textFormat() == meant, label.text()
    assert mentioned >= 2
    shown = [text for text in tips(window) if guessed_rich(text)]
    assert [text for text in shown if not text.startswith("<qt>")] == []
    assert all("<" not in text.removeprefix("<qt>").removesuffix("</qt>") for text in shown)
    assert sum(RICH in unescape(text) for text in shown) >= 3
    window._list_recent()
    listed = [each.text().replace("&&", "&") for each in window._recent.actions()]
    assert any(RICH in text for text in listed)


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes that are no text")
def test_what_cannot_be_seen_in_a_name_is_marked(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    path = write_image(tmp_path / "one" / "les\nion\x1b\u202e.png", (48, 64))
    session = opened(window, qtbot, path)
    assert window.windowTitle().startswith("les ion??.png")
    session.saving.save()
    qtbot.waitUntil(lambda: window.status.note.text() == "Saved les ion??_segmentation.png")
    assert not window.strip.sentence
    assert all(line.isprintable() for text in tips(window) for line in text.split("\n"))
    # One of bytes that are no text is refused by the folder's index.
    session.opening.open_path(
        write_image(tmp_path / "two" / os.fsdecode(b"les\xffion.png"), (48, 64))
    )
    qtbot.waitUntil(lambda: "les?ion.png" in window.strip.sentence)
    assert window.strip.sentence.isprintable()


def test_a_model_is_called_what_it_is_called() -> None:
    assert f"new 0.900, {RICH} 0.800" in offer(RICH, 0.9, 0.8, 20)
    assert len(offer("x" * 500, 0.9, 0.8, 20)) < 300


@pytest.mark.parametrize("question", ["save", "confirm"])
def test_a_question_shows_a_name_as_it_is(
    question: str, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Qt.TextFormat, object]] = []

    def answer(box: QMessageBox) -> int:
        asked.append((box.text(), box.textFormat(), box.defaultButton()))
        box.deleteLater()
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "exec", answer)
    if question == "save":
        assert Dialogs().ask_save(f"{RICH}\n.png") == "cancel"
    else:
        assert Dialogs().confirm(f"{RICH} exists already. Replace it?")
    ((text, form, button),) = asked
    assert RICH in text
    assert "\n" not in text
    assert form == Qt.TextFormat.PlainText
    assert button is not None


def test_a_long_note_is_bounded(window: Window) -> None:
    window.status.show_note("x" * 5000)
    assert len(window.status.note.text()) <= 300
    window.strip.show_trouble("y" * 5000, "details")
    assert len(window.strip.sentence) <= 300
    trigger(window, "help.shortcuts")
