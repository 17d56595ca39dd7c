"""Lists the images of the folder with their status, and finds, sorts and opens them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from nca_seg_app.actions import find_action, plain_text
from nca_seg_app.session import Session
from nca_seg_app.state.image_order import Order
from nca_seg_app.ui.panels.image_delegate import ImageDelegate
from nca_seg_app.ui.panels.image_list_model import ImageListModel, Index
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.refresh import Refresh

ORDERS: tuple[tuple[str, Order], ...] = (
    ("By name", "name"),
    ("By expected error", "expected error"),
    ("To do first", "status"),
)


class ImagesPanel(QWidget):
    """Lists the images of the folder; a click opens one."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._followed = (-1, 0)
        self.model = ImageListModel(session, self)
        self.list = ImageList(self.model)
        self.order = QComboBox()
        for text, order in ORDERS:
            self.order.addItem(text, order)
        self.order.setToolTip(
            "Order of the list, in which D and A go through it; choose it again to sort anew."
        )
        self.order.setCurrentIndex(self.order.findData(session.image_order.order))
        self.order.setAccessibleName("Order")
        self.find_field = FindField(session.image_order.words)
        self.find_field.setPlaceholderText("Find by name")
        self.find_field.setClearButtonEnabled(True)
        self.find_field.setToolTip(
            "Show only images whose name contains this; Return opens the first, Esc clears."
        )
        self.reviewed = PlainLabel()
        self.reviewed.setToolTip("Ctrl+Return accepts an image as reviewed and opens the next.")
        self._lay_out()
        self._refresh = Refresh(self, self._show)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        self.order.activated.connect(lambda: session.image_order.sort(self.order.currentData()))
        self.find_field.textChanged.connect(session.image_order.find)
        self.find_field.returnPressed.connect(self._open_first)
        self.find_field.left.connect(self._enter_list)
        session.image_order.changed.connect(self._note_order)
        session.workspace.images_changed.connect(self._refresh.ask)
        session.workspace.image_changed.connect(self._refresh.ask)
        self._show()

    def _lay_out(self) -> None:
        empty, body = QWidget(), QWidget()
        invitation = QVBoxLayout(empty)
        words = PlainLabel("Drop images or a folder here, or try the samples.", wraps=True)
        invitation.addWidget(words)
        for action_id in ("file.open_folder", "file.open", "file.open_sample"):
            action = find_action(action_id)
            button = QPushButton(plain_text(action))
            keys = f" ({action.shortcuts[0]})" if action.shortcuts else ""
            button.setToolTip(action.tip + keys)
            button.clicked.connect(lambda _=False, action=action: action.method(self._session))
            invitation.addWidget(button)
        invitation.addStretch(1)
        layout, row = QVBoxLayout(body), QHBoxLayout()
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.find_field)
        layout.addWidget(self.list, 1)
        row.addWidget(self.order)
        layout.addLayout(row)
        layout.addWidget(self.reviewed)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(empty)
        self._stack.addWidget(body)

    def _open_first(self) -> None:
        if self.model.rowCount():
            self._open(self.model.index(0))

    def _enter_list(self) -> None:
        if self.model.rowCount():
            if not self.list.currentIndex().isValid():
                self.list.setCurrentIndex(self.model.index(0))
            self.list.setFocus()

    def _open(self, index: QModelIndex) -> None:
        self._session.opening.open_row(self.model.place(index.row()))

    def _note_order(self) -> None:
        self._followed = (-1, 0)
        self._show()

    def _show(self) -> None:
        rows, index = self._session.workspace.images, self._session.workspace.index
        top = self.list.verticalScrollBar().value()
        self._stack.setCurrentIndex(1 if rows else 0)
        self.model.refresh()
        done = sum(row.status == "reviewed" for row in rows)
        whole = sum(row.readable for row in rows)
        listed = self.model.rowCount()
        shown = f" · {listed} shown" if listed != len(rows) else ""
        refused = f" · {len(rows) - whole:,} cannot be read" if whole != len(rows) else ""
        self.reviewed.setText(f"{done:,} of {whole:,} reviewed{refused}{shown}")
        line = self.model.line(index)
        stayed = self._followed == (index, len(rows))
        # While the image stays, so does the list: where a person scrolled it, and on the line that
        # the arrow keys went to.
        current = self.list.currentIndex()
        waits = current.isValid() and rows[self.model.place(current.row())].readable
        if line >= 0 and not (stayed and waits):
            self.list.setCurrentIndex(self.model.index(line))
        if stayed:
            self.list.verticalScrollBar().setValue(top)
        elif line >= 0:
            self.list.scrollTo(self.model.index(line))
        self._followed = (index, len(rows))


class FindField(QLineEdit):
    """Takes words to find images by; Esc clears them, Down goes to the list."""

    #: The keyboard is to go to what was found.
    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.clear()
        elif event.key() == Qt.Key.Key_Down:
            self.left.emit()
        else:
            super().keyPressEvent(event)


class ImageList(QListView):
    """Shows thousands of lines of one height; Return opens the one the arrow keys went to."""

    def __init__(self, model: ImageListModel) -> None:
        super().__init__()
        self._images = model
        self.setModel(model)
        self.setItemDelegate(ImageDelegate(self))
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Images")

    def dataChanged(self, first: Index, last: Index, roles: Sequence[int] = ()) -> None:
        # Past QListView, which would lay out thousands of lines anew for one thumbnail: all lines
        # are of one height, so painting is enough.
        QAbstractItemView.dataChanged(self, first, last, roles)

    def event(self, event: QEvent) -> bool:
        # Return accepts a result elsewhere; here it opens an image, if another one is chosen.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            opens = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            line = self.currentIndex().row()
            if opens and plain and line >= 0 and not self._images.is_open(line):
                event.accept()
                return True
        return super().event(event)
