"""Reads the next and the previous image in advance, within a limit of memory."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from threading import Event, Lock

from PySide6.QtCore import QObject, QTimer

from engine.errors import EngineError
from engine.files import Stamp, stamp
from engine.images.reading import read_image
from engine.types import Image
from nca_seg_app.background.tasks import Tasks
from nca_seg_app.services.context import Context
from nca_seg_app.state.image_order import ImageOrder

log = logging.getLogger(__name__)

#: How long an image is open before others are read, so that quick paging does not read them all.
REST_MS = 100


class ImageCache(QObject):
    """Reads the next and the previous image of the list in the background, and keeps them."""

    def __init__(self, context: Context, image_order: ImageOrder) -> None:
        super().__init__(context)
        self._context, self._workspace, self._image_order = context, context.workspace, image_order
        # A queue of its own, so that previews and thumbnails do not wait for whole images.
        self._tasks = Tasks(self)
        self._lock = Lock()
        self._kept: dict[Path, tuple[Stamp, Image]] = {}
        #: The image that is being read, and an event that is set once it has been.
        self._underway: tuple[Path, Event] | None = None
        #: The next image comes first, so that it is kept if only one fits.
        self._wanted: tuple[Path, ...] = ()
        self._too_large: set[Path] = set()
        self._timer = QTimer(self, singleShot=True, interval=REST_MS)
        self._timer.timeout.connect(self._look)
        context.workspace.image_changed.connect(self._timer.start)
        self._image_order.changed.connect(self._timer.start)
        self._context.settings_changed.connect(self._follow_settings)

    @property
    def held_mb(self) -> float:
        """The memory of the kept images in megabytes."""
        with self._lock:
            return sum(_megabytes(image) for _, image in self._kept.values())

    def read(self, path: Path) -> Image:
        """The image, from memory if its file is unchanged, else from its file; in any thread.

        Waits if it is being read already. Raises UnreadableImage.
        """
        underway = self._underway
        if underway is not None and underway[0] == path:
            underway[1].wait()
        now = stamp(path)
        with self._lock:
            known = self._kept.get(path)
        if known is not None and now is not None and known[0] == now:
            return known[1]
        return read_image(path)

    def holds(self, path: Path) -> bool:
        """Whether the image is kept and its file unchanged; looks at the file."""
        with self._lock:
            known = self._kept.get(path)
        return known is not None and known[0] == stamp(path)

    def close(self) -> None:
        """Stop reading, and wait for the image that is being read."""
        self._timer.stop()
        self._wanted = ()
        self._tasks.close()

    @property
    def _most_mb(self) -> float:
        settings = self._context.settings
        return settings.cache_mb - settings.thumbnails_mb

    def _look(self) -> None:
        image_order = self._image_order
        places = [image_order.neighbour(step) for step in (1, -1)]
        wanted = tuple(self._workspace.images[place].path for place in places if place is not None)
        if wanted != self._wanted:
            self._wanted = wanted
            self._too_large.clear()
        self._bound()
        for path in wanted:
            if self._most_mb > 0 and path not in self._too_large:
                self._tasks.run(partial(self._read, path), None, _note)

    def _read(self, path: Path) -> None:
        before = stamp(path)
        if before is None or path not in self._wanted or self.holds(path):
            return
        read = Event()
        self._underway = path, read
        try:
            image = read_image(path)
            with self._lock:
                self._kept[path] = before, image
            self._bound()
        finally:
            self._underway = None
            read.set()

    def _follow_settings(self) -> None:
        self._too_large.clear()
        self._bound()

    def _bound(self) -> None:
        """Release images that are no longer wanted or do not fit into the memory."""
        left_mb = self._most_mb
        with self._lock:
            kept, self._kept = self._kept, {}
            for path in self._wanted:
                if path in kept and _megabytes(kept[path][1]) <= left_mb:
                    self._kept[path] = kept[path]
                    left_mb -= _megabytes(kept[path][1])
                elif path in kept:
                    self._too_large.add(path)


def _note(error: BaseException) -> None:
    # An unreadable file is reported when the person opens it.
    if not isinstance(error, EngineError):
        log.error("an image was not read ahead", exc_info=error)


def _megabytes(image: Image) -> float:
    return image.pixels_hwc.nbytes / 1e6
