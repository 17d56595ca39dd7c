"""Laws: ids and shortcuts are unique, every action explains itself, and enablement is a fact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QKeySequence
from pytestqt.qtbot import QtBot

from nca_seg_app.actions import ACTIONS, MENUS, Action, cheat_sheet, find_action, plain_text
from nca_seg_app.session import Has, Session
from nca_seg_app.state.tools import TOOLS
from tests.fakes import Person, fake_engine, write_image

each_action = pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)


@pytest.fixture
def session(qtbot: QtBot, tmp_path: Path) -> Iterator[Session]:
    made = Session(fake_engine(tmp_path), Person(save="discard"))
    yield made
    made.close()


def test_ids_and_shortcuts_are_unique() -> None:
    ids = [action.id for action in ACTIONS]
    assert len(set(ids)) == len(ids)
    keys = list(itertools.chain.from_iterable(action.shortcuts for action in ACTIONS))
    sequences = [QKeySequence(key).toString() for key in keys]
    assert len(set(sequences)) == len(sequences)


@each_action
def test_an_action_explains_itself(action: Action) -> None:
    assert action.menu in MENUS
    assert action.id.startswith(action.menu.lower() + ".")
    assert action.tip.endswith(".")
    assert plain_text(action)
    for key in action.shortcuts:
        assert QKeySequence(key).toString(), key


def test_mnemonics_are_unique_in_a_menu() -> None:
    for menu in MENUS:
        letters = [
            action.text[action.text.index("&") + 1].lower()
            for action in ACTIONS
            if action.menu == menu
        ]
        assert sorted(set(letters)) == sorted(letters), menu


def test_the_help_page_names_every_action() -> None:
    named = {text for _, rows in cheat_sheet() for text, _, _ in rows}
    assert {plain_text(action) for action in ACTIONS} <= named


@each_action
def test_an_action_never_fails_in_an_empty_session(action: Action, session: Session) -> None:
    failures: list[str] = []
    session.context.failed.connect(lambda sentence, _: failures.append(sentence))
    action.method(session)
    assert not failures


@each_action
def test_an_action_never_fails_on_an_open_image(
    action: Action, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    failures: list[str] = []
    session.context.failed.connect(lambda sentence, _: failures.append(sentence))
    session.model_library.refresh()
    session.opening.open_path(write_image(tmp_path / "images" / "a.png"))
    qtbot.waitUntil(lambda: Has.IMAGE | Has.MODEL in session.capabilities, timeout=20_000)
    action.method(session)
    qtbot.waitUntil(
        lambda: not session.context.lane.pending and session.context.jobs.current is None,
        timeout=20_000,
    )
    assert not failures


def test_actions_follow_the_state(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    def enabled(action_id: str) -> bool:
        return find_action(action_id).needs in session.capabilities

    assert enabled("file.open")
    assert not enabled("run.segment")
    assert not enabled("file.save")
    session.model_library.refresh()
    session.opening.open_path(write_image(tmp_path / "images" / "a.png"))
    qtbot.waitUntil(lambda: enabled("run.segment"), timeout=20_000)
    assert not enabled("run.accept")
    session.segment()
    assert not enabled("run.segment")
    qtbot.waitUntil(lambda: enabled("run.accept") and enabled("run.segment"), timeout=20_000)
    find_action("run.accept").method(session)
    qtbot.waitUntil(lambda: enabled("file.save") and enabled("edit.undo"), timeout=20_000)
    find_action("file.save").method(session)
    qtbot.waitUntil(
        lambda: enabled("file.export_dataset") and not enabled("file.save"), timeout=20_000
    )


def test_check_marks_show_what_the_session_says(session: Session) -> None:
    for action in ACTIONS:
        # What needs more than that is tested where it belongs.
        if action.checked is not None and not action.needs & ~Has.IMAGE:
            before = action.checked(session)
            action.method(session)
            chosen = action.menu == "Tools" or not before
            assert action.checked(session) == chosen, action.id
    assert session.view_state.tool is TOOLS[-1]
