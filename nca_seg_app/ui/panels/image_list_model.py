"""Lists the session's images in the session's order for the images panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from engine.plaintext import one_line, shown_name
from nca_seg_app.session import Session
from nca_seg_app.state.workspace import ImageRow
from nca_seg_app.ui.panels.thumbnails import Thumbnails
from nca_seg_app.ui.widgets.plain_text import tip

Index = QModelIndex | QPersistentModelIndex
THUMBNAIL_PX = 44
ROW_ROLE = int(Qt.ItemDataRole.UserRole)
OPEN_ROLE = ROW_ROLE + 1


def describe(row: ImageRow) -> str:
    """Status and expected error in words."""
    words = row.status if row.readable else "cannot be read"
    return (
        words
        if row.expected_error is None
        else f"{words} · expected error {row.expected_error:.2f}"
    )


def wordings(row: ImageRow) -> tuple[str, ...]:
    """What a line says of an image, from the longest to the shortest."""
    if row.expected_error is None:
        return (describe(row),)
    return describe(row), f"exp. error {row.expected_error:.2f}", f"{row.expected_error:.2f}"


def _same_images(rows: Sequence[ImageRow], others: Sequence[ImageRow]) -> bool:
    """Whether both hold the same images in the same places, whatever is known of each."""
    # By identity first: most rows are the same object, and there may be many thousands.
    pairs = zip(rows, others, strict=False)
    return len(rows) == len(others) and all(a is b or a.path == b.path for a, b in pairs)


class ImageListModel(QAbstractListModel):
    """The session's images in the order a person wants."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows: tuple[ImageRow, ...] = ()
        self._places: list[int] = []
        self._lines: dict[int, int] = {}
        self._lines_by_path: dict[Path, int] = {}
        self._open = -1
        self.thumbnails = Thumbnails(session, 2 * THUMBNAIL_PX, self)
        self.thumbnails.made.connect(self._note_thumbnail)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._places)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._rows[self._places[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return one_line(row.path.stem)
        if role == Qt.ItemDataRole.DecorationRole:
            return self.thumbnails.get(row.path)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{one_line(row.path.stem)}, {describe(row)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(
                f"{shown_name(row.path)}: {describe(row)}. Click to open; D next, A previous."
            )
        if role == ROW_ROLE:
            return row
        return self.is_open(index.row()) if role == OPEN_ROLE else None

    def place(self, line: int) -> int:
        """The place in `session.workspace.images` of what the list has in this line."""
        return self._places[line]

    def is_open(self, line: int) -> bool:
        """Whether this line is the open image."""
        return self._places[line] == self._open

    def line(self, place: int) -> int:
        """The line of a place of `session.workspace.images`, or -1 where it is not listed."""
        return self._lines.get(place, -1)

    def refresh(self) -> None:
        """Show the session's images as they are now, in the order they are listed in."""
        before, rows = self._rows, self._session.workspace.images
        same = _same_images(rows, before)
        if not same:
            self.thumbnails.clear()
        places = self._session.image_order.places
        was_open, self._open = self._open, self._session.workspace.index
        if not same or places != self._places:
            self.beginResetModel()
            self._rows, self._places = rows, places
            self._lines = {place: line for line, place in enumerate(places)}
            self._lines_by_path = {rows[place].path: line for place, line in self._lines.items()}
            self.endResetModel()
            return
        self._rows = rows
        pairs = zip(before, rows, strict=True)
        changed = [place for place, (old, new) in enumerate(pairs) if old is not new]
        for place in {*changed, was_open, self._open} & self._lines.keys():
            index = self.index(self._lines[place])
            self.dataChanged.emit(index, index)

    def _note_thumbnail(self, path: Path) -> None:
        line = self._lines_by_path.get(path, -1)
        if line >= 0:
            self.dataChanged.emit(self.index(line), self.index(line))
