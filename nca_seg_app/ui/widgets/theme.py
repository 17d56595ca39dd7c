"""Gives the program its palette, and icons in the palette's colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QStyleFactory

ThemeName = Literal["system", "light", "dark"]
#: Of strokes that tell the model what is lesion, and what is skin.
LESION, SKIN = QColor("#3ddc84"), QColor("#ff5ca8")
ICON_SIZES_PX = (20, 24, 40, 48)
#: Of outlines over a picture: the person's, the model's, and a third one that both are held to.
ANNOTATION, PROPOSAL, TRUTH = QColor("#00d5ff"), QColor("#ffb000"), QColor("#ffffff")


@dataclass(frozen=True)
class Colours:
    """The few colours of a theme, as #rrggbb."""

    window: str
    base: str
    raised: str
    text: str
    faint: str
    line: str
    accent: str
    on_accent: str


DARK = Colours(
    "#2b2b2b", "#1e1e1e", "#3a3a3a", "#e6e6e6", "#8c8c8c", "#454545", "#2f8fb3", "#ffffff"
)
LIGHT = Colours(
    "#f4f4f4", "#ffffff", "#e7e7e7", "#1f1f1f", "#8a8a8a", "#c4c4c4", "#0a7599", "#ffffff"
)


def is_dark(theme: ThemeName) -> bool:
    """Whether `theme` is dark now; "system" asks the desktop, and is dark where it does not say."""
    if theme != "system":
        return theme == "dark"
    # Where nobody says, dark: a neutral dark surround is the usual place to judge a picture.
    return QApplication.styleHints().colorScheme() != Qt.ColorScheme.Light


def apply_theme(app: QApplication, theme: ThemeName) -> None:
    """Give the program the Fusion style in the colours of `theme`."""
    if app.style().name().lower() != "fusion":
        app.setStyle(QStyleFactory.create("Fusion"))
    wanted = palette(DARK if is_dark(theme) else LIGHT)
    if app.palette() != wanted:
        app.setPalette(wanted)


def palette(colours: Colours) -> QPalette:
    """A Qt palette of these colours."""
    made = QPalette(QColor(colours.raised), QColor(colours.window))
    role = QPalette.ColorRole
    roles = {
        role.Window: colours.window,
        role.WindowText: colours.text,
        role.Base: colours.base,
        role.AlternateBase: colours.window,
        role.ToolTipBase: colours.raised,
        role.ToolTipText: colours.text,
        role.PlaceholderText: colours.faint,
        role.Text: colours.text,
        role.Button: colours.raised,
        role.ButtonText: colours.text,
        role.BrightText: "#ffffff",
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.Link: colours.accent,
        role.Accent: colours.accent,
        role.Mid: colours.line,
    }
    for each, colour in roles.items():
        made.setColor(each, QColor(colour))
    for each in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        made.setColor(QPalette.ColorGroup.Disabled, each, QColor(colours.faint))
    made.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(colours.line))
    return made


def icon(name: str) -> QIcon:
    """The icon `name` of resources/icons in the colours of the palette; empty where there is none.

    To be asked for again when the palette changes.
    """
    source = _icon_source(name) if name else ""
    made = QIcon()
    if not source:
        return made
    colours = QApplication.palette()
    groups = {
        QIcon.Mode.Normal: QPalette.ColorGroup.Active,
        QIcon.Mode.Disabled: QPalette.ColorGroup.Disabled,
    }
    for mode, group in groups.items():
        colour = colours.color(group, QPalette.ColorRole.ButtonText).name()
        renderer = QSvgRenderer(QByteArray(source.replace("currentColor", colour).encode()))
        for side_px in ICON_SIZES_PX:
            pixmap = QPixmap(QSize(side_px, side_px))
            pixmap.fill(Qt.GlobalColor.transparent)
            painter = QPainter(pixmap)
            renderer.render(painter, QRectF(0, 0, side_px, side_px))
            painter.end()
            made.addPixmap(pixmap, mode)
    return made


@cache
def _icon_source(name: str) -> str:
    path = Path(str(resources.files("resources"))) / "icons" / f"{name}.svg"
    return path.read_text("utf-8") if path.is_file() else ""
