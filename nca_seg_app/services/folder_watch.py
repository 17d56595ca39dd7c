"""Watches the open folder for what other windows and programs do to it, and tells it."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import QFileSystemWatcher, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication

from engine.study.study import Study
from engine.types import Base
from nca_seg_app.services.context import Context
from nca_seg_app.services.mask_writing import OpenMask
from nca_seg_app.services.saving import Saving
from nca_seg_app.services.study_reader import listed
from nca_seg_app.state.image_order import merged
from nca_seg_app.state.workspace import ImageRow

#: Whoever copies a thousand images into the folder shall not have it listed a thousand times.
REST_MS = 400

#: Other numbers whenever images or masks came, went or were written.
Moments = tuple[int, ...]


class FolderWatch(QObject):
    """Looks again when the folder changes and when the window comes to the front.

    Images that came are listed. That the open image or its mask is another one now is told; it is
    read again only when a person asks for that.
    """

    #: A look is over, and images that came are listed; carries its number.
    looked = Signal(int)

    def __init__(self, context: Context, saving: Saving) -> None:
        super().__init__(context)
        self._context, self._workspace, self._saving = context, context.workspace, saving
        self._looks = 0
        self._listed_at: tuple[Study | None, Moments] = (None, ())
        #: What was told of the open image, so that it is told once.
        self._told_of: tuple[Path, Base] | None = None
        self._watcher = QFileSystemWatcher(self)
        self._timer = QTimer(self, singleShot=True, interval=REST_MS)
        self._timer.timeout.connect(self.look)
        self._watcher.directoryChanged.connect(self._timer.start)
        context.workspace.image_changed.connect(self._follow)
        self._saving.saved.connect(self._follow)
        if isinstance(application := QGuiApplication.instance(), QGuiApplication):
            application.applicationStateChanged.connect(self._wake)

    def look(self) -> int:
        """See what changed on disk; gives the number of the look, 0 where no folder is open."""
        study, mask = self._workspace.study, self._saving.open_mask
        if study is None:
            return 0
        self._looks += 1
        number, seen_at = self._looks, self._listed_at
        if mask is not None:
            # In the lane, where no save of one's own is half done.
            self._context.lane.run(
                lambda: mask.study.base(mask.path),
                lambda found: self._compare(mask, found),
                lambda _: self._tell_gone(mask),
            )

        def work() -> tuple[Moments, tuple[ImageRow, ...] | None]:
            moments = _moments(study)
            if (study, moments) == seen_at:
                return moments, None
            rows = listed(study)
            for row in rows:
                # Paths keep their hash: the window's thread shall not compute thousands.
                hash(row.path)
            return moments, rows

        def done(found: tuple[Moments, tuple[ImageRow, ...] | None]) -> None:
            moments, rows = found
            if study is self._workspace.study and rows is not None:
                self._listed_at = study, moments
                self._take(rows)
            # The folder for masks may be there by now.
            self._follow()
            self.looked.emit(number)

        # A folder that is gone is told with its open image.
        self._context.aside.run(work, done, lambda _: self.looked.emit(number))
        return number

    def close(self) -> None:
        """Look no more."""
        self._timer.stop()
        if paths := self._watcher.directories():
            self._watcher.removePaths(paths)

    def _take(self, found: tuple[ImageRow, ...]) -> None:
        workspace = self._workspace
        rows, count = merged(workspace.images, found, workspace.path, workspace.is_whole_folder)
        workspace.set_images(rows)
        if count:
            self._context.message.emit(
                f"{count:,} new image{'s were' if count > 1 else ' was'} found."
            )

    def _follow(self) -> None:
        study = self._workspace.study
        wanted = {str(each) for each in (study.folder, study.masks_folder)} if study else set()
        watched = set(self._watcher.directories())
        if gone := watched - wanted:
            self._watcher.removePaths(list(gone))
        if new := [each for each in wanted - watched if Path(each).is_dir()]:
            self._watcher.addPaths(new)

    def _wake(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self._timer.start()

    def _compare(self, mask: OpenMask, found: Base) -> None:
        """Tell once that what lies on disk is not what the open mask was drawn over."""
        base = mask.on_disk.base
        if mask.document is not self._workspace.document or found == base:
            return
        if self._told_of != (mask.path, found):
            self._told_of = mask.path, found
            if not found.image:
                self._tell_gone(mask)
                return
            what = "" if found.image != base.image else "The mask of "
            self._context.message.emit(
                f"{what}{mask.path.name} was changed by another window or program. "
                "Reload Image (F5) shows it; saving asks first."
            )

    def _tell_gone(self, mask: OpenMask) -> None:
        if mask.document is self._workspace.document:
            self._context.message.emit(
                f"{mask.path.name} is not there any more. What you draw is kept; "
                "Export Mask saves it elsewhere."
            )


def _moments(study: Study) -> Moments:
    """What changes whenever an image comes or goes, or a mask is written.

    Not the time of the masks' folder: the index changes that even where it is only read, so that
    each listing would lead to the next.
    """
    if not study.masks_folder.is_dir():
        return (study.folder.stat().st_mtime_ns,)
    with os.scandir(study.masks_folder) as entries:
        masks = frozenset(
            (entry.name, entry.stat().st_mtime_ns)
            for entry in entries
            if entry.name.endswith((".png", ".json")) and entry.is_file()
        )
    return study.folder.stat().st_mtime_ns, hash(masks)
