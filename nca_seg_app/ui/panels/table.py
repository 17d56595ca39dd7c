"""Lists all panels: those among the tabs, and the docks around the canvas.

To add a panel: write a QWidget in this package whose constructor takes the session, and give it a
row in `TABS` or `DOCKS`. It reads the session's state, calls its services and follows their
signals; it imports no other panel. The window builds tabs, docks and their keys from the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from nca_seg_app.session import Session
from nca_seg_app.ui.panels.cells import CellsPanel
from nca_seg_app.ui.panels.ensemble import EnsemblePanel
from nca_seg_app.ui.panels.film import FilmPanel
from nca_seg_app.ui.panels.images import ImagesPanel
from nca_seg_app.ui.panels.mask import MaskPanel
from nca_seg_app.ui.panels.segment import SegmentPanel
from nca_seg_app.ui.panels.tabs import PanelTabs, Tab
from nca_seg_app.ui.panels.training import TrainingPanel

Area = Qt.DockWidgetArea


@dataclass(frozen=True)
class Dock:
    """A panel with a place of its own beside the canvas.

    Attributes
    ----------
    name
        What the View menu calls it; also the name under which its place is kept.
    make
        Makes the panel, once, when the window is made.
    area
        The side of the canvas where it lies.
    shortcut
        The key that shows or hides it, in Qt's portable form.
    extent_px
        Its first width, or height where it lies above or below the canvas.
    """

    name: str
    make: Callable[[Session], QWidget]
    area: Area
    shortcut: str
    extent_px: int

    @property
    def orientation(self) -> Qt.Orientation:
        """The direction of `extent_px`."""
        beside = self.area in (Area.LeftDockWidgetArea, Area.RightDockWidgetArea)
        return Qt.Orientation.Horizontal if beside else Qt.Orientation.Vertical


def _inside(session: Session) -> str:
    """What the panel is called that looks into the chosen model; "" where it shows nothing."""
    model = session.model_library.chosen
    if model is None:
        return "Cells"
    words = model.architecture.inspection
    return words.title if words is not None else ""


#: The tabs of the dock "Panels", from left to right.
TABS: tuple[Tab, ...] = (
    Tab("Segment", SegmentPanel),
    Tab("Ensemble", EnsemblePanel),
    Tab("Cells", CellsPanel, called=_inside),
    Tab("Mask", MaskPanel),
    Tab("Training", TrainingPanel),
)
#: The docks in the order of the View menu. A new one needs another `window.LAYOUT_VERSION`.
DOCKS: tuple[Dock, ...] = (
    Dock("Images", ImagesPanel, Area.LeftDockWidgetArea, "Ctrl+1", 200),
    Dock(
        "Panels",
        lambda session: PanelTabs(session, TABS),
        Area.RightDockWidgetArea,
        "Ctrl+2",
        330,
    ),
    Dock("Film", FilmPanel, Area.BottomDockWidgetArea, "Ctrl+3", 176),
)
