"""Law: nca-seg compare does once what is to be done, and its tables hold what its results say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.networks import checkpoint
from engine.networks.table import ARCHITECTURES
from engine.report.comparison.methods import method
from engine.report.comparison.runs import Budget, Plan, plan, read_plan, trained
from engine.study.dataset import read_dataset
from engine.training import loop
from tests import toy
from tests.engine.commands import run
from tests.samples import drawn_dataset
from tests.toy import ToyConfig

PRESETS = "Toy,Wide"
#: Enough for three steps of sixteen.
SAMPLES = ("--samples", "48", "--pixels", "16", "--device", "cpu")


@pytest.fixture(autouse=True)
def presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two toys, of which the wide one sees an image in one step."""
    first = replace(toy.TOY.presets[0], name="Toy")
    wide = replace(first, name="Wide", config=ToyConfig(width=8), timesteps=1)
    monkeypatch.setitem(ARCHITECTURES, "toy", replace(toy.TOY, presets=(first, wide)))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures, which take most of the time."""
    monkeypatch.setattr("engine.report.comparison.pictures.grid", lambda *_: b"")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four samples to train on and two each to validate and test."""
    root = drawn_dataset(tmp_path).root
    table = root / "splits.csv"
    text = table.read_text().replace("drawn_0,train", "drawn_0,test")
    table.write_text(text.replace("drawn_1,train", "drawn_1,test"))
    return root


def compare(data: Path, runs: Path, *more: str | Path, exit_code: int = 0) -> Any:
    whole = ("compare", "--data", data, "--out", runs, "--models", PRESETS, *more)
    return run(*whole, exit_code=exit_code)


def result(runs: Path, name: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((runs / f"{name}-s1" / "result.json").read_text())
    return whole


def cells(page: str, title: str) -> dict[str, dict[str, str]]:
    """The rows of a table of a Markdown page, by method, each cell by its heading."""
    block = page.split(f"**{title}**")[1].strip().split("\n\n")[0]
    head, _, *body = ([cell.strip() for cell in row.split("|")[1:-1]] for row in block.split("\n"))
    return {row[0]: dict(zip(head, row, strict=True)) for row in body}


def test_two_presets_are_trained_once_and_told_in_tables(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    runs, page = tmp_path / "runs", tmp_path / "docs" / "PAGE.md"
    page.parent.mkdir()
    page.write_text("# By hand\n\nBefore.\n")
    compare(data, runs, *SAMPLES, "--page", page)
    results = {name: result(runs, name) for name in ("Toy", "Wide")}
    assert [one["training"]["samples"] for one in results.values()] == [48, 48]
    text = page.read_text()
    assert text.startswith("# By hand\n\nBefore.\n")
    for title, heading, value in (
        ("Masks", "Dice, seeds", lambda one: f"1: {one['mean']['dice']:.4f}"),
        ("Masks", "HD95, pixels", lambda one: f"{one['mean']['hd95_px']:,.1f}"),
        ("Members and doubt", "ECE", lambda one: f"{one['expected_calibration_error']:,.4f}"),
        ("Members and doubt", "members", lambda one: f"{one['mean']['members']:,.0f}"),
        ("Cost", "parameters", lambda one: f"{one['model']['parameters']:,}"),
        ("Cost", "samples", lambda one: f"{one['training']['samples']:,}"),
    ):
        table = cells(text, title)
        assert {name: row[heading] for name, row in table.items()} == {
            name: value(one) for name, one in results.items()
        }
    # The network of one step has no more members than views.
    assert [one["mean"]["members"] for one in results.values()] == [10, 4]
    assert "nca-seg train --data DATA --out DIR --architecture toy" in text
    written = sorted(each.name for each in runs.iterdir())
    assert written == ["Toy-s1", "Wide-s1", "comparison.html", "comparison.png"]

    # Nothing is trained or evaluated again, and the page stays as it is.
    def again(*_: object, **__: object) -> None:
        raise AssertionError("it was done already")

    monkeypatch.setattr("engine.report.comparison.runs.train", again)
    monkeypatch.setattr("engine.report.comparison.results.examine", again)
    compare(data, runs, *SAMPLES, "--page", page)
    assert page.read_text() == text


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_training_goes_on_to_its_planned_end(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, real, begun = tmp_path / "runs", loop.train, []

    def steps(*given: Any, **named: Any) -> Any:
        for step in real(*given, **named):
            begun.append(step.done)
            yield step
            if begun == [1]:
                raise KeyboardInterrupt

    monkeypatch.setattr("engine.report.comparison.runs.train", steps)
    compare(data, runs, *SAMPLES, exit_code=130)
    assert read_plan(runs / "Toy-s1") is not None
    assert not (runs / "Toy-s1" / "result.json").exists()
    compare(data, runs)
    # Without a budget only what was planned is done: the other preset was not.
    assert begun == [1, 2, 3]
    assert result(runs, "Toy")["training"]["steps"] == 3
    assert not (runs / "Wide-s1").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_another_training_is_taken_as_it_is(tmp_path: Path, data: Path) -> None:
    runs = tmp_path / "runs"
    flags = ("--steps", "2", "--batch-size", "2", "--size", "16", "--device", "cpu")
    run("train", "--data", data, "--out", runs / "Toy-s1", "--architecture", "Toy", *flags)
    kept = (runs / "Toy-s1" / "best.safetensors").read_bytes()
    said = compare(data, runs).stderr
    found = result(runs, "Toy")
    assert (found["training"]["samples"], found["training"]["clock"]) == (4, "wall")
    assert found["training"]["seconds"] > 0
    assert found["regime"] == "time"
    assert (runs / "Toy-s1" / "best.safetensors").read_bytes() == kept
    assert "Wide-s1 is not trained" in said
    # Weights of another preset are no result of this one.
    (runs / "Toy-s1").rename(runs / "Wide-s1")
    refused = compare(data, runs, exit_code=4)
    assert "not of the preset" in refused.stderr


def test_equal_pixels_are_cells_times_the_pixels_of_a_cell() -> None:
    fine, coarse = (method(name, 128) for name in ("U-Net-0.4M", "MultiCBAM-ours"))
    assert (fine.spec.size, coarse.spec.size) == (128, 32)
    assert fine.pixels == coarse.pixels == 128
    assert coarse.settings(10, seed=3).size == 32
    with pytest.raises(ValueError, match="multiples of 16"):
        method("MultiCBAM-ours", 136)


def test_the_steps_fill_the_minutes(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr(
        "engine.report.comparison.runs._clock", lambda name: lambda: float(next(ticks))
    )
    # A second a step, and nothing more for the validation.
    chosen = plan(method("Toy"), read_dataset(data), Budget("time", 5), "cpu")
    assert (chosen.steps, chosen.step_s, chosen.clock) == (300, 1.0, "processor")


@pytest.mark.usefixtures("undrawn")
def test_a_run_is_at_its_end_by_its_plan(tmp_path: Path, data: Path) -> None:
    runs = tmp_path / "runs"
    compare(data, runs, *SAMPLES, "--models", "Toy")
    folder, wanted = runs / "Toy-s1", method("Toy")
    found = trained(folder, wanted)
    assert found is not None
    assert found.weights == folder / "best.safetensors"
    assert checkpoint.read_spec(found.weights).size == 16
    given = read_plan(folder)
    assert isinstance(given, Plan)
    longer = json.dumps({**vars(given), "steps": 4})
    (folder / "plan.json").write_text(longer)
    assert trained(folder, wanted) is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--minutes", "1", "--samples", "5"), "two comparisons"),
        (("--seeds", "1,x"), "no list of numbers"),
        (("--models", "nobody"), "is none of"),
        (("--models", "Toy:other"), "is none of"),
        (("--models", "Toy:paper"), "no paper"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    tmp_path: Path, data: Path, flags: tuple[str, ...], said: str
) -> None:
    refused = compare(data, tmp_path / "runs", *flags, exit_code=2)
    assert said in " ".join(refused.stderr.replace("│", " ").split())
