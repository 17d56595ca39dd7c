"""Paints a picture from a reduced copy that is just fine enough, so its size costs nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

#: Levels are made down to this many pixels; below it one level serves.
SMALLEST_LEVEL = 500_000
#: A picture of no more pixels gets its levels at once, a larger one in the background.
AT_ONCE = 1_500_000
#: Device pixels for one of the image from which its pixels are shown as squares.
SQUARES_FROM = 3.0


class ImagePyramid:
    """A picture with levels of half, a quarter, … of its size.

    The finest level lies over the pixels themselves; nothing is copied.
    """

    def __init__(self, pixels_hwc: NDArray[np.uint8]) -> None:
        """The picture of uint8 (height, width, 3) sRGB; it holds on to the array."""
        self._pixels_hwc = np.ascontiguousarray(pixels_hwc)
        height, width = self._pixels_hwc.shape[:2]
        self.width, self.height = width, height
        self._finest = QImage(
            self._pixels_hwc.data, width, height, 3 * width, QImage.Format.Format_RGB888
        )
        stride = math.ceil((width * height / AT_ONCE) ** 0.5)
        if stride == 1:
            self._coarser = coarser_levels(self._pixels_hwc)
        else:
            # Good enough until `adopt()`: every n-th pixel, which Qt picks faster than NumPy.
            few = self._finest.scaled(math.ceil(width / stride), math.ceil(height / stride))
            self._coarser = [few.convertToFormat(QImage.Format.Format_RGB32)]
        self.has_all_levels = stride == 1

    @property
    def pixels_hwc(self) -> NDArray[np.uint8]:
        """What the picture was made from."""
        return self._pixels_hwc

    def adopt(self, coarser: list[QImage]) -> None:
        """Take over levels made elsewhere by `coarser_levels()`."""
        self._coarser, self.has_all_levels = coarser, True

    def paint(self, painter: QPainter, target: QRectF, device_ratio: float) -> None:
        """Paint the whole picture into `target`, as far as the painter's clip goes."""
        level = self._finest
        for coarser in self._coarser:
            if coarser.width() >= target.width() * device_ratio:
                level = coarser
        squares = target.width() * device_ratio >= SQUARES_FROM * self.width
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not squares)
        painter.drawImage(target, level, QRectF(level.rect()))


def coarser_levels(pixels_hwc: NDArray[np.uint8]) -> list[QImage]:
    """Pictures of half, a quarter, … of the size, each pixel the mean of those it stands for."""
    levels: list[QImage] = []
    picture = PillowImage.fromarray(pixels_hwc)
    while picture.width * picture.height > SMALLEST_LEVEL and min(picture.size) > 1:
        picture = picture.reduce(2)
        levels.append(_rgb_image(np.asarray(picture)))
    return levels


def _rgb_image(pixels_hwc: NDArray[np.uint8]) -> QImage:
    height, width = pixels_hwc.shape[:2]
    image = QImage(pixels_hwc.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    # Four bytes a pixel paint faster; and the conversion copies out of the array.
    return image.convertToFormat(QImage.Format.Format_RGB32)
