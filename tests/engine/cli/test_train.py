"""Law: every training ends with whole files, its newest and its best weights, and one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import engine
from engine import locks
from engine.masks.files import write_mask
from engine.networks import checkpoint, library, tensor_file
from engine.networks.library import installed
from engine.networks.table import preset
from engine.study.dataset import read_dataset
from engine.study.study import Study
from engine.training.curves import read_curves
from engine.types import FINE_TUNING, TrainSettings, TrainStep
from tests.engine.commands import FAST, TINY, install, picture, run, write_dataset

#: A seed whose first steps do an untrained model no harm.
SEED = ("--seed", "1")
TRAIN = ("--size", "16", "--batch-size", "2", "--validate-every", "2", "--device", "cpu", *SEED)


@pytest.fixture(autouse=True)
def tiny(own_folders: Path) -> Path:
    """A tiny untrained model, installed."""
    return install(TINY)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four samples to train on, two each to validate and test."""
    return write_dataset(tmp_path / "data")


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl+C end the next fine-tuning after so many steps."""
    from engine.training import loop

    real = loop.finetune

    def steps(*given: Any, **named: Any) -> Any:
        for step in real(*given, **named):
            assert isinstance(step, TrainStep)
            yield step
            if step.done == count:
                raise KeyboardInterrupt

    monkeypatch.setattr(loop, "finetune", steps)


def test_train_then_resume_then_segment(tmp_path: Path, dataset: Path, tiny: Path) -> None:
    out = tmp_path / "run"
    common = ("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN)
    run(*common, "--steps", "4", "--minutes", "0")
    assert [row["done"] for row in read_curves(out / "curves.csv")] == [1]
    result = run(*common, "--steps", "4", "--resume")
    assert [row["done"] for row in read_curves(out / "curves.csv")] == [1, 2, 3, 4]
    assert str(out / "best.safetensors") in result.stdout
    path = picture(tmp_path / "a.png")
    best = ("--model", out / "best.safetensors", *FAST[2:])
    run("segment", path, "--out", tmp_path / "out", *best)
    refused = run(*common, "--steps", "4", exit_code=2)
    assert "--resume" in refused.stderr
    # More steps go on, and another model or another training does not.
    run(*common, "--steps", "6", "--resume", "--validate-every", "3", "--stop-at", "5")
    assert [row["done"] for row in read_curves(out / "curves.csv")] == [1, 2, 3, 4, 5]
    record = checkpoint.read_spec(out / "last.safetensors").training
    assert (record["steps_done"], record["steps"]) == (5, 6)
    other = run(*common, "--resume", "--predicts", "noise", "--batch-size", "1", exit_code=4)
    assert "begun with predicts 'clean', not 'noise', batch_size 2, not 1" in other.stderr


def test_several_folders_are_trained_on_together_without_lesions_of_val(
    tmp_path: Path, dataset: Path, tiny: Path
) -> None:
    other = tmp_path / "other"
    (other / "masks").mkdir(parents=True)
    rows = ["id,split,lesion_id"]
    for number, (split, lesion) in enumerate((("train", "1"), ("val", "1"), ("train", "2"))):
        name = f"t{number}"
        picture(other / "images" / f"{name}.png")
        write_mask(other / "masks" / f"{name}_segmentation.png", np.eye(24, 32, dtype=np.bool_))
        rows.append(f"{name},{split},{lesion}")
    (other / "splits.csv").write_text("\n".join(rows) + "\n")
    both = ("train", "--data", dataset, "--data", other, "--from", tiny, *TRAIN, "--steps", "1")
    result = run(*both, "--out", tmp_path / "run")
    record = checkpoint.read_spec(tmp_path / "run/last.safetensors").training
    assert record["train_images"] == 5
    told = "1 image is left out (1 of train), for its lesion is in another split, too: t0."
    assert result.stderr.count(told) == 1
    same = ("train", "--data", dataset, "--data", dataset, *TRAIN, "--steps", "1")
    refused = run(*same, "--out", tmp_path / "none", exit_code=4)
    assert refused.stderr.count(str(dataset / "images/s0.png")) == 2


def test_a_run_that_is_done_names_its_model(tmp_path: Path, dataset: Path, tiny: Path) -> None:
    out = tmp_path / "run"
    common = ("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN, "--steps", "2")
    run(*common)
    assert [row["done"] for row in read_curves(out / "curves.csv")] == [1, 2]
    assert str(out / "best.safetensors") in run(*common, "--resume").stdout


def test_a_picture_of_the_curves_that_cannot_be_written_ends_no_training(
    tmp_path: Path, dataset: Path, tiny: Path
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "run"
    (out / "curves.png").mkdir(parents=True)
    arguments = ("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN)
    result = run(*arguments, "--steps", "2")
    assert str(out / "best.safetensors") in result.stdout
    assert "curves.png cannot be written" in result.stderr


def test_a_batch_that_the_processes_cannot_share_is_a_usage_error(
    tmp_path: Path, dataset: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.training.parallel.size", lambda: 3)
    arguments = ("train", "--data", dataset, "--out", tmp_path / "run", "--from", tiny, *TRAIN)
    assert "multiple of the 3" in run(*arguments, exit_code=2).stderr


def test_curves_are_drawn(tmp_path: Path, dataset: Path, tiny: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "run"
    run("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN, "--steps", "2")
    with PillowImage.open(out / "curves.png") as drawn:
        assert np.asarray(drawn).std() > 0


def test_finetune_installs_a_child_and_names_it(dataset: Path, tiny: Path) -> None:
    before = tiny.read_bytes()
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "2")
    result = run(*arguments)
    assert result.stdout.strip() == "tiny+1"
    entries = {entry.name: entry for entry in installed()}
    assert entries["tiny+1"].spec.parent == entries["tiny"].fingerprint
    assert entries["tiny+1"].spec.size == 16
    assert entries["tiny+1"].spec.training["learning_rate"] == FINE_TUNING.learning_rate
    assert tiny.read_bytes() == before


def test_a_folder_that_holds_a_run_is_not_fine_tuned_into(tmp_path: Path, dataset: Path) -> None:
    out = tmp_path / "run"
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "1")
    run(*arguments, "--out", out)
    assert "holds a run" in run(*arguments, "--out", out, exit_code=2).stderr


def test_without_val_the_sentence_about_a_new_model_ends_well(
    tmp_path: Path, dataset: Path
) -> None:
    splits = dataset / "splits.csv"
    splits.write_text(splits.read_text().replace("val", "train"))
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "1")
    assert run(*arguments).stderr.splitlines()[-1].endswith("the new model is beside it.")


def test_a_finetune_that_runs_out_of_time_before_any_validation_makes_a_model(
    dataset: Path,
) -> None:
    flags = ("--steps", "9", "--validate-every", "9", "--batch-size", "1", "--device", "cpu")
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *flags, *SEED, "--minutes", "0")
    assert run(*arguments).stdout.strip() == "tiny+1"
    record = library.find("tiny+1").spec.training
    assert (record["steps_done"], record["steps"]) == (1, 9)
    assert record["validation_dice"] is not None


def test_a_finetune_interrupted_before_any_validation_makes_no_model(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(1, monkeypatch)
    flags = (
        "--steps",
        "9",
        "--validate-every",
        "9",
        "--batch-size",
        "1",
        "--device",
        "cpu",
        "--seed",
        "1",
    )
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *flags)
    assert "no new model" in run(*arguments, exit_code=130).stderr
    assert [entry.name for entry in installed() if not entry.shipped] == ["tiny"]


def test_interrupted_finetune_keeps_the_best(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(2, monkeypatch)
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "9")
    assert run(*arguments, exit_code=130).stdout.strip() == "tiny+1"


def test_saved_masks_are_exported_and_teach(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for number in range(5):
        path = picture(folder / f"p{number}.png", grey=180 + number)
        mask_hw = np.zeros((24, 32), dtype=np.bool_)
        mask_hw[6:18, 8:24] = True
        Study.open(folder).save(path, mask_hw, None)
    assert "5 samples" in run("export", folder, "--out", tmp_path / "set").stdout
    for data in (tmp_path / "set", folder):
        arguments = ("finetune", "--data", data, "--model", "tiny", *TRAIN[2:], "--steps", "1")
        assert run(*arguments).stdout.startswith("tiny+")


def test_a_folder_without_masks_cannot_teach(tmp_path: Path) -> None:
    picture(tmp_path / "pictures" / "a.png")
    arguments = ("finetune", "--data", tmp_path / "pictures", "--model", "tiny")
    assert "saved masks" in run(*arguments, exit_code=4).stderr


@pytest.mark.parametrize(
    ("flags", "told"),
    [("--architecture nothing", "multicbam"), ("--from tiny --detail 4", "too much for")],
)
def test_a_network_that_cannot_be_is_a_usage_error(
    flags: str, told: str, tmp_path: Path, dataset: Path
) -> None:
    out = tmp_path / "run"
    result = run("train", "--data", dataset, "--out", out, *flags.split(), exit_code=2)
    assert told in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_a_training_that_can_be_gone_on_with(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"this system has no {name}")
    from engine.training.trainer import Trainer

    out, real, handler = tmp_path / "run", Trainer.loss, signal.getsignal(getattr(signal, name))

    def loss(trainer: Trainer, batch: Any) -> Any:
        if trainer.done == 3:
            # The second one, as of a manager that loses its patience, disturbs nothing.
            for _ in range(2):
                signal.raise_signal(getattr(signal, name))
        return real(trainer, batch)

    common = ("train", "--data", dataset, "--out", out, "--from", "tiny", *TRAIN)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "loss", loss)
        result = run(*common, "--steps", "6", exit_code=code)
    assert signal.getsignal(getattr(signal, name)) == handler
    assert "--resume goes on from step 3" in result.stderr
    assert checkpoint.read_spec(out / "last.safetensors").training["steps_done"] == 3
    run(*common, "--steps", "6", "--resume")
    assert [row["done"] for row in read_curves(out / "curves.csv")] == [1, 2, 3, 4, 5, 6]


def test_a_fine_tuning_that_diverges_installs_nothing(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training.trainer import Trainer

    real = Trainer.loss
    monkeypatch.setattr(
        Trainer, "loss", lambda own, batch: real(own, batch) * (np.nan if own.done >= 3 else 1)
    )
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "9")
    result = run(*arguments, exit_code=4)
    assert "step 4 is skipped" in result.stderr
    assert "diverged at step 8" in result.stderr
    assert "best.safetensors" in result.stderr
    assert [entry.name for entry in installed() if not entry.shipped] == ["tiny"]


@pytest.mark.parametrize("best", [0.0, 0.39])
def test_a_fine_tuning_that_made_the_model_much_worse_installs_nothing(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, best: float
) -> None:
    found = iter([0.8, 0.0, best])
    monkeypatch.setattr("engine.training.loop._Run.validate", lambda *_: next(found))
    arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "4")
    result = run(*arguments, exit_code=4)
    assert "much worse than tiny" in result.stderr
    assert [entry.name for entry in installed() if not entry.shipped] == ["tiny"]


def test_the_second_training_in_a_folder_is_refused(tmp_path: Path, dataset: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with locks.holding(out):
        arguments = ("train", "--data", dataset, "--out", out, "--architecture", "basic", *TRAIN)
        result = run(*arguments, "--steps", "2", exit_code=4)
        assert f"{out} is in use" in result.stderr
        tuning = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "1")
        assert "is in use" in run(*tuning, "--out", out, exit_code=4).stderr


def test_a_log_that_is_no_text_ends_no_training(tmp_path: Path, dataset: Path) -> None:
    out = tmp_path / "run"
    common = ("train", "--data", dataset, "--out", out, "--architecture", "basic", *TRAIN)
    run(*common, "--steps", "2")
    (out / "curves.csv").write_bytes(b"\xff\xfe\0damaged\n" * 9)
    run(*common, "--steps", "3", "--resume")
    assert [row["done"] for row in read_curves(out / "curves.csv")] == [3]


@pytest.mark.parametrize("architecture", ["basic", "multicbam"])
def test_the_library_trains_a_preset_as_the_command_line_does(
    tmp_path: Path, dataset: Path, architecture: str
) -> None:
    own, told = tmp_path / "own", tmp_path / "told"
    run("train", "--data", dataset, "--out", told, "--architecture", architecture, *TRAIN,
        "--steps", "1")  # fmt: skip
    settings = TrainSettings(steps=1, size=16, batch_size=2, validate_every=2, seed=1)
    list(engine.train(preset(architecture), read_dataset(dataset), settings, own, device="cpu"))
    specs = [checkpoint.read_spec(folder / "best.safetensors") for folder in (own, told)]
    assert specs[0].decisive == specs[1].decisive
    assert (specs[0].predicts, specs[0].mask_scale) == ("clean", 0.2)
    recipes = [
        json.loads(tensor_file.read(folder / "state.safetensors", 1 << 30)[0]["recipe"])
        for folder in (own, told)
    ]
    assert recipes[0] == recipes[1]


BARE = """
import runpy
import sys

sys.modules["platformdirs"] = None
runpy.run_module("engine", run_name="__main__", alter_sys=True)
"""


def test_a_training_needs_no_platformdirs(tmp_path: Path, dataset: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "NCA_SEG_HOME"}
    out = tmp_path / "run"
    arguments = ["train", "--data", dataset, "--out", out, "--architecture", "basic", *TRAIN]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *map(str, arguments), "--steps", "1"],
        env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (out / "best.safetensors").exists()


@pytest.mark.parametrize(
    ("flags", "precision", "told"),
    [
        (("--device", "cuda:0"), "", "cuda:0"),
        (("--device", "mps"), "", "mps"),
        (("--device", "cpu"), "bf16", "NCA_SEG_PRECISION is 'bf16', not float32 or bfloat16"),
    ],
)
def test_an_unknown_device_or_precision_is_refused_by_its_name(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, str], precision: str, told: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("NCA_SEG_PRECISION", precision)
    out = tmp_path / "run"
    common = ("--data", dataset, "--steps", "1", *flags)
    for command in (("train", "--out", out), ("finetune", "--model", "tiny", "--out", out)):
        result = run(*command, *common, exit_code=4 if precision else 2)
        assert told in result.stderr
    assert not out.exists()
