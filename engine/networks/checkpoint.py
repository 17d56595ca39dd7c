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

from engine.errors import EngineError, UnreadableModel
from engine.files import write_atomic
from engine.networks import tensor_file
from engine.networks.presets import parameter_count
from engine.types import Device, ModelSpec

if TYPE_CHECKING:
    from engine.diffusion.model import Model

FORMAT, VERSION = "nca-seg/model", 1
#: The header's key under which the spec lies.
SPEC = "nca-seg"
#: Of a file's own words, in letters.
LONGEST_SHOWN = 100
#: A hundred times as long as the model in the box.
MOST_BYTES = 256 << 20


def write(path: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> None:
    """Write weights and spec as one file, atomically."""
    write_atomic(path, content(arrays, spec))


def content(arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> bytes:
    """The bytes of the file that holds weights and spec."""
    described = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    described["training"] = dict(spec.training)
    header = {"format": FORMAT, "version": VERSION, "spec": described}
    return tensor_file.content(arrays, {SPEC: json.dumps(header)})


def save(path: Path, model: Model) -> None:
    """Write a model's weights and spec as one file, atomically."""
    state = model.network.state_dict()
    write(path, {name: tensor.cpu().numpy() for name, tensor in state.items()}, model.spec)


def read_spec(path: Path) -> ModelSpec:
    """The spec of a model file; loads no torch. Raises UnreadableModel."""
    return read(path)[0]


def read(path: Path) -> tuple[ModelSpec, dict[str, NDArray[Any]]]:
    """Spec and weights of a model file; loads no torch.

    Raises UnreadableModel where it is not a regular file, not whole, not as it was written, from a
    newer version, or describes or holds what no model has.
    """
    told, arrays = tensor_file.read(path, MOST_BYTES)
    if SPEC not in told:
        raise UnreadableModel(path, "it is a safetensors file without a description of ours")
    spec = _described(path, told[SPEC])
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise UnreadableModel(path, "its weights are not all finite numbers")
    return spec, arrays


def _described(path: Path, text: str) -> ModelSpec:
    """The spec in a file's description. Raises UnreadableModel."""
    try:
        header = json.loads(text, object_pairs_hook=tensor_file.without_repeats)
        if header["format"] != FORMAT:
            other = str(header["format"])[:LONGEST_SHOWN]
            raise UnreadableModel(path, f"its format is {other!r}, not {FORMAT!r}")
        if header["version"] > VERSION:
            other = str(header["version"])[:LONGEST_SHOWN]
            raise UnreadableModel(path, f"it is of version {other}, newer than we read")
        spec = ModelSpec(**header["spec"])
        # Half of a letter cannot be written anywhere.
        f"{spec.name}{spec.architecture}{spec.parent}".encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        told = str(error)[:LONGEST_SHOWN]
        raise UnreadableModel(path, f"its description is damaged ({told})") from error
    return spec


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

    from engine.diffusion.model import Model
    from engine.networks.device import choose
    from engine.networks.table import build

    chosen = choose(device, precision)
    spec, arrays = read(path)
    try:
        # A few bytes of a description could ask for gigabytes.
        if sum(array.size for array in arrays.values()) != parameter_count(spec):
            raise TypeError("other parameters than described")
        network = build(spec)
        network.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
    except (EngineError, RuntimeError, TypeError) as error:
        raise UnreadableModel(path, "its weights do not fit its description") from error
    return Model(network, chosen, fingerprint(spec, arrays))
