"""Draws all channels of a network side by side, each on one scale over all its moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QHelpEvent, QImage, QMouseEvent, QPainter, QPalette, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from engine.networks.architecture import Inspection
from engine.types import CellStep, Float
from nca_seg_app.ui.panels.pca import PrincipalComponents

TILE_PX = 46
GAP_PX = 4
COLOURS = "colours"


def channel_scales(steps: Sequence[CellStep]) -> Float:
    """The largest size a channel reaches in any update, without the rarest cells; (channels,)."""
    sizes = [np.quantile(np.abs(step.state_chw), 0.995, axis=(1, 2)) for step in steps]
    scales = np.max(sizes, axis=0)
    return np.where(scales > 0, scales, 1).astype(np.float32)


def signed_colours() -> NDArray[np.uint8]:
    """256 colours for −1 to +1, (256, 3): blue below nothing, amber above it, dark at nothing."""
    places = np.linspace(-1, 1, 256)[:, None]
    nothing, below, above = (
        np.array(each) for each in ((24, 24, 26), (88, 178, 255), (255, 176, 0))
    )
    towards = np.where(places < 0, below, above)
    return np.asarray(nothing + (towards - nothing) * np.abs(places) ** 0.8, np.uint8)


class Montage(QWidget):
    """Shows a tile for each channel, one for the cells that fired if any do, one for all."""

    #: The number of the channel clicked; the number of channels stands for the firing mask if there
    #: is one, and the last number for all channels as colours.
    clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._tips: dict[str, str] = {}
        self._tiles: list[QImage] = []
        self._chosen = -1
        self._colours = signed_colours()
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        small = self.font()
        small.setPointSizeF(max(6.0, small.pointSizeF() * 0.72))
        self.setFont(small)
        self.setAccessibleName("Channels of the network")

    def show_step(
        self, step: CellStep | None, principal: PrincipalComponents | None, words: Inspection
    ) -> None:
        """Show the channels after one moment, each from −scale to +scale, in the network's words.

        Nothing is shown without a step or its principal components.
        """
        count = len(self._tiles)
        if step is None or principal is None:
            self._names, self._tiles = (), []
        else:
            acted = (words.acted,) if words.acted else ()
            self._names = (*step.channels, *acted, COLOURS)
            self._tips = {
                words.acted: f"The {words.place}s that {words.acted}",
                COLOURS: "All channels at once, by their three principal components",
            }
            maps_chw = step.state_chw / principal.scales_c[:, None, None]
            acted_chw = step.fires_hw.astype(np.float32)[None][: len(acted)]
            indices = np.clip((np.concatenate([maps_chw, acted_chw]) + 1) * 127.5, 0, 255)
            self._tiles = [_picture(self._colours[each]) for each in indices.astype(np.uint8)]
            self._tiles.append(_picture((255 * principal.colours(step)).astype(np.uint8)))
        if len(self._tiles) != count:
            self.updateGeometry()
        self.update()

    def choose(self, channel: int) -> None:
        """Mark one tile; −1 marks none."""
        self._chosen = channel
        self.update()

    def name(self, channel: int) -> str:
        """The channel's name."""
        return self._names[channel]

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        columns, side = self._grid(width)
        rows = -(-len(self._tiles) // columns)
        return max(1, rows * (side + self._label() + GAP_PX))

    def sizeHint(self) -> QSize:
        width = max(self.width(), 6 * TILE_PX)
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(4 * TILE_PX, self.heightForWidth(max(self.width(), 4 * TILE_PX)))

    def tile_rect(self, channel: int) -> QRect:
        """Where the tile of a channel lies, without its name."""
        columns, side = self._grid(self.width())
        row, column = divmod(channel, columns)
        return QRect(column * (side + GAP_PX), row * (side + self._label() + GAP_PX), side, side)

    def paintEvent(self, event: object) -> None:
        painter, label, metrics = QPainter(self), self._label(), QFontMetrics(self.font())
        for channel, tile in enumerate(self._tiles):
            rect = self.tile_rect(channel)
            painter.drawImage(rect, tile)
            if channel == self._chosen:
                painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Accent), 3))
                painter.drawRect(rect.adjusted(1, 1, -2, -2))
            painter.setPen(self.palette().color(QPalette.ColorRole.Text))
            name = self._names[channel].replace("hidden ", "h")
            below = QRect(rect.left(), rect.bottom() + 1, rect.width(), label)
            text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, below.width())
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        channel = self._channel_at(event.position().toPoint())
        if channel is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(channel)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            channel = self._channel_at(event.pos())
            if channel is not None:
                what = self._tips.get(self._names[channel], self._names[channel])
                text = f"{what}: click to put it on the canvas"
                QToolTip.showText(event.globalPos(), text, self)
                return True
        return super().event(event)

    def _channel_at(self, point: QPoint) -> int | None:
        for channel in range(len(self._tiles)):
            if self.tile_rect(channel).adjusted(0, 0, 0, self._label()).contains(point):
                return channel
        return None

    def _grid(self, width: int) -> tuple[int, int]:
        """(columns, side of a tile) that fill `width`."""
        columns = min(13, max(4, (width + GAP_PX) // (TILE_PX + GAP_PX)))
        return columns, max(8, (width + GAP_PX) // columns - GAP_PX)

    def _label(self) -> int:
        return QFontMetrics(self.font()).height()


def _picture(pixels_hwc: NDArray[np.uint8]) -> QImage:
    height, width, _ = pixels_hwc.shape
    data = np.ascontiguousarray(pixels_hwc)
    # Copied: the picture must not point into an array that may go.
    return QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
