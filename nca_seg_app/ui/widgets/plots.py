"""Makes the small plots of the panels, in the window's colours."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QEvent
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QWidget

#: Colours that stay apart for colour-blind eyes, on dark and on light (after Okabe and Ito).
CURVE_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#8c8c8c")


class Plot(pg.PlotWidget):  # type: ignore[misc]
    """Shows curves over labelled axes in the palette's colours; it neither moves nor has a menu."""

    def __init__(self, left: str, bottom: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMenuEnabled(False)
        self.setMouseEnabled(x=False, y=False)
        self.hideButtons()
        self.setMinimumSize(200, 130)
        # The wheel belongs to the panel that scrolls.
        self.wheelEvent = lambda event: event.ignore()
        self.plotItem.setLabel("left", left)
        self.plotItem.setLabel("bottom", bottom)
        # "validation Dice (×0.001)" over ticks of 870 would be no help, and is cut off.
        for name in ("left", "bottom"):
            self.plotItem.getAxis(name).enableAutoSIPrefix(False)
        self.plotItem.showGrid(x=False, y=True, alpha=0.2)
        self.legend = self.plotItem.addLegend(offset=(-1, 1), verSpacing=-6, labelTextSize="8pt")
        self._colour()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "legend"):
            self._colour()

    def _colour(self) -> None:
        text = self.palette().color(QPalette.ColorRole.Text)
        self.setBackground(self.palette().color(QPalette.ColorRole.Base))
        for name in ("left", "bottom"):
            axis = self.plotItem.getAxis(name)
            axis.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            axis.setTextPen(text)
        self.legend.setLabelTextColor(text)
        # Labels that are there already keep their colour until they are written again.
        for _, label in self.legend.items:
            label.setText(label.text, color=text)
