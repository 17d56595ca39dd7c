"""Two processes that share a batch learn what one process learns from the whole of it."""

from __future__ import annotations

import signal
import sys
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


def trained_by_two(root: Path, out: Path, *flags: str, left: Path) -> list[dict[str, float | None]]:
    """The log of a brief training by the command line, in two processes.

    Each writes into the folder `left` which threads it ended with. Raises ChildFailedError.
    """
    # As torchrun does it, but by this process, which has loaded torch already.
    from torch.distributed.run import main

    left.mkdir()
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        main(
            [
                *["--standalone", "--nproc-per-node=2"],
                *[str(Path(__file__).with_name("threads_left.py")), str(left)],
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
    two = trained_by_two(root, tmp_path / "two", "--updates", "3", "--minutes", "30", left=left)
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
