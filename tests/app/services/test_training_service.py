"""Laws: a model learns beside its parent, and its best is not lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine import locks
from engine.errors import Diverged
from engine.networks.automaton.config import AutomatonConfig
from engine.training.leftovers import Leftover
from engine.types import ModelSpec
from nca_seg_app.session import Has, Session
from tests.app.desks import Desk, leave
from tests.fakes import DiskModel, Person, fake_engine


def saved(desk: Desk) -> None:
    desk.open()
    for _ in range(2):
        desk.draw()
        desk.session.save()
        desk.settle()
        desk.session.opening.open_next()
        desk.settle()


def test_learning_leads_to_a_new_model_beside_its_parent(desk: Desk) -> None:
    saved(desk)
    assert Has.SAVED_MASKS in desk.session.capabilities
    training = desk.session.training
    training.finetune()
    assert Has.LEARNING in desk.session.capabilities
    desk.settle()
    assert [step.done for step in training.curve] == [1, 2, 3, 4, 5, 6]
    assert training.candidate is not None
    assert [entry.name for entry in desk.session.model_library.entries] == ["oracle"]
    training.accept()
    desk.settle()
    assert [entry.name for entry in desk.session.model_library.entries] == ["oracle", "oracle+1"]
    assert desk.session.model_library.chosen is not None
    assert desk.session.model_library.chosen.path.read_bytes() == b"2 samples, 6"
    assert (desk.folder / "models" / "oracle.safetensors").read_bytes() == b"weights of oracle"
    assert training.candidate is None


@pytest.mark.parametrize("keeps", [True, False])
def test_learning_can_be_stopped_with_the_best_or_without(
    qtbot: QtBot, tmp_path: Path, keeps: bool
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=3))
    saved(desk)
    training = desk.session.training
    training.finetune()
    desk.until(lambda: len(training.curve) == 3)
    if keeps:
        training.stop_and_keep()
    else:
        training.cancel()
    desk.model.gate.set()
    desk.settle()
    assert desk.model.closed.is_set()
    assert (training.candidate is not None) == keeps
    assert (tmp_path / "training" / "oracle1").exists() == keeps
    if keeps:
        training.discard()
        desk.settle()
    assert not (tmp_path / "training" / "oracle1").exists()
    assert [entry.name for entry in desk.session.model_library.entries] == ["oracle"]
    leave(desk)


def test_stopping_before_the_first_validation_says_that_nothing_is_kept(
    qtbot: QtBot, tmp_path: Path
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=0))
    saved(desk)
    desk.session.training.finetune()
    desk.session.training.stop_and_keep()
    desk.model.gate.set()
    desk.settle()
    assert desk.session.training.candidate is None
    assert "no new model" in desk.messages[-1]
    leave(desk)


def test_a_training_that_fails_keeps_its_best(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(fails_at=5))
    saved(desk)
    desk.session.training.finetune()
    desk.settle()
    assert desk.session.training.candidate is not None
    assert len(desk.failures) == 1
    leave(desk)


@pytest.mark.parametrize("agrees", [True, False])
def test_a_model_that_waits_for_a_decision_is_not_dropped_unasked(desk: Desk, agrees: bool) -> None:
    saved(desk)
    training = desk.session.training
    training.finetune()
    desk.settle()
    candidate = training.candidate
    assert candidate is not None
    desk.person.agrees = agrees
    training.finetune()
    assert "has not been added" in desk.person.asked[-1]
    assert training.running == agrees
    assert (training.candidate is None) == agrees
    assert agrees or candidate.exists()


def test_closing_asks_about_a_model_that_waits_for_a_decision(desk: Desk) -> None:
    saved(desk)
    desk.session.training.finetune()
    desk.settle()
    candidate = desk.session.training.candidate
    assert candidate is not None
    desk.person.agrees = False
    assert not desk.session.close()
    assert "has not been added" in desk.person.asked[-1]
    assert desk.session.training.candidate == candidate
    assert candidate.exists()
    leave(desk)
    assert not candidate.exists()


def test_closing_asks_before_it_stops_a_training(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=2))
    saved(desk)
    desk.session.training.finetune()
    desk.until(lambda: len(desk.session.training.curve) == 2)
    desk.person.agrees = False
    assert not desk.session.close()
    assert desk.session.training.running
    leave(desk)
    assert desk.model.closed.is_set()


def killed(desk: Desk, name: str = "oracle1") -> Leftover:
    """What a fine-tuning in another window had learned before that was killed."""
    folder = desk.folder / "training" / name
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(b"learned before the kill")
    record = {"steps_done": 24, "steps": 40, "validation_dice": 0.875}
    spec = ModelSpec(
        "run", "multicbam", AutomatonConfig(), size=16, parent="print of oracle", training=record
    )
    return Leftover(folder / "best.safetensors", spec)


def reopened(qtbot: QtBot, desk: Desk, left: Leftover) -> Session:
    """The session of a window that is opened after the kill."""
    engine = dataclasses.replace(fake_engine(desk.folder), unfinished=lambda: left)
    session = Session(engine, Person())
    session.context.message.connect(desk.messages.append)
    session.model_library.refresh()
    qtbot.waitUntil(
        lambda: bool(session.model_library.entries) and not session.context.lane.pending
    )
    return session


def test_what_a_killed_training_of_a_new_model_had_learned_has_no_parent(
    qtbot: QtBot, desk: Desk
) -> None:
    left = killed(desk, "MultiCBAM-ours1")
    session = reopened(qtbot, desk, dataclasses.replace(left, spec=left.spec.changed(parent="")))
    assert session.training.candidate == left.weights
    assert session.training.parent_model is None
    assert "A new model's training was interrupted" in desk.messages[-1]
    session.training.accept()
    qtbot.waitUntil(lambda: not session.context.lane.pending)
    assert session.training.candidate is None
    assert not left.weights.parent.exists()
    assert session.close()


@pytest.mark.parametrize("taken", [True, False])
def test_what_a_killed_fine_tuning_had_learned_waits_for_a_decision(
    qtbot: QtBot, desk: Desk, taken: bool
) -> None:
    left = killed(desk)
    session = reopened(qtbot, desk, left)
    training = session.training
    assert Has.CANDIDATE in session.capabilities
    assert training.candidate == left.weights
    assert training.interrupted == left.spec
    assert "of oracle was interrupted" in desk.messages[-1]
    # Another window, opened meanwhile, does not offer it again, nor removes it.
    assert locks.in_use(left.weights.parent)
    assert reopened(qtbot, desk, left).training.candidate is None
    if taken:
        training.accept()
    else:
        training.discard()
    qtbot.waitUntil(lambda: not session.context.lane.pending)
    assert training.candidate is None
    assert training.interrupted is None
    assert not left.weights.parent.exists()
    assert ("oracle+1" in [entry.name for entry in session.model_library.entries]) == taken
    assert session.close()


def test_a_folder_waits_locked_until_the_person_has_decided(desk: Desk) -> None:
    saved(desk)
    desk.session.training.finetune()
    desk.settle()
    assert desk.session.training.candidate is not None
    assert locks.in_use(desk.folder / "training" / "oracle1")
    desk.session.training.discard()
    desk.settle()
    assert not (desk.folder / "training" / "oracle1").exists()


@pytest.mark.parametrize(("fails_at", "keeps"), [(1, False), (5, True)])
def test_a_training_that_diverges_says_so_and_keeps_what_is_of_use(
    qtbot: QtBot, tmp_path: Path, fails_at: int, keeps: bool
) -> None:
    best = tmp_path / "training" / "oracle1" / "best.safetensors"
    error = Diverged(fails_at + 1, 0.5, best if keeps else None)
    desk = Desk(qtbot, tmp_path, DiskModel(fails_at=fails_at, error=error))
    saved(desk)
    desk.session.training.finetune()
    desk.settle()
    (told,) = desk.failures
    assert f"diverged at step {fails_at + 1}" in told
    assert ("kept" in told) == keeps
    assert (desk.session.training.candidate is not None) == keeps
    assert best.exists() == best.parent.exists() == keeps
    leave(desk)
