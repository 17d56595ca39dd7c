"""Keeps track of a survey, which finds the expected errors of all new images of a folder."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from nca_seg_app.background.time_left import TimeLeft
from nca_seg_app.services.context import Context


class Survey(QObject):
    """Begins and ends a survey, and knows which images it still has to segment.

    `services.lookahead` segments them while no other job runs.
    """

    #: The survey began, made progress or ended.
    changed = Signal()
    #: The survey began; images that failed before are tried again.
    begun = Signal()
    #: The survey ended; a run of its own that is under way is no longer wanted.
    stopped = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace
        self._time_left: TimeLeft | None = None
        self._total = 0
        self._done: set[Path] = set()
        self._failed: set[Path] = set()
        #: Whether model or settings changed in this folder, so that known errors may be of others.
        self._mixed = False

    @property
    def running(self) -> bool:
        """Whether a survey is under way."""
        return self._time_left is not None

    @property
    def progress(self) -> tuple[int, int]:
        """(images done, images in all); (0, 0) without a survey."""
        total = self._total if self.running else 0
        return total - len(self.unknown()) if total else 0, total

    @property
    def seconds_left(self) -> float | None:
        """The estimated time that the survey still needs, or None while that is unknown."""
        return self._time_left.seconds if self._time_left is not None else None

    def toggle(self) -> None:
        """Begin a survey, or stop the one under way."""
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
        """End the survey with a message that begins with `how` and says what is known."""
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
        """The new images whose expected errors are not known yet."""
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
        """Note that an image's expected error is known, maybe before the list shows it."""
        self._done.add(path)

    def note_failed(self, path: Path) -> None:
        """Note that an image cannot be segmented."""
        self._failed.add(path)

    def note_progress(self) -> None:
        """Estimate the time left again, after an image is done."""
        if self._time_left is not None:
            self._time_left.note(*self.progress)
            self.changed.emit()

    def forget(self, *, same_folder: bool) -> None:
        """Forget what was found, because model, settings or folder changed.

        Expected errors of two models, or of two numbers of members, cannot be compared.
        `same_folder` is false if another folder was opened.
        """
        self._failed.clear()
        self._done.clear()
        self._mixed = same_folder
        if self.running:
            why = "other settings hold" if same_folder else "another folder is open"
            self.stop(f"Stopped, since {why}")
