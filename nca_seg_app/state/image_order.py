"""Keeps the order in which images are listed, and which of them: next and previous follow it."""

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
    """Places of the rows in the wanted order; ties by name."""
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
    """The rows once those `found` on disk are taken over, and how many of them are new.

    The row of the open image stays as it is. Where not the `whole` folder is listed nothing comes
    or goes.
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
    """The open images in the order a person wants, and only those whose name has the words.

    They are sorted when that is asked for and when a folder is opened. Expected errors and
    statuses that come in later move nothing under a person's hand.
    """

    #: They were sorted anew, or other words hold.
    changed = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._order: Order = "name"
        self._words = ""
        #: The folder as it was opened when its images were sorted; None: they are to be sorted.
        self._sorted: Study | None = None
        self._rows: tuple[ImageRow, ...] = ()
        self._all: list[int] = []
        self._lines: dict[int, int] = {}
        self._places: list[int] = []
        self._listed: set[int] = set()
        workspace.images_listed.connect(self._refresh_list)

    @property
    def order(self) -> Order:
        """What comes first."""
        return self._order

    @property
    def words(self) -> str:
        """What the names of the listed images contain; "" lists all."""
        return self._words

    @property
    def places(self) -> list[int]:
        """The listed images as places in `Workspace.images`, first to last; not to be changed."""
        self._refresh()
        return self._places

    def sort(self, order: Order) -> None:
        """List the images in `order` as of now."""
        self._order, self._sorted = order, None
        self.changed.emit()

    def find(self, words: str) -> None:
        """List the images whose name contains `words`, in the order they have."""
        self._words = words
        self._filter()
        self.changed.emit()

    def _refresh_list(self) -> None:
        # Images that came or went stand where the order puts them.
        self._sorted = None
        self.changed.emit()

    def neighbour(self, step: int) -> int | None:
        """The place of the next (1) or previous (-1) listed image that can be read, or None."""
        return next(self.way(step), None)

    def unfinished(self) -> int | None:
        """The place of the next listed image that is not reviewed, after the last from the top."""
        round_trip = [*self.way(1), *reversed([*self.way(-1)])]
        return next((place for place in round_trip if self._rows[place].status != "reviewed"), None)

    def way(self, step: int) -> Iterator[int]:
        """The places of all listed images that can be read, from the next (1) or previous (-1) on.

        From an open image that is not listed itself, the way goes from where it would stand.
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
        # A folder that is opened again is another study of the same images.
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
