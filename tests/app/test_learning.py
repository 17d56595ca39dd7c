"""Laws: a model learns beside its parent, and its best is not lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from nca_seg_app.session import Has
from tests.app.desks import Desk, leave
from tests.fakes import DiskModel


def saved(desk: Desk) -> None:
    desk.open()
    for _ in range(2):
        desk.draw()
        desk.session.save()
        desk.settle()
        desk.session.open_next()
        desk.settle()


def test_learning_leads_to_a_new_model_beside_its_parent(desk: Desk) -> None:
    saved(desk)
    assert Has.SAVED_MASKS in desk.session.state
    learning = desk.session.learning
    learning.finetune()
    assert Has.LEARNING in desk.session.state
    desk.settle()
    assert [step.done for step in learning.curve] == [1, 2, 3, 4, 5, 6]
    assert learning.candidate is not None
    assert [entry.name for entry in desk.session.models] == ["oracle"]
    learning.accept()
    desk.settle()
    assert [entry.name for entry in desk.session.models] == ["oracle", "oracle+1"]
    assert desk.session.model is not None
    assert desk.session.model.path.read_bytes() == b"2 samples, 6"
    assert (desk.folder / "models" / "oracle.safetensors").read_bytes() == b"weights of oracle"
    assert learning.candidate is None


@pytest.mark.parametrize("keeps", [True, False])
def test_learning_can_be_stopped_with_the_best_or_without(
    qtbot: QtBot, tmp_path: Path, keeps: bool
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=3))
    saved(desk)
    learning = desk.session.learning
    learning.finetune()
    desk.until(lambda: len(learning.curve) == 3)
    if keeps:
        learning.stop_and_keep()
    else:
        learning.cancel()
    desk.model.gate.set()
    desk.settle()
    assert desk.model.closed.is_set()
    assert (learning.candidate is not None) == keeps
    assert (tmp_path / "training" / "oracle1").exists() == keeps
    if keeps:
        learning.discard()
        desk.settle()
    assert not (tmp_path / "training" / "oracle1").exists()
    assert [entry.name for entry in desk.session.models] == ["oracle"]
    leave(desk)


def test_stopping_before_the_first_validation_says_that_nothing_is_kept(
    qtbot: QtBot, tmp_path: Path
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=0))
    saved(desk)
    desk.session.learning.finetune()
    desk.session.learning.stop_and_keep()
    desk.model.gate.set()
    desk.settle()
    assert desk.session.learning.candidate is None
    assert "no new model" in desk.messages[-1]
    leave(desk)


def test_a_training_that_fails_keeps_its_best(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(fails_at=5))
    saved(desk)
    desk.session.learning.finetune()
    desk.settle()
    assert desk.session.learning.candidate is not None
    assert len(desk.failures) == 1
    leave(desk)


@pytest.mark.parametrize("agrees", [True, False])
def test_a_model_that_waits_for_a_decision_is_not_dropped_unasked(desk: Desk, agrees: bool) -> None:
    saved(desk)
    learning = desk.session.learning
    learning.finetune()
    desk.settle()
    candidate = learning.candidate
    assert candidate is not None
    desk.person.agrees = agrees
    learning.finetune()
    assert "has not been added" in desk.person.asked[-1]
    assert learning.running == agrees
    assert (learning.candidate is None) == agrees
    assert agrees or candidate.exists()


def test_closing_asks_about_a_model_that_waits_for_a_decision(desk: Desk) -> None:
    saved(desk)
    desk.session.learning.finetune()
    desk.settle()
    candidate = desk.session.learning.candidate
    assert candidate is not None
    desk.person.agrees = False
    assert not desk.session.close()
    assert "has not been added" in desk.person.asked[-1]
    assert desk.session.learning.candidate == candidate
    assert candidate.exists()
    leave(desk)
    assert not candidate.exists()


def test_closing_asks_before_it_stops_a_training(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=2))
    saved(desk)
    desk.session.learning.finetune()
    desk.until(lambda: len(desk.session.learning.curve) == 2)
    desk.person.agrees = False
    assert not desk.session.close()
    assert desk.session.learning.running
    leave(desk)
    assert desk.model.closed.is_set()
