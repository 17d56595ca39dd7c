"""What a killed fine-tuning left is offered while it is worth something, and removed when not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine import locks
from engine.networks import library
from engine.training.leftovers import FORGOTTEN_S, USELESS_S, trainings_folder, unfinished
from tests.engine.networks.test_library import make_model

NOW_S = time.time()
NAME = "lesion+1-20260102-030405-678901"


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the folder of shipped models, with one model "lesion"."""
    folder = tmp_path / "program"
    monkeypatch.setattr(library, "_shipped_folder", lambda: folder)
    return make_model(folder / "lesion.safetensors")


def run(name: str, *files: str, age_s: float = 0.0, weight: float = 1.0) -> Path:
    """A folder that a run left so long ago; a best file in it holds a model of that weight."""
    folder = trainings_folder() / name
    folder.mkdir(parents=True)
    for file in files:
        if file == "best.safetensors":
            make_model(folder / file, weight=weight)
        else:
            (folder / file).write_bytes(b"content")
    for path in (*folder.iterdir(), folder):
        os.utime(path, (NOW_S - age_s, NOW_S - age_s))
    return folder


def test_nothing_is_unfinished_at_first() -> None:
    assert unfinished() is None


def test_the_newest_weights_of_a_killed_run_are_offered_until_they_are_in_the_list() -> None:
    older = run("lesion+1", "best.safetensors", "state.safetensors", age_s=60)
    newer = run(NAME, "best.safetensors", weight=2.0)
    for _ in range(2):
        left = unfinished()
        assert left is not None
        assert left.weights == newer / "best.safetensors"
    library.adopt(newer / "best.safetensors", library.find("lesion"))
    left = unfinished()
    assert left is not None
    assert left.weights.parent == older


def test_a_run_by_command_that_ended_is_not_unfinished_and_a_windows_waits_for_a_decision() -> None:
    ended = run("lesion+1", "best.safetensors", "last.safetensors", age_s=2 * FORGOTTEN_S)
    assert unfinished() is None
    assert ended.is_dir()
    waiting = run(NAME, "best.safetensors", "last.safetensors")
    left = unfinished()
    assert left is not None
    assert left.weights.parent == waiting


@pytest.mark.parametrize("age_s", [0.0, 2 * USELESS_S])
@pytest.mark.parametrize(("name", "file"), [(NAME, "x.part"), ("lesion+1", "last.safetensors")])
def test_what_holds_no_best_weights_goes_after_an_hour(name: str, file: str, age_s: float) -> None:
    folder = run(name, "state.safetensors", file, age_s=age_s)
    assert unfinished() is None
    assert folder.exists() == (not age_s)


def test_weights_older_than_a_week_go_where_there_are_newer_ones() -> None:
    folders = [
        run(f"lesion+{number}", "best.safetensors", age_s=number * FORGOTTEN_S, weight=number)
        for number in (1, 2, 3)
    ]
    left = unfinished()
    assert left is not None
    # The newest stays however old it is: a person may have been away.
    assert left.weights.parent == folders[0]
    assert [folder.exists() for folder in folders] == [True, False, False]


def test_a_folder_in_use_and_one_of_somebody_elses_stay() -> None:
    used = run(NAME, "state.safetensors", age_s=2 * USELESS_S)
    own = run("my training", "state.safetensors", "best.safetensors", age_s=2 * FORGOTTEN_S)
    with locks.holding(used, "window"):
        assert unfinished() is None
        assert used.exists()
    assert own.exists()


def test_half_written_models_go_after_an_hour() -> None:
    folder = library.models_folder()
    folder.mkdir(parents=True)
    kept = [".lesion.safetensors.0a1b2c3d.part", ".own.part", "notes.part"]
    swept = [".lesion.safetensors.00000000.part", f".{'0' * 32}.part"]
    for name in (*kept, *swept):
        (folder / name).write_bytes(b"half")
        if name != kept[0]:
            os.utime(folder / name, (NOW_S - 7200, NOW_S - 7200))
    unfinished()
    assert sorted(path.name for path in folder.iterdir()) == sorted(kept)
