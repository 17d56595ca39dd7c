"""Law: the list shows the session's images, and a click opens the very one."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication

from nca_seg_app.state.image_order import ordered
from nca_seg_app.state.workspace import ImageRow
from nca_seg_app.ui.panels.image_list_model import ImageListModel, Index
from nca_seg_app.ui.panels.images import ImagesPanel
from nca_seg_app.ui.panels.thumbnails import thumbnail_of
from tests.app.desks import PanelDesk, click, is_still
from tests.fakes import write_image


def shown(desk: PanelDesk) -> ImagesPanel:
    """The panel over the opened folder."""
    desk.open()
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    return panel


def test_a_click_opens_an_image(desk: PanelDesk) -> None:
    panel = shown(desk)
    line = panel.list.visualRect(panel.model.index(2)).center()
    with desk.qtbot.waitSignal(desk.session.workspace.image_changed):
        click(desk, panel.list.viewport(), line)
    assert desk.session.workspace.index == 2
    desk.qtbot.waitUntil(lambda: panel.model.is_open(2))


def test_status_and_count_follow_the_session(desk: PanelDesk) -> None:
    panel = shown(desk)
    assert panel.reviewed.text() == "0 of 3 reviewed"
    desk.session.workspace.set_row(desk.folder / "b.png", status="reviewed", expected_error=0.25)
    desk.qtbot.waitUntil(lambda: panel.reviewed.text() == "1 of 3 reviewed")
    said = panel.model.index(1).data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "b, reviewed · expected error 0.25"


def test_orders() -> None:
    rows = (
        ImageRow(Path("a.png"), "reviewed", 0.1),
        ImageRow(Path("b.png"), "saved", None),
        ImageRow(Path("c.png"), "new", 0.3),
        ImageRow(Path("ab.png"), "draft", 0.2),
    )
    assert ordered(rows, "name") == [0, 1, 2, 3]
    assert ordered(rows, "expected error") == [2, 3, 0, 1]
    assert ordered(rows, "status") == [2, 3, 1, 0]


def choose_order(panel: ImagesPanel, place: int) -> None:
    panel.order.setCurrentIndex(place)
    panel.order.activated.emit(place)


def test_most_doubt_first_opens_what_was_clicked(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.session.workspace.set_row(desk.folder / "c.png", expected_error=0.9)
    choose_order(panel, 1)
    assert [panel.model.place(line) for line in range(3)] == [2, 0, 1]
    with desk.qtbot.waitSignal(desk.session.workspace.image_changed):
        click(desk, panel.list.viewport(), panel.list.visualRect(panel.model.index(0)).center())
    assert desk.session.workspace.path == desk.folder / "c.png"


def test_results_that_come_in_move_nothing_until_the_order_is_chosen_again(desk: PanelDesk) -> None:
    panel = shown(desk)
    choose_order(panel, 1)
    desk.session.workspace.set_row(desk.folder / "c.png", expected_error=0.9)
    desk.qtbot.waitUntil(lambda: "0.90" in panel.model.index(2).data(Qt.ItemDataRole.ToolTipRole))
    assert [panel.model.place(line) for line in range(3)] == [0, 1, 2]
    choose_order(panel, 1)
    assert [panel.model.place(line) for line in range(3)] == [2, 0, 1]


def test_a_search_leaves_the_order_as_it_is(desk: PanelDesk) -> None:
    panel = shown(desk)
    choose_order(panel, 1)
    desk.session.workspace.set_row(desk.folder / "c.png", expected_error=0.9)
    panel.find_field.setText("C.PN")
    assert desk.session.image_order.places == [2]
    panel.find_field.clear()
    assert desk.session.image_order.places == [0, 1, 2]
    choose_order(panel, 1)
    panel.find_field.setText("PN")
    assert desk.session.image_order.places == [2, 0, 1]


def test_a_folder_opened_again_is_sorted(desk: PanelDesk) -> None:
    desk.open()
    desk.session.image_order.sort("status")
    desk.session.saving.mark_reviewed()
    desk.qtbot.waitUntil(lambda: desk.session.workspace.images[0].status == "reviewed")
    assert desk.session.image_order.places == [0, 1, 2]
    desk.open()
    assert desk.session.image_order.places == [1, 2, 0]


def test_the_order_is_chosen_again_by_keys(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.qtbot.keyClick(panel.order, Qt.Key.Key_Down)
    assert desk.session.image_order.order == "expected error"
    desk.session.workspace.set_row(desk.folder / "c.png", expected_error=0.9)
    desk.qtbot.keyClick(panel.order, Qt.Key.Key_Space)
    desk.qtbot.keyClick(panel.order.view(), Qt.Key.Key_Return)
    assert desk.session.image_order.places == [2, 0, 1]


def test_escape_clears_the_words(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.qtbot.keyClicks(panel.find_field, "b.p")
    assert desk.session.image_order.places == [1]
    desk.qtbot.keyClick(panel.find_field, Qt.Key.Key_Escape)
    assert panel.find_field.text() == ""
    assert desk.session.image_order.places == [0, 1, 2]


def test_return_opens_the_first_image_found_and_down_enters_the_list(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.qtbot.keyClicks(panel.find_field, "c.p")
    with desk.qtbot.waitSignal(desk.session.workspace.image_changed):
        desk.qtbot.keyClick(panel.find_field, Qt.Key.Key_Return)
    assert desk.session.workspace.path == desk.folder / "c.png"
    desk.qtbot.keyClick(panel.find_field, Qt.Key.Key_Down)
    desk.qtbot.waitUntil(panel.list.hasFocus)
    assert panel.list.currentIndex().row() == 0


def test_a_doubt_that_comes_in_leaves_the_arrow_keys_where_they_are(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.qtbot.keyClick(panel.list, Qt.Key.Key_Down)
    assert panel.list.currentIndex().row() == 1
    desk.session.workspace.set_row(desk.folder / "c.png", expected_error=0.9)
    desk.qtbot.waitUntil(lambda: "0.90" in panel.model.index(2).data(Qt.ItemDataRole.ToolTipRole))
    assert panel.list.currentIndex().row() == 1
    desk.session.opening.open_row(2)
    desk.qtbot.waitUntil(lambda: panel.list.currentIndex().row() == 2)


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        (Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier),
        (Qt.Key.Key_Enter, Qt.KeyboardModifier.KeypadModifier),
    ],
)
def test_return_and_the_keypads_enter_open_the_line(
    desk: PanelDesk, key: Qt.Key, keys: Qt.KeyboardModifier
) -> None:
    panel = shown(desk)
    desk.qtbot.keyClick(panel.list, Qt.Key.Key_Down)
    asked = QKeyEvent(QEvent.Type.ShortcutOverride, key, keys)
    asked.ignore()
    QApplication.sendEvent(panel.list, asked)
    assert asked.isAccepted()
    with desk.qtbot.waitSignal(desk.session.workspace.image_changed):
        desk.qtbot.keyClick(panel.list, key, keys)
    assert desk.session.workspace.index == 1


def test_next_opens_the_line_below(desk: PanelDesk) -> None:
    panel = shown(desk)
    desk.session.workspace.set_row(desk.folder / "b.png", expected_error=0.5)
    desk.session.workspace.set_row(desk.folder / "c.png", expected_error=0.9)
    choose_order(panel, 1)
    desk.session.opening.open_row(2)
    for line in (0, 1, 2):
        desk.qtbot.waitUntil(lambda line=line: panel.model.is_open(line))
        desk.session.opening.open_next()


def test_thumbnails_come_by_themselves_and_only_for_what_is_seen(desk: PanelDesk) -> None:
    for number in range(60):
        write_image(desk.folder / f"d{number:03}.png")
    panel = shown(desk)
    first = panel.model.index(0)
    thumbnails = panel.model.thumbnails
    desk.qtbot.waitUntil(lambda: first.data(Qt.ItemDataRole.DecorationRole) is not None)
    desk.qtbot.waitUntil(lambda: desk.session.context.aside.pending == 0)
    assert desk.folder / "d059.png" not in thumbnails._kept
    assert len(thumbnails._kept) < 20


def test_thirteen_thousand_images_cost_little(desk: PanelDesk) -> None:
    panel = shown(desk)
    many = tuple(ImageRow(desk.folder / f"{number:05}.png") for number in range(13_000))
    # As if such a folder were open; making one would take longer than the test.
    desk.session.workspace._rows = many
    desk.session.image_order.sort("name")
    began = time.thread_time()
    desk.session.workspace.images_changed.emit()
    panel._show()
    panel.grab()
    assert time.thread_time() - began < 1.0
    assert panel.model.rowCount() == 13_000
    began = time.thread_time()
    desk.session._rows = (*many[:5], dataclasses.replace(many[5], status="saved"), *many[6:])
    panel._show()
    assert time.thread_time() - began < 0.2


def test_what_changes_in_one_line_costs_one_line(
    desk: PanelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(desk.folder / "many_0.png")
    for number in range(1, 400):
        os.link(desk.folder / "many_0.png", desk.folder / f"many_{number}.png")
    desk.open()
    asked: list[object] = []
    count = ImageListModel.rowCount

    def note_asking(model: ImageListModel, parent: Index | None = None) -> int:
        asked.append(parent)
        return count(model, parent)

    # Before the list is made: Qt's side keeps what it has once looked up.
    monkeypatch.setattr(ImageListModel, "rowCount", note_asking)
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    panel.list.grab()
    assert len(asked) > 400
    desk.qtbot.waitUntil(lambda: is_still(desk.session, panel))
    QApplication.processEvents()
    asked.clear()
    panel.model.dataChanged.emit(panel.model.index(1), panel.model.index(1))
    panel.list.grab()
    desk.qtbot.waitUntil(lambda: is_still(panel))
    QApplication.processEvents()
    assert len(asked) < 100


def test_an_unreadable_file_gets_no_thumbnail_and_stops_nothing(desk: PanelDesk) -> None:
    (desk.folder / "aa.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    panel = shown(desk)
    last = panel.model.index(3)
    desk.qtbot.waitUntil(lambda: last.data(Qt.ItemDataRole.DecorationRole) is not None)
    assert not last.data(Qt.ItemDataRole.DecorationRole).isNull()


def test_a_thumbnail_keeps_the_shape(tmp_path: Path) -> None:
    wide = thumbnail_of(write_image(tmp_path / "wide.png", (100, 400)), 40)
    assert (wide.width(), wide.height()) == (40, 10)
    thin = thumbnail_of(write_image(tmp_path / "thin.tif", (400, 2)), 40)
    assert (thin.width(), thin.height()) == (1, 40)
