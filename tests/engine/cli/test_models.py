"""Law: models and doctor say what is here; a model's file is copied or put aside, never lost."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.diffusion.model import Model, save
from engine.folders import home_folder
from engine.networks.device import choose
from engine.networks.library import find, models_folder
from engine.networks.table import build
from engine.training.optimizer import optimizers
from tests.conftest import PROJECT
from tests.engine.commands import TINY, install, run


@pytest.fixture(autouse=True)
def tiny(own_folders: Path) -> Path:
    """A tiny untrained model, installed."""
    return install(TINY)


def test_what_a_model_file_says_is_shown_on_one_line() -> None:
    name, figures = "b\x1b[2J\u202ex", {"\x1b[31m\ndice": 0.5}
    install(replace(TINY, name=name, training=figures))
    shown = run("models").stdout
    assert "b?[2J?x" in shown
    assert "?[31m dice 0.500" in shown
    assert shown.replace("\n", "").isprintable()
    assert "\x1b" not in run("doctor").stdout


def test_models_tells_name_architecture_parameters_size_and_file(tiny: Path) -> None:
    content = json.loads(run("models", "--json").stdout)
    (found,) = [model for model in content["installed"] if model["name"] == "tiny"]
    expected = sum(weights.numel() for weights in build(TINY).parameters())
    assert (found["architecture"], found["size"]) == ("basic", 16)
    assert found["parameters"] == expected
    assert found["file"] == str(tiny)
    presets = {model["name"]: model["parameters"] for model in content["presets"]}
    assert presets["MultiCBAM-MedSegDiffNCA"] == 412_236


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
    for name in ("segment", "evaluate", "train", "finetune", "export", "pack", "models", "doctor"):
        assert "Example" in run(name, "--help").stdout
        assert run(name, "--help").stdout.isascii()


@pytest.mark.parametrize("document", ["README.md", "resources/MODEL_CARD.md"])
def test_every_command_of_a_document_has_the_flags_that_it_is_given(document: str) -> None:
    text = (PROJECT / document).read_text("utf-8").replace("\\\n", " ")
    commands = re.findall(
        r"^(?:nca-seg )?(train|finetune|evaluate|segment|report) (.*)$", text, re.M
    )
    assert commands
    for name, arguments in commands:
        known = run(name, "--help").stdout
        for flag in re.findall(r"--[a-z-]+", arguments.split("#")[0]):
            assert flag in known, f"{name} {arguments}"


def test_the_weight_decay_is_what_its_help_says() -> None:
    muon, adamw = optimizers(build(TINY), weight_decay=0.5)
    assert [group["weight_decay"] for group in muon.param_groups] == [0.5]
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.0]
    network = build(TINY)
    (alone,) = optimizers(network, 0.5, "adamw")
    (group,) = alone.param_groups
    assert group["weight_decay"] == 0.5
    assert [id(each) for each in group["params"]] == [id(each) for each in network.parameters()]
    said = " ".join(run("train", "--help").stdout.split())
    assert "With muon of the matrices, and of nothing else; with adamw of all weights." in said


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


def test_what_a_killed_fine_tuning_had_learned_is_said(own_folders: Path) -> None:
    model = install(TINY.changed(updates=3))
    folder = models_folder().parent / "training" / "tiny+1"
    folder.mkdir(parents=True)
    best = model.rename(folder / "best.safetensors")
    for flags in ((), ("--json",)):
        assert "nca-seg models --add adds it" in run("models", *flags).stderr
    assert str(best) in run("models").stderr
    assert "interrupted" not in run("models", "--add", best).stderr


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_doctor_says_how_a_precision_is_forced(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.delenv("NCA_SEG_PRECISION", raising=False)
    assert "NCA_SEG_PRECISION may be float32 or bfloat16" in run("doctor").stdout
    monkeypatch.setenv("NCA_SEG_PRECISION", precision)
    assert f"{precision} (NCA_SEG_PRECISION is {precision})" in run("doctor").stdout
    monkeypatch.setenv("NCA_SEG_PRECISION", "half")
    assert "not float32 or bfloat16" in run("doctor", exit_code=4).stderr
