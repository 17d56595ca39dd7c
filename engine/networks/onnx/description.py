"""Reads an ONNX file and the JSON file beside it, which says how the network takes pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnreadableModel
from engine.files import read_regular
from engine.framing import GRID_MINIMUM, GRID_MULTIPLE
from engine.networks.onnx.config import OnnxConfig, config_of
from engine.networks.onnx.protobuf import parameter_count
from engine.networks.onnx.runner import Runner, opened, picture_input
from engine.networks.tensor_file import without_repeats
from engine.types import ModelSpec

SUFFIX = ".onnx"
FORMAT, VERSION = "nca-seg/onnx", 1
#: The longest files that are read, in bytes: of the network, and of its description.
MOST_BYTES, MOST_DESCRIBED = 500 << 20, 1 << 16
#: The keys that a description must have, and those that it may have.
NEEDED = ("format", "version", "scale", "mean", "std", "output")
POSSIBLE = ("size", "multiple", "layout", "channel", "output_name")
#: What a description looks like, for errors.
EXAMPLE = (
    '{"format": "nca-seg/onnx", "version": 1, "size": 256, "scale": "0..1", '
    '"mean": [0, 0, 0], "std": [1, 1, 1], "output": "logit"}'
)
#: The image that a network is tried with, (rows, columns): wide, since images mostly are.
TRIED = (3, 4)


def read(path: Path) -> tuple[ModelSpec, dict[str, NDArray[Any]]]:
    """The spec and the content of a model from an ONNX file and the JSON of its name beside it.

    The network is tried with one grey image. Loads no torch.

    Raises
    ------
    UnreadableModel : naming the one of the two files that cannot be used, and why.
    MissingExtra : where onnxruntime is not installed.
    """
    beside = path.with_suffix(".json")
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UnreadableModel(path, error.strerror or str(error)) from error
    described = _described(beside)
    name = path.stem.encode("utf-8", "replace").decode()
    try:
        runtime = opened(content, name)
        shape = picture_input(runtime)[0].shape
        facts = {"file_bytes": len(content), "parameters": parameter_count(content)}
        try:
            spec = _spec(name, described, shape, facts)
        except ValueError as error:
            raise UnreadableModel(beside, str(error)) from error
        _try(Runner(runtime, config_of(spec)), spec)
    except ValueError as error:
        raise UnreadableModel(path, str(error)) from error
    return spec, {"content": np.frombuffer(content, dtype=np.uint8)}


def _described(path: Path) -> dict[str, Any]:
    """The values in a description, its format, version and keys checked. Raises UnreadableModel."""
    try:
        values = json.loads(read_regular(path, MOST_DESCRIBED), object_pairs_hook=without_repeats)
    except FileNotFoundError as error:
        raise UnreadableModel(path, f"it is not there; it should say {EXAMPLE}") from error
    except OSError as error:
        raise UnreadableModel(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(path, f"it is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise UnreadableModel(path, f"it should say {EXAMPLE}")
    lacking = [key for key in NEEDED if key not in values]
    if lacking:
        raise UnreadableModel(path, f"it lacks {', '.join(lacking)}; as {EXAMPLE}")
    if values["format"] != FORMAT:
        raise UnreadableModel(path, f"its format is not {FORMAT!r}")
    if type(values["version"]) is not int or values["version"] != VERSION:
        raise UnreadableModel(path, f"its version is not {VERSION}, the one that is read")
    unknown = values.keys() - {*NEEDED, *POSSIBLE}
    if unknown:
        known = ", ".join((*NEEDED, *POSSIBLE))
        raise UnreadableModel(path, f"{min(unknown)!r} is none of its keys: {known}")
    return values


def _spec(
    name: str, described: Mapping[str, Any], shape: Sequence[Any], facts: Mapping[str, Any]
) -> ModelSpec:
    """The spec of a network.

    Parameters
    ----------
    name : the model's.
    described : the values in its description.
    shape : that of its input; a number for each side that is fixed.
    facts : what the config says of the file itself.

    Raises
    ------
    ValueError : for a value that no network has, or a size that neither file says.
    """
    last = shape[3] == 3 and shape[1] != 3
    layout = described.get("layout", "nhwc" if last else "nchw")
    place = shape[1:3] if layout == "nhwc" else shape[2:]
    fixed = all(isinstance(side, int) and side > 0 for side in place)
    rows, columns, area = _size(described.get("size", list(place) if fixed else None))
    chosen = {
        key: described[key]
        for key in ("scale", "mean", "std", "output", "multiple", "channel", "output_name")
        if key in described
    }
    config = OnnxConfig(rows=rows, columns=columns, layout=layout, **chosen, **facts)
    square = area == rows == columns
    return ModelSpec(
        name,
        "onnx",
        config,
        predicts="clean",
        timesteps=1,
        size=area,
        framing="square" if square else "proportional",
    )


def _size(value: Any) -> tuple[int, int, int]:
    """Rows and columns of the only size that is taken, 0 for any, and the size of the grid.

    Raises ValueError for a value of "size" that is none.
    """
    if value is None:
        raise ValueError('it lacks "size", as 256 or [256, 256], for the network takes any')
    if type(value) is int:
        return 0, 0, value
    sides = value if isinstance(value, list) else []
    if len(sides) != 2 or not all(type(side) is int and side >= GRID_MINIMUM for side in sides):
        raise ValueError(f'"size" is {value!r}, not a whole number or two: [rows, columns]')
    rows, columns = sides
    area = GRID_MULTIPLE * round(math.sqrt(rows * columns) / GRID_MULTIPLE)
    return rows, columns, area


def _try(runner: Runner, spec: ModelSpec) -> None:
    """Run a network once on a grey image. Raises ValueError if its answer is not that of one."""
    grey = np.full((3, *spec.frame(*TRIED).grid_shape), 0.5, dtype=np.float32)
    if not np.isfinite(runner(grey)).all():
        raise ValueError("it computes numbers that are not finite from a grey image")
