"""The table of the canvas's tools, and the classes that turn points into edits of the mask.

To add a tool: write a `DrawingTool` here, give it a row in `TOOLS`, and draw its icon
`resources/icons/<name>.svg`. Action, menu, tool bar, help page and canvas follow from the row.
Mouse, keys and widgets are left to the canvas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.framing import Box
from engine.masks import edits
from engine.masks.arrays import Mask, Window
from engine.masks.pushing import Push
from engine.masks.region_growing import Similar, up_to_edge
from engine.types import Patch
from nca_seg_app.state.document import MaskDocument
from nca_seg_app.state.guidance import Stroke

Point = tuple[float, float]
#: The wand's tolerance before it is dragged: how far colours may differ, 0 to 255.
TOLERANCE = 24.0
#: Dragging by so many screen pixels doubles (right) or halves (left) the wand's tolerance.
DOUBLING_DISTANCE = 100.0
#: A corner set within so many screen pixels of the first one closes a polygon.
CLOSING_DISTANCE = 9.0


#: An edge is looked for every so many radii along a stroke.
DAB_SHARE = 0.5
#: A box smaller than so many screen pixels is a slip of the hand.
SMALLEST_BOX = 6.0


class Guide(Protocol):
    """What tools tell the model instead of drawing, and ask of its result."""

    def add_stroke(self, stroke: Stroke) -> None:
        """Have the model hear a stroke."""

    def add_box(self, box: Box) -> None:
        """Have the model outline the lesion in a box."""

    def doubtful(self, window: Window) -> Mask | None:
        """Where in a window (rows, columns) the members disagree; None without a result."""


class DrawingTool:
    """Turns the movements of a pointer into undo steps of the document.

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
    guide
        Takes what is told to the model; None where there is none to tell.
    """

    #: The name of the tool's row in `TOOLS`.
    name = ""
    #: Whether a disk of the brush's radius is drawn around the pointer.
    has_footprint = False
    #: Whether that disk says by a sign whether it adds or takes away.
    has_sign = True
    #: Whether the sketch is drawn on to the pointer's place.
    follows_pointer = True
    #: Whether corners are set one by one until a double click.
    sets_corners = False
    #: Whether it edits the mask, so that a proposal is accepted before it is drawn on.
    draws = True

    def __init__(
        self,
        document: MaskDocument,
        radius_px: Callable[[], float],
        pixels_hwc: NDArray[np.uint8],
        guide: Guide | None = None,
    ) -> None:
        self._document = document
        self._guide = guide
        self._radius_px = radius_px
        self._pixels_hwc = pixels_hwc
        self._adds = True
        self._points: list[Point] = []

    @property
    def active(self) -> bool:
        """Whether a stroke or sketch is under way, which `cancel()` would give up."""
        return bool(self._points)

    @property
    def adds(self) -> bool:
        """Whether the stroke or sketch under way adds to the mask; else it takes away."""
        return self._adds

    @property
    def sketch(self) -> tuple[Point, ...]:
        """The points of the line to draw for a sketch that is not in the mask yet."""
        return ()

    def value(self, erase: bool) -> bool:
        """The value that the tool paints: true adds to the mask. `erase` asks it to take away."""
        return not erase

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        """Handle that the button went down.

        Parameters
        ----------
        point : where.
        erase : whether the tool shall take away instead of add.
        pixel : side of a screen pixel in pixels of the image.
        """

    def drag(self, point: Point) -> None:
        """Handle that the pointer moved to `point` with the button held."""

    def release(self) -> None:
        """Handle that the button went up."""

    def finish(self) -> None:
        """Make the stroke or sketch under way one undo step of the document."""

    def step_back(self) -> None:
        """Take back the last corner of the sketch under way."""

    def cancel(self) -> None:
        """Give up the stroke or sketch under way; the mask is as it was before."""
        self._points = []

    def _draw_at_once(self, noun: str) -> None:
        """Fill the area that the sketch encloses, as one undo step called after `noun`."""
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
        # Undo or a new result may have taken back the stroke under way; its rest paints nothing.
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
    """Takes away from the mask as a brush."""

    name = "eraser"

    def value(self, erase: bool) -> bool:
        return False


class EdgeBrush(Brush):
    """Paints as a brush, but not over a clear edge between the brush's middle and its rim."""

    name = "edge_brush"

    def _painted(
        self, points_rc: NDArray[np.float64]
    ) -> Callable[[NDArray[np.bool_]], Patch | None]:
        radius_px, adds = self._radius_px(), self._adds
        dabs = _along(points_rc, DAB_SHARE * radius_px)
        found = [up_to_edge(self._pixels_hwc, dab, radius_px) for dab in dabs]

        def allowed(window: Window) -> Mask:
            rows, columns = window
            allowed_hw = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
            for (dab_rows, dab_columns), part_hw in found:
                top, left = dab_rows.start - rows.start, dab_columns.start - columns.start
                height, width = part_hw.shape
                allowed_hw[top : top + height, left : left + width] |= part_hw
            return allowed_hw

        return lambda mask_hw: edits.stroke(mask_hw, points_rc, radius_px, adds, allowed)


class DoubtBrush(Brush):
    """Paints as a brush, but only where the members of the result disagree."""

    name = "doubt_brush"

    def _painted(
        self, points_rc: NDArray[np.float64]
    ) -> Callable[[NDArray[np.bool_]], Patch | None]:
        radius_px, adds, guide = self._radius_px(), self._adds, self._guide

        def allowed(window: Window) -> Mask:
            doubtful_hw = guide.doubtful(window) if guide is not None else None
            if doubtful_hw is None:
                return np.zeros([side.stop - side.start for side in window], np.bool_)
            return doubtful_hw

        return lambda mask_hw: edits.stroke(mask_hw, points_rc, radius_px, adds, allowed)


class PushTool(DrawingTool):
    """Moves the border of the mask with the pointer; each drag is one step."""

    name = "push"
    has_footprint = True
    has_sign = False
    _push: Push | None = None

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        self._document.begin(self.name)
        self._points, self._push = [point], Push(self._radius_px())

    def drag(self, point: Point) -> None:
        # Undo or a new result may have taken back the stroke under way; its rest moves nothing.
        if self.active and not self._document.drawing:
            self._points = []
        if self.active and self._push is not None:
            push, start = self._push, self._points[-1]
            self._points = [point]
            self._document.draw(lambda mask_hw: push.move(mask_hw, start, point))

    def release(self) -> None:
        self.finish()

    def finish(self) -> None:
        if self.active and self._document.drawing:
            self._document.commit("Push")
        self._points, self._push = [], None

    def cancel(self) -> None:
        if self.active and self._document.drawing:
            self._document.rollback()
        self._points, self._push = [], None


class Polygon(DrawingTool):
    """Fills a polygon: each press sets a corner; the first corner, double click or Enter closes."""

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
        # Two corners enclose nothing, so a double click at the second does not end the polygon.
        if len(self._points) >= 3:
            self._draw_at_once("Polygon")

    def step_back(self) -> None:
        if self._points:
            self._points.pop()


class Lasso(DrawingTool):
    """Fills the area around which the pointer is dragged."""

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
    """Fills the connected area of like colour around the pressed place.

    Dragging right allows colours to differ more, dragging left less.
    """

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
        # Made at the first use, because it takes time and most people never use the wand.
        self._similar = self._similar or Similar(self._pixels_hwc)
        border_rc = self._similar.around(self._from, tolerance)
        self._points = [(row, column) for row, column in border_rc.tolist()]


class Steer(DrawingTool):
    """Tells the model by a stroke what is lesion, or what is skin; the mask stays as it is."""

    name = "steer"
    has_footprint = True
    follows_pointer = False
    draws = False

    @property
    def stroke(self) -> Stroke:
        """The stroke under way."""
        return Stroke(tuple(self._points), self._radius_px(), self._adds)

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        self._adds, self._points = self.value(erase), [point]

    def drag(self, point: Point) -> None:
        if self.active and point != self._points[-1]:
            self._points.append(point)

    def release(self) -> None:
        self.finish()

    def finish(self) -> None:
        if self.active:
            stroke, self._points = self.stroke, []
            if self._guide is not None:
                self._guide.add_stroke(stroke)


class BoxTool(DrawingTool):
    """Has the model outline the lesion in the rectangle that is dragged."""

    name = "box"
    follows_pointer = False
    draws = False

    @property
    def sketch(self) -> tuple[Point, ...]:
        if not self.active:
            return ()
        (top, left), (bottom, right) = self._points
        return (top, left), (top, right), (bottom, right), (bottom, left), (top, left)

    def press(self, point: Point, erase: bool, pixel: float = 1.0) -> None:
        self._points, self._pixel = [point, point], pixel

    def drag(self, point: Point) -> None:
        if self.active:
            self._points[1] = point

    def release(self) -> None:
        self.finish()

    def finish(self) -> None:
        if not self.active:
            return
        points_rc, self._points = np.array(self._points), []
        low = np.clip(np.floor(points_rc.min(axis=0)), 0, self._document.shape).astype(int)
        high = np.clip(np.ceil(points_rc.max(axis=0)), 0, self._document.shape).astype(int)
        height, width = (high - low).tolist()
        wide_enough = min(height, width) >= max(2, SMALLEST_BOX * self._pixel)
        if wide_enough and self._guide is not None:
            self._guide.add_box(Box(int(low[0]), int(low[1]), height, width))


@dataclass(frozen=True)
class Tool:
    """A row of `TOOLS`: what the window says about a tool, and the class that draws with it.

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
        gestures=(("Click with pan", "while Cells (or Blocks) is open: the curves of that place"),),
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
        "edge_brush",
        "Ed&ge Brush",
        "Q",
        "Paint up to the next clear edge; Shift or right button erases.",
        EdgeBrush,
        (("Drag with edge brush", "as the brush, but not over a clear edge"),),
    ),
    Tool(
        "doubt_brush",
        "&Doubt Brush",
        "J",
        "Paint only where the members disagree; Shift or right button erases.",
        DoubtBrush,
        (("Drag with doubt brush", "as the brush, but only where the members disagree"),),
    ),
    Tool(
        "push",
        "P&ush",
        "U",
        "Take hold of the border and push it; [ and ] change how much of it moves.",
        PushTool,
        (("Drag with push", "the border under the circle moves with the pointer"),),
    ),
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
    Tool(
        "steer",
        "S&teer",
        "S",
        "Show the model what is lesion; Shift or right button: what is skin. Return accepts.",
        Steer,
        (
            ("Stroke with steer", "the model hears that this is lesion, and outlines anew"),
            ("Shift or right button with steer", "this is skin; Esc takes the last stroke back"),
        ),
    ),
    Tool(
        "box",
        "Bo&x",
        "R",
        "Drag a box around a lesion: the model outlines what is in it. Another box, another one.",
        BoxTool,
        (("Drag with box", "the model outlines the lesion in the box"),),
    ),
)
TOOLS_BY_NAME: Mapping[str, Tool] = {tool.name: tool for tool in TOOLS}


def _along(points_rc: NDArray[np.float64], apart_px: float) -> list[Point]:
    """Places along a line, at most so far apart; its first and last corner are among them."""
    places: list[Point] = [(float(points_rc[0][0]), float(points_rc[0][1]))]
    for start_rc, end_rc in pairwise(points_rc):
        count = max(1, math.ceil(float(np.hypot(*(end_rc - start_rc))) / apart_px))
        for share in np.arange(1, count + 1) / count:
            row, column = start_rc + share * (end_rc - start_rc)
            places.append((float(row), float(column)))
    return places


def _distance(a: Point, b: Point) -> float:
    difference: Any = np.hypot(a[0] - b[0], a[1] - b[1])
    return float(difference)
