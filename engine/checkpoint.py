"""Models on disk: safetensors with the spec as JSON in the header; nothing executable."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from engine.errors import EngineError, UnreadableModel
from engine.files import write_atomic
from engine.types import Device, ModelSpec

if TYPE_CHECKING:
    from engine.model import Model

FORMAT, VERSION = "nca-seg/model", 1
#: The header's key under which the spec lies.
SPEC = "nca-seg"


def write(path: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> None:
    """Write weights and spec as one file, atomically."""
    write_atomic(path, content(arrays, spec))


def content(arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> bytes:
    """The bytes of the file that holds weights and spec."""
    described = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    described["training"] = dict(spec.training)
    header = {"format": FORMAT, "version": VERSION, "spec": described}
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return to_bytes(whole, {SPEC: json.dumps(header)})


def save(path: Path, model: Model) -> None:
    """Write a model's weights and spec as one file, atomically."""
    state = model.network.state_dict()
    write(path, {name: tensor.cpu().numpy() for name, tensor in state.items()}, model.spec)


def read_spec(path: Path) -> ModelSpec:
    """The spec of a model file, from its header alone; loads no torch. Raises UnreadableModel."""
    try:
        with safe_open(path, framework="numpy") as stored:
            text = (stored.metadata() or {}).get(SPEC)
    except (SafetensorError, OSError) as error:
        raise UnreadableModel(path, _plain(error)) from error
    if text is None:
        raise UnreadableModel(path, "it is a safetensors file without a description of ours")
    try:
        header = json.loads(text)
        if header["format"] != FORMAT:
            raise UnreadableModel(path, f"its format is {header['format']!r}, not {FORMAT!r}")
        if header["version"] > VERSION:
            raise UnreadableModel(path, f"it is of version {header['version']}, newer than we read")
        return ModelSpec(**header["spec"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableModel(path, f"its description is damaged ({error})") from error


def read(path: Path) -> tuple[ModelSpec, dict[str, NDArray[Any]]]:
    """Spec and weights of a model file; loads no torch. Raises UnreadableModel."""
    spec = read_spec(path)
    try:
        with safe_open(path, framework="numpy") as stored:
            return spec, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UnreadableModel(path, _plain(error)) from error
    except (TypeError, AttributeError) as error:
        # What numpy says of a kind of number that it has not, as bfloat16.
        raise UnreadableModel(path, f"its weights are of a kind not read here ({error})") from error


def fingerprint(spec: ModelSpec, arrays: Mapping[str, NDArray[Any]]) -> str:
    """A hash of all that decides a model's answers, 16 hexadecimal digits.

    That is its weights and its spec; its name and how it came to be change nothing.
    """
    digest = hashlib.sha256()
    for field in dataclasses.fields(spec):
        if field.name not in ("name", "parent", "training"):
            value = getattr(spec, field.name)
            # 1 and 1.0 are one number, however a file has it.
            number = isinstance(value, int | float)
            digest.update(f"{field.name}={float(value) if number else value};".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def load(path: Path, device: Device = "auto", precision: str = "auto") -> Model:
    """A model from its file, ready to run. Raises UnreadableModel; ValueError for absent CUDA."""
    import torch

    from engine.device import choose
    from engine.model import Model
    from engine.models import build

    chosen = choose(device, precision)
    spec, arrays = read(path)
    try:
        network = build(spec)
        network.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
    except (EngineError, RuntimeError, TypeError) as error:
        raise UnreadableModel(path, "its weights do not fit its description") from error
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise UnreadableModel(path, "its weights are not all finite numbers")
    return Model(network, chosen, fingerprint(spec, arrays))


def _plain(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"it is not a whole safetensors file ({error})"
