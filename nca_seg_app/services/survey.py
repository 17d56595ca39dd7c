"""Finds the expected errors of all new images of a folder, beside a person's work."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from nca_seg_app.background.time_left import TimeLeft
from nca_seg_app.services.context import Context


class Survey(QObject):
    """Which images a survey still has to segment, and how far it is.

    `services.lookahead` segments them, while nothing else is computed.
    """

    #: It began, went on or ended.
    changed = Signal()
    #: It began: images that failed before are tried again.
    begun = Signal()
    #: It ended before its time; what it computes is not wanted.
    stopped = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace
        self._time_left: TimeLeft | None = None
        self._total = 0
        self._done: set[Path] = set()
        self._failed: set[Path] = set()
        #: Other settings held before, so that errors already known may be of those.
        self._mixed = False

    @property
    def running(self) -> bool:
        """Whether the expected errors of all new images are being found."""
        return self._time_left is not None

    @property
    def progress(self) -> tuple[int, int]:
        """(images done, images in all); (0, 0) where no survey runs."""
        total = self._total if self.running else 0
        return total - len(self.unknown()) if total else 0, total

    @property
    def seconds_left(self) -> float | None:
        """Time the survey still needs, or None while that is unknown."""
        return self._time_left.seconds if self._time_left is not None else None

    def toggle(self) -> None:
        """Begin to find the expected errors of all new images; where that is under way, stop."""
        if self.running:
            self.stop()
            return
        self._failed.clear()
        if unknown := len(self.unknown()):
            self._time_left, self._total = TimeLeft(), unknown
            self._time_left.note(0, unknown)
            self.begun.emit()
            self.changed.emit()
        else:
            self._context.message.emit("The expected error of every new image is known.")

    def stop(self, how: str = "Stopped") -> None:
        """End the survey, and tell `how` it ended and what is known."""
        if not self.running:
            return
        rows = self._workspace.images
        known = sum(row.expected_error is not None for row in rows)
        failed = f", {len(self._failed):,} cannot be segmented" if self._failed else ""
        self._time_left = None
        self.stopped.emit()
        self._context.message.emit(
            f"{how}: the expected error of {known:,} of {len(rows):,} images is known{failed}. "
            "“By expected error” sorts by it."
        )
        self.changed.emit()

    def unknown(self) -> list[Path]:
        """The new images whose expected error is still to be found."""
        return [
            row.path
            for row in self._workspace.images
            if row.status == "new"
            and (row.expected_error is None or self._mixed)
            and row.readable
            and row.path not in self._failed
            and row.path not in self._done
        ]

    def note_done(self, path: Path) -> None:
        """The expected error of this image is known; the list may learn of it a moment later."""
        self._done.add(path)

    def note_failed(self, path: Path) -> None:
        """This image cannot be segmented."""
        self._failed.add(path)

    def note_progress(self) -> None:
        """An image is done with: reckon the time left anew."""
        if self._time_left is not None:
            self._time_left.note(*self.progress)
            self.changed.emit()

    def forget(self, *, same_folder: bool) -> None:
        """Other settings hold, or another folder is open: nothing found before counts.

        Expected errors of two models, or of two numbers of members, are not to be compared.
        """
        self._failed.clear()
        self._done.clear()
        self._mixed = same_folder
        if self.running:
            why = "other settings hold" if same_folder else "another folder is open"
            self.stop(f"Stopped, since {why}")
