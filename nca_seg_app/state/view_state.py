"""Holds what is shown and which tool is chosen, so that panels and canvas need not know each other.

It also passes on what an action asks of the canvas (zoom, fit) or of the window (quit, help).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Signal

from engine.types import Float
from nca_seg_app.state.tools import TOOLS, TOOLS_BY_NAME, Tool

Kind = Literal["probability", "noisy", "variance", "channel", "colours"]
#: What an action can ask of the window.
WindowRequest = Literal["quit", "help", "about", "preferences", "panels"]


@dataclass(frozen=True, eq=False)
class Shown:
    """A map that a panel shows on the canvas in place of the result.

    Parameters
    ----------
    title : what the canvas calls it.
    kind : what its values are: "probability" in [0, 1], "variance" in [0, 0.25], "noisy" and
        "channel" of any range, "colours" red, green and blue in [0, 1].
    map_hw : (rows, columns), or (rows, columns, 3) for "colours", on any grid over the whole image.
    member : the member's number, from 0, if the map is its answer, which can be accepted.
    """

    title: str
    kind: Kind
    map_hw: Float
    member: int | None = None


class ViewState(QObject):
    """The chosen tool, the shown map, the picked pixel, and requests to canvas and window."""

    #: `tool` changed.
    tool_changed = Signal()
    #: `shown` changed.
    shown_changed = Signal()
    #: `picked` or `picking` changed.
    picked_changed = Signal()
    fit_requested = Signal()
    actual_size_requested = Signal()
    #: Carries the factor by which to magnify.
    zoom_requested = Signal(float)
    next_doubt_requested = Signal()
    #: Carries a WindowRequest.
    window_requested = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tool = TOOLS[0]
        self._shown: Shown | None = None
        self._picked: tuple[int, int] | None = None
        self._picking = False

    @property
    def tool(self) -> Tool:
        """The chosen tool."""
        return self._tool

    @property
    def shown(self) -> Shown | None:
        """The map that a panel shows on the canvas, or None for the result."""
        return self._shown

    @property
    def picked(self) -> tuple[int, int] | None:
        """The pixel whose curves are wanted, (row, column) in image pixels, or None."""
        return self._picked

    def choose_tool(self, name: str) -> None:
        """Choose the tool called `name`. Raises ValueError if there is none."""
        if name not in TOOLS_BY_NAME:
            raise ValueError(f"{name!r} is not one of {', '.join(TOOLS_BY_NAME)}")
        if name != self._tool.name:
            self._tool = TOOLS_BY_NAME[name]
            self.tool_changed.emit()

    def show(self, shown: Shown | None) -> None:
        """Show a map on the canvas, or the result again with None."""
        if shown is not self._shown:
            self._shown = shown
            self.shown_changed.emit()

    @property
    def picking(self) -> bool:
        """Whether a panel is visible that shows values of the picked pixel."""
        return self._picking

    def set_picking(self, picking: bool) -> None:
        """Say whether a panel that shows values of the picked pixel is visible."""
        if picking != self._picking:
            self._picking = picking
            self.picked_changed.emit()

    def pick(self, picked: tuple[int, int] | None) -> None:
        """Choose the pixel (row, column) whose curves are wanted."""
        if picked != self._picked:
            self._picked = picked
            self.picked_changed.emit()

    def ask_window(self, request: WindowRequest) -> None:
        """Ask the window for something that only it can do."""
        self.window_requested.emit(request)
