"""Sizes and switches: what a description may say, what the parts weigh, and the flags."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from engine.cli.options import command
from engine.networks import checkpoint
from engine.networks.medsegdiff.architectures import FAMILY, cost
from engine.networks.medsegdiff.config import MedSegDiffConfig, MedSegDiffV2Config, UNetConfig
from engine.networks.table import build, parameter_count, preset
from engine.types import TrainSettings
from tests.engine.networks.medsegdiff.tiny import tiny

#: Table 4 of the paper, row by row, as flags: the bare network, SA, U-SA, the SS-Former without and
#: with its filters.
TABLE_4 = {
    "bare": ["--anchor", "none", "--no-transformer", "--sees", "both"],
    "SA": ["--anchor", "sa", "--no-transformer"],
    "U-SA": ["--anchor", "u-sa", "--no-transformer"],
    "SS-Former": ["--anchor", "u-sa", "--transformer", "--no-filters"],
    "NBP-Filter": ["--anchor", "u-sa", "--transformer", "--filters"],
}


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("MedSegDiff-V2", 46),
        ("MedSegDiff-V2-ours", 46),
        ("MedSegDiff-V2-small", 8.23),
        ("MedSegDiff", 25),
        ("SegDiff", 23),
        ("EnsemDiff", 23),
    ],
)
def test_a_preset_has_the_published_number_of_parameters(name: str, millions: float) -> None:
    assert parameter_count(preset(name)) / 1e6 == pytest.approx(millions, rel=0.02)


def test_the_parts_weigh_what_was_counted() -> None:
    with torch.device("meta"):
        parts = dict(build(preset("MedSegDiff-V2")).named_children())
    counted = {
        name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()
    }
    assert counted["time"] == 157_440
    assert counted["stem"] + counted["encoder"] + counted["middle"] == 9_024_256
    assert counted["decoder"] + counted["head"] == 13_926_913
    filters = sum(weight.numel() for weight in parts["former"].filters.parameters())  # type: ignore[union-attr,operator]
    assert filters == 406_408
    assert counted["former"] - filters == 7_561_984


def test_the_cost_is_that_of_the_convolutions() -> None:
    # Half of the operations that were counted at 256 pixels, 137 and 24.9 GFLOP.
    assert cost(preset("MedSegDiff-V2")).multiplications == pytest.approx(68.5e9, rel=0.3)
    assert cost(preset("MedSegDiff-V2-small").changed(size=256)).multiplications == pytest.approx(
        12.5e9, rel=0.3
    )
    assert all(cost(spec).memory_bytes > 1 << 20 for each in FAMILY for spec in each.presets)


@pytest.mark.parametrize("architecture", ["medsegdiff-v2", "medsegdiff", "segdiff", "ensemdiff"])
def test_a_file_gives_back_the_config(tmp_path: Path, architecture: str) -> None:
    spec, path = tiny(architecture), tmp_path / "model.safetensors"
    checkpoint.write(path, {"weight": np.zeros(1, np.float32)}, spec)
    found = checkpoint.read_spec(path)
    assert found == spec
    assert isinstance(found.config, UNetConfig)
    assert found.config.multipliers == (1, 2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multipliers": (1,)}, "not 2 to 6 whole numbers"),
        ({"multipliers": (1,) * 7}, "not 2 to 6 whole numbers"),
        ({"multipliers": (1, 2, True)}, "not 2 to 6 whole numbers"),
        ({"multipliers": "12"}, "not 2 to 6 whole numbers"),
        ({"multipliers": (1, 2, 17)}, "not all of 1 to 16"),
        ({"multipliers": (0, 2)}, "not all of 1 to 16"),
        ({"base": 6}, "not a multiple of 4"),
        ({"base": 1024}, "outside 4 to 256"),
        ({"tokens": 18}, "not a multiple of 4"),
        ({"condition_base": 30}, "not a multiple of 4"),
        ({"condition_multipliers": (1, 2)}, "differ in their number"),
        ({"anchor": "usa"}, "must be one of none, sa, u-sa"),
        ({"filters": 1}, "not true or false"),
        ({"anchor": "none", "transformer": False}, "sees must be both"),
    ],
)
def test_no_description_asks_for_what_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MedSegDiffV2Config(**changes)


def test_a_spectrum_has_a_side_for_every_level() -> None:
    with pytest.raises(ValueError, match="not a multiple of 64"):
        MedSegDiffConfig(spectrum=100)


def test_the_widest_description_is_counted_without_its_memory() -> None:
    widest = {field.name: field.metadata["high"] for field in fields(MedSegDiffV2Config)}
    sizes = {name: high for name, high in widest.items() if high is not None}
    levels = {"multipliers": (16,) * 6, "condition_multipliers": (16,) * 6}
    assert parameter_count(preset("medsegdiff-v2").changed(**sizes, **levels)) > 1e9


@pytest.mark.parametrize("row", TABLE_4)
def test_each_row_of_table_4_is_a_choice_of_flags(row: str) -> None:
    chosen: dict[str, Any] = {}
    program = typer.Typer()

    def body(config: dict[str, Any], settings: TrainSettings) -> None:
        chosen.update(config)

    program.command()(command(TrainSettings(), configs=True)(body))
    result = CliRunner().invoke(program, TABLE_4[row])
    assert result.exit_code == 0, result.output
    with torch.device("meta"):
        network = build(tiny(**chosen))
    names = {name for name, _ in network.named_parameters()}

    def has(part: str) -> bool:
        return any(part in name for name in names)

    order = list(TABLE_4).index(row)
    assert has("look.decoder") == has("look.head") == has("look.gate.weigh") == (order >= 1)
    assert has("look.gate.blur") == (order >= 2)
    assert has("former.blocks") == (order >= 3)
    assert has("former.filters") == (order >= 4)
    assert has("look.") == (row != "bare")
    assert network.state_dict()["stem.weight"].shape[1] == (4 if row == "bare" else 1)


def test_a_flag_takes_its_choices_alone() -> None:
    program = typer.Typer(rich_markup_mode=None)

    def body(config: dict[str, Any], settings: TrainSettings) -> None:
        assert not config

    program.command()(command(TrainSettings(), configs=True)(body))
    assert CliRunner().invoke(program, []).exit_code == 0
    refused = CliRunner().invoke(program, ["--anchor", "boat"])
    assert refused.exit_code == 2
    assert "'none', 'sa', 'u-sa'" in refused.output
    shown = " ".join(CliRunner().invoke(program, ["--help"]).output.split())
    assert "[default: --transformer, or as --from]" in shown
    assert "[default: u-sa, or as --from]" in shown
