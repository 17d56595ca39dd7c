"""Thumbnails are made off the main thread, one at a time, the last one asked for first."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPixmap

from engine.images.reading import read_image, read_preview
from nca_seg_app.session import Session

#: A screenful stays whatever the bound: the list would ask for what it shows again and again.
LEAST_KEPT = 100
#: What was asked for and has scrolled out of sight since is not worth the wait.
WAITING = 40


def thumbnail_of(path: Path, side_px: int) -> QImage:
    """The picture in the file, upright, at most `side_px` wide and high. May be called anywhere.

    Read as the canvas reads it, with the same colours. Raises what
    `engine.images.reading.read_image` raises.
    """
    # Camera images take milliseconds so: a JPEG is decoded at a fraction of its size.
    pixels_hwc = read_preview(path, side_px)
    if pixels_hwc is None:
        pixels_hwc = read_image(path).pixels_hwc
    height, width, _ = pixels_hwc.shape
    whole = QImage(pixels_hwc.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    mode = Qt.TransformationMode.SmoothTransformation
    return whole.scaled(_within(whole.size(), side_px), mode=mode)


def _within(size: QSize, side_px: int) -> QSize:
    keeps = Qt.AspectRatioMode.KeepAspectRatio
    return size.scaled(side_px, side_px, keeps).expandedTo(QSize(1, 1))


class Thumbnails(QObject):
    """The newest thumbnails; `get` gives one or asks for it, `made` tells when it is there."""

    made = Signal(object)

    def __init__(self, session: Session, side_px: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._side_px = session, side_px
        self._kept: OrderedDict[Path, QPixmap] = OrderedDict()
        self._held_bytes = 0
        self._wanted: OrderedDict[Path, None] = OrderedDict()
        self._busy = False
        session.context.settings_changed.connect(self._bound)

    @property
    def held_mb(self) -> float:
        """What is kept, in megabytes; at most `Settings.thumbnails_mb` beyond a screenful."""
        return self._held_bytes / 1e6

    def get(self, path: Path) -> QPixmap | None:
        """The thumbnail of the file, an empty one where it cannot be read, None while unknown."""
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        self._wanted[path] = None
        self._wanted.move_to_end(path)
        while len(self._wanted) > WAITING:
            self._wanted.popitem(last=False)
        self._work()
        return None

    def clear(self) -> None:
        """Forget what is wanted and known, as for another folder."""
        self._wanted.clear()
        self._kept.clear()
        self._held_bytes = 0

    def _work(self) -> None:
        if self._busy or not self._wanted:
            return
        self._busy = True
        path, _ = self._wanted.popitem()
        side_px = self._side_px
        self._session.context.aside.run(
            lambda: thumbnail_of(path, side_px),
            lambda image: self._keep(path, QPixmap.fromImage(image)),
            # The list shows that there is no picture; opening it tells why.
            lambda _: self._keep(path, QPixmap()),
        )

    def _keep(self, path: Path, picture: QPixmap) -> None:
        self._busy = False
        self._held_bytes += _bytes(picture) - _bytes(self._kept.get(path, QPixmap()))
        self._kept[path] = picture
        self._bound()
        self.made.emit(path)
        self._work()

    def _bound(self) -> None:
        most = 1e6 * self._session.context.settings.thumbnails_mb
        while self._held_bytes > most and len(self._kept) > LEAST_KEPT:
            _, oldest = self._kept.popitem(last=False)
            self._held_bytes -= _bytes(oldest)


def _bytes(picture: QPixmap) -> int:
    return picture.width() * picture.height() * picture.depth() // 8
