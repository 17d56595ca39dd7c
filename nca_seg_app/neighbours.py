"""The images beside the open one are read before they are asked for, within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from engine.images import read_image
from engine.types import Image

if TYPE_CHECKING:
    from nca_seg_app.session import Session

#: Someone who goes through the list quickly shall not wait for images that he passes by.
REST_MS = 100

#: When a file was last written, and how long it is.
Stamp = tuple[int, int]


class Neighbours(QObject):
    """The next and the previous image of the list, kept as they were read."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._kept: OrderedDict[Path, tuple[Stamp, Image]] = OrderedDict()
        self._lock = Lock()
        # One is read at a time, and who wants just that one waits for it.
        self._turn, self._underway = Lock(), Path()
        self._wanted: tuple[Path, ...] = ()
        self._timer = QTimer(self, singleShot=True, interval=REST_MS)
        self._timer.timeout.connect(self._look)
        session.image_changed.connect(self._timer.start)
        session.listing.changed.connect(self._timer.start)
        session.settings_changed.connect(self._bound)

    @property
    def held_mb(self) -> float:
        """What is kept, in megabytes."""
        with self._lock:
            return sum(_megabytes(image) for _, image in self._kept.values())

    def read(self, path: Path) -> Image:
        """The image, from memory where its file is as it was. May be called in any thread.

        Raises what `engine.images.read_image` raises.
        """
        if path == self._underway:
            with self._turn:
                pass
        stamp = _stamp(path)
        with self._lock:
            known = self._kept.get(path)
        if known is not None and stamp is not None and known[0] == stamp:
            return known[1]
        return read_image(path)

    def holds(self, path: Path) -> bool:
        """Whether the image need not be read from its file."""
        with self._lock:
            known = self._kept.get(path)
        return known is not None and known[0] == _stamp(path)

    @property
    def _most_mb(self) -> float:
        settings = self._session.settings
        return settings.cache_mb - settings.thumbnails_mb

    def _look(self) -> None:
        session, listing = self._session, self._session.listing
        places = [listing.neighbour(step) for step in (1, -1)]
        self._wanted = tuple(session.images[place].path for place in places if place is not None)
        for path in self._wanted:
            if self._most_mb > 0 and not self.holds(path):
                # What is wrong with it the person meets in opening it.
                session.aside.run(partial(self._read, path), None, lambda _: None)

    def _read(self, path: Path) -> None:
        with self._turn:
            stamp = _stamp(path)
            if stamp is None or self.holds(path) or path not in self._wanted:
                return
            self._underway = path
            try:
                image = read_image(path)
            finally:
                self._underway = Path()
            with self._lock:
                self._kept[path] = stamp, image
                for other in [each for each in self._kept if each not in self._wanted]:
                    del self._kept[other]
        self._bound()

    def _bound(self) -> None:
        most = self._most_mb
        with self._lock:
            while self._kept and sum(_megabytes(each) for _, each in self._kept.values()) > most:
                self._kept.popitem()


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _megabytes(image: Image) -> float:
    return image.pixels_hwc.nbytes / 1e6
