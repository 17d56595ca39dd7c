"""Holds the table of the canvas's tools, and the classes that turn points into edits of the mask.

To add a tool: write a `DrawingTool` here, give it a row in `TOOLS`, and draw its icon
`resources/icons/<name>.svg`. Action, menu, tool bar, help page and canvas follow from the row.
Nothing here knows a mouse, a key or a widget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.masks import edits
from engine.masks.region_growing import Similar
from engine.types import Patch
from nca_seg_app.state.document import MaskDocument

Point = tuple[float, float]
#: Of the wand where it is not dragged: how far colours may differ, 0 to 255.
TOLERANCE = 24.0
#: Screen pixels to the right that double the wand's tolerance, and to the left halve it.
DOUBLING_DISTANCE = 100.0
#: Corners this near to the first one, in screen pixels, close a polygon.
CLOSING_DISTANCE = 9.0


class DrawingTool:
    """Turns what a pointer does into undo steps of the document.

    Points are (row, column) in pixel-edge coordinates of the image. A subclass overrides what it
    needs of `press`, `drag`, `release`, `finish`, `step_back` and `cancel`.

    Parameters
    ----------
    document
        The mask that is drawn on.
    radius_px
        Gives the brush's radius in pixels of the image; asked at each use, so that the size can
        change between strokes.
    pixels_hwc
        The picture, uint8 (height, width, 3) sRGB.
    """

    #: The name of the tool's row in `TOOLS`.
    name = ""
    #: Whether it covers a disk of the brush's radius, which is drawn around the pointer.
    has_footprint = False
    #: Whether the sketch goes on to where the pointer is.
    follows_pointer = True
    #: Whether the sketch is made of corners that are set one by one; a double click ends it.
    sets_corners = False

    def __init__(
        self,
        document: MaskDocument,
        radius_px: Callable[[], float],
        pixels_hwc: NDArray[np.uint8],
    ) -> None:
        self._document = document
        self._radius_px = radius_px
        self._pixels_hwc = pixels_hwc
        self._adds = True
        self._points: list[Point] = []

    @property
    def active(self) -> bool:
        """Whether something is under way that `cancel()` would give up."""
        return bool(self._points)

    @property
    def adds(self) -> bool:
        """Whether what is under way adds to the mask; else it takes away."""
        return self._adds

    @property
    def sketch(self) -> tuple[Point, ...]:
        """The line to draw for what is under way and not in the mask yet."""
        return ()

    def value(self, erase: bool) -> bool:
        """What the tool would paint, with `erase` held or not."""
        return not erase

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        """The button went down; `pixel` is the side of a screen pixel in pixels of the image."""

    def drag(self, point: Point) -> None:
        """The pointer moved with the button held."""

    def release(self) -> None:
        """The button went up."""

    def finish(self) -> None:
        """Make what is under way one step of the document."""

    def step_back(self) -> None:
        """Take back the last piece of what is under way."""

    def cancel(self) -> None:
        """Give up what is under way, as if it had never begun."""
        self._points = []

    def _draw_at_once(self, noun: str) -> None:
        vertices_rc, adds, document = np.array(self._points), self._adds, self._document
        self._points = []
        if len(vertices_rc) >= 3:
            document.begin(self.name)
            document.draw(lambda mask_hw: edits.polygon(mask_hw, vertices_rc, adds))
            document.commit(noun if adds else f"Erase with {noun.lower()}")


class Brush(DrawingTool):
    """Paints a thick line while the button is held; each stroke is one step."""

    name = "brush"
    has_footprint = True

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        self._adds = self.value(erase)
        self._document.begin(self.name)
        self._points = [point]
        self._document.draw(self._painted(np.array([point])))

    def drag(self, point: Point) -> None:
        # Undo, or a new result, takes back a stroke under way; then the rest of it paints nothing.
        if self.active and not self._document.drawing:
            self._points = []
        if self.active and point != self._points[-1]:
            line_rc = np.array([self._points[-1], point])
            self._points = [point]
            self._document.draw(self._painted(line_rc))

    def release(self) -> None:
        self.finish()

    def finish(self) -> None:
        if self.active and self._document.drawing:
            self._document.commit("Brush stroke" if self._adds else "Erase")
        self._points = []

    def cancel(self) -> None:
        if self.active and self._document.drawing:
            self._document.rollback()
        self._points = []

    def _painted(
        self, points_rc: NDArray[np.float64]
    ) -> Callable[[NDArray[np.bool_]], Patch | None]:
        radius_px, adds = self._radius_px(), self._adds
        return lambda mask_hw: edits.stroke(mask_hw, points_rc, radius_px, adds)


class Eraser(Brush):
    """A brush that only takes away."""

    name = "eraser"

    def value(self, erase: bool) -> bool:
        return False


class Polygon(DrawingTool):
    """Each press sets a corner; the first corner, a double click or Enter closes it."""

    name = "polygon"
    sets_corners = True

    @property
    def sketch(self) -> tuple[Point, ...]:
        return tuple(self._points)

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        if not self.active:
            self._adds = self.value(erase)
        elif len(self._points) >= 3 and _distance(point, self._points[0]) <= (
            CLOSING_DISTANCE * pixel
        ):
            self.finish()
            return
        if not self._points or point != self._points[-1]:
            self._points.append(point)

    def finish(self) -> None:
        # Two corners enclose nothing: a double click there was one too many, not the end.
        if len(self._points) >= 3:
            self._draw_at_once("Polygon")

    def step_back(self) -> None:
        if self._points:
            self._points.pop()


class Lasso(DrawingTool):
    """Encloses an area in one freehand drag."""

    name = "lasso"

    @property
    def sketch(self) -> tuple[Point, ...]:
        return tuple(self._points)

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        self._adds, self._points = self.value(erase), [point]

    def drag(self, point: Point) -> None:
        if self.active and point != self._points[-1]:
            self._points.append(point)

    def release(self) -> None:
        self._draw_at_once("Lasso")


class Wand(DrawingTool):
    """Takes the area that goes on in the colour of the pressed place; dragging says how far."""

    name = "wand"
    follows_pointer = False
    _similar: Similar | None = None

    @property
    def sketch(self) -> tuple[Point, ...]:
        return tuple((row, column) for row, column in self._points)

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        self._adds, self._from, self._pixel = self.value(erase), point, pixel
        self._take(TOLERANCE)

    def drag(self, point: Point) -> None:
        if self.active:
            right = (point[1] - self._from[1]) / self._pixel
            self._take(TOLERANCE * 2 ** (right / DOUBLING_DISTANCE))

    def release(self) -> None:
        self._draw_at_once("Wand")

    def _take(self, tolerance: float) -> None:
        # When it is first used: most who draw never do.
        self._similar = self._similar or Similar(self._pixels_hwc)
        border_rc = self._similar.around(self._from, tolerance)
        self._points = [(row, column) for row, column in border_rc.tolist()]


@dataclass(frozen=True)
class Tool:
    """What the window says about a tool, and the class that draws with it.

    Attributes
    ----------
    name
        Its id: `tools.<name>` is its action, `<name>.svg` its icon.
    text
        Its entry in the menu, with an & before the mnemonic.
    shortcut
        Its key, in Qt's portable form.
    tip
        A sentence for the tool tip and the help page.
    drawing
        The class that draws, or None for a tool that changes no mask.
    gestures
        (keys, what they do) for the help page.
    """

    name: str
    text: str
    shortcut: str
    tip: str
    drawing: type[DrawingTool] | None = None
    gestures: tuple[tuple[str, str], ...] = ()


#: All tools in the order of menu and tool bar; the first is in hand when the window opens.
TOOLS: tuple[Tool, ...] = (
    Tool(
        "pan",
        "&Pan",
        "H",
        "Move the image.",
        gestures=(("Click with pan", "while Cells is open: the curves of that cell"),),
    ),
    Tool(
        "brush",
        "&Brush",
        "B",
        "Paint the mask; Shift or right button erases.",
        Brush,
        (("Drag with brush", "add to the mask; Shift or right button takes away"),),
    ),
    Tool("eraser", "&Eraser", "E", "Take paint away.", Eraser),
    Tool(
        "polygon",
        "P&olygon",
        "P",
        "Set corners; double click fills the polygon.",
        Polygon,
        (("Double click with polygon", "close the polygon"),),
    ),
    Tool("lasso", "L&asso", "L", "Draw around an area to fill it.", Lasso),
    Tool(
        "wand",
        "&Wand",
        "G",
        "Take an area of like colour; drag right for more, left for less.",
        Wand,
        (
            (
                "Drag with wand",
                "to the right a larger area of like colour, to the left a smaller",
            ),
        ),
    ),
)
TOOLS_BY_NAME: Mapping[str, Tool] = {tool.name: tool for tool in TOOLS}


def _distance(a: Point, b: Point) -> float:
    difference: Any = np.hypot(a[0] - b[0], a[1] - b[1])
    return float(difference)
