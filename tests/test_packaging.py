"""The set-up is what pyproject.toml and the Makefile say it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.sources import PROJECT, SHIPPED, script, sources


def test_every_package_is_installed() -> None:
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        listed = tomllib.load(stream)["tool"]["setuptools"]["packages"]
    found = {each.module for each in sources(*SHIPPED) if each.path.name == "__init__.py"}
    assert sorted(listed) == sorted(found)


def _without_python(folder: Path) -> dict[str, str]:
    """Environment in which the usual tools are found, but no Python, and no apt or sudo."""
    tools = folder / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "uname", "id", "cat", "cmp", "rm", "sed", "sort", "tr"):
        place = shutil.which(name)
        assert place, name
        (tools / name).symlink_to(place)
    return {"PATH": str(tools), "HOME": str(folder)}


@pytest.mark.skipif(os.name == "nt", reason="the set-up script is for POSIX systems")
@pytest.mark.parametrize("version", ["none", "too old"])
def test_set_up_without_a_python_says_what_to_type(tmp_path: Path, version: str) -> None:
    environment = _without_python(tmp_path)
    (tmp_path / "packaging").mkdir()
    shutil.copy(PROJECT / "packaging" / "setup.sh", tmp_path / "packaging")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    if version == "too old":
        old = tmp_path / "bin" / "python3"
        old.write_text("#!/bin/bash\nexit 1\n")
        old.chmod(0o755)
    done = subprocess.run(
        ["bash", "packaging/setup.sh", "run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "sudo apt install python3 python3-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_long_files_are_listed_with_their_subject(tmp_path: Path) -> None:
    (tmp_path / "engine" / "inner").mkdir(parents=True)
    for name, lines in (("short", 400), ("long", 401), ("inner/longer", 500)):
        text = '"""What it is about.\n\nMore.\n"""\n' + "x = 1\n" * (lines - 4)
        (tmp_path / "engine" / f"{name}.py").write_text(text)
    assert list(script("long_files").long_files(tmp_path)) == [
        (500, "engine/inner/longer.py", "What it is about."),
        (401, "engine/long.py", "What it is about."),
    ]
