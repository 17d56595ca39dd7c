"""However a training ends, its folder holds whole files and what is installed is of use."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import locks
from engine.errors import Diverged, FolderInUse, NotFinite, UnreadableModel
from engine.networks import checkpoint, tensor_file
from engine.training.loop import BEST, LAST, STATE, train
from engine.types import TrainSettings, TrainStep
from tests.oracles import tiny_spec
from tests.samples import drawn_dataset

BRIEF = TrainSettings(steps=6, batch_size=2, size=16, learning_rate=3e-3, validate_every=2)


def diverging_at(step: int, number: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loss of a step become that number."""
    from engine.training.loop import _Run

    real = _Run._loss

    def loss(run: _Run, batch: object) -> torch.Tensor:
        found = real(run, batch)  # type: ignore[arg-type]
        return found * number if run.done + 1 == step else found

    monkeypatch.setattr(_Run, "_loss", loss)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e9])
def test_a_loss_that_is_no_number_ends_the_run_before_the_weights_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    dataset, out, steps = drawn_dataset(tmp_path), tmp_path / "run", list[TrainStep]()
    with monkeypatch.context() as patched:
        diverging_at(4, number, patched)
        with pytest.raises(Diverged) as caught:
            steps.extend(train(tiny_spec(), dataset, BRIEF, out))
    assert [step.done for step in steps] == [1, 2, 3]
    assert (caught.value.step, caught.value.best) == (4, out / BEST)
    assert checkpoint.read_spec(out / BEST).training["steps_done"] == 2
    # Read, so all of them finite.
    assert checkpoint.read_spec(out / LAST).training["steps_done"] == 3
    rest = list(train(tiny_spec(), dataset, BRIEF, out, resume=True))
    assert [step.done for step in rest] == [4, 5, 6]
    assert np.isfinite([step.loss for step in rest]).all()


def test_a_gradient_that_is_no_number_ends_the_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = drawn_dataset(tmp_path)
    monkeypatch.setattr(
        "torch.nn.utils.clip_grad_norm_", lambda *_, **__: torch.tensor(float("nan"))
    )
    with pytest.raises(Diverged) as caught:
        next(train(tiny_spec(), dataset, BRIEF, tmp_path / "run"))
    assert (caught.value.step, caught.value.best) == (1, None)
    assert not (tmp_path / "run" / BEST).exists()


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
        if run.done and signals:
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
