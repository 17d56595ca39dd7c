"""Laws: all of the table can be reached in the window, and what is done there is on disk after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDockWidget, QLabel, QMenu, QWidget
from pytestqt.qtbot import QtBot

from engine.masks import edits
from engine.masks.files import find_mask
from engine.masks.reading import read_mask
from nca_seg_app.actions import ACTIONS
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.help import RESEARCH_USE, about_html, cheat_sheet_html
from nca_seg_app.ui.panels.segment import SegmentPanel
from nca_seg_app.ui.panels.table import DOCKS
from nca_seg_app.ui.panels.tabs import PanelTabs
from nca_seg_app.ui.widgets.theme import DARK, LIGHT, Colours, apply_theme, icon
from nca_seg_app.ui.window import Window
from tests.app.desks import SMALL, is_still, opened, trigger
from tests.fakes import DiskModel, Person, fake_engine, write_image


class Layouts(QObject):
    """How often a widget was laid out anew."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.LayoutRequest
        return False


def test_nothing_moves_in_the_window_while_it_segments(window: Window, qtbot: QtBot) -> None:
    session = window.session
    trigger(window, "file.open_sample")
    qtbot.waitUntil(lambda: Has.IMAGE in session.capabilities)

    def segment() -> None:
        with qtbot.waitSignal(session.segmentation.completed):
            trigger(window, "run.segment")
        # The members' agreement, too.
        qtbot.waitUntil(lambda: is_still(session, *window.findChildren(QDockWidget)))
        QApplication.processEvents()

    panel = window.findChild(SegmentPanel)
    heights = [panel.threshold.y()]
    session.proposal.changed.connect(lambda: heights.append(panel.threshold.y()))
    segment()
    layouts = Layouts(window)
    segment()
    assert layouts.count == 0
    assert len(heights) > 1
    assert {*heights, panel.threshold.y()} == {heights[0]}


def test_from_a_sample_to_a_saved_mask(window: Window, qtbot: QtBot) -> None:
    session = window.session
    trigger(window, "file.open_sample")
    qtbot.waitUntil(lambda: Has.IMAGE in session.capabilities)
    trigger(window, "run.segment")
    qtbot.waitUntil(lambda: Has.RESULT | Has.IDLE in session.capabilities)
    assert session.segmentation.result is not None
    proposed_hw = session.segmentation.result.mask(0.5)
    trigger(window, "run.accept")
    qtbot.waitUntil(lambda: Has.UNSAVED in session.capabilities)
    document, image = session.workspace.document, session.workspace.image
    assert document is not None
    assert image is not None
    assert (document.mask_hw == proposed_hw).all()
    corner_rc = np.array([[2.0, 2.0]])
    document.edit("Brush", lambda mask_hw: edits.stroke(mask_hw, corner_rc, 3.0, True))
    assert document.mask_hw[2, 2]
    assert "Brush" in window.commands.actions["edit.undo"].text()
    trigger(window, "edit.undo")
    assert not document.mask_hw[2, 2]
    assert window.isWindowModified()
    trigger(window, "file.save")
    qtbot.waitUntil(lambda: Has.UNSAVED not in session.capabilities)
    assert not window.isWindowModified()
    assert "saved" in window.status.saved.text()
    assert session.workspace.study is not None
    mask_path = find_mask(session.workspace.study.masks_folder, "sample")
    assert mask_path is not None
    assert (read_mask(mask_path, (image.height, image.width)) == proposed_hw).all()


def test_every_action_is_in_its_menu_with_its_keys(window: Window) -> None:
    menus = {menu.title().replace("&", ""): menu for menu in window.menuBar().findChildren(QMenu)}
    for action in ACTIONS:
        shown = [each for each in menus[action.menu].actions() if each.objectName() == action.id]
        assert len(shown) == 1, action.id
        assert shown[0].shortcuts() == [QKeySequence(keys) for keys in action.shortcuts]
        assert action.tip in shown[0].toolTip()


def test_enablement_is_what_the_state_says(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session

    def agrees() -> bool:
        return all(
            window.commands.actions[action.id].isEnabled() == (action.needs in session.capabilities)
            for action in ACTIONS
        )

    assert agrees()
    assert not window.commands.actions["file.save"].isEnabled()
    opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))
    assert agrees()
    session.segment()
    assert agrees()
    assert not window.commands.actions["run.segment"].isEnabled()
    qtbot.waitUntil(lambda: Has.IDLE in session.capabilities)
    assert agrees()
    trigger(window, "run.accept")
    qtbot.waitUntil(lambda: Has.MASK in session.capabilities)
    assert agrees()
    assert window.commands.actions["file.save"].isEnabled()


def test_check_marks_follow_the_session(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))
    actions = window.commands.actions
    window.session.view_state.choose_tool("eraser")
    assert actions["tools.eraser"].isChecked()
    assert not actions["tools.brush"].isChecked()
    # Clicking the tool in hand again leaves it in hand.
    actions["tools.eraser"].trigger()
    assert actions["tools.eraser"].isChecked()


@pytest.mark.parametrize(
    ("answer", "closes"), [("discard", True), ("save", True), ("cancel", False)]
)
def test_closing_asks_once_about_unsaved_work(
    answer: str, closes: bool, window: Window, person: Person, qtbot: QtBot, tmp_path: Path
) -> None:
    session = opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))
    assert session.workspace.document is not None
    session.workspace.document.edit("Fill", lambda mask_hw: edits.replace(mask_hw, ~mask_hw))
    person.save = answer  # type: ignore[assignment]
    assert window.close() == closes
    assert person.asked == ["save a.png"]
    assert window.isVisible() != closes
    if closes:
        window.close()
        assert person.asked == ["save a.png"]
    assert session.workspace.study is not None
    saved = find_mask(session.workspace.study.masks_folder, "a") is not None
    assert saved == (answer == "save")
    person.save = "discard"


def test_what_is_dropped_is_opened(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    path = write_image(tmp_path / "images" / "dropped.png")
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(path))])
    button, modifier = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    copy, place = Qt.DropAction.CopyAction, QPoint(5, 5)
    # Without an entry before it Qt does not deliver a drop.
    for event in (
        QDragEnterEvent(place, copy, dropped, button, modifier),
        QDropEvent(QPointF(place), copy, dropped, button, modifier),
    ):
        QApplication.sendEvent(window, event)
    qtbot.waitUntil(lambda: window.session.workspace.path == path)
    assert "dropped.png" in window.windowTitle()


def test_the_recent_menu_opens_what_it_names(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    first = write_image(tmp_path / "images" / "first.png")
    window.session.opening.open_path([first])
    qtbot.waitUntil(lambda: window.session.workspace.path == first)
    other = write_image(tmp_path / "other" / "second.png")
    window.session.opening.open_path([other])
    qtbot.waitUntil(lambda: window.session.workspace.path == other)
    recent = next(menu for menu in window.findChildren(QMenu) if "Recent" in menu.title())
    recent.aboutToShow.emit()
    entries: list[QAction] = recent.actions()
    assert [Path(entry.text()).name for entry in entries] == ["second.png", "first.png"]
    entries[1].trigger()
    qtbot.waitUntil(lambda: window.session.workspace.path == first)


def test_trouble_is_told_in_the_window_and_can_be_dismissed(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture at all")
    window.session.opening.open_path(broken)
    qtbot.waitUntil(window.message_bar.isVisible)
    assert "broken.png" in window.message_bar.sentence
    window.message_bar.copy()
    assert "UnreadableImage" in QApplication.clipboard().text()
    window.message_bar.dismiss()
    assert not window.message_bar.isVisible()


def test_a_command_that_breaks_does_not_take_the_window_along(
    window: Window, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot, tmp_path: Path
) -> None:
    opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))

    def break_down() -> None:
        raise RuntimeError("a screw came loose")

    monkeypatch.setattr(window.session.segmentation, "segment", break_down)
    trigger(window, "run.segment")
    assert "unexpected" in window.message_bar.sentence
    assert window.isVisible()


def test_the_window_says_what_it_is_not_for(window: Window) -> None:
    assert RESEARCH_USE in about_html()
    labels = [label.text() for label in window.status.findChildren(QLabel)]
    assert RESEARCH_USE in labels


def test_the_help_page_names_all_commands_and_keys() -> None:
    page = cheat_sheet_html()
    for action in ACTIONS:
        assert action.tip in page
    assert "Ctrl+R" in page


def test_asking_for_help_leaves_the_window_free(window: Window) -> None:
    for action_id in ("help.shortcuts", "help.about", "file.preferences"):
        trigger(window, action_id)
        assert QApplication.activeModalWidget() is None


def test_geometry_is_found_again(window: Window, tmp_path: Path, qtbot: QtBot) -> None:
    window.resize(780, 640)
    window.docks[2].hide()
    size = window.size()
    window.close()
    again = Window(Session(fake_engine(tmp_path / "again"), Person(save="discard")))
    qtbot.addWidget(again)
    again.show()
    assert again.size() == size
    assert not again.docks[2].isVisible()
    again.close()


@pytest.mark.parametrize(("theme", "colours"), [("dark", DARK), ("light", LIGHT)])
def test_a_theme_colours_window_and_icons(
    theme: str, colours: Colours, window: Window, qtbot: QtBot
) -> None:
    window.session.context.change_settings(theme=theme)
    qtbot.waitUntil(lambda: window.palette().window().color().name() == colours.window)
    image = icon("undo").pixmap(24, 24).toImage()
    pixels = [image.pixelColor(x, y) for x in range(24) for y in range(24)]
    strongest = max(pixels, key=lambda colour: colour.alpha())
    assert strongest.alpha() == 255
    dark = strongest.lightness() < 128
    assert dark == (theme == "light")


def test_an_unknown_icon_is_empty(qtbot: QtBot) -> None:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    apply_theme(app, "dark")
    assert icon("no-such-icon").isNull()
    assert icon("").isNull()


def test_channels_are_put_on_the_canvas_and_curves_drawn(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    session = opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))
    session.segment()
    qtbot.waitUntil(lambda: Has.RESULT | Has.IDLE in session.capabilities)
    tabs = window.findChild(PanelTabs)
    area = tabs.widget(2)
    tabs.setCurrentWidget(area)
    panel = area.widget()
    qtbot.waitUntil(lambda: panel.montage.heightForWidth(300) > 50)
    panel.montage.clicked.emit(4)
    shown = session.view_state.shown
    assert shown is not None
    assert shown.title.startswith("x_t, level 2")
    film_step = session.segmentation.film.steps(0)[-1]
    assert (shown.map_hw == film_step.noisy_hw).all()
    session.view_state.pick((24, 32))
    assert len(panel.plot.plotItem.listDataItems()) >= 5
    panel.montage.clicked.emit(4)
    assert session.view_state.shown is None


def test_a_training_ends_in_a_model_beside_its_parent(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    session = opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))
    session.segment()
    qtbot.waitUntil(lambda: Has.RESULT | Has.IDLE in session.capabilities)
    trigger(window, "run.accept")
    qtbot.waitUntil(lambda: Has.UNSAVED in session.capabilities)
    trigger(window, "file.save")
    qtbot.waitUntil(lambda: Has.SAVED_MASKS in session.capabilities)
    tabs = window.findChild(PanelTabs)
    panel = tabs.widget(4).widget()
    tabs.setCurrentIndex(4)
    assert panel.start.isVisible()
    assert not panel.offer.isVisible()
    panel.start.click()
    qtbot.waitUntil(lambda: Has.CANDIDATE | Has.IDLE in session.capabilities)
    assert panel.offer.isVisible()
    panel.accept.click()
    qtbot.waitUntil(lambda: len(session.model_library.entries) == 2)
    assert session.model_library.chosen is not None
    assert session.model_library.chosen.name == "oracle+1"
    assert not panel.offer.isVisible()


def test_a_run_that_waits_is_stopped_by_closing(qtbot: QtBot, tmp_path: Path) -> None:
    model = DiskModel(holds_at=1)
    window = Window(Session(fake_engine(tmp_path, model), Person(), SMALL))
    qtbot.addWidget(window)
    window.session.model_library.refresh()
    opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))
    qtbot.waitUntil(lambda: Has.MODEL in window.session.capabilities)
    window.session.segment()
    qtbot.waitUntil(lambda: window.session.segmentation.result is not None)
    model.gate.set()
    assert window.close()
    assert model.closed.is_set()


def test_every_dock_has_its_key(window: Window) -> None:
    toggles = [dock.toggleViewAction() for dock in window.docks]
    keys = [toggle.shortcut().toString() for toggle in toggles]
    assert keys == [row.shortcut for row in DOCKS]
    assert ", ".join(keys) in cheat_sheet_html()
    assert set(toggles) <= set(window.menuBar().actions()[2].menu().actions())


def test_the_picture_can_have_all_the_room_and_give_it_back(window: Window) -> None:
    window.show()
    film = window.docks[2]
    film.hide()
    wide = window.canvas.width()
    trigger(window, "view.panels")
    assert all(dock.isHidden() for dock in window.docks)
    QApplication.processEvents()
    assert window.canvas.width() > wide
    trigger(window, "view.panels")
    assert [dock for dock in window.docks if dock.isHidden()] == [film]


def test_space_shows_the_bare_image_wherever_the_keyboard_is(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    opened(window, qtbot, write_image(tmp_path / "images" / "a.png"))
    window.show()
    window.activateWindow()
    panel = window.findChild(SegmentPanel)
    panel.threshold.setFocus()
    qtbot.waitUntil(panel.threshold.hasFocus)
    QTest.keyPress(window.windowHandle(), Qt.Key.Key_Space)
    assert window.canvas.input.bare
    QTest.keyRelease(window.windowHandle(), Qt.Key.Key_Space)
    assert not window.canvas.input.bare
    assert panel.threshold.hasFocus()
    # A button is pressed with it.
    panel.button("run.segment").setFocus()
    QTest.keyPress(window.windowHandle(), Qt.Key.Key_Space)
    assert not window.canvas.input.bare
    QTest.keyRelease(window.windowHandle(), Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: Has.RESULT in window.session.capabilities)


def test_a_long_message_is_cut_visibly_and_what_rarely_changes_makes_room(window: Window) -> None:
    window.show()
    status = window.status
    assert status.model.isVisible()
    status.show_note("A sentence that says much " * 20)
    assert not status.model.isVisible()
    assert status.note.width() < status.note.fontMetrics().horizontalAdvance(status.note.text())
    status._end_note()
    assert status.model.isVisible()
