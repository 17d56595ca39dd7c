"""A tiny installed model and how tests run a command on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from typer.testing import CliRunner

from engine.cli import app
from engine.diffusion.model import Model, save
from engine.masks.files import write_mask
from engine.networks.automaton.config import AutomatonConfig
from engine.networks.device import choose
from engine.networks.library import models_folder
from engine.networks.table import build
from engine.types import ModelSpec

TINY = ModelSpec(
    name="tiny",
    architecture="basic",
    config=AutomatonConfig(hidden=16, channels=8, updates=2),
    size=16,
    predicts="clean",
    mask_scale=0.2,
)

#: Flags of a short run of that model.
FAST = ("--model", "tiny", "--steps", "2", "--members", "2", "--device", "cpu")


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


def picture(path: Path, shape: tuple[int, int] = (24, 32), grey: int = 200) -> Path:
    """The file of a picture with a dark rectangle in its middle, which is written."""
    pixels_hwc = np.full((*shape, 3), grey, np.uint8)
    pixels_hwc[shape[0] // 4 : -shape[0] // 4, shape[1] // 4 : -shape[1] // 4] = 40
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels_hwc).save(path)
    return path


def write_dataset(root: Path) -> Path:
    """A data set: four samples to train on, two each to validate and test."""
    lines = ["id,split"]
    (root / "masks").mkdir(parents=True)
    for number, split in enumerate(("train",) * 4 + ("val",) * 2 + ("test",) * 2):
        picture(root / "images" / f"s{number}.png", grey=180 + number)
        mask_hw = np.zeros((24, 32), dtype=np.bool_)
        mask_hw[6:18, 8:24] = True
        write_mask(root / "masks" / f"s{number}_segmentation.png", mask_hw)
        lines.append(f"s{number},{split}")
    (root / "splits.csv").write_text("\n".join(lines) + "\n")
    return root
