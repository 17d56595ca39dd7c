"""A person's own ONNX network is a model like all others, except that it is not trained."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.diffusion.model import Model, load, save
from engine.errors import MissingExtra, NotTrainable, UnreadableModel
from engine.evaluation.scoring import evaluate
from engine.networks import checkpoint, library
from engine.networks.onnx import description
from engine.networks.table import parameter_count, trainable
from engine.training.loop import finetune, train
from engine.types import SampleSettings, TrainSettings
from tests.engine.commands import picture, run, write_dataset
from tests.graphs import (
    added,
    answer,
    node,
    number,
    numpy_helper,
    write,
)
from tests.oracles import CPU
from tests.samples import drawn_dataset


def test_it_becomes_one_file_that_is_a_model_like_all_others(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.onnx")
    entry = library.add(path)
    assert (entry.name, entry.path.name) == ("mine", "mine.safetensors")
    assert entry.parameters == parameter_count(entry.spec) == 4
    assert entry in library.installed()
    assert not library.broken()
    assert not entry.inspectable
    spec, arrays = checkpoint.read(entry.path)
    assert arrays["content"].tobytes() == path.read_bytes()
    assert checkpoint.fingerprint(spec, arrays) == entry.fingerprint
    assert library.add(path) == entry, "added twice it is there once"
    write(path, mean=[0.5, 0.5, 0.5])
    assert library.add(path).fingerprint != entry.fingerprint
    copy = tmp_path / "copy.safetensors"
    save(copy, load(entry.path, "cpu"))
    assert library.find(copy).fingerprint == entry.fingerprint


def test_its_members_are_the_mirrored_views(tmp_path: Path) -> None:
    filters = np.full((1, 3, 1, 3), -4, np.float32)
    filters[..., 2] = 0
    weights = [numpy_helper.from_array(filters, "w"), number("b", 9.0)]
    conv = node("Conv", "x w b", "y", pads=[0, 1, 0, 1])
    members = answer(added(write(tmp_path / "mine.onnx", [conv], weights)))
    assert members.shape == (4, 16, 16)
    assert not np.array_equal(members[0], members[1])
    assert np.array_equal(members[0], members[2]), "its filter has no up and down"


def test_what_it_finds_is_the_dark_disk(tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data")
    model = added(write(tmp_path / "mine.onnx", size=32))
    *_, found = evaluate(model, data.split("val"), SampleSettings(steps=2))
    assert found.mean.dice > 0.9
    assert not model.spec.sees_noise


def test_commands_take_it(tmp_path: Path) -> None:
    data, shot = write_dataset(tmp_path / "data"), picture(tmp_path / "shot.png")
    told = run("models", "--add", write(tmp_path / "mine.onnx"))
    assert "in the list as mine" in told.stderr
    listed = json.loads(run("models", "--json").stdout)["installed"][-1]
    assert (listed["architecture"], listed["parameters"], listed["size"]) == ("onnx", 4, 16)
    flags = ("--model", "mine", "--device", "cpu")
    run("segment", shot, "--out", tmp_path / "masks", *flags)
    assert (tmp_path / "masks" / "shot_segmentation.png").exists()
    scored = tmp_path / "scored.json"
    run("evaluate", "--data", data, "--split", "val", *flags, "--json", scored)
    assert json.loads(scored.read_text(encoding="utf-8"))["total"] == 2
    run("report", data, "--out", tmp_path / "report", *flags, "--sweep-images", "1")
    for refused in (
        run("finetune", "--data", data, "--steps", "1", *flags, exit_code=4),
        run("train", "--data", data, "--out", tmp_path / "a", "--architecture", "onnx",
            exit_code=4),
        run("train", "--data", data, "--out", tmp_path / "b", "--from", "mine", exit_code=4),
    ):  # fmt: skip
        assert "run as it is" in refused.stderr
    assert "onnx" not in run("train", "--data", data, "--out", tmp_path / "c",
                             "--architecture", "none", exit_code=2).stderr  # fmt: skip
    run("models", "--remove", "mine")
    assert "mine" not in [entry.name for entry in library.installed()]


def test_nothing_is_learned_of_it(tmp_path: Path) -> None:
    model = added(write(tmp_path / "mine.onnx"))
    data = drawn_dataset(tmp_path / "data")
    with pytest.raises(NotTrainable):
        next(finetune(model, data, TrainSettings(steps=1), tmp_path / "a"))
    with pytest.raises(NotTrainable):
        next(train(model.spec, data, TrainSettings(steps=1), tmp_path / "b"))
    with pytest.raises(NotTrainable):
        trainable("onnx")
    assert not (tmp_path / "a").exists()


def test_copies_and_threads_give_what_it_gives(tmp_path: Path) -> None:
    model = added(write(tmp_path / "mine.onnx"))
    copy = Model(deepcopy(model.network), CPU)
    expected = answer(model)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(answer, [model, copy] * 4))
    assert all(np.array_equal(each, expected) for each in answers)


def test_without_onnxruntime_it_is_said_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "mine.onnx")
    kept = library.add(path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for act in (lambda: library.add(path), lambda: load(kept.path, "cpu")):
        with pytest.raises(MissingExtra) as raised:
            act()
        assert (raised.value.extra, raised.value.name) == ("onnx", "mine")
    assert "mine " in run("models").stdout, "it is listed all the same"


def test_a_model_file_whose_network_does_not_run_is_told_when_it_is_loaded(tmp_path: Path) -> None:
    spec, arrays = description.read(write(tmp_path / "mine.onnx"))
    kept = tmp_path / "kept.safetensors"
    checkpoint.write(kept, {"content": np.zeros_like(arrays["content"])}, spec)
    with pytest.raises(UnreadableModel, match="no whole ONNX file"):
        load(kept, "cpu")
    checkpoint.write(kept, {"content": arrays["content"][1:]}, spec)
    with pytest.raises(UnreadableModel, match="do not fit its description"):
        load(kept, "cpu")


def test_on_a_gpu_its_answer_comes_back_to_where_the_image_is(tmp_path: Path) -> None:
    network = added(write(tmp_path / "mine.onnx")).network
    image = torch.zeros(2, 3, 16, 16)
    outputs = network.predict((image,), (), image[:, :1], lambda *_: image)
    assert outputs.prediction_n1hw.shape == (2, 1, 16, 16)
    assert outputs.prediction_n1hw.device == image.device
