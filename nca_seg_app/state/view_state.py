"""Holds what is looked at and which tool is in hand, so that panels and canvas need not meet.

It also carries what an action asks of the canvas (zoom, fit) or of the window (quit, help).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Signal

from engine.types import Float
from nca_seg_app.state.tools import TOOLS, TOOLS_BY_NAME, Tool

Kind = Literal["probability", "noisy", "variance", "channel", "colours"]
#: What the actions ask of the window itself.
WindowRequest = Literal["quit", "help", "about", "preferences", "panels"]


@dataclass(frozen=True, eq=False)
class Shown:
    """A map that a panel puts on the canvas in place of the running result.

    `map_hw` is on any grid over the whole image; the canvas scales it. "probability" lies in
    [0, 1], "noisy" and "channel" are free, "variance" lies in [0, 0.25]; "colours" are red, green
    and blue in [0, 1], (rows, columns, 3). `member`, counted from 0, where it is one member's
    answer, which can be taken.
    """

    title: str
    kind: Kind
    map_hw: Float
    member: int | None = None


class ViewState(QObject):
    """The tool in hand, the shown map, the picked pixel, and requests to canvas and window."""

    #: Read `tool`.
    tool_changed = Signal()
    #: Read `shown`; None means the running or newest result.
    shown_changed = Signal()
    #: Read `picked` and `picking`.
    picked_changed = Signal()
    fit_requested = Signal()
    actual_size_requested = Signal()
    #: Factor by which to magnify.
    zoom_requested = Signal(float)
    next_doubt_requested = Signal()
    #: One of WindowRequest.
    window_requested = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tool = TOOLS[0]
        self._shown: Shown | None = None
        self._picked: tuple[int, int] | None = None
        self._picking = False

    @property
    def tool(self) -> Tool:
        """The tool in hand."""
        return self._tool

    @property
    def shown(self) -> Shown | None:
        """The map a panel wants on the canvas, or None."""
        return self._shown

    @property
    def picked(self) -> tuple[int, int] | None:
        """(row, column) of the pixel last clicked for its curves, in image pixels, or None."""
        return self._picked

    def choose_tool(self, name: str) -> None:
        """Take the tool of that name in hand. ValueError where there is none."""
        if name not in TOOLS_BY_NAME:
            raise ValueError(f"{name!r} is not one of {', '.join(TOOLS_BY_NAME)}")
        if name != self._tool.name:
            self._tool = TOOLS_BY_NAME[name]
            self.tool_changed.emit()

    def show(self, shown: Shown | None) -> None:
        """Put a map on the canvas, or take it away with None."""
        if shown is not self._shown:
            self._shown = shown
            self.shown_changed.emit()

    @property
    def picking(self) -> bool:
        """Whether a panel is seen that shows what is at the picked pixel."""
        return self._picking

    def set_picking(self, picking: bool) -> None:
        """A panel that shows what is at the picked pixel came into sight, or left it."""
        if picking != self._picking:
            self._picking = picking
            self.picked_changed.emit()

    def pick(self, picked: tuple[int, int] | None) -> None:
        """Choose the pixel (row, column) whose curves are wanted."""
        if picked != self._picked:
            self._picked = picked
            self.picked_changed.emit()

    def ask_window(self, request: WindowRequest) -> None:
        """Ask the window for something only it can do."""
        self.window_requested.emit(request)
