"""Makes small pictures of maps, and of photographs with outlines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import pyqtgraph
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPixmap, QPolygonF

from engine.types import Float

Colours = Literal["grey", "inferno"]
#: Outlines, each (n, 2) (row, column) in pixels of the photograph, with colour and kind of line.
Line = tuple[Sequence[NDArray[np.float64]], QColor, Qt.PenStyle]


@cache
def colour_table(colours: Colours) -> list[int]:
    """256 colours as Qt's 0xAARRGGBB, from the lowest value to the highest."""
    if colours == "grey":
        rgb = np.repeat(np.arange(256)[:, None], 3, axis=1)
    else:
        rgb = pyqtgraph.colormap.get(colours).getLookupTable(nPts=256)[:, :3]
    return [QColor(*map(int, row)).rgb() for row in rgb]


def picture_of(
    map_hw: Float,
    side_px: int,
    ratio: float,
    colours: Colours = "grey",
    low: float = 0.0,
    high: float = 1.0,
) -> QPixmap:
    """The map as a small picture.

    Parameters
    ----------
    map_hw
        Any grid; what is not a number is shown as `low`.
    side_px, ratio
        The longer side of the picture, and the pixels of the screen for each of it.
    colours, low, high
        The colour table, and the values at its two ends.
    """
    pixels = max(1, round(side_px * ratio))
    # Thinned out before it is converted: a thumbnail must not cost what the whole map costs.
    stride = max(1, max(map_hw.shape) // (2 * pixels))
    share_hw = np.nan_to_num((map_hw[::stride, ::stride] - low) / (high - low))
    level_hw = np.ascontiguousarray(np.clip(share_hw * 255, 0, 255).astype(np.uint8))
    rows, columns = level_hw.shape
    image = QImage(level_hw.tobytes(), columns, rows, columns, QImage.Format.Format_Indexed8)
    image.setColorTable(colour_table(colours))
    # Few cells are shown as cells, many are averaged.
    grows = max(rows, columns) < pixels
    mode = Qt.TransformationMode
    scaled = image.convertToFormat(QImage.Format.Format_RGB32).scaled(
        QSize(pixels, pixels),
        Qt.AspectRatioMode.KeepAspectRatio,
        mode.FastTransformation if grows else mode.SmoothTransformation,
    )
    picture = QPixmap.fromImage(scaled)
    picture.setDevicePixelRatio(ratio)
    return picture


def outlined(
    pixels_hwc: NDArray[np.uint8], lines: Sequence[Line], side_px: int, ratio: float
) -> QPixmap:
    """A photograph, uint8 (rows, columns, 3), with outlines, as a picture.

    `side_px` is the longer side of the picture, `ratio` the pixels of the screen for each of it.
    """
    rows, columns, _ = pixels_hwc.shape
    scale = side_px * ratio / max(rows, columns)
    image = QImage(pixels_hwc.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    picture = QPixmap(max(1, round(columns * scale)), max(1, round(rows * scale)))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.drawImage(QRectF(picture.rect()), image)
    painter.scale(scale, scale)
    for outlines, colour, style in lines:
        for outline_rc in outlines:
            points = QPolygonF([QPointF(column, row) for row, column in outline_rc.tolist()])
            for pen in (QPen(QColor("black"), 2.5 * ratio), QPen(colour, 1.5 * ratio, style)):
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawPolyline(points)
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture


def stacked(upper: QPixmap, lower: QPixmap, gap_px: int) -> QPixmap:
    """Two pictures of one size, one above the other."""
    ratio, size = upper.devicePixelRatio(), upper.deviceIndependentSize().toSize()
    both = QPixmap(upper.width(), 2 * upper.height() + round(gap_px * ratio))
    both.setDevicePixelRatio(ratio)
    both.fill(Qt.GlobalColor.transparent)
    painter = QPainter(both)
    painter.drawPixmap(0, 0, upper)
    painter.drawPixmap(0, size.height() + gap_px, lower)
    painter.end()
    return both
