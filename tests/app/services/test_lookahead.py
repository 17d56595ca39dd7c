"""Laws: what runs ahead is there when it is wanted, and is never in the way of a person."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.errors import OutOfMemory
from engine.study.study import Study
from engine.types import CellStep
from nca_seg_app.services import lookahead as module
from nca_seg_app.session import Has
from nca_seg_app.ui.status_bar import StatusBar
from tests.app.desks import AheadDesk, Desk, is_still, leave
from tests.fakes import disk, write_image

#: Of the two batches of four steps that a run has.
HOLDS_AT = 2


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_MS", 20)


def test_the_next_result_is_there_when_it_is_asked_for(user: AheadDesk) -> None:
    user.begin()
    user.until(lambda: user.kept == ["b.png"])
    user.session.review.accept_and_next()
    segmentation = user.session.segmentation
    user.until(lambda: user.session.workspace.index == 1)
    # At once: as if a run had just ended, and nothing more.
    result = segmentation.result
    assert result is not None
    assert user.session.proposal.proposed
    assert not segmentation.running
    assert result.done == result.total
    assert segmentation.film.members == 3
    assert not user.mask_hw.any()
    assert user.session.workspace.document is not None
    assert not user.session.workspace.document.can_undo
    heard: list[list[CellStep]] = []
    user.session.replay.replay(0, 30, heard.append)
    user.until_idle()
    assert len(heard) == 1
    user.session.review.accept_and_next()
    user.until(lambda: user.session.workspace.index == 2)
    assert [row.status for row in user.session.workspace.images] == [
        "reviewed",
        "reviewed",
        "new",
        "new",
    ]
    record = Study.open(user.folder / "images").images()[1]
    assert record.origin is not None
    assert (record.origin.model, record.origin.fingerprint) == ("oracle", "abc123")
    assert not user.failures


def test_opening_a_folder_alone_starts_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path)
    desk.session.context.change_settings(run_ahead=True)
    desk.open()
    desk.session.opening.open_next()
    desk.settle()
    desk.draw()
    desk.session.save()
    desk.settle()
    desk.until_still(desk.session.lookahead)
    assert desk.model.runs == 0
    leave(desk)


def test_it_goes_on_from_an_accepted_mask_and_not_from_a_discarded_result(
    user: AheadDesk,
) -> None:
    user.session.proposal.discard()
    user.begin()
    user.until_idle()
    assert user.model.runs == 1
    user.segment()
    user.session.proposal.accept()
    user.settle()
    user.session.save()
    user.until_idle()
    assert user.kept == ["b.png"]
    assert user.model.runs == 3


def test_the_doubt_of_what_ran_ahead_is_in_the_list(user: AheadDesk) -> None:
    user.begin()
    user.until_idle()
    doubts = [row.expected_error for row in user.session.workspace.images]
    assert doubts[1] == doubts[0]
    assert doubts[2:] == [None, None]
    stored = Study.open(user.folder / "images").images()[1]
    assert stored.expected_error == pytest.approx(doubts[1])


def test_a_person_does_not_meet_it(user: AheadDesk) -> None:
    status = StatusBar(user.session)
    user.qtbot.addWidget(status)
    before, states = user.session.capabilities, []
    user.session.capabilities_changed.connect(lambda: states.append(user.session.capabilities))
    user.begin(HOLDS_AT)
    assert status.lookahead.text() == "lookahead: b"
    assert user.session.segmentation.progress == (8, 8)
    user.go_on()
    user.until(lambda: user.kept == ["b.png"])
    assert status.lookahead.text() == ""
    assert Has.IDLE in before
    assert states == []


def test_a_run_of_the_person_comes_first(user: AheadDesk) -> None:
    user.begin(HOLDS_AT)
    segmentation = user.session.segmentation
    segmentation.segment()
    # Nothing to notice: it runs, and its first event is a step away.
    assert segmentation.running
    assert Has.RUNNING in user.session.capabilities
    user.go_on()
    user.settle()
    assert user.kept == []
    assert segmentation.result is not None
    assert segmentation.progress == (8, 8)
    user.until_idle()
    assert user.kept == ["b.png"]


def test_a_run_of_the_person_can_be_stopped_before_it_began(user: AheadDesk) -> None:
    user.begin(HOLDS_AT)
    user.session.segment()
    user.session.segmentation.cancel()
    user.go_on()
    user.settle()
    assert not user.failures
    assert not user.session.segmentation.running
    assert user.session.segmentation.result is None


def test_a_training_comes_first(user: AheadDesk) -> None:
    user.session.proposal.accept()
    user.settle()
    user.session.save()
    user.settle()
    user.begin(HOLDS_AT)
    user.session.training.finetune()
    assert user.session.training.running
    user.go_on()
    user.settle()
    assert user.session.training.candidate is not None
    user.until_idle()
    assert user.kept == ["b.png"]


def test_a_replay_of_cells_comes_first(user: AheadDesk) -> None:
    user.begin(HOLDS_AT)
    heard: list[list[CellStep]] = []
    user.session.replay.replay(0, 30, heard.append)
    assert not heard
    user.go_on()
    user.until(lambda: bool(heard))
    assert user.kept == []
    user.until_idle()
    assert user.kept == ["b.png"]


@pytest.mark.parametrize("change", ["sample", "device", "model"])
def test_other_terms_stop_it_and_drop_what_is_kept(user: AheadDesk, change: str) -> None:
    session = user.session
    user.begin()
    user.until(lambda: user.kept == ["b.png"])
    session.image_order.find("c.png")
    user.model.holds_at = HOLDS_AT
    user.until(lambda: session.lookahead.path is not None and user.model.at_once == 1)
    if change == "sample":
        session.context.change_settings(
            sample=dataclasses.replace(session.context.settings.sample, seed=7)
        )
    elif change == "device":
        session.context.change_settings(device="cpu")
    else:
        assert session.model_library.chosen is not None
        session.model_library.add(dataclasses.replace(session.model_library.chosen, name="other"))
    assert user.kept == []
    assert session.lookahead.path is None
    user.go_on()
    user.until_idle()
    assert user.model.runs == 3
    session.image_order.find("")
    session.opening.open_next()
    user.until_idle()
    assert user.kept == []
    assert session.segmentation.result is None


def test_it_can_be_turned_off_and_on_again(user: AheadDesk) -> None:
    user.begin(HOLDS_AT)
    user.session.context.change_settings(run_ahead=False)
    assert user.session.lookahead.path is None
    user.session.context.change_settings(run_ahead=True)
    user.until(lambda: is_still(user.session.lookahead))
    user.go_on()
    user.until_idle()
    assert user.kept == ["b.png"]


def test_settings_that_change_no_result_keep_it(user: AheadDesk) -> None:
    user.begin()
    user.until(lambda: user.kept == ["b.png"])
    user.session.context.change_settings(fill_opacity=0.4, theme="dark")
    user.session.proposal.set_threshold(0.7)
    assert user.kept == ["b.png"]


def test_another_folder_drops_what_is_kept(user: AheadDesk) -> None:
    user.begin()
    user.until(lambda: user.kept == ["b.png"])
    user.session.opening.open_path(write_image(user.folder / "other" / "b.png").parent)
    user.settle()
    assert user.kept == []
    assert user.session.segmentation.result is None


def test_images_with_a_mask_are_passed_over(user: AheadDesk) -> None:
    study = user.session.workspace.study
    assert study is not None
    saved_hw = disk((48, 64))
    study.save(user.folder / "images" / "b.png", saved_hw, None)
    study.save_draft(user.folder / "images" / "c.png", saved_hw, None)
    user.session.opening.open_path(user.folder / "images")
    user.settle()
    user.segment()
    user.begin()
    user.until_idle()
    assert user.kept == ["d.png"]
    user.session.opening.open_next()
    user.until_idle()
    assert user.session.workspace.index == 1
    assert user.session.segmentation.result is None
    assert np.array_equal(user.mask_hw, saved_hw)


def test_a_mask_that_came_meanwhile_is_not_asked_to_give_way(user: AheadDesk) -> None:
    user.begin()
    user.until(lambda: user.kept == ["b.png"])
    study = user.session.workspace.study
    assert study is not None
    # Another program: the list of this one does not know.
    study.save(user.folder / "images" / "b.png", disk((48, 64)), None)
    user.session.opening.open_next()
    user.until_idle()
    assert np.array_equal(user.mask_hw, disk((48, 64)))
    assert user.session.segmentation.result is None


def test_an_image_opened_too_early_gets_its_result_when_it_is_there(user: AheadDesk) -> None:
    user.begin(HOLDS_AT)
    user.session.opening.open_next()
    user.until(lambda: user.session.workspace.index == 1)
    assert user.session.segmentation.result is None
    assert user.session.lookahead.path is not None
    user.go_on()
    user.until(lambda: user.session.proposal.proposed)
    assert user.model.runs == 2


def test_what_a_person_draws_meanwhile_is_left_alone(user: AheadDesk) -> None:
    user.begin(HOLDS_AT)
    user.session.opening.open_next()
    user.until(lambda: user.session.workspace.index == 1)
    user.draw()
    drawn_hw = user.mask_hw.copy()
    user.go_on()
    user.until(lambda: user.session.lookahead.path is None)
    user.settle()
    assert user.session.segmentation.result is None
    assert np.array_equal(user.mask_hw, drawn_hw)


def test_trouble_is_met_where_the_image_is_opened(user: AheadDesk) -> None:
    (user.folder / "images" / "b.png").write_bytes(b"no picture")
    user.begin()
    user.until_idle()
    assert user.kept == []
    assert user.failures == []
    assert user.model.runs == 1
    user.session.opening.open_next()
    user.settle()
    assert len(user.failures) == 1
    user.until_idle()
    assert user.kept == ["c.png"]


def test_a_model_that_breaks_is_not_tried_again_and_again(user: AheadDesk) -> None:
    user.model.error = OutOfMemory(3, 256, "members")
    user.model.fails_at = 1
    user.begin()
    user.until_idle()
    user.session.context.change_settings(theme="dark")
    user.until_idle()
    assert user.model.runs == 2
    assert user.failures == []
    assert Has.IDLE in user.session.capabilities


def test_closing_leaves_no_thread(user: AheadDesk) -> None:
    user.session.proposal.accept()
    user.settle()
    user.person.save = "discard"
    user.begin(HOLDS_AT)
    user.go_on()
    assert user.session.close()
    assert user.model.at_once == 0
    assert user.session.lookahead.path is None
    user.until(lambda: is_still(user.session.lookahead))
    assert user.session.lookahead.path is None
    assert user.model.runs == 2


def test_closing_with_a_run_that_waits_for_its_turn_leaves_no_thread(user: AheadDesk) -> None:
    user.begin(HOLDS_AT)
    user.session.segment()
    user.go_on()
    assert user.session.close()
    assert user.session.context.jobs.current is None
    assert user.model.at_once == 0
