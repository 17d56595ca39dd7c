"""Laws: a run can be held, stopped or broken, and what there was stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.errors import OutOfMemory, UnreadableModel
from engine.framing import Frame
from engine.study.study import Study
from engine.types import CellStep, DenoiseStep, EnsembleResult, Views
from nca_seg_app.background.time_left import TimeLeft
from nca_seg_app.session import Has, Session
from nca_seg_app.state.film import Film
from tests.app.desks import QUICK, Desk, leave
from tests.fakes import DiskModel, Person, fake_engine, write_image


def test_the_film_holds_every_step_of_every_member(desk: Desk) -> None:
    desk.open()
    desk.segment()
    film = desk.session.segmentation.film
    assert film.members == 3
    for member in range(3):
        assert [step.timestep for step in film.steps(member)] == [30, 20, 10, 0]
        assert {step.member for step in film.steps(member)} == {member}
    result = desk.session.segmentation.result
    assert result is not None
    assert np.array_equal(film.steps(2)[-1].clean_hw, result.members_nhw[2])


def events(batches: Sequence[int], steps: int) -> Iterator[EnsembleResult]:
    """A run on 16² cells whose members are drawn in these batches."""
    done = first = 0
    for batch in batches:
        grid_nhw = np.zeros((batch, 16, 16), np.float32)
        members_nhw = np.zeros((first + batch, 16, 16), np.float32)
        for number in range(1, steps + 1):
            done += 1
            step = DenoiseStep(number, steps, steps - number, grid_nhw, grid_nhw)
            frame, total = Frame(16, 16, 16), len(batches) * steps
            yield EnsembleResult(done, total, frame, members_nhw, first, first, step)
        first += batch


@pytest.mark.parametrize(
    ("batches", "expected"),
    # Where the number is open, all batches are alike.
    [([10, 10, 10], 0), ([10, 10, 10], 30), ([2, 14, 14], 30), ([16, 14], 30), ([30], 30)],
)
def test_a_film_keeps_within_its_memory_whatever_the_batches(
    monkeypatch: pytest.MonkeyPatch, batches: list[int], expected: int
) -> None:
    monkeypatch.setattr("nca_seg_app.state.film.FILM_BYTES", 1 << 20)
    film = Film(expected)
    for event in events(batches, steps=50):
        film.record(event)
    kept = [step for member in range(30) for step in film.steps(member)]
    assert 0.5 < sum(each.noisy_hw.nbytes + each.clean_hw.nbytes for each in kept) / 2**20 < 1.1
    assert {len(film.steps(member)) for member in range(30)} == {len(kept) // 30}
    assert {film.steps(member)[-1].timestep for member in range(30)} == {0}


def test_the_time_left_knows_that_larger_batches_take_longer(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=0))
    desk.open()
    segmentation = desk.session.segmentation
    segmentation.segment()
    now = [0.0]
    segmentation._time_left = TimeLeft(lambda: now[0])
    for event in events([1, 2], steps=4):
        now[0] += len(event.step.clean_nhw)
        segmentation._note_progress(event)
        if event.done > 1:
            assert segmentation.seconds_left == pytest.approx(12 - now[0])
    leave(desk)


def test_the_model_runs_in_another_thread_and_its_device_is_known(desk: Desk) -> None:
    desk.open()
    assert desk.session.model_library.device_text == ""
    desk.segment()
    assert desk.session.model_library.device_text == "CPU · fake"
    assert threading.get_ident() not in desk.model.threads


def test_pause_step_and_cancel_keep_what_there_is(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=3))
    desk.open()
    segmentation = desk.session.segmentation
    segmentation.segment()
    desk.until(lambda: segmentation.progress[0] == 3)
    segmentation.pause()
    assert Has.PAUSED | Has.RUNNING in desk.session.capabilities
    desk.model.gate.set()
    desk.until(lambda: segmentation.progress[0] == 4)
    segmentation.step()
    desk.until(lambda: segmentation.progress[0] == 5)
    segmentation.cancel()
    desk.settle()
    assert segmentation.progress == (5, 8)
    assert desk.model.closed.is_set()
    assert Has.RESULT | Has.IDLE in desk.session.capabilities
    assert Has.RUNNING not in desk.session.capabilities
    desk.session.proposal.accept()
    desk.settle()
    assert desk.mask_hw.any()
    leave(desk)


def test_discarding_a_run_leaves_the_mask_and_forgets_the_result(
    qtbot: QtBot, tmp_path: Path
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=2))
    desk.open()
    desk.session.segment()
    desk.until(lambda: desk.session.segmentation.result is not None)
    desk.session.proposal.discard()
    desk.model.gate.set()
    desk.settle()
    assert desk.session.segmentation.result is None
    assert not desk.mask_hw.any()
    leave(desk)


def test_another_image_ends_the_run_of_the_last(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=2))
    desk.open()
    desk.session.segment()
    desk.until(lambda: desk.session.segmentation.result is not None)
    desk.session.opening.open_next()
    desk.until(lambda: desk.session.workspace.index == 1)
    desk.model.gate.set()
    desk.settle()
    assert desk.session.segmentation.result is None
    assert desk.session.segmentation.film.members == 0


def test_a_failing_run_says_so_and_keeps_the_mask(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(fails_at=3, error=OutOfMemory(3, 256, "members")))
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    desk.segment()
    (sentence,) = desk.failures
    assert "Members to 1" in sentence
    assert np.array_equal(desk.mask_hw, drawn_hw)
    assert Has.IDLE in desk.session.capabilities
    leave(desk)


def test_a_model_that_cannot_be_loaded_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    def broken(path: Path) -> object:
        raise UnreadableModel(path, "Damaged header.")

    person = Person(save="discard")
    session = Session(fake_engine(tmp_path, load=broken), person, QUICK)
    failures: list[str] = []
    session.context.failed.connect(lambda sentence, _: failures.append(sentence))
    session.model_library.refresh()
    session.opening.open_path(write_image(tmp_path / "images" / "a.png"))
    qtbot.waitUntil(lambda: Has.IMAGE | Has.MODEL in session.capabilities, timeout=20_000)
    session.segment()
    qtbot.waitUntil(lambda: bool(failures), timeout=20_000)
    assert "oracle.safetensors cannot be loaded: damaged header" in failures[0]
    qtbot.waitUntil(lambda: session.context.jobs.current is None, timeout=20_000)
    session.close()


def test_the_threshold_moves_the_proposal_and_a_member_can_be_used(desk: Desk) -> None:
    desk.open()
    desk.segment()
    segmentation, proposal = desk.session.segmentation, desk.session.proposal
    heard: list[float] = []
    proposal.threshold_changed.connect(heard.append)
    proposal.set_threshold(0.9)
    desk.session.proposal.accept()
    desk.settle()
    result = segmentation.result
    assert result is not None
    assert heard == [0.9]
    assert np.array_equal(desk.mask_hw, result.mask(0.9))
    assert not proposal.proposed
    proposal.set_threshold(0.2)
    assert proposal.proposed
    proposal.use_member(2)
    desk.settle()
    expected_hw = result.frame.restore(result.members_nhw[2]) >= 0.2
    assert np.array_equal(desk.mask_hw, expected_hw)


def test_replay_gives_the_cells_of_the_stored_step(desk: Desk) -> None:
    desk.open()
    desk.segment()
    heard: list[list[CellStep]] = []
    desk.session.replay.replay(0, 30, heard.append)
    desk.session.replay.replay(1, 10, heard.append)
    desk.settle()
    (cells,) = heard
    step = desk.session.segmentation.film.find(1, 10)
    assert step is not None
    assert np.array_equal(cells[-1].state_chw[4], step.noisy_hw)
    assert cells[-1].done == cells[-1].total == len(cells)


def test_a_step_is_replayed_in_the_views_of_its_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Views] = []
    replay = DiskModel.replay

    def heeded(model: DiskModel, *given: Any) -> Iterator[CellStep]:
        heard.append(given[3].views)
        return replay(model, *given)

    monkeypatch.setattr(DiskModel, "replay", heeded)
    desk.open()
    sample = desk.session.context.settings.sample
    desk.session.context.change_settings(sample=replace(sample, views="plain"))
    desk.segment()
    # A choice for the next run does not change what this one was.
    desk.session.context.change_settings(sample=sample)
    desk.session.replay.replay(1, 10, lambda _: None)
    desk.settle()
    assert heard == ["plain"]


def test_a_replay_that_fails_is_told_and_answered_with_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open()
    desk.segment()

    def broken(*_: object) -> None:
        raise OutOfMemory(1, 256, "members")

    monkeypatch.setattr(DiskModel, "replay", broken)
    heard: list[list[CellStep]] = []
    with desk.qtbot.waitSignal(desk.session.context.failed):
        desk.session.replay.replay(1, 10, heard.append)
    desk.settle()
    assert heard == [[]]


def test_the_doubt_of_a_result_is_kept_in_the_study(desk: Desk) -> None:
    desk.open()
    desk.segment()
    result, row = desk.session.segmentation.result, desk.session.workspace.row
    assert result is not None
    assert row is not None
    assert row.expected_error == pytest.approx(result.expected_error)
    stored = Study.open(desk.folder / "images").images()[0]
    assert stored.expected_error == pytest.approx(result.expected_error)
