"""Laws: a result is drawn anew in the newest style, a drawn mask stays, a study keeps its style."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.masks.reading import read_mask
from engine.study.records import origin_from_json, origin_to_json, read_record
from engine.study.study import Study
from engine.types import Origin, SampleSettings, StyleChoice
from nca_seg_app.services.proposal import STAYS
from tests.app.desks import Desk, disk_is_full, is_still, leave, write_image
from tests.fakes import A_HAND, DiskModel


@pytest.fixture
def styled(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    """Somebody whose model can be told a style, over an open folder."""
    desk = Desk(qtbot, tmp_path, DiskModel(size=64, fits=A_HAND))
    desk.open()
    yield desk
    leave(desk)


def rest(desk: Desk) -> None:
    """Wait until nothing would be drawn, taken or written any more."""
    session = desk.session
    desk.until_still(session.styling, session.proposal)
    desk.until(lambda: not session.proposal.taking and is_still(session.styling, session.proposal))
    desk.settle()


def drawn_in(desk: Desk) -> tuple[str, float]:
    """The style and width of the result that is shown."""
    run, result = desk.session.segmentation.run, desk.session.segmentation.result
    assert run is not None
    assert result is not None
    assert result.done == result.total
    return run.settings.style, run.settings.width


def result_hw(desk: Desk) -> np.ndarray:
    result = desk.session.segmentation.result
    assert result is not None
    return result.mask(desk.session.proposal.threshold)


def test_a_model_that_is_not_steerable_is_never_asked_for_a_style(desk: Desk) -> None:
    desk.open()
    desk.session.styling.choose(style="T1", width=0.5)
    desk.segment()
    assert desk.session.styling.offered == ()
    assert desk.session.styling.choice == StyleChoice()
    assert [(each.style, each.width) for each in desk.model.asked] == [("mixed", 0.0)]


def test_a_tool_that_the_model_does_not_know_is_drawn_as_mixed(styled: Desk) -> None:
    assert styled.session.styling.offered == ("mixed", "unknown", "T1", "T2")
    styled.session.styling.choose(style="T3", width=0.5)
    styled.segment()
    assert drawn_in(styled) == ("mixed", 0.5)
    assert styled.session.workspace.style == StyleChoice("T3", 0.5)


def test_a_proposal_is_drawn_anew_and_stays_one(styled: Desk) -> None:
    styled.segment()
    narrow_hw = result_hw(styled)
    styled.session.styling.choose(style="T2", width=1.0)
    rest(styled)
    assert drawn_in(styled) == ("T2", 1.0)
    assert result_hw(styled).sum() > narrow_hw.sum()
    assert styled.session.proposal.proposed
    assert not styled.mask_hw.any()
    assert len(styled.model.asked) == 2


def test_before_a_run_and_after_it_was_dropped_nothing_is_drawn(styled: Desk) -> None:
    styled.session.styling.choose(style="T1")
    rest(styled)
    assert len(styled.model.asked) == 0
    styled.segment()
    assert drawn_in(styled) == ("T1", 0.0)
    styled.session.proposal.discard()
    styled.session.styling.choose(style="T2")
    rest(styled)
    assert len(styled.model.asked) == 1


def test_the_newest_style_wins_and_a_run_in_another_ends(styled: Desk) -> None:
    styled.segment()
    styled.model.holds_at = 1
    styled.session.styling.choose(width=0.5)
    styled.until(lambda: len(styled.model.asked) == 2)
    for width in (0.6, 0.7, 0.8):
        styled.session.styling.choose(width=width)
    styled.until(lambda: is_still(styled.session.styling))
    styled.model.gate.set()
    rest(styled)
    assert drawn_in(styled) == ("mixed", 0.8)
    assert [each.width for each in styled.model.asked] == [0.0, 0.5, 0.8]
    assert styled.model.most_at_once == 1


def test_a_style_that_is_taken_back_leaves_the_result_as_it_was(styled: Desk) -> None:
    styled.segment()
    before = styled.session.segmentation.result
    styled.model.holds_at = 0
    styled.session.styling.choose(width=0.5)
    styled.until(lambda: len(styled.model.asked) == 2)
    styled.session.styling.choose(width=0.0)
    styled.until(lambda: is_still(styled.session.styling))
    styled.model.gate.set()
    rest(styled)
    assert styled.session.segmentation.result is before
    assert drawn_in(styled) == ("mixed", 0.0)


def test_the_result_of_before_stays_until_there_is_another(styled: Desk) -> None:
    styled.segment()
    before = styled.session.segmentation.result
    styled.model.holds_at = 0
    styled.session.styling.choose(width=0.5)
    styled.until(lambda: len(styled.model.asked) == 2)
    # Result and run belong together, whoever takes it over now.
    assert styled.session.segmentation.result is before
    assert drawn_in(styled) == ("mixed", 0.0)
    styled.session.proposal.accept()
    styled.until(lambda: not styled.session.proposal.taking)
    assert before is not None
    assert np.array_equal(styled.mask_hw, before.mask(0.5))
    styled.model.gate.set()
    rest(styled)
    # It follows, once it has been accepted.
    assert drawn_in(styled) == ("mixed", 0.5)
    assert np.array_equal(styled.mask_hw, result_hw(styled))


def test_an_accepted_mask_follows_and_undo_leads_back(styled: Desk) -> None:
    styled.segment()
    styled.session.proposal.accept()
    styled.settle()
    accepted_hw = styled.mask_hw.copy()
    styled.session.styling.choose(width=1.0)
    rest(styled)
    assert not np.array_equal(styled.mask_hw, accepted_hw)
    assert np.array_equal(styled.mask_hw, result_hw(styled))
    assert not styled.session.proposal.proposed
    styled.session.mask_edits.undo()
    assert np.array_equal(styled.mask_hw, accepted_hw)
    assert styled.session.proposal.proposed


def test_an_accepted_mask_follows_the_last_of_several_styles(styled: Desk) -> None:
    styled.segment()
    styled.session.proposal.accept()
    styled.settle()
    styled.model.holds_at = 1
    styled.session.styling.choose(width=1.0)
    run = styled.session.segmentation
    styled.until(
        lambda: (
            run.run is not None
            and run.run.follows
            and run.result is not None
            and run.result.done == 1
        )
    )
    styled.session.styling.choose(width=-1.0)
    styled.until(lambda: is_still(styled.session.styling))
    styled.model.gate.set()
    rest(styled)
    assert drawn_in(styled) == ("mixed", -1.0)
    assert np.array_equal(styled.mask_hw, result_hw(styled))


def test_a_mask_that_was_drawn_on_stays_and_the_new_result_is_proposed(styled: Desk) -> None:
    styled.segment()
    styled.session.proposal.accept()
    styled.settle()
    styled.draw(5, 5)
    drawn_hw = styled.mask_hw.copy()
    styled.session.styling.choose(style="T1", width=1.0)
    rest(styled)
    assert drawn_in(styled) == ("T1", 1.0)
    assert np.array_equal(styled.mask_hw, drawn_hw)
    assert styled.session.proposal.proposed
    styled.session.proposal.accept()
    styled.settle()
    assert np.array_equal(styled.mask_hw, drawn_hw)
    assert styled.messages[-1] == STAYS


@pytest.mark.parametrize("what", ["draws", "undoes"])
def test_what_a_person_does_while_it_is_drawn_anew_stays(styled: Desk, what: str) -> None:
    styled.segment()
    styled.session.proposal.accept()
    styled.settle()
    styled.model.holds_at = 1
    styled.session.styling.choose(width=1.0)
    run = styled.session.segmentation
    styled.until(
        lambda: (
            run.run is not None
            and run.run.follows
            and run.result is not None
            and run.result.done == 1
        )
    )
    if what == "draws":
        styled.draw(5, 5)
    else:
        styled.session.mask_edits.undo()
    left_hw = styled.mask_hw.copy()
    styled.model.gate.set()
    rest(styled)
    assert drawn_in(styled) == ("mixed", 1.0)
    assert np.array_equal(styled.mask_hw, left_hw)


def test_another_image_is_not_drawn_for_a_style_of_the_one_before(styled: Desk) -> None:
    styled.segment()
    styled.session.styling.choose(width=1.0)
    styled.session.opening.open_next()
    styled.until(lambda: styled.session.workspace.index == 1)
    rest(styled)
    assert styled.session.segmentation.result is None
    assert styled.model.at_once == 0


def test_a_run_that_fails_is_not_tried_again(styled: Desk) -> None:
    styled.segment()
    styled.model.fails_at = 0
    styled.session.styling.choose(width=1.0)
    rest(styled)
    assert len(styled.failures) == 1
    assert len(styled.model.asked) == 2
    assert drawn_in(styled) == ("mixed", 0.0)


# What the study remembers


def test_a_study_remembers_its_style_and_another_has_its_own(styled: Desk) -> None:
    styled.session.styling.choose(style="T2", width=-0.25)
    styled.open_elsewhere()
    styled.until(lambda: styled.session.workspace.images[0].path.name == "z.png")
    rest(styled)
    assert styled.session.styling.choice == StyleChoice()
    assert Study.open(styled.folder / "images").style == StyleChoice("T2", -0.25)
    styled.session.opening.open_path(styled.folder / "images")
    styled.until(lambda: len(styled.session.workspace.images) == 3)
    rest(styled)
    assert styled.session.styling.choice == StyleChoice("T2", -0.25)
    assert Study.open(styled.folder / "elsewhere").style == StyleChoice()


def test_a_style_chosen_a_moment_before_the_end_is_kept(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(fits=A_HAND))
    desk.open()
    desk.session.styling.choose(style="T1")
    leave(desk)
    assert Study.open(tmp_path / "images").style == StyleChoice("T1")


def test_a_style_that_cannot_be_kept_holds_all_the_same(
    styled: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.study.study.write_style", disk_is_full)
    styled.session.styling.choose(style="T1")
    rest(styled)
    assert styled.session.styling.choice == StyleChoice("T1")
    assert len(styled.failures) == 1


def test_a_saved_mask_says_in_which_style_it_was_drawn(styled: Desk) -> None:
    styled.session.styling.choose(style="T2", width=0.25)
    styled.segment()
    styled.session.proposal.accept()
    styled.session.save()
    rest(styled)
    assert np.array_equal(read_mask(styled.mask_path), result_hw(styled))
    origin = read_record(styled.mask_path).origin
    assert origin is not None
    assert origin.settings is not None
    assert (origin.settings.style, origin.settings.width) == ("T2", 0.25)


def test_a_record_from_before_there_were_styles_is_read() -> None:
    origin = Origin("oracle", "abc", SampleSettings(steps=3, seed=7), 0.4, 12)
    content = origin_to_json(origin)
    assert content is not None
    del content["settings"]["style"], content["settings"]["width"]
    assert origin_from_json(content) == origin


def test_an_image_chosen_by_itself_has_the_style_of_its_folder(styled: Desk) -> None:
    styled.session.styling.choose(style="T1")
    styled.session.opening.open_path(
        [write_image(styled.folder / "images" / "b.png"), styled.folder / "images" / "c.png"]
    )
    styled.until(lambda: len(styled.session.workspace.images) == 2)
    rest(styled)
    assert styled.session.styling.choice == replace(StyleChoice(), style="T1")


def test_what_was_made_ahead_in_another_style_is_not_shown(styled: Desk) -> None:
    lookahead = styled.session.lookahead
    styled.segment()
    styled.session.context.change_settings(run_ahead=True)
    styled.until(lambda: [path.name for path in lookahead.kept] == ["b.png"])
    styled.session.styling.choose(width=1.0)
    assert lookahead.kept == ()
    styled.until(lambda: [path.name for path in lookahead.kept] == ["b.png"])
    styled.session.opening.open_next()
    styled.until(lambda: styled.session.workspace.index == 1)
    assert drawn_in(styled) == ("mixed", 1.0)
    styled.session.context.change_settings(run_ahead=False)
    rest(styled)
