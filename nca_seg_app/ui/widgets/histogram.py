"""Draws how much every two members overlap, as a small histogram."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QWidget

from engine.metrics import Numbers

BINS = 25
HEIGHT_PX = 64


class DiceHistogram(QWidget):
    """Shows pairwise Dice as bars from 0 (left) to 1 (right)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dice: Numbers = np.zeros(0)
        self.setFixedHeight(HEIGHT_PX)
        self.setAccessibleName("Overlap of every two members")

    def show_dice(self, dice: Numbers) -> None:
        """Show the overlaps, (pairs,), in [0, 1]."""
        self._dice = dice
        self.setVisible(dice.size > 0)
        if dice.size:
            self.setToolTip(
                f"Overlap (Dice) of the {dice.size} pairs of members: "
                f"from {dice.min():.2f} to {dice.max():.2f}. Bars at the right: members alike."
            )
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, palette = QPainter(self), self.palette()
        words = self.fontMetrics().height()
        base = self.height() - words - 2
        counts, _ = np.histogram(self._dice, BINS, (0.0, 1.0))
        wide, tallest = self.width() / BINS, max(1, int(counts.max()))
        for place, count in enumerate(counts.tolist()):
            tall = (base - 2) * count / tallest
            bar = QRectF(place * wide + 1, base - tall, wide - 2, tall)
            painter.fillRect(bar, palette.color(QPalette.ColorRole.Highlight))
        painter.setPen(palette.color(QPalette.ColorRole.Mid))
        painter.drawLine(0, base, self.width(), base)
        painter.setPen(palette.color(QPalette.ColorRole.WindowText))
        below = QRectF(0, base + 2, self.width(), words)
        align = Qt.AlignmentFlag
        painter.drawText(below, align.AlignLeft, "0")
        painter.drawText(below, align.AlignHCenter, "overlap of every two members")
        painter.drawText(below, align.AlignRight, "1")
