"""Makes the help page from the table of actions, and the page about the program."""

from __future__ import annotations

from html import escape
from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from nca_seg_app.actions import Gesture, cheat_sheet
from nca_seg_app.ui.panels.table import DOCKS

RESEARCH_USE = "Research use only – not a medical device"
PAPER = (
    "A. Mittal, J. Kalkhof, A. Mukhopadhyay, A. Bhavsar: MedSegDiffNCA: Diffusion Models with "
    "Neural Cellular Automata for Skin Lesion Segmentation"
)


def cheat_sheet_html() -> str:
    """Every command with its keys and what it does, as a page."""
    parts = ["<h2>Commands and keys</h2><table cellspacing='0' cellpadding='3'>"]
    names = ", ".join(dock.name.lower() for dock in DOCKS)
    docks = Gesture(", ".join(dock.shortcut for dock in DOCKS), f"show or hide {names}")
    for heading, rows in cheat_sheet([docks]):
        parts.append(f"<tr><td colspan='3'><h3>{escape(heading)}</h3></td></tr>")
        for text, keys, tip in rows:
            shown = keys if heading == "Mouse" else native_keys(keys)
            parts.append(
                f"<tr><td>{escape(text)}</td><td><b>{escape(shown)}</b></td>"
                f"<td>{escape(tip)}</td></tr>"
            )
    parts.append("</table>")
    return "".join(parts)


def native_keys(keys: str) -> str:
    """Keys, comma and space between, as this system writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(key).toString(native) for key in keys.split(", ") if key)


def about_html() -> str:
    """What the program is, and what it is not for."""
    try:
        number = version("nca-seg")
    except PackageNotFoundError:
        number = "not installed"
    return (
        f"<h2>nca-seg</h2><p>Version {escape(number)}</p>"
        "<p>Outlines skin lesions in dermoscopy images with a neural cellular automaton inside a "
        "diffusion process, shows how sure it is, and learns from the person who corrects it.</p>"
        f"<p><b>{RESEARCH_USE}.</b> Not for diagnosis, treatment or any other clinical decision."
        f"</p><p>The models are those of {escape(PAPER)}.</p>"
        "<p>Images and masks stay on this computer: the program sends nothing anywhere.</p>"
    )


def help_page(parent: QWidget) -> QDialog:
    """The cheat sheet in a window of its own that may stay open while working."""
    page = QTextBrowser()
    page.setHtml(cheat_sheet_html())
    return _dialog(parent, "Shortcuts", page, (760, 720))


def about_page(parent: QWidget) -> QDialog:
    """Version, paper, and the research-use note."""
    page = QLabel()
    page.setTextFormat(Qt.TextFormat.RichText)
    page.setText(about_html())
    page.setWordWrap(True)
    page.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return _dialog(parent, "About", page, (460, 340))


def close_button(dialog: QDialog) -> QDialogButtonBox:
    """A row with the one button that closes `dialog`."""
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    # The style's own icon is black, on dark as on light.
    buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
    buttons.rejected.connect(dialog.close)
    return buttons


def _dialog(parent: QWidget, title: str, page: QWidget, size: tuple[int, int]) -> QDialog:
    dialog = QDialog(parent)
    dialog.setWindowTitle(title)
    layout = QVBoxLayout(dialog)
    layout.addWidget(page)
    layout.addWidget(close_button(dialog))
    dialog.resize(*size)
    return dialog
