"""Law: what is typed into a field is the field's, and a command that runs has taken it over."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QPushButton,
    QScrollArea,
    QSlider,
    QSpinBox,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine.masks import edits
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.panels.images import ImagesPanel
from nca_seg_app.ui.panels.segment import SegmentPanel
from nca_seg_app.ui.window import Window
from tests.app.desks import opened
from tests.fakes import write_image

CONTROL, KEYPAD = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.KeypadModifier
PLAIN = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def session(window: Window, qtbot: QtBot, tmp_path: Path) -> Session:
    """With two images, of which the second is open, a mask and a result that waits."""
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "images" / name)
    session = opened(window, qtbot, tmp_path / "images")
    session.opening.open_next()
    qtbot.waitUntil(lambda: session.workspace.index == 1 and Has.IDLE in session.capabilities)
    assert session.workspace.document is not None
    session.workspace.document.edit("Fill", lambda mask_hw: edits.replace(mask_hw, ~mask_hw))
    session.segment()
    qtbot.waitUntil(lambda: Has.RESULT | Has.IDLE in session.capabilities)
    return session


def steps_of(window: Window) -> QSpinBox:
    return window.findChild(SegmentPanel).form.findChild(QSpinBox, "steps")


def field(window: Window, kind: str) -> QWidget:
    """The field with the keyboard in it, and all of its text chosen."""
    found = steps_of(window) if kind == "number" else window.findChild(ImagesPanel).words
    window.activateWindow()
    found.setFocus()
    found.selectAll()
    assert found.hasFocus()
    return found


@pytest.mark.parametrize("kind", ["number", "words"])
def test_no_key_typed_into_a_field_is_a_command(
    window: Window, session: Session, qtbot: QtBot, kind: str
) -> None:
    ran: list[str] = []
    for name, action in window.commands.actions.items():
        action.triggered.connect(lambda _=False, name=name: ran.append(name))
    typed = field(window, kind)
    for letter in "fxzvnkhbepl[].da1":
        qtbot.keyClick(typed, letter)
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Escape):
        qtbot.keyClick(typed, key)
    qtbot.keyClick(typed, Qt.Key.Key_Enter, KEYPAD)
    qtbot.keyClick(typed, Qt.Key.Key_Backspace, CONTROL)
    assert ran == []
    assert session.proposal.proposed
    assert Has.MASK in session.capabilities
    qtbot.keyClick(typed, Qt.Key.Key_R, CONTROL)
    assert ran == ["run.segment"]


def test_page_keys_in_a_number_field_open_no_image(
    window: Window, session: Session, qtbot: QtBot
) -> None:
    qtbot.keyClick(field(window, "number"), Qt.Key.Key_PageUp)
    assert steps_of(window).value() == 13
    assert session.opening.preview_hwc is None
    assert session.proposal.proposed


def test_escape_clears_the_words_and_keeps_the_result(
    window: Window, session: Session, qtbot: QtBot
) -> None:
    words = window.findChild(ImagesPanel).words
    qtbot.keyClicks(field(window, "words"), "b")
    assert session.image_order.places == [1]
    qtbot.keyClick(words, Qt.Key.Key_Escape)
    assert words.text() == ""
    assert session.image_order.places == [0, 1]
    assert session.proposal.proposed


def test_escape_gives_up_a_number_that_is_being_typed(
    window: Window, session: Session, qtbot: QtBot
) -> None:
    steps = field(window, "number")
    qtbot.keyClicks(steps, "9")
    assert steps_of(window).text().startswith("9")
    qtbot.keyClick(steps, Qt.Key.Key_Escape)
    assert steps_of(window).text().startswith("3")
    qtbot.keyClick(steps, Qt.Key.Key_Return)
    assert session.context.settings.sample.steps == 3


@pytest.mark.parametrize("by", ["key", "menu", "button"])
def test_a_run_uses_the_number_that_is_being_typed(
    window: Window, session: Session, qtbot: QtBot, by: str
) -> None:
    steps = field(window, "number")
    qtbot.keyClicks(steps, "9")
    if by == "key":
        qtbot.keyClick(steps, Qt.Key.Key_R, CONTROL)
    elif by == "menu":
        window.commands.actions["run.segment"].trigger()
    else:
        button = window.findChild(SegmentPanel).button("run.segment")
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert session.segmentation.running
    assert session.segmentation.settings.steps == session.context.settings.sample.steps == 9
    qtbot.waitUntil(lambda: Has.IDLE in session.capabilities)


def test_a_click_on_a_button_of_a_panel_leaves_the_keyboard_with_the_canvas(
    window: Window, session: Session, qtbot: QtBot
) -> None:
    window.activateWindow()
    window.canvas.setFocus()
    button = window.findChild(SegmentPanel).button("run.accept")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert window.canvas.hasFocus()
    clicked = Qt.FocusPolicy.ClickFocus
    for area in window.findChildren(QScrollArea):
        buttons = area.findChildren(QPushButton)
        assert not [button.text() for button in buttons if button.focusPolicy() & clicked]
    qtbot.waitUntil(lambda: not session.proposal.proposed)


@pytest.mark.parametrize("kind", ["number", "words"])
def test_accept_and_next_works_from_a_field(
    window: Window, session: Session, qtbot: QtBot, kind: str
) -> None:
    session.opening.open_previous()
    qtbot.waitUntil(lambda: session.workspace.index == 0)
    session.segment()
    qtbot.waitUntil(lambda: Has.RESULT | Has.IDLE in session.capabilities)
    qtbot.keyClick(field(window, kind), Qt.Key.Key_Return, CONTROL)
    qtbot.waitUntil(lambda: session.workspace.index == 1)
    assert session.workspace.images[0].status == "reviewed"


def turn(field: QWidget) -> None:
    place = QPointF(field.rect().center())
    event = QWheelEvent(
        place,
        field.mapToGlobal(place),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        PLAIN,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(field, event)


def test_scrolling_a_panel_changes_nothing_under_the_pointer(
    window: Window, session: Session
) -> None:
    settings, panel = session.context.settings, window.findChild(SegmentPanel)
    window.activateWindow()
    window.canvas.setFocus()
    fields = [each for kind in (QSpinBox, QComboBox, QSlider) for each in panel.findChildren(kind)]
    assert len(fields) >= 6
    for each in fields:
        turn(each)
        assert not each.hasFocus()
    assert session.context.settings == settings
    steps_of(window).setFocus()
    turn(steps_of(window))
    assert session.context.settings.sample.steps == settings.sample.steps - 1


@pytest.mark.parametrize("kind", ["number", "words"])
def test_return_in_a_field_gives_the_keyboard_back(
    window: Window, session: Session, qtbot: QtBot, kind: str
) -> None:
    typed = field(window, kind)
    qtbot.keyClick(typed, Qt.Key.Key_Return)
    qtbot.waitUntil(window.canvas.hasFocus)


def test_space_is_not_typed_into_a_number(window: Window, session: Session, qtbot: QtBot) -> None:
    typed = field(window, "number")
    text = typed.property("text")
    qtbot.keyPress(typed, Qt.Key.Key_Space)
    assert typed.property("text") == text
    assert window.canvas.bare
    qtbot.keyRelease(window.canvas, Qt.Key.Key_Space)


def test_only_what_is_saved_to_the_study_is_called_saved(
    window: Window, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    status = window.status
    with qtbot.waitSignal(session.saving.saved):
        session.export.saved.emit(tmp_path)
    assert not status.saved.text()
    with qtbot.waitSignal(session.saving.saved):
        session.save()
    assert status.saved.text().startswith("saved")
