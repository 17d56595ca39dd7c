"""Laws of the commands that take, measure and fit a style."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.networks import checkpoint
from engine.types import ModelSpec
from tests.engine.commands import FAST, TINY, install, picture, run, write_dataset

TAUGHT = replace(
    TINY.changed(name="taught", channels=16),
    steerable=True,
    styles={"T1": 0.5, "T3": 0.5},
)
QUICK = ("--model", "taught", "--steps", "2", "--members", "2", "--device", "cpu")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = write_dataset(tmp_path / "data")
    rows = [f"s{n},{tool},1," for n, tool in enumerate(("T1",) * 4 + ("T3", "T2", "T1", ""))]
    rows[-1] = "s7,,0,"
    (root / "styles.csv").write_text("\n".join(["id,tool,masks,agreement", *rows]) + "\n")
    return root


@pytest.fixture(autouse=True)
def _installed() -> None:
    install(TINY)
    install(TAUGHT)


def test_a_result_records_its_style(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png")
    told = run(
        "segment", photo, "--out", tmp_path / "out", *QUICK, "--style", "T3", "--width", "-0.5",
        "--json",
    )  # fmt: skip
    (result,) = json.loads(told.stdout)["results"]
    assert (result["settings"]["style"], result["settings"]["width"]) == ("T3", -0.5)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((*FAST, "--style", "T3"), "tiny was not trained to draw in a style. Choose another model"),
        ((*FAST, "--width", "0.5"), "tiny was not trained to draw tighter or wider"),
        ((*QUICK, "--style", "T2"), "taught was not trained with masks of T2, only of T1, T3"),
    ],
)
def test_a_style_that_the_model_does_not_know_is_refused_by_name(
    tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    photo, out = picture(tmp_path / "a.png"), tmp_path / "out"
    told = run("segment", photo, "--out", out, *flags, exit_code=4)
    assert said in " ".join(told.stderr.split())


@pytest.mark.parametrize("style", ["mixed", "unknown"])
def test_mixed_and_unknown_are_for_every_model(tmp_path: Path, style: str) -> None:
    photo = picture(tmp_path / "a.png")
    run("segment", photo, "--out", tmp_path / "out", *FAST, "--style", style, "--width", "0")


@pytest.mark.parametrize("flag", ["--given-style", "--styles"])
def test_an_evaluation_tells_what_a_given_style_brings(
    tmp_path: Path, dataset: Path, flag: str
) -> None:
    file = tmp_path / "scores.json"
    asked = ("evaluate", "--data", dataset, "--split", "train", *QUICK)
    told = run(*asked, flag, "--json", file)
    assert "Style given" in told.stdout
    given = json.loads(file.read_text())["given_style"]
    assert given["whole"]["images"] == given["tools"]["T1"]["images"] == 4
    assert list(given["tools"]) == ["T1"]
    assert (given["whole"]["best"] is None) == (flag == "--given-style")
    if flag == "--styles":
        assert given["whole"]["best"] >= given["whole"]["given"]
    run(*asked, "--json", file)
    assert json.loads(file.read_text())["given_style"] is None


def test_images_of_tools_that_the_model_or_data_do_not_know_are_left_out(
    tmp_path: Path, dataset: Path
) -> None:
    file = tmp_path / "scores.json"
    run("evaluate", "--data", dataset, "--split", "val", *QUICK, "--styles", "--json", file)
    content = json.loads(file.read_text())
    assert content["scored"] == 2
    assert {tool: found["images"] for tool, found in content["given_style"]["tools"].items()} == {
        "T3": 1
    }


def test_styles_are_not_measured_where_there_are_none(dataset: Path) -> None:
    asked = ("evaluate", "--data", dataset, "--split", "train", "--given-style")
    told = run(*asked, *FAST, exit_code=4)
    assert "tiny was not trained to draw in a style. Choose another model." in told.stderr
    (dataset / "styles.csv").unlink()
    told = run(*asked, *QUICK, exit_code=4)
    assert "No styles.csv" in told.stderr


def test_a_style_is_fitted_to_masks(dataset: Path) -> None:
    told = run("fit-style", "--data", dataset, "--model", "taught", "--device", "cpu", "--json")
    content = json.loads(told.stdout)
    assert content["format"] == "nca-seg/style-fit"
    assert content["images"] == 8
    assert content["style"] in ("mixed", "T1", "T3")
    assert -1 <= content["width"] <= 1
    assert content["likelihood"] >= content["likelihood_before"]
    told = run("fit-style", "--data", dataset, "--model", "taught", "--limit", "2")
    assert told.stdout.startswith("--style mixed --width 0\n")
    assert "from 3 masks on" in told.stderr
    told = run("fit-style", "--data", dataset, "--model", "tiny", exit_code=4)
    assert "tiny was not trained to draw in a style. Choose another model." in told.stderr


def trained(dataset: Path, out: Path, *flags: str) -> tuple[ModelSpec, str]:
    few = ("--hidden", "8", "--updates", "1", "--size", "16", "--steps", "1", "--batch-size", "2")
    told = run("train", "--data", dataset, "--out", out, *few, "--device", "cpu", *flags)
    return checkpoint.read_spec(out / "last.safetensors"), told.stderr


def test_channels_that_leave_no_room_make_a_model_without_styles(
    tmp_path: Path, dataset: Path
) -> None:
    spec, said = trained(dataset, tmp_path / "narrow", "--channels", "8")
    assert not spec.steerable
    assert "its channels leave no room" in said
    spec, said = trained(dataset, tmp_path / "asked", "--channels", "16", "--no-steerable")
    assert not spec.steerable
    assert "no room" not in said
    few = ("--channels", "8", "--steerable", "--steps", "1")
    told = run("train", "--data", dataset, "--out", tmp_path / "c", *few, exit_code=2)
    assert "cannot be" in told.stderr
