"""Law: the architecture, the set-up and the resources are what the documents say they are."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PROJECT = Path(__file__).parents[1]
SHIPPED = ("engine", "nca_seg_app", "resources")
LINE_BUDGET = 400
SAMPLES = PROJECT / "resources" / "samples"
ICONS = PROJECT / "resources" / "icons"

#: What turns data into code, or reaches the network: no use for either here.
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
FORBIDDEN_IMPORTS = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "joblib",
    "socket",
    "ssl",
    "http",
    "urllib",
    "urllib3",
    "requests",
    "ftplib",
    "smtplib",
    "PySide6.QtNetwork",
}


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, also inside functions."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", _sources(*SHIPPED, "packaging", "tests"), ids=_name)
def test_a_file_has_one_subject(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINE_BUDGET, f"{lines} lines: more than one subject"


@pytest.mark.parametrize("path", _sources(*SHIPPED), ids=_name)
def test_a_module_opens_with_its_law(path: Path) -> None:
    if path.stat().st_size:
        assert ast.get_docstring(_tree(path)), "no docstring"


@pytest.mark.parametrize("path", _sources(*SHIPPED), ids=_name)
def test_nothing_runs_data_or_calls_home(path: Path) -> None:
    parents = {part for name in _imports(path) for part in _prefixes(name)}
    assert not parents & FORBIDDEN_IMPORTS
    for node in ast.walk(_tree(path)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"line {node.lineno}"
        called = ast.unparse(node.func)
        # Both read pickles; models are safetensors.
        assert called not in {"torch.load", "torch.save", "os.system"}, f"line {node.lineno}"
        for keyword in node.keywords:
            assert keyword.arg not in {"shell", "allow_pickle"}, f"line {node.lineno}"


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def test_what_decides_knows_no_widgets() -> None:
    # The session and all that it stands on; import-linter sees PySide6 as one module.
    waiting, seen = ["nca_seg_app.session"], set()
    while waiting:
        module = waiting.pop()
        path = PROJECT / f"{module.replace('.', '/')}.py"
        if module in seen or not path.is_file():
            continue
        seen.add(module)
        names = list(_imports(path))
        waiting += [name for name in names if name.startswith("nca_seg_app.")]
        widgets = [name for name in names if name.startswith(("PySide6.QtWidgets", "pyqtgraph"))]
        assert not widgets, f"{module} imports {widgets}"
    assert {
        "nca_seg_app.session",
        "nca_seg_app.state.document",
        "nca_seg_app.background.jobs",
    } <= seen


def test_every_module_of_the_application_has_a_layer() -> None:
    # One without a layer may import anything: import-linter says nothing about it.
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        contracts = tomllib.load(stream)["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers")
    listed = [name for layer in layers for name in re.split(r"[\s|:]+", layer)]
    found = {
        f"nca_seg_app.{path.stem}"
        for path in (PROJECT / "nca_seg_app").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert sorted(listed) == sorted(found - {"nca_seg_app.__init__"})


def test_import_contracts_hold() -> None:
    pytest.importorskip("importlinter")
    # By this Python, not by its script, which knows where it was installed.
    program = "from importlinter.cli import lint_imports_command as lint; lint()"
    report = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stdout + report.stderr


def test_every_package_is_installed() -> None:
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        listed = tomllib.load(stream)["tool"]["setuptools"]["packages"]
    found = {
        path.parent.relative_to(PROJECT).as_posix().replace("/", ".")
        for path in _sources(*SHIPPED)
        if path.name == "__init__.py"
    }
    assert set(listed) == found


def test_the_window_opens_before_torch_is_loaded() -> None:
    code = (
        "import sys, nca_seg_app.session, engine.types; "
        "sys.exit('torch came along' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# The set-up


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


# The resources


def _pictures() -> list[Path]:
    return sorted(SAMPLES.glob("*.jpg"))


def test_there_are_samples() -> None:
    assert len(_pictures()) >= 4


@pytest.mark.parametrize("path", _pictures(), ids=lambda path: path.stem)
def test_a_sample_is_small_and_has_its_outline(path: Path) -> None:
    assert path.stat().st_size <= 150_000
    mask_path = SAMPLES / "masks" / f"{path.stem}_segmentation.png"
    with Image.open(path) as picture, Image.open(mask_path) as mask:
        assert picture.mode == "RGB"
        assert mask.mode == "L"
        assert mask.size == picture.size
        pixels_hwc, mask_hw = np.asarray(picture), np.asarray(mask)
    assert set(np.unique(mask_hw)) == {0, 255}
    inside = pixels_hwc[mask_hw == 255].mean()
    rim_hw = np.zeros_like(mask_hw)
    rows, columns = np.nonzero(mask_hw)
    rim_hw[rows.min() : rows.max(), columns.min() : columns.max()] = 1
    around = pixels_hwc[(rim_hw == 1) & (mask_hw == 0)].mean()
    assert inside < around - 20, "the lesion should be darker than the skin around it"


def test_the_samples_are_what_the_generator_makes() -> None:
    from resources.samples.generate import RECIPES, make

    # The plainest and the one with most in it; all four would take ten seconds.
    for recipe in (RECIPES[0], RECIPES[-1]):
        picture_hwc, mask_hw = make(recipe)
        with Image.open(SAMPLES / f"{recipe.stem}.jpg") as picture:
            difference = np.abs(np.asarray(picture, dtype=float) - picture_hwc).mean()
        assert difference < 3.0
        with Image.open(SAMPLES / "masks" / f"{recipe.stem}_segmentation.png") as mask:
            assert np.array_equal(np.asarray(mask) > 0, mask_hw)


def _icons() -> list[Path]:
    return sorted(ICONS.glob("*.svg"))


@pytest.mark.parametrize("path", _icons(), ids=lambda path: path.stem)
def test_an_icon_is_of_the_family(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    if path.stem == "app":
        assert root.get("viewBox") == "0 0 64 64"
        return
    assert root.get("viewBox") == "0 0 24 24"
    assert root.get("stroke") == "currentColor"
    assert root.get("stroke-width") == "1.75"
    assert "#" not in path.read_text(encoding="utf-8"), "a colour of its own"


def test_every_icon_that_is_asked_for_is_there() -> None:
    asked = {
        keyword.value.value
        for path in _sources("nca_seg_app")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "icon"
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, str)
    }
    assert asked - {path.stem for path in _icons()} - {""} == set()
