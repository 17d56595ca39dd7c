"""A tiny installed model and how tests run a command on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from engine.checkpoint import save
from engine.cli import app
from engine.device import choose
from engine.library import models_folder
from engine.model import Model
from engine.models import build
from engine.types import ModelSpec

TINY = ModelSpec(
    name="tiny",
    architecture="basic",
    hidden=16,
    channels=8,
    updates=2,
    size=16,
    predicts="clean",
    mask_scale=0.2,
)


def install(spec: ModelSpec) -> Path:
    """The file of an untrained model of that spec, which then is installed."""
    path = models_folder() / f"{spec.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, Model(build(spec), choose("cpu", "float32")))
    return path


def run(*arguments: str | Path, exit_code: int = 0) -> Any:
    """What came of a command that must end with `exit_code`."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    return result
