"""Puts canvas, panels, menus and bars together, and keeps the window's geometry."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QEvent, QSettings, QSize, Qt
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QDockWidget,
    QMainWindow,
    QMenu,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas.canvas import Canvas, dropped_paths
from nca_seg_app.ui.dialogs import Preferences
from nca_seg_app.ui.help import about_page, help_page
from nca_seg_app.ui.menus import Commands
from nca_seg_app.ui.message_bar import MessageBar
from nca_seg_app.ui.panels.table import DOCKS, Area, Dock
from nca_seg_app.ui.stall_watch import StallWatch
from nca_seg_app.ui.status_bar import StatusBar
from nca_seg_app.ui.widgets.form import FieldKeys
from nca_seg_app.ui.widgets.plain_text import entry, title
from nca_seg_app.ui.widgets.theme import apply_theme, icon

#: A state saved by a window with other docks must not be restored.
LAYOUT_VERSION = 1
FIRST_SIZE = QSize(1440, 900)


def window_settings() -> QSettings:
    """Where the window's geometry is kept."""
    return QSettings(
        QSettings.Format.IniFormat, QSettings.Scope.UserScope, "nca-seg", "nca-seg-app"
    )


class Window(QMainWindow):
    """The program's window over a session, which it closes when it is closed."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        #: Whether what was unsaved was asked about, and all is stopped.
        self.is_closed = False
        self._pages: dict[str, QDialog] = {}
        self.setObjectName("window")
        self.setWindowIcon(icon("app"))
        self.setAcceptDrops(True)
        self.canvas = Canvas(session)
        self.message_bar = MessageBar()
        self._lay_out()
        self.commands = Commands(session, self)
        self._make_menus()
        self.status = StatusBar(session)
        self.setStatusBar(self.status)
        self._restore()
        FieldKeys(self, self.canvas)
        bare = QShortcut(QKeySequence(Qt.Key.Key_Space), self, self.canvas.input.hold_bare)
        bare.setAutoRepeat(False)
        self.stalls = StallWatch(self)
        self._connect()
        self._show_image()
        self._adopt_settings()

    @property
    def session(self) -> Session:
        """What the window shows."""
        return self._session

    # Parts

    def _lay_out(self) -> None:
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.message_bar)
        column.addWidget(self.canvas, 1)
        self.setCentralWidget(middle)
        self.setCorner(Qt.Corner.BottomRightCorner, Area.RightDockWidgetArea)
        self.setCorner(Qt.Corner.BottomLeftCorner, Area.LeftDockWidgetArea)
        self.docks = tuple(self._dock(row) for row in DOCKS)
        #: The docks that come back when the picture had all the room.
        self._put_away = list(self.docks)
        for dock, row in zip(self.docks, DOCKS, strict=True):
            self.resizeDocks([dock], [row.extent_px], row.orientation)

    def _dock(self, row: Dock) -> QDockWidget:
        dock = QDockWidget(row.name, self)
        dock.setObjectName(row.name)
        dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        # Each has a place of its own; a title bar would only take room from the picture.
        dock.setTitleBarWidget(QWidget(dock))
        dock.setWidget(row.make(self._session))
        dock.toggleViewAction().setShortcut(row.shortcut)
        self.addDockWidget(row.area, dock)
        return dock

    def _make_menus(self) -> None:
        commands = self.commands
        menus = commands.fill_menu_bar(self.menuBar())
        self._recent = QMenu("Open &Recent", self)
        self._recent.aboutToShow.connect(self._list_recent)
        menus["File"].insertMenu(commands.actions["file.open_last"], self._recent)
        menus["View"].addSeparator()
        for dock in self.docks:
            menus["View"].addAction(dock.toggleViewAction())
        bar = QToolBar("Tools", self)
        bar.setObjectName("Tools")
        bar.setMovable(False)
        bar.setIconSize(QSize(24, 24))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        commands.fill_tool_bar(bar)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, bar)

    def _connect(self) -> None:
        session = self._session
        session.context.failed.connect(self.message_bar.show_trouble)
        self.commands.broke.connect(self.show_error)
        session.workspace.image_changed.connect(self._show_image)
        session.capabilities_changed.connect(self._show_unsaved)
        session.context.settings_changed.connect(self._adopt_settings)
        session.view_state.window_requested.connect(self._answer)
        self.canvas.pointed.connect(self.status.pointer.setText)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._colour)

    # What is shown

    def show_error(self, error: BaseException) -> None:
        """Tell what went wrong above the canvas."""
        self._session.context.fail(error)

    def _show_image(self) -> None:
        path = self._session.workspace.path
        name = title(path.name) if path is not None else ""
        folder = title(path.parent.name) if path is not None else ""
        self.setWindowTitle(f"{name}[*] – {folder} – nca-seg" if name else "nca-seg")
        self.setWindowFilePath(str(path) if path is not None else "")
        self._show_unsaved()

    def _show_unsaved(self) -> None:
        document = self._session.workspace.document
        self.setWindowModified(document is not None and document.unsaved)

    def _adopt_settings(self) -> None:
        self._colour()
        self.stalls.set_running(self._session.context.settings.log_stalls)

    def _colour(self) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply_theme(app, self._session.context.settings.theme)

    def _list_recent(self) -> None:
        self._recent.clear()
        for place, path in enumerate(self._session.context.settings.recent):
            action = self._recent.addAction(entry(path))
            action.triggered.connect(
                lambda _=False, place=place: self._session.opening.open_recent(place)
            )
        if self._recent.isEmpty():
            self._recent.addAction("Nothing has been opened yet").setEnabled(False)

    def _toggle_docks(self) -> None:
        """Give the picture all the room, or the docks that had it before theirs again."""
        shown = [dock for dock in self.docks if not dock.isHidden()]
        for dock in shown or self._put_away:
            dock.setVisible(not shown)
        self._put_away = shown or self._put_away

    def _answer(self, request: str) -> None:
        if request == "quit":
            self.close()
            return
        if request == "panels":
            self._toggle_docks()
            return
        if request not in self._pages:
            makers = {"help": help_page, "about": about_page}
            maker = makers.get(request)
            self._pages[request] = maker(self) if maker else Preferences(self._session, self)
        self._pages[request].show()
        self._pages[request].raise_()

    # Geometry

    def _restore(self) -> None:
        stored = window_settings()
        geometry, state = stored.value("geometry"), stored.value("state")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            screen = QGuiApplication.primaryScreen().availableSize()
            self.resize(FIRST_SIZE.boundedTo(screen))
        if isinstance(state, QByteArray):
            self.restoreState(state, LAYOUT_VERSION)

    def _keep_geometry(self) -> None:
        stored = window_settings()
        stored.setValue("geometry", self.saveGeometry())
        stored.setValue("state", self.saveState(LAYOUT_VERSION))

    # Qt's events

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "commands"):
            self.commands.colour_icons()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        self._session.opening.open_path(dropped_paths(event))

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self.is_closed:
            self.is_closed = self._session.close()
            if self.is_closed:
                self._keep_geometry()
        event.setAccepted(self.is_closed)
