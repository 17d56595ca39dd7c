"""Law: nca-seg report writes a whole page, or says before the work why it cannot."""

from __future__ import annotations

import errno
import json
import shlex
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from engine.networks.automaton.config import AutomatonConfig
from engine.report.sweep import Sweep
from engine.types import ModelSpec
from tests.engine.commands import install, run
from tests.samples import drawn_dataset

TINY = ModelSpec(
    name="tiny", architecture="basic", config=AutomatonConfig(hidden=16, channels=8, updates=1),
    size=16, predicts="clean", mask_scale=0.2, timesteps=2,
)  # fmt: skip
FAST = ("--steps", "2", "--members", "2", "--device", "cpu", "--sweep-images", "1")


@pytest.fixture
def tiny(own_folders: Path) -> Path:
    """A tiny untrained model, installed."""
    return install(TINY)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages with empty pictures: most of the time goes into them, and little depends on them."""
    figure = pytest.importorskip("matplotlib.figure").Figure

    def save(_: object, stream: IO[Any], *, format: str, **__: object) -> None:  # noqa: A002
        stream.write("<svg/>" if format == "svg" else b"")

    monkeypatch.setattr(figure, "savefig", save)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two samples to validate and six to test, as a folder."""
    root = drawn_dataset(tmp_path).root
    table = root / "splits.csv"
    table.write_text(table.read_text().replace("train", "test"))
    return root


def test_the_command_writes_page_and_numbers(tmp_path: Path, folder: Path, tiny: Path) -> None:
    out = tmp_path / "new" / "report"
    arguments = ("report", folder, "--out", out, "--model", "tiny", "--also", tiny, *FAST)
    result = run(*arguments, "--limit", "2")
    written = ["masks.png", "report.html", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == written
    ElementTree.fromstring((out / "report.html").read_text(encoding="utf-8"))
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == ("nca-seg/report", 1)
    assert content["done"] == content["total"] == 2 + 2 + 2 + 3
    assert str(out / "report.html") in result.stdout
    assert f"{content['test']['mean']['dice']:.3f}" in result.stdout
    (basic,) = [row for row in content["paper"] if row["measured"]]
    assert basic["published"]["name"] == "MedSegDiffNCA"
    assert [one["model"]["name"] for one in basic["measured"]] == ["tiny", str(tiny)]
    # The command beside a cell gives the cell.
    for one in basic["measured"]:
        again = tmp_path / "again.json"
        run(*shlex.split(one["measured_by"])[1:], "--device", "cpu", "--json", again)
        assert json.loads(again.read_text())["mean"]["dice"] == one["mean"]["dice"]


def test_without_matplotlib_it_says_so_before_the_work(
    tmp_path: Path, folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    arguments = ("report", folder, "--out", tmp_path / "out", "--model", "tiny", *FAST)
    assert "pip install 'nca-seg[report]'" in run(*arguments, exit_code=4).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
def test_an_interrupt_keeps_what_was_measured(
    tmp_path: Path, folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.report import measuring as module

    def interrupted(*_: Any) -> Iterator[Sweep]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(module, "sweep", interrupted)
    out = tmp_path / "out"
    arguments = ("report", folder, "--out", out, "--model", "tiny", *FAST)
    result = run(*arguments, exit_code=130)
    assert "8 of 11" in result.stderr
    assert "unfinished" in (out / "report.html").read_text(encoding="utf-8")
    assert len(json.loads((out / "report.json").read_text())["test"]["images"]) == 6


@pytest.mark.usefixtures("undrawn")
def test_what_is_known_is_written_as_it_goes(
    tmp_path: Path, folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.cli import report
    from engine.report import measuring as module

    out = tmp_path / "out"
    seen: list[int] = []

    def spied(*_: Any) -> Iterator[Sweep]:
        seen.append(json.loads((out / "report.json").read_text())["done"])
        return
        yield

    monkeypatch.setattr(module, "sweep", spied)
    monkeypatch.setattr(report, "SECONDS_BETWEEN_PAGES", 0.0)
    run("report", folder, "--out", out, "--model", "tiny", *FAST, "--limit", "1")
    assert seen == [2]


@pytest.mark.usefixtures("undrawn")
def test_a_page_that_cannot_be_written_meanwhile_stops_nothing(
    tmp_path: Path, folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.cli import report

    kept, tries = report.write_atomic, []

    def full_at_first(path: Path, content: Any) -> None:
        tries.append(path)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        kept(path, content)

    monkeypatch.setattr(report, "write_atomic", full_at_first)
    monkeypatch.setattr(report, "SECONDS_BETWEEN_PAGES", 0.0)
    out = tmp_path / "out"
    arguments = ("--model", "tiny", *FAST, "--sweep-images", "0", "--limit", "1")
    result = run("report", folder, "--out", out, *arguments)
    assert "No space left on device" in result.stderr
    content = json.loads((out / "report.json").read_text())
    assert content["done"] == content["total"] == 2


@pytest.mark.usefixtures("undrawn")
def test_a_fault_of_any_kind_keeps_what_was_measured(
    tmp_path: Path, folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.report import measuring as module

    def faulty(*_: Any) -> Iterator[Sweep]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(module, "sweep", faulty)
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError):
        run("report", folder, "--out", out, "--model", "tiny", *FAST, "--limit", "1")
    assert json.loads((out / "report.json").read_text())["done"] == 2


@pytest.mark.usefixtures("undrawn")
def test_runs_are_shown_side_by_side(tmp_path: Path, folder: Path, tiny: Path) -> None:
    asked = ("train", "--data", folder, "--steps", "1", "--size", "8", "--batch-size", "2")
    table = folder / "splits.csv"
    whole = table.read_text()
    table.write_text(whole.replace("test", "train"))
    for name, flags in (("a", ()), ("b", ()), ("c", ("--schedule", "linear", "--ema", "0.5"))):
        run(*asked, "--from", "tiny", "--out", tmp_path / "runs" / name, *flags)
    table.write_text(whole)
    out = tmp_path / "out"
    arguments = ("report", folder, "--out", out, "--model", "tiny", *FAST, "--limit", "1")
    run(*arguments, "--recipes", tmp_path / "runs")
    recipes = {one["name"]: one for one in json.loads((out / "report.json").read_text())["recipes"]}
    parent = {"parent": recipes["a"]["settings"]["parent"]}
    assert recipes["a"]["changed"] == recipes["b"]["changed"] == parent
    assert recipes["c"]["changed"] == {**parent, "ema": 0.5, "schedule": "linear"}
    assert {one["samples_seen"] for one in recipes.values()} == {2}
    assert all(0 <= one["val_dice"] <= 1 for one in recipes.values())
    assert "--schedule linear" in recipes["c"]["trained_by"]
    assert "schedule linear" in (out / "report.html").read_text(encoding="utf-8")
    (tmp_path / "empty").mkdir()
    refused = run(*arguments, "--recipes", tmp_path / "empty", exit_code=4)
    assert "none of its folders" in refused.stderr


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_mask_keeps_what_came_before_it(tmp_path: Path, folder: Path, tiny: Path) -> None:
    (folder / "masks" / "drawn_2_segmentation.png").write_bytes(b"damaged")
    out = tmp_path / "out"
    arguments = ("report", folder, "--out", out, "--model", "tiny", *FAST)
    result = run(*arguments, exit_code=3)
    assert "drawn_2_segmentation.png" in result.stderr
    assert len(json.loads((out / "report.json").read_text())["test"]["images"]) == 2


def test_nothing_to_measure_is_exit_code_4(tmp_path: Path, folder: Path, tiny: Path) -> None:
    table = folder / "splits.csv"
    table.write_text(table.read_text().replace("test", "train").replace("val", "train"))
    arguments = ("report", folder, "--out", tmp_path / "out", "--model", "tiny", *FAST)
    assert "neither" in run(*arguments, exit_code=4).stderr
    assert "Example" in run("report", "--help").stdout
    assert run("report", "--help").stdout.isascii()
