"""The list of images: any order over the session's rows, each known by its place there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from engine.study import Status
from nca_seg_app.panels.thumbnails import Thumbnails
from nca_seg_app.ports import ImageRow
from nca_seg_app.session import Session

Order = Literal["name", "doubt", "status"]
Index = QModelIndex | QPersistentModelIndex
THUMBNAIL_PX = 44
RANK: dict[Status, int] = {"new": 0, "draft": 1, "saved": 2, "reviewed": 3}
ROW_ROLE = int(Qt.ItemDataRole.UserRole)
OPEN_ROLE = ROW_ROLE + 1


def ordered(rows: tuple[ImageRow, ...], order: Order, words: str) -> list[int]:
    """Places of the rows whose name contains `words`, in the wanted order; ties by name."""
    wanted = words.casefold()
    places = [
        place for place, row in enumerate(rows) if not wanted or wanted in row.path.name.casefold()
    ]
    if order == "doubt":
        doubts = [row.doubt if row.doubt is not None else -1.0 for row in rows]
        places.sort(key=lambda place: -doubts[place])
    elif order == "status":
        places.sort(key=lambda place: RANK[rows[place].status])
    return places


def describe(row: ImageRow) -> str:
    """Status and doubt in words."""
    words = row.status if row.readable else "cannot be read"
    return words if row.doubt is None else f"{words} · doubt {row.doubt:.2f}"


class ImageModel(QAbstractListModel):
    """The session's images in the order a person wants."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows: tuple[ImageRow, ...] = ()
        self._places: list[int] = []
        self._lines: dict[int, int] = {}
        self._lines_by_path: dict[Path, int] = {}
        self._open = -1
        self._asked: tuple[Order, str] = ("name", "")
        self.thumbnails = Thumbnails(session, 2 * THUMBNAIL_PX, self)
        self.thumbnails.made.connect(self._note_thumbnail)
        self.order: Order = "name"
        self.words = ""

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._places)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._rows[self._places[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.path.stem
        if role == Qt.ItemDataRole.DecorationRole:
            return self.thumbnails.get(row.path)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{row.path.stem}, {describe(row)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.path.name}: {describe(row)}. Click to open; D next, A previous."
        if role == ROW_ROLE:
            return row
        return self.is_open(index.row()) if role == OPEN_ROLE else None

    def place(self, line: int) -> int:
        """The place in `session.images` of what the list has in this line."""
        return self._places[line]

    def is_open(self, line: int) -> bool:
        """Whether this line is the open image."""
        return self._places[line] == self._open

    def line(self, place: int) -> int:
        """The line of a place of `session.images`, or -1 where it is not listed."""
        return self._lines.get(place, -1)

    def refresh(self) -> None:
        """Show the session's images as they are now, in the order and with the words asked for."""
        before, rows = self._rows, self._session.images
        asked = (self.order, self.words)
        changed: list[int] = []
        same = len(rows) == len(before)
        if same:
            # By identity: rows are never changed, and there may be many thousands.
            pairs = zip(before, rows, strict=True)
            changed = [place for place, (old, new) in enumerate(pairs) if old is not new]
            same = all(before[place].path == rows[place].path for place in changed)
        if not same:
            self.thumbnails.clear()
        moves = not same or asked != self._asked or (bool(changed) and self.order != "name")
        places = ordered(rows, *asked) if moves else self._places
        was_open, self._open, self._asked = self._open, self._session.index, asked
        if not same or places != self._places:
            self.beginResetModel()
            self._rows, self._places = rows, places
            self._lines = {place: line for line, place in enumerate(places)}
            self._lines_by_path = {rows[place].path: line for place, line in self._lines.items()}
            self.endResetModel()
            return
        self._rows = rows
        for place in {*changed, was_open, self._open} & self._lines.keys():
            index = self.index(self._lines[place])
            self.dataChanged.emit(index, index)

    def _note_thumbnail(self, path: Path) -> None:
        line = self._lines_by_path.get(path, -1)
        if line >= 0:
            self.dataChanged.emit(self.index(line), self.index(line))
