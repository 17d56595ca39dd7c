"""Law: each exporter of the table has its flag, and writes its file with its last step."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engine.cli.options import command
from engine.study.exporters import EXPORTERS, Exporter
from engine.study.study import Study
from tests.engine.commands import picture, run
from tests.oracles import disk
from tests.samples import drawn_dataset


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda exporter: exporter.name)
def test_an_exporter_writes_its_file(exporter: Exporter, tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path, count=3)
    steps = list(exporter.write(dataset))
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert (dataset.root / exporter.file).stat().st_size


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda exporter: exporter.name)
def test_an_exporter_has_its_flag(exporter: Exporter, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    path = picture(folder / "a.png", (24, 24))
    Study.open(folder).save(path, disk(24, 0.3), None)
    run("export", folder, "--out", tmp_path / "without")
    assert not (tmp_path / "without" / exporter.file).exists()
    run("export", folder, "--out", tmp_path / "with", f"--{exporter.name}")
    assert (tmp_path / "with" / exporter.file).exists()


def test_a_command_is_told_which_switches_were_given() -> None:
    seen: list[frozenset[str]] = []

    @command(switches={"coco": "One form.", "rle_text": "Another one."})
    def body(chosen: frozenset[str]) -> None:
        seen.append(chosen)

    app = typer.Typer()
    app.command()(body)
    for arguments in ([], ["--rle-text"], ["--coco", "--rle-text"]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert seen == [frozenset(), {"rle_text"}, {"coco", "rle_text"}]
