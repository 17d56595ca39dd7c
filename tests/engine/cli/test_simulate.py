"""Laws of nca-seg simulate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from engine.evaluation.simulated_person import ARMS
from tests.engine.commands import TINY, install, run, write_dataset

QUICK = ("--steps", "1", "--members", "1", "--strokes", "2", "--device", "cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    install(TINY)
    return write_dataset(tmp_path / "data")


def test_it_prints_the_table_and_writes_figures_and_plot(tmp_path: Path, data: Path) -> None:
    figures, plot = tmp_path / "a" / "strokes.json", tmp_path / "b" / "strokes.png"
    told = run(
        "simulate", "--data", data, "--split", "train", "--limit", "2", "--model", TINY.name,
        *QUICK, "--json", figures, "--plot", plot,
    )  # fmt: skip
    assert "All images: 2" in told.stdout
    for name in ("paint", "held"):
        assert ARMS[name].label in told.stdout
    written = json.loads(figures.read_text("utf-8"))
    assert written["format"] == "nca-seg/simulation"
    assert set(written["all"]) == {"paint", "held"}
    assert written["all"]["paint"]["images"] == len(written["images"]) == 2
    assert len(written["all"]["paint"]["dice"]) == 3
    with PillowImage.open(plot) as drawn:
        assert drawn.format == "PNG"


def test_a_split_that_is_not_there_is_refused(data: Path) -> None:
    (data / "splits.csv").write_text("id,split\n" + "".join(f"s{n},train\n" for n in range(8)))
    told = run("simulate", "--data", data, "--split", "test", *QUICK, exit_code=4)
    assert "no split 'test'" in told.stderr
