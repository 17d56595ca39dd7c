"""Law: a pack is what every command can read, and says what it holds and what it left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.study import packing
from tests.engine.commands import FAST, TINY, install, run, write_dataset


def test_every_command_reads_a_pack(tmp_path: Path) -> None:
    data, out = write_dataset(tmp_path / "data"), tmp_path / "pack"
    result = run("pack", data, "--out", out, "--short-side", "16")
    assert result.stdout.startswith(f"{out}  8 images  ")
    assert result.stderr == ""
    tiny = install(TINY)
    short = ("--size", "16", "--batch-size", "2", "--steps", "1", "--device", "cpu")
    run("train", "--data", out, "--out", tmp_path / "run", "--from", tiny, *short)
    assert (
        "Images             2 of 2"
        in run("evaluate", "--data", out, "--split", "val", *FAST).stdout
    )
    run("pack", out, "--out", tmp_path / "again")


def test_what_is_left_out_is_said_in_one_line(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    lines = (data / "splits.csv").read_text().splitlines()
    (data / "splits.csv").write_text(
        "\n".join([f"{lines[0]},lesion_id", *(f"{line},one" for line in lines[1:])]) + "\n"
    )
    result = run("pack", data, "--out", tmp_path / "pack")
    assert result.stdout.startswith(f"{tmp_path / 'pack'}  2 images  ")
    sentence = "6 images are left out (4 of train, 2 of val), for their lesions are in another"
    assert sentence in " ".join(result.stderr.split())


@pytest.mark.parametrize("problem", ["too large", "there already", "one id twice"])
def test_no_pack_is_left_half_made(problem: str, tmp_path: Path) -> None:
    data, out = write_dataset(tmp_path / "data"), tmp_path / "pack"
    given: list[str | Path] = [data, "--out", out]
    if problem == "too large":
        given += ["--most-mb", "0.001"]
    elif problem == "there already":
        out.write_text("something else")
    else:
        given.append(data)
    before = sorted(tmp_path.iterdir())
    result = run("pack", *given, exit_code=4)
    assert result.stderr.startswith("nca-seg: ")
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupted_pack_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_dataset(tmp_path / "data")
    before = sorted(tmp_path.iterdir())
    real, seen = packing.read_image, []

    def read_image(path: Path) -> object:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(packing, "read_image", read_image)
    result = run("pack", data, "--out", tmp_path / "pack", exit_code=130)
    assert "nothing is left of the pack" in result.stderr
    assert sorted(tmp_path.iterdir()) == before
