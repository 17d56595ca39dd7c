"""Law: who installs the program gets all of it, may use it, and needs nothing undeclared."""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import re
import subprocess
import sys
import tomllib
from importlib import resources
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from engine.networks import library
from tests.sources import PROJECT, SHIPPED, script

#: Of the licence's text as the Apache Software Foundation publishes it.
APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def declared() -> dict[str, Any]:
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        content: dict[str, Any] = tomllib.load(stream)["project"]
    return content


def key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {key(re.split(r"[^\w.-]", each)[0]) for each in requirements}


# The licence


def test_the_licence_is_apaches_word_for_word() -> None:
    text = (PROJECT / "LICENSE").read_text(encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == APACHE_2_SHA256
    project = declared()
    assert project["license"] == "Apache-2.0"
    assert project["authors"] == [{"name": "nca-seg contributors"}]
    for file in project["license-files"]:
        assert (PROJECT / file).stat().st_size
    assert "LICENSE" in project["license-files"]
    # One in the classifiers as well makes setuptools refuse.
    assert not [each for each in project["classifiers"] if each.startswith("License ::")]


@pytest.mark.parametrize("file", ["README.md", "resources/MODEL_CARD.md"])
def test_the_licence_is_told_where_one_looks(file: str) -> None:
    text = (PROJECT / file).read_text(encoding="utf-8")
    assert re.search(r"Apache.License.2\.0|Apache-2\.0", text)
    assert "CC0" in text


def test_the_notices_name_every_package_that_is_needed() -> None:
    text = (PROJECT / "docs" / "THIRD_PARTY.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w.-]+) \| (.+) \|$", text, re.M))
    project = declared()
    needed = names(project["dependencies"] + project["optional-dependencies"]["report"])
    assert needed <= {key(name) for name in rows}
    assert not [name for name, licence in rows.items() if licence.strip() in ("", "not said")]
    assert "LGPL" in rows["PySide6_Essentials"]
    assert "LGPL" in text.split("## What the program needs")[0]


def test_the_notices_are_made_from_the_metadata() -> None:
    page = script("notices").page()
    assert "| numpy | BSD-3-Clause" in page
    assert page.startswith("# What nca-seg stands on\n")


# What is needed

#: Those that a person may install beside the program; `dev` is for its makers.
EXTRAS = ("report", "baselines", "onnx")


def imported(folder: str) -> set[str]:
    """The packages, not of Python itself or of the program, that a folder's files import."""
    found = set()
    for path in (PROJECT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - set(SHIPPED)


@pytest.mark.parametrize("folder", SHIPPED)
def test_what_is_imported_is_declared(folder: str) -> None:
    project = declared()
    extras = project["optional-dependencies"]
    optional = [each for name in EXTRAS for each in extras[name]] if folder == "engine" else []
    known = names(project["dependencies"] + optional)
    owners = packages_distributions()
    for package in imported(folder):
        assert {key(owner) for owner in owners[package]} & known, f"{package} is not declared"


def test_what_is_declared_is_imported() -> None:
    project = declared()
    owners = packages_distributions()
    used = {
        key(owner)
        for folder in SHIPPED
        for package in imported(folder)
        for owner in owners[package]
    }
    assert names(project["dependencies"] + project["optional-dependencies"]["report"]) <= used


def test_every_lower_bound_can_be_installed_by_itself() -> None:
    lowest = script("lowest")
    assert lowest.pinned(["numpy>=1.26", "PySide6-Essentials>=6.7,<6.12"]) == [
        "numpy==1.26",
        "PySide6-Essentials==6.7",
    ]
    assert lowest.pinned(["torch>=2.9,<2.14"]) == ["torch>=2.9,<2.14"]
    with pytest.raises(ValueError, match="pillow has no lower bound"):
        lowest.pinned(["pillow"])
    pins = lowest.lowest()
    project = declared()
    assert names(project["dependencies"]) <= names(pins)
    assert {"pytest", "pytest-qt"} <= names(pins)
    assert [test for test in lowest.TESTS if not (PROJECT / test).is_file()] == []


def test_the_command_line_is_of_a_typer_that_brings_its_own_click() -> None:
    (typer,) = [each for each in declared()["dependencies"] if each.startswith("typer")]
    assert tuple(map(int, re.findall(r"\d+", typer))) >= (0, 26)


# What is installed


def test_every_file_of_the_packages_is_in_the_wheel() -> None:
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        patterns = tomllib.load(stream)["tool"]["setuptools"]["package-data"]["resources"]
    folder = PROJECT / "resources"
    kept = subprocess.run(
        ["git", "ls-files", "--", "resources"], cwd=PROJECT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if kept.returncode:
        pytest.skip("needs the repository")
    for line in kept.stdout.splitlines():
        file = (PROJECT / line).relative_to(folder).as_posix()
        # Modules are installed as such; the generator of the samples goes with them.
        found = [each for each in patterns if fnmatch.fnmatchcase(file, each)]
        assert found or file.endswith(".py"), f"{file} is not installed"


def test_the_model_is_found_as_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    # As bundlers know it: a package with files, wherever that is.
    assert (PROJECT / "resources" / "__init__.py").is_file()
    place = Path(str(resources.files("resources")))
    assert library.find().path.parent == place
    elsewhere = PROJECT / "tests"
    monkeypatch.setattr(library.resources, "files", lambda _: elsewhere)
    assert library.installed() == ()


# How it is started

SHADOWS = ("engine/__init__.py", "resources/__init__.py", "numpy.py", "platformdirs.py", "PIL.py")


@pytest.mark.parametrize(
    "arguments", [("nca_seg_app", "--help"), ("engine", "--version")], ids=lambda given: given[0]
)
def test_files_of_the_working_folder_are_not_taken_for_the_program(
    arguments: tuple[str, str], tmp_path: Path
) -> None:
    for name in SHADOWS:
        # Python itself takes a whole package of that name for the one that was meant.
        if not name.startswith(arguments[0]):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("raise SystemExit('not this one')\n")
    (tmp_path / arguments[0]).mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT), "PATH": "", "NCA_SEG_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nca-seg" in done.stdout
    assert done.stderr == ""


def test_the_commands_of_pip_are_the_way_to_start_it() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    install = text[text.index("On Windows and macOS") :].split("```")[1]
    assert "nca-seg-app" in install.splitlines()
    assert "python -m nca_seg_app" not in install
    assert declared()["gui-scripts"]["nca-seg-app"] == "nca_seg_app.__main__:main"
    assert declared()["scripts"]["nca-seg"] == "engine.cli:main"
