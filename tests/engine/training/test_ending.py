"""However a training ends, its folder holds whole files and what is installed is of use."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import locks
from engine.errors import Diverged, FolderInUse, NotFinite, OutOfMemory, UnreadableModel
from engine.networks import checkpoint, tensor_file
from engine.training.batches import Batch
from engine.training.loop import BEST, LAST, STATE, train
from engine.training.optimizer import AdamW
from engine.training.trainer import MOST_SKIPPED_IN_A_ROW, Trainer
from engine.training.undo import StepBackup
from engine.types import TrainSettings, TrainStep
from tests.oracles import tiny_spec
from tests.samples import drawn_dataset

BRIEF = TrainSettings(steps=6, batch_size=2, size=16, learning_rate=3e-3, validate_every=2)


def diverging_at(steps: range, number: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loss of some steps become that number."""
    real = Trainer.loss

    def loss(trainer: Trainer, batch: Batch) -> torch.Tensor:
        found = real(trainer, batch)
        return found * number if trainer.done + 1 in steps else found

    monkeypatch.setattr(Trainer, "loss", loss)


def stored(out: Path) -> tuple[dict[str, Any], tensor_file.Arrays]:
    """What the state of a run tells, and its arrays."""
    told, arrays = tensor_file.read(out / STATE, 1 << 30)
    return json.loads(told["run"]), arrays


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e9])
def test_losses_that_are_no_numbers_end_the_run_before_the_weights_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    dataset, out, steps = drawn_dataset(tmp_path), tmp_path / "run", list[TrainStep]()
    settings = replace(BRIEF, steps=12)
    bad = range(4, 4 + MOST_SKIPPED_IN_A_ROW)
    with monkeypatch.context() as patched:
        diverging_at(bad, number, patched)
        with pytest.raises(Diverged) as caught:
            steps.extend(train(tiny_spec(), dataset, settings, out))
    assert [step.done for step in steps] == [1, 2, 3, *bad[:-1]]
    assert [step.skipped for step in steps] == [0, 0, 0, 1, 2, 3, 4]
    assert np.isnan([step.loss for step in steps[3:]]).all()
    assert (caught.value.step, caught.value.best) == (bad[-1], out / BEST)
    # Read, so all of them finite.
    assert checkpoint.read_spec(out / LAST).training["steps_done"] == bad[-2]
    with monkeypatch.context() as patched:
        # A resumed run remembers them.
        diverging_at(bad, number, patched)
        with pytest.raises(Diverged):
            next(train(tiny_spec(), dataset, settings, out, resume=True))
    rest = list(train(tiny_spec(), dataset, settings, out, resume=True))
    assert [step.done for step in rest] == [8, 9, 10, 11, 12]
    assert {step.skipped for step in rest} == {4}
    assert np.isfinite([step.loss for step in rest]).all()
    assert stored(out)[0]["skipped_in_a_row"] == 0


def test_a_step_whose_loss_is_no_number_changes_nothing_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    diverging_at(range(3, 5), float("nan"), monkeypatch)
    stream = train(tiny_spec(), dataset, BRIEF, out, stop_at=2)
    assert [step.skipped for step in stream] == [0, 0]
    _, before = stored(out)
    steps = list(train(tiny_spec(), dataset, BRIEF, out, resume=True, stop_at=4))
    told, after = stored(out)
    assert [step.skipped for step in steps] == [1, 2]
    assert (told["done"], told["skipped"], told["skipped_in_a_row"]) == (4, 2, 2)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    steps = list(train(tiny_spec(), dataset, BRIEF, out, resume=True))
    assert [(step.done, step.skipped) for step in steps] == [(5, 2), (6, 2)]
    weights = stored(out)[1]
    assert any(not np.array_equal(before[name], weights[name]) for name in before)
    assert all(np.isfinite(weights[name]).all() for name in weights)


def test_gradients_that_are_no_numbers_end_the_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(
        "torch.nn.utils.clip_grad_norm_", lambda *_, **__: torch.tensor(float("nan"))
    )
    stream = train(tiny_spec(), drawn_dataset(tmp_path), replace(BRIEF, validate_every=9), out)
    assert [next(stream).skipped for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(Diverged) as caught:
        next(stream)
    assert (caught.value.step, caught.value.best) == (5, None)
    assert not (out / BEST).exists()
    memories = [held for name, held in stored(out)[1].items() if name.startswith("optimizer")]
    assert memories
    assert not any(held.any() for held in memories)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("place", ["second optimizer", "after the average"])
def test_a_step_that_is_interrupted_half_way_was_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], place: str
) -> None:
    dataset, whole, out = drawn_dataset(tmp_path), tmp_path / "whole", tmp_path / "run"
    ended = list(train(tiny_spec(), dataset, BRIEF, whole))
    done = list[TrainStep]()

    def interrupted(*_: object, **__: object) -> None:
        if len(done) == 3:
            raise error

    with monkeypatch.context() as patched:
        if place == "after the average":
            real_keep = StepBackup.restore_unless
            patched.setattr(
                StepBackup, "restore_unless", lambda *given: interrupted() or real_keep(*given)
            )
        else:
            real = AdamW.step
            patched.setattr(AdamW, "step", lambda own: interrupted() or real(own))
        with pytest.raises((error, OutOfMemory)):
            done.extend(train(tiny_spec(), dataset, BRIEF, out))
    assert [step.done for step in done] == [1, 2, 3]
    assert checkpoint.read_spec(out / LAST).training["steps_done"] == 3
    rest = list(train(tiny_spec(), dataset, BRIEF, out, resume=True))
    assert [step.done for step in rest] == [4, 5, 6]
    np.testing.assert_allclose(
        [step.loss for step in rest], [step.loss for step in ended[3:]], rtol=1e-4
    )
    mine, theirs = stored(out)[1], stored(whole)[1]
    assert mine.keys() == theirs.keys()
    for name in theirs:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-3, atol=1e-5)


def test_a_step_that_is_whole_when_the_interruption_comes_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, out, real = drawn_dataset(tmp_path), tmp_path / "run", Trainer._move

    def move(trainer: Trainer, loss: torch.Tensor) -> None:
        # As where Ctrl+C meets the thread that waits for this one.
        real(trainer, loss)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_move", move)
    with pytest.raises(KeyboardInterrupt):
        list(train(tiny_spec(), dataset, BRIEF, out))
    monkeypatch.undo()
    assert stored(out)[0]["done"] == 1
    assert [x.done for x in train(tiny_spec(), dataset, BRIEF, out, resume=True)] == [2, 3, 4, 5, 6]


def test_weights_that_answer_no_numbers_are_never_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(*_: object) -> float:
        raise NotFinite("run")

    monkeypatch.setattr("engine.training.loop._Run.validate", validate)
    with pytest.raises(Diverged) as caught:
        list(train(tiny_spec(), drawn_dataset(tmp_path), BRIEF, tmp_path / "run"))
    assert caught.value.step == 2
    assert not (tmp_path / "run" / BEST).exists()


def test_two_runs_in_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    first = train(tiny_spec(), dataset, BRIEF, out)
    next(first)
    for resume in (False, True):
        with pytest.raises(FolderInUse) as caught:
            next(train(tiny_spec(), dataset, BRIEF, out, resume=resume))
        assert caught.value.path == out
    assert [step.done for step in first] == [2, 3, 4, 5, 6]
    assert not locks.in_use(out)
    assert not list(train(tiny_spec(), dataset, BRIEF, out, resume=True))


def test_what_is_interrupted_again_while_it_ends_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training.loop import _Run

    out, real, signals = tmp_path / "run", _Run.write_state, [KeyboardInterrupt()]

    def write_state(run: _Run) -> None:
        if run.trainer.done and signals:
            raise signals.pop()
        real(run)

    monkeypatch.setattr(_Run, "write_state", write_state)
    stream = train(tiny_spec(), drawn_dataset(tmp_path), BRIEF, out)
    assert [next(stream).done for _ in range(3)] == [1, 2, 3]
    with pytest.raises(KeyboardInterrupt):
        stream.close()  # type: ignore[attr-defined]
    assert json.loads(tensor_file.read(out / STATE, 1 << 30)[0]["run"])["done"] == 3
    assert checkpoint.read_spec(out / LAST).training["steps_done"] == 3


@pytest.mark.parametrize("kind", ["flipped", "half", "no facts", "strange facts", "shape", "pipe"])
def test_a_damaged_state_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    list(train(tiny_spec(), dataset, replace(BRIEF, steps=2), out))
    best, path = (out / BEST).read_bytes(), out / STATE
    content = bytearray(path.read_bytes())
    told, arrays = tensor_file.read(path, 1 << 30)
    match kind:
        case "flipped":
            content[-5] ^= 64
            path.write_bytes(content)
        case "half":
            path.write_bytes(content[: len(content) // 2])
        case "no facts":
            path.write_bytes(tensor_file.content(arrays, {}))
        case "strange facts":
            path.write_bytes(tensor_file.content(arrays, {**told, "run": '{"done": "two"}'}))
        case "shape":
            # Files of tensors have no order: of one number nothing would be cut.
            large = (name for name in sorted(arrays) if arrays[name].size > 1)
            name = next(name for name in large if name.startswith("optimizer"))
            arrays[name] = arrays[name].reshape(-1)[:1]
            path.write_bytes(tensor_file.content(arrays, told))
        case "pipe":
            if not hasattr(os, "mkfifo"):
                pytest.skip("there are no pipes in folders here")
            path.unlink()
            os.mkfifo(path)
    with pytest.raises(UnreadableModel) as caught:
        next(train(tiny_spec(), dataset, BRIEF, out, resume=True))
    assert caught.value.path == path
    assert (out / BEST).read_bytes() == best
