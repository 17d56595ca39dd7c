"""The window puts canvas, panels and actions together; it shows and forwards, decides nothing."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QEvent, QObject, QSettings, QSize, Qt
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QDockWidget,
    QFrame,
    QMainWindow,
    QMenu,
    QPushButton,
    QScrollArea,
    QSlider,
    QTabWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas.empty_state import dropped
from nca_seg_app.ui.canvas.interaction import CanvasView
from nca_seg_app.ui.dialogs import Preferences
from nca_seg_app.ui.help import about_page, help_page
from nca_seg_app.ui.menus import Commands
from nca_seg_app.ui.message_bar import MessageStrip
from nca_seg_app.ui.panels.cells import CellsPanel
from nca_seg_app.ui.panels.ensemble import EnsemblePanel
from nca_seg_app.ui.panels.film import FilmPanel
from nca_seg_app.ui.panels.images import ImagesPanel
from nca_seg_app.ui.panels.mask import MaskPanel
from nca_seg_app.ui.panels.segment import SegmentPanel
from nca_seg_app.ui.panels.training import TrainingPanel
from nca_seg_app.ui.stall_watch import StallWatch
from nca_seg_app.ui.status_bar import StatusLine
from nca_seg_app.ui.widgets.form import FieldKeys
from nca_seg_app.ui.widgets.plain_text import entry, title
from nca_seg_app.ui.widgets.theme import apply_theme, icon

#: A state saved by a window with other docks must not be restored.
LAYOUT_VERSION = 1
FIRST_SIZE = QSize(1440, 900)
Area = Qt.DockWidgetArea


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
        self.canvas = CanvasView(session)
        self.strip = MessageStrip()
        self.tabs = QTabWidget()
        self._lay_out()
        self.commands = Commands(session, self)
        self._make_menus()
        self.status = StatusLine(session)
        self.setStatusBar(self.status)
        self._restore()
        FieldKeys(self, self.canvas)
        bare = QShortcut(QKeySequence(Qt.Key.Key_Space), self, self.canvas.hold_bare)
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
        session, middle = self._session, QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.strip)
        column.addWidget(self.canvas, 1)
        self.setCentralWidget(middle)
        self.setCorner(Qt.Corner.BottomRightCorner, Area.RightDockWidgetArea)
        self.setCorner(Qt.Corner.BottomLeftCorner, Area.LeftDockWidgetArea)
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        for name, panel in (
            ("Segment", SegmentPanel(session)),
            ("Ensemble", EnsemblePanel(session)),
            ("Cells", CellsPanel(session)),
            ("Mask", MaskPanel(session)),
            ("Training", TrainingPanel(session)),
        ):
            self.tabs.addTab(_scrolled(panel), name)
        self.docks = (
            self._dock("Images", ImagesPanel(session), Area.LeftDockWidgetArea),
            self._dock("Panels", self.tabs, Area.RightDockWidgetArea),
            self._dock("Film", FilmPanel(session), Area.BottomDockWidgetArea),
        )
        #: The docks that come back when the picture had all the room.
        self._put_away = list(self.docks)
        left, right, bottom = self.docks
        self.resizeDocks([left, right], [200, 330], Qt.Orientation.Horizontal)
        self.resizeDocks([bottom], [176], Qt.Orientation.Vertical)

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        # Each has a place of its own; a title bar would only take room from the picture.
        dock.setTitleBarWidget(QWidget(dock))
        dock.setWidget(widget)
        self.addDockWidget(area, dock)
        return dock

    def _make_menus(self) -> None:
        commands = self.commands
        menus = commands.fill_menu_bar(self.menuBar())
        self._recent = QMenu("Open &Recent", self)
        self._recent.aboutToShow.connect(self._list_recent)
        menus["File"].insertMenu(commands.actions["file.open_last"], self._recent)
        menus["View"].addSeparator()
        for place, dock in enumerate(self.docks, start=1):
            toggle = dock.toggleViewAction()
            toggle.setShortcut(f"Ctrl+{place}")
            menus["View"].addAction(toggle)
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
        session.context.failed.connect(self.strip.show_trouble)
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
        if dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        self._session.opening.open_path(dropped(event))

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self.is_closed:
            self.is_closed = self._session.close()
            if self.is_closed:
                self._keep_geometry()
        event.setAccepted(self.is_closed)


class _WheelPast(QObject):
    """The wheel scrolls a panel, and turns a field in it only while that has the focus."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        for field in panel.findChildren(QWidget):
            if isinstance(field, (QAbstractSpinBox, QComboBox, QSlider)):
                # Qt would give it the focus for the wheel.
                field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                field.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        passes = isinstance(watched, QWidget) and not watched.hasFocus()
        if event.type() == QEvent.Type.Wheel and passes:
            event.ignore()
            return True
        return False


def _scrolled(panel: QWidget) -> QScrollArea:
    """The panel in a scroll area that never scrolls sideways."""
    _WheelPast(panel)
    area = QScrollArea()
    # A click beside its fields, or on a button, leaves the keyboard with the canvas.
    for button in panel.findChildren(QPushButton):
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    area.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(panel)
    area.setMinimumWidth(
        panel.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width()
    )
    return area
