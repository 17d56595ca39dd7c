"""Describes what is being drawn and is not in the mask yet, for the painter."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF

from nca_seg_app.state.guidance import Stroke
from nca_seg_app.state.tools import Point


@dataclass(frozen=True, eq=False)
class Footprint:
    """The disk that a tool covers: its centre and radius in the view, whether it adds.

    `adds` is None where it neither adds nor takes away.
    """

    centre: QPointF
    radius: float
    adds: bool | None


@dataclass(frozen=True, eq=False)
class Sketch:
    """A line under way, and the footprint of the tool in hand.

    `points` are (row, column) in pixel-edge coordinates of the image; the line goes on to `end`, a
    place in the view, where that is given. `shows_corners` marks each point. `stroke` is one under
    way that the model is to hear.
    """

    points: tuple[Point, ...] = ()
    end: QPointF | None = None
    shows_corners: bool = False
    footprint: Footprint | None = None
    stroke: Stroke | None = None
