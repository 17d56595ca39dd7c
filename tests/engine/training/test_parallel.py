"""Two processes that share a batch learn what one process learns from the whole of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.networks.table import trainable
from engine.study.dataset import read_dataset
from engine.training import parallel
from engine.training.curves import read_curves
from engine.training.loop import train
from engine.types import TrainSettings
from tests.oracles import tiny_spec
from tests.samples import drawn_dataset

SETTINGS = {"steps": 4, "batch_size": 4, "size": 16, "learning_rate": 0.01, "validate_every": 2}


def trained_by_two(
    script: Sequence[Path], root: Path, out: Path, *flags: str
) -> list[dict[str, float | None]]:
    """The log of a brief training in two processes, by a script that runs the command line.

    Raises ChildFailedError.
    """
    # As torchrun does it, but by this process, which has loaded torch already.
    from torch.distributed.run import main

    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        main(
            [
                *["--standalone", "--nproc-per-node=2", *map(str, script)],
                *["train", "--data", str(root), "--out", str(out), "--device", "cpu"],
                *[f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()],
                *flags,
            ]
        )
    finally:
        # It takes some for its own.
        for number, handler in before.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
    return read_curves(out / "curves.csv")


def test_two_gloo_processes_learn_like_one_with_the_double_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In bfloat16, where the processor has it, a Dice at its threshold may be any other.
    monkeypatch.setenv("NCA_SEG_PRECISION", "float32")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    root = drawn_dataset(tmp_path).root
    spec = trainable("multicbam").changed(updates=3)
    settings = TrainSettings(**SETTINGS)  # type: ignore[arg-type]
    one = list(train(spec, read_dataset(root), settings, tmp_path / "one", device="cpu"))
    # Time enough, which both ask each other about after every step.
    left = tmp_path / "left"
    left.mkdir()
    script = Path(__file__).with_name("threads_left.py"), left
    two = trained_by_two(script, root, tmp_path / "two", "--updates", "3", "--minutes", "30")
    assert [row["done"] for row in two] == [1, 2, 3, 4]
    for name in ("loss", "validation_dice"):
        mine = np.array([row[name] for row in two], dtype=float)
        theirs = np.array([getattr(step, name) for step in one], dtype=float)
        np.testing.assert_allclose(mine, theirs, rtol=1e-4)
    for name in ("best", "last"):
        assert (tmp_path / "two" / f"{name}.safetensors").exists()
    # One that lives on may ask for the interpreter while that ends, which aborts the process.
    if sys.platform == "linux":
        assert {path.name: path.read_text() for path in left.iterdir()} == {"0": "", "1": ""}


BAD_LOSS = """
import os
import runpy
import sys
from pathlib import Path

from engine.training.trainer import Trainer

real = Trainer.loss


def loss(trainer, batch):
    found = real(trainer, batch)
    if trainer.done == 3:
        weights = [weight.sum().item() for weight in trainer.network.parameters()]
        (folder / os.environ["RANK"]).write_text(f"{weights} {trainer.read().skipped}")
    return found * float("nan") if trainer.done == 1 and os.environ["RANK"] == "1" else found


folder = Path(sys.argv.pop(1))
Trainer.loss = loss
runpy.run_module("engine", run_name="__main__", alter_sys=True)
"""


def test_all_processes_skip_the_step_whose_loss_is_no_number_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    script, seen = tmp_path / "bad_loss.py", tmp_path / "seen"
    script.write_text(BAD_LOSS)
    seen.mkdir()
    rows = trained_by_two(
        (script, seen), drawn_dataset(tmp_path).root, tmp_path / "run", "--updates", "3"
    )
    assert [(row["done"], row["skipped"]) for row in rows] == [(1, 0), (2, 1), (3, 1), (4, 1)]
    assert [row["loss"] is None for row in rows] == [False, True, False, False]
    first, second = (path.read_text() for path in seen.iterdir())
    assert first == second


@pytest.mark.parametrize("others_late", [0.0, 1.0])
def test_all_end_as_soon_as_one_is_out_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others_late: float
) -> None:
    monkeypatch.setattr(parallel, "total", lambda value: value + others_late)
    settings = TrainSettings(**SETTINGS)  # type: ignore[arg-type]
    steps = list(train(tiny_spec(), drawn_dataset(tmp_path), settings, tmp_path / "run", minutes=9))
    assert steps[-1].done == (1 if others_late else 4)
    assert steps[-1].validation_dice is not None
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_alone_there_is_nothing_to_agree_on() -> None:
    slopes = torch.ones(3)
    with parallel.group():
        assert (parallel.size(), parallel.rank()) == (1, 0)
        assert parallel.total(2.5) == 2.5
        assert torch.equal(parallel.mean(slopes), torch.ones(3))


def test_a_batch_must_divide_by_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "size", lambda: 3)
    settings = TrainSettings(steps=1, batch_size=4, size=16)
    with pytest.raises(ValueError, match="multiple of the 3 processes"):
        next(train(tiny_spec(), drawn_dataset(tmp_path), settings, tmp_path / "run"))
