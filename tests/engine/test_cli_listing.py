"""Law: models and doctor say what is here; a model's file is copied or put aside, never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.checkpoint import save
from engine.device import choose
from engine.folders import home_folder
from engine.library import find, models_folder
from engine.model import Model
from engine.models import build
from tests.engine.commands import TINY, install, run


@pytest.fixture(autouse=True)
def tiny(own_folders: Path) -> Path:
    """A tiny untrained model, installed."""
    return install(TINY)


def test_models_tells_name_architecture_parameters_size_and_file(tiny: Path) -> None:
    content = json.loads(run("models", "--json").stdout)
    (found,) = [model for model in content["installed"] if model["name"] == "tiny"]
    expected = sum(weights.numel() for weights in build(TINY).parameters())
    assert (found["architecture"], found["size"]) == ("basic", 16)
    assert found["parameters"] == expected
    assert found["file"] == str(tiny)
    presets = {model["architecture"]: model["parameters"] for model in content["presets"]}
    assert presets["multicbam"] == 412_236


def test_a_broken_model_is_listed_as_such() -> None:
    path = models_folder() / "broken.safetensors"
    path.write_bytes(b"nothing")
    result = run("models")
    assert str(path) in result.stderr
    assert "tiny" in result.stdout


def test_doctor_says_where_and_why() -> None:
    text = run("doctor").stdout
    chosen = choose("auto")
    for expected in (
        chosen.name,
        chosen.precision,
        chosen.reason,
        str(home_folder()),
        find().name,
    ):
        assert expected in text


def test_version_and_help() -> None:
    assert run("--version").stdout.startswith("nca-seg ")
    text = run("--help").stdout
    assert "Examples:" in text
    assert "130" in text
    for name in ("segment", "evaluate", "train", "finetune", "export", "models", "doctor"):
        assert "Example" in run(name, "--help").stdout
        assert run(name, "--help").stdout.isascii()


def test_models_come_from_files_and_go_without_being_lost(tmp_path: Path, tiny: Path) -> None:
    file = tmp_path / "best.safetensors"
    spec = replace(TINY, name="other")
    torch.manual_seed(1)
    save(file, Model(build(spec), choose("cpu", "float32")))
    result = run("models", "--add", file)
    assert "in the list as other" in result.stderr
    assert "  other " in result.stdout
    kept = models_folder() / "discarded" / "tiny.safetensors"
    weights = tiny.read_bytes()
    result = run("models", "--remove", "tiny")
    assert str(kept) in result.stderr
    assert "  tiny " not in result.stdout
    assert kept.read_bytes() == weights


def test_a_shipped_model_and_an_unknown_one_stay_where_they_are(tmp_path: Path) -> None:
    assert "stays" in run("models", "--remove", "MultiCBAM", exit_code=4).stderr
    run("models", "--remove", "nothing", exit_code=4)
    run("models", "--add", tmp_path / "nowhere.safetensors", exit_code=4)
