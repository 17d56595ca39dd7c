"""Laws: a survey of all new images goes on beside a person's work, and can be stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine.errors import OutOfMemory
from nca_seg_app.actions import find_action
from nca_seg_app.services import lookahead as module
from nca_seg_app.session import Has
from nca_seg_app.ui.status_bar import StatusBar
from tests.app.desks import Desk, leave
from tests.fakes import DiskModel


@pytest.fixture
def user(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(module, "REST_MS", 20)
    made = Desk(qtbot, tmp_path, DiskModel())
    made.open("a.png", "b.png", "c.png", "d.png")
    yield made
    leave(made)
    assert made.model.most_at_once <= 1


def survey(user: Desk) -> None:
    find_action("study.survey").method(user.session)


def known(user: Desk) -> list[str]:
    return [
        row.path.name for row in user.session.workspace.images if row.expected_error is not None
    ]


def finish(user: Desk) -> None:
    user.until(lambda: not user.session.survey.running)
    user.settle()


def test_all_new_images_get_a_doubt_and_nothing_else_happens(user: Desk) -> None:
    user.draw()
    user.session.save()
    user.settle()
    survey(user)
    assert Has.SURVEYING in user.session.capabilities
    finish(user)
    assert known(user) == ["b.png", "c.png", "d.png"]
    assert "3 of 4 images" in user.messages[-1]
    assert user.session.workspace.index == 0
    assert user.session.segmentation.result is None
    # Sorted by it they are opened next, and what was found is seen at once.
    assert [path.name for path in user.session.lookahead.kept] == ["b.png", "c.png", "d.png"]
    assert user.session.workspace.study is not None
    assert [image.expected_error is None for image in user.session.workspace.study.images()] == [
        True,
        False,
        False,
        False,
    ]
    survey(user)
    assert not user.session.survey.running
    assert user.messages[-1] == "The expected error of every new image is known."


def test_it_is_told_how_far_it_is_and_stops_when_asked_again(user: Desk) -> None:
    status = StatusBar(user.session)
    user.qtbot.addWidget(status)
    reached: list[tuple[int, int]] = []
    user.session.survey.changed.connect(lambda: reached.append(user.session.survey.progress))
    user.model.holds_at = 0
    survey(user)
    user.until(lambda: user.model.at_once == 1)
    assert status.lookahead.text().startswith("expected errors of 0 of 4 new images")
    survey(user)
    assert not user.session.survey.running
    assert status.lookahead.text() == ""
    user.model.gate.set()
    user.settle()
    assert known(user) == []
    user.model.holds_at = -1
    survey(user)
    finish(user)
    assert [step for step in reached if step[1]][-1] == (4, 4)
    assert known(user) == ["a.png", "b.png", "c.png", "d.png"]


def test_a_persons_run_comes_first_and_the_survey_goes_on_after_it(user: Desk) -> None:
    user.model.holds_at = 1
    survey(user)
    user.until(lambda: user.model.at_once == 1)
    user.session.segment()
    user.model.gate.set()
    user.model.holds_at = -1
    user.until(lambda: user.session.segmentation.result is not None)
    assert user.session.survey.running
    finish(user)
    assert known(user) == ["a.png", "b.png", "c.png", "d.png"]


def test_other_settings_end_it_and_a_broken_image_does_not(user: Desk) -> None:
    (user.folder / "images" / "c.png").write_bytes(b"no picture")
    survey(user)
    finish(user)
    assert known(user) == ["a.png", "b.png", "d.png"]
    assert not user.failures
    user.open("e.png", "f.png")
    user.model.holds_at = 0
    user.model.gate.clear()
    survey(user)
    assert user.session.survey.running
    user.session.context.change_settings(
        sample=dataclasses.replace(user.session.context.settings.sample, members=4)
    )
    assert not user.session.survey.running
    assert "other settings" in user.messages[-1]
    user.model.gate.set()


def test_the_next_image_comes_first(user: Desk) -> None:
    user.session.context.change_settings(run_ahead=True)
    user.segment()
    survey(user)
    finish(user)
    assert [path.name for path in user.session.lookahead.kept] == ["b.png", "c.png", "d.png"]
    assert known(user) == ["a.png", "b.png", "c.png", "d.png"]


@pytest.mark.parametrize("broken", [("a.png",), ("b.png", "c.png"), ("d.png",)])
def test_images_that_cannot_be_read_are_passed_over(user: Desk, broken: tuple[str, ...]) -> None:
    for name in broken:
        (user.folder / "images" / name).write_bytes(b"no picture")
    survey(user)
    finish(user)
    assert known(user) == sorted({"a.png", "b.png", "c.png", "d.png"} - {*broken})
    assert f", {len(broken)} cannot be segmented" in user.messages[-1]


def test_a_model_that_fails_ends_it_and_says_why(user: Desk) -> None:
    user.model.fails_at, user.model.error = 1, OutOfMemory(3, 48, "members")
    survey(user)
    finish(user)
    assert len(user.failures) == 1
    assert known(user) == []
    user.model.fails_at = -1
    survey(user)
    finish(user)
    assert known(user) == ["a.png", "b.png", "c.png", "d.png"]


def test_doubts_of_other_settings_are_found_anew(user: Desk) -> None:
    survey(user)
    finish(user)
    before = [row.expected_error for row in user.session.workspace.images]
    user.session.context.change_settings(
        sample=dataclasses.replace(user.session.context.settings.sample, seed=4)
    )
    seen: list[str] = []
    user.session.lookahead.changed.connect(
        lambda: (
            seen.append(user.session.lookahead.path.name) if user.session.lookahead.path else None
        )
    )
    survey(user)
    finish(user)
    assert seen == ["a.png", "b.png", "c.png", "d.png"]
    assert len(before) == len(user.session.workspace.images)
