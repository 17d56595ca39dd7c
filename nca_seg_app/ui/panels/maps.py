"""Draws the maps over all members, and says what they mean."""

from __future__ import annotations

from PySide6.QtGui import QPixmap

from engine.types import Float
from nca_seg_app.ui.widgets.agreement import Agreement
from nca_seg_app.ui.widgets.pixmaps import Colours, picture_of

MAP_PX = 60
MAPS = ("Mean", "Variance", "Entropy", "Agreement")
MAP_TIPS = (
    "Mean probability of all members.",
    "Variance: where members differ. Bright is up to 0.25. V shows it over the image.",
    "Entropy of the mean: bright where it is undecided, up to 1 bit.",
    "The area that enough members outline; the slider below says how many.",
)


def map_of(agreement: Agreement, place: int, share: float) -> Float:
    """The map at `place` of `MAPS`, on the grid.

    `share` is the share of members, 0 to 1, that must outline a cell for it to be in the last map.
    """
    enough_hw = agreement.enough(share)
    return (agreement.mean_hw, agreement.variance_hw, agreement.entropy_hw, enough_hw)[place]


def draw_map(agreement: Agreement, place: int, share: float, ratio: float) -> QPixmap:
    """The map that `map_of()` gives, as a picture of `MAP_PX`; `ratio` is the pixel ratio."""
    colours: Colours = "inferno" if MAPS[place] in ("Variance", "Entropy") else "grey"
    high = 0.25 if MAPS[place] == "Variance" else 1.0
    return picture_of(map_of(agreement, place, share), MAP_PX, ratio, colours, high=high)
