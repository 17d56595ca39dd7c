"""What a model's file asks for is held against what anybody waits for, before it is computed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.diffusion.ensemble import replay, segment
from engine.errors import TooLarge
from engine.networks import budget, checkpoint, library
from engine.networks.table import architecture, preset, presets
from engine.training.loop import train
from engine.types import ModelSpec, SampleSettings, TrainSettings
from nca_seg_app.services.error_messages import sentence
from tests.engine.commands import FAST, picture, run, write_dataset
from tests.oracles import OracleModel, disk, lesion, lively_model, tiny_spec
from tests.samples import drawn_dataset

PLAIN = preset("multicbam").changed(name="plain")


@pytest.mark.parametrize("spec", presets(), ids=lambda spec: spec.name)
def test_the_papers_models_are_affordable_at_every_size_that_can_be_trained(
    spec: ModelSpec,
) -> None:
    budget.expect_affordable(spec)
    budget.expect_affordable(replace(spec, size=512))


def test_the_model_in_the_box_is_affordable() -> None:
    budget.expect_affordable(library.find().spec)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 4096},
        {"size": 2048},
        {"updates": 1000},
        {"coarse_updates": 1000, "factor": 1},
        {"channels": 1024, "size": 1024},
        # Hardly anything to multiply, but many cells to hold.
        {"channels": 7, "hidden": 1, "updates": 1, "size": 4096},
    ],
)
def test_what_nobody_waits_for_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(TooLarge) as caught:
        budget.expect_affordable(PLAIN.changed(**changes))
    assert str(caught.value.size) in sentence(caught.value)


def test_a_small_machine_bears_half_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    budget.expect_affordable(PLAIN)
    taken = architecture(PLAIN.architecture).cost(PLAIN).memory_bytes
    monkeypatch.setattr(budget, "_machine_bytes", lambda: 2 * taken - 2)
    with pytest.raises(TooLarge):
        budget.expect_affordable(PLAIN)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system does not say")
def test_a_machine_says_how_much_memory_it_has() -> None:
    assert 1 << 28 < budget._machine_bytes() < 1 << 50


STREAMS: dict[str, Callable[[Path], Iterator[Any]]] = {
    "segment": lambda _: segment(
        OracleModel(np.zeros((16, 16), dtype=np.bool_), size=4096), lesion(disk(24)),
        SampleSettings(),
    ),
    "replay": lambda _: replay(
        lively_model(size=4096), lesion(disk(24)), np.zeros((16, 16), np.float32), 1,
        SampleSettings(), 0,
    ),
    "train": lambda folder: train(
        tiny_spec(updates=1000, coarse_updates=1000, factor=1, channels=64, hidden=512),
        drawn_dataset(folder), TrainSettings(size=512), folder / "run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_every_stream_is_refused_before_it_begins(
    tmp_path: Path, stream: Callable[[Path], Iterator[Any]]
) -> None:
    with pytest.raises(TooLarge):
        next(stream(tmp_path))


def test_a_file_that_asks_for_too_much_or_overflows_is_one_sentence(tmp_path: Path) -> None:
    model = lively_model()
    weights = {name: array.numpy() for name, array in model.network.state_dict().items()}
    huge, wild = tmp_path / "huge.safetensors", tmp_path / "wild.safetensors"
    checkpoint.write(huge, weights, replace(model.spec, size=4096))
    checkpoint.write(wild, {name: 3e37 * array for name, array in weights.items()}, model.spec)
    data, shot = write_dataset(tmp_path / "data"), picture(tmp_path / "a.png")
    for path, told in ((huge, "4096 × 4096 cells"), (wild, "not finite")):
        flags = ("--model", path, *FAST[2:])
        result = run("segment", shot, "--out", tmp_path / "out", *flags, exit_code=4)
        assert told in result.stderr
        result = run("evaluate", "--data", data, "--split", "val", *flags, exit_code=4)
        assert told in result.stderr
    assert not (tmp_path / "out").exists()
