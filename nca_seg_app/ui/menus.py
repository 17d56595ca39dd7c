"""Makes menus, shortcuts and tool bar from the table of actions, and enables what can be done."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QToolBar

from nca_seg_app.actions import ACTIONS, MENUS, Action, find_action, plain_text
from nca_seg_app.session import Session
from nca_seg_app.state.tools import TOOLS
from nca_seg_app.ui.widgets.form import finish_typing
from nca_seg_app.ui.widgets.plain_text import entry
from nca_seg_app.ui.widgets.theme import icon

#: The tool bar: what is done with the hand all day, in groups; the rest lives in the menus.
TOOL_BAR = (
    tuple(f"tools.{tool.name}" for tool in TOOLS),
    ("edit.undo", "edit.redo"),
    ("edit.fill_holes", "edit.keep_largest", "edit.smooth"),
    ("view.outline", "view.fill", "view.variance"),
    ("view.fit",),
)
UNDO_AND_REDO = {"edit.undo": "undo_text", "edit.redo": "redo_text"}


class Commands(QObject):
    """Makes a QAction for each row of the table, and keeps it in step with the session."""

    #: A command raised what nobody foresaw; carries the exception.
    broke = Signal(object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.actions = {action.id: self._make(action) for action in ACTIONS}
        session.capabilities_changed.connect(self.refresh)
        session.steering.changed.connect(self.refresh)
        session.context.settings_changed.connect(self.refresh)
        session.workspace.images_changed.connect(self.refresh)
        session.workspace.image_changed.connect(self._watch_document)
        session.view_state.tool_changed.connect(self.refresh)
        self.colour_icons()
        self.refresh()

    def fill_menu_bar(self, bar: QMenuBar) -> dict[str, QMenu]:
        """The menus by name, filled from the table, with a separator between groups."""
        menus = {}
        for name in MENUS:
            menu = menus[name] = bar.addMenu(f"&{name}")
            menu.setToolTipsVisible(True)
            group = 0
            for action in ACTIONS:
                if action.menu == name:
                    if action.group != group:
                        menu.addSeparator()
                    group = action.group
                    menu.addAction(self.actions[action.id])
        return menus

    def fill_tool_bar(self, bar: QToolBar) -> None:
        """Put the drawing tools, and what belongs beside them, into `bar`."""
        for place, group in enumerate(TOOL_BAR):
            if place:
                bar.addSeparator()
            for action_id in group:
                bar.addAction(self.actions[action_id])

    def colour_icons(self) -> None:
        """Take the icons again, in the colours of the palette."""
        for action in ACTIONS:
            self.actions[action.id].setIcon(icon(action.icon))

    def refresh(self) -> None:
        """Enable and check every command as the session says."""
        session, document = self._session, self._session.workspace.document
        for action in ACTIONS:
            shown = self.actions[action.id]
            shown.setEnabled(action.needs in session.capabilities)
            if action.checked is not None:
                shown.setChecked(action.checked(session))
        for action_id, name in UNDO_AND_REDO.items():
            step = getattr(document, name) if document is not None else ""
            if action_id == "edit.undo" and not session.steering.shown.is_empty:
                step = "what the model was shown"
            text = find_action(action_id).text
            self.actions[action_id].setText(f"{text} {entry(step)}" if step else text)

    def _make(self, action: Action) -> QAction:
        made = QAction(action.text, self)
        made.setObjectName(action.id)
        sequences = [QKeySequence(keys) for keys in action.shortcuts]
        made.setShortcuts(sequences)
        made.setAutoRepeat(action.repeats)
        keys = sequences[0].toString(QKeySequence.SequenceFormat.NativeText) if sequences else ""
        made.setToolTip(f"{action.tip} ({keys})" if keys else action.tip)
        made.setIconText(plain_text(action))
        made.setCheckable(action.checked is not None)
        made.triggered.connect(lambda: self._run(action))
        return made

    def _run(self, action: Action) -> None:
        finish_typing()
        try:
            action.method(self._session)
        except Exception as error:
            self.broke.emit(error)
        # Qt has moved the check mark by itself; the session may say otherwise.
        self.refresh()

    def _watch_document(self) -> None:
        if self._session.workspace.document is not None:
            self._session.workspace.document.history_changed.connect(self.refresh)
        self.refresh()
