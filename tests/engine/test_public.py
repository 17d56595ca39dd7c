"""Law: what `engine` gives is typed, is there when it is asked for, and costs nothing before."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

import engine

PROJECT = Path(__file__).parents[2]


def test_every_public_name_is_there() -> None:
    for name in dir(engine):
        assert getattr(engine, name) is not None
    with pytest.raises(AttributeError):
        _ = engine.nothing_of_this_name  # type: ignore[attr-defined]


def test_importing_loads_no_torch() -> None:
    code = (
        "import sys, engine; engine.read_mask, engine.Study, engine.find\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


def test_a_type_checker_imports_what_the_program_loads() -> None:
    tree = ast.parse((PROJECT / "engine" / "__init__.py").read_text("utf-8"))
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("engine.")
        for alias in node.names
    }
    assert typed == {name: f"engine.{module}" for name, module in engine._MODULES.items()}
    assert engine.__all__ == sorted(typed)


def test_a_misspelt_name_and_a_wrong_argument_are_type_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = tmp_path / "caller.py"
    caller.write_text("import engine\nengine.reed_image('a')\nengine.read_image(3)\n")
    monkeypatch.setenv("MYPYPATH", str(PROJECT))
    # Not what the engine imports: to read torch and numpy takes a minute.
    config = tmp_path / "mypy.ini"
    others = ("numpy", "torch", "PIL", "skimage", "scipy", "safetensors", "matplotlib", "rich")
    skipped = [f"[mypy-{name}.*]\nfollow_imports = skip\n" for name in others]
    config.write_text("[mypy]\nfollow_imports = silent\n" + "".join(skipped))
    flags = (f"--config-file={config}", f"--cache-dir={os.devnull}")
    told, problems, _ = api.run([*flags, str(caller)])
    assert not problems
    assert 'has no attribute "reed_image"' in told
    assert 'Argument 1 to "read_image"' in told
