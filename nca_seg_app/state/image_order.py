"""Sorts and filters the list of images, which next and previous image follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from engine.study.study import Status, Study
from nca_seg_app.state.workspace import ImageRow, Workspace

Order = Literal["name", "expected error", "status"]
RANK: dict[Status, int] = {"new": 0, "draft": 1, "saved": 2, "reviewed": 3}


def ordered(rows: Sequence[ImageRow], order: Order) -> list[int]:
    """The places of the rows in the wanted order; rows that are equal stay in order of name."""
    places = list(range(len(rows)))
    if order == "expected error":
        errors = [row.expected_error if row.expected_error is not None else -1.0 for row in rows]
        places.sort(key=lambda place: -errors[place])
    elif order == "status":
        places.sort(key=lambda place: RANK[rows[place].status])
    return places


def merged(
    known: Sequence[ImageRow], found: Sequence[ImageRow], open_path: Path | None, whole: bool
) -> tuple[tuple[ImageRow, ...], int]:
    """Merge the known rows with those found on disk.

    Parameters
    ----------
    known : the rows so far.
    found : the rows of the images on disk.
    open_path : the open image, whose row stays as it is.
    whole : whether the list is the whole folder; if not, no image is added or removed.

    Returns
    -------
    The rows, and how many of them are new.
    """
    before = {row.path: row for row in known}
    rows = []
    for row in found:
        old = before.get(row.path)
        if row.path == open_path and old is not None:
            rows.append(old)
        elif old is not None and not old.readable:
            rows.append(dataclasses.replace(row, readable=False))
        else:
            rows.append(row)
    if not whole:
        by_path = {row.path: row for row in rows}
        return tuple(by_path.get(row.path, row) for row in known), 0
    is_found = any(row.path == open_path for row in rows)
    kept = [row for row in known if not is_found and row.path == open_path]
    return (*rows, *kept), sum(row.path not in before for row in rows)


class ImageOrder(QObject):
    """The images of the workspace in the chosen order, filtered by words in their names.

    They are sorted when the order is chosen, when a folder is opened and when images come or go.
    Expected errors and statuses that change later do not move rows while a person uses the list.
    """

    #: The images were sorted or filtered again.
    changed = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._order: Order = "name"
        self._words = ""
        #: The study whose images were sorted last, or None if they have to be sorted.
        self._sorted: Study | None = None
        self._rows: tuple[ImageRow, ...] = ()
        self._all: list[int] = []
        self._lines: dict[int, int] = {}
        self._places: list[int] = []
        self._listed: set[int] = set()
        workspace.images_listed.connect(self._refresh_list)

    @property
    def order(self) -> Order:
        """What the list is sorted by."""
        return self._order

    @property
    def words(self) -> str:
        """What the names of the listed images contain; "" for all."""
        return self._words

    @property
    def places(self) -> list[int]:
        """The listed images as places in `Workspace.images`, in order; must not be changed."""
        self._refresh()
        return self._places

    def sort(self, order: Order) -> None:
        """Sort the images by `order`, with what is known now."""
        self._order, self._sorted = order, None
        self.changed.emit()

    def find(self, words: str) -> None:
        """List only the images whose names contain `words`, in any case; "" lists all."""
        self._words = words
        self._filter()
        self.changed.emit()

    def _refresh_list(self) -> None:
        # Sorted again, so that new images stand where the order puts them.
        self._sorted = None
        self.changed.emit()

    def neighbour(self, step: int) -> int | None:
        """The place of the next (1) or previous (-1) readable listed image, or None."""
        return next(self.way(step), None)

    def unfinished(self) -> int | None:
        """The place of the next listed image that is not reviewed, or None.

        After the last image the search goes on from the first.
        """
        round_trip = [*self.way(1), *reversed([*self.way(-1)])]
        return next((place for place in round_trip if self._rows[place].status != "reviewed"), None)

    def way(self, step: int) -> Iterator[int]:
        """Yields the places of all readable listed images after (1) or before (-1) the open one.

        The nearest comes first. An open image that the filter hides counts as standing where it
        would be listed.
        """
        self._refresh()
        index = self._workspace.index
        if index < 0:
            return iter(())
        line = self._lines[index]
        way = self._all[line + 1 :] if step > 0 else self._all[:line][::-1]
        return (place for place in way if place in self._listed and self._rows[place].readable)

    def _refresh(self) -> None:
        self._rows, study = self._workspace.images, self._workspace.study
        # A folder that is opened again is a new `Study`, so it is sorted again.
        if study is not self._sorted:
            self._sorted = study
            self._all = ordered(self._rows, self._order)
            self._lines = {place: line for line, place in enumerate(self._all)}
            self._filter()

    def _filter(self) -> None:
        wanted, rows = self._words.casefold(), self._rows
        self._places = [
            place for place in self._all if not wanted or wanted in rows[place].path.name.casefold()
        ]
        self._listed = set(self._places)
