"""Models on disk: safetensors with the spec as JSON in the header; nothing executable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnknownArchitecture, UnreadableModel
from engine.files import write_atomic
from engine.networks import tensor_file
from engine.networks.table import architecture
from engine.types import ModelSpec

#: Version 1 has the values of the config among the spec's own.
FORMAT, VERSION = "nca-seg/model", 2
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
    header = {"format": FORMAT, "version": VERSION, "spec": described(spec)}
    return tensor_file.content(arrays, {SPEC: json.dumps(header)})


def described(spec: ModelSpec) -> dict[str, Any]:
    """A spec as a file's header has it."""
    whole = {each.name: getattr(spec, each.name) for each in fields(spec)}
    return {**whole, "config": asdict(spec.config), "training": dict(spec.training)}


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
        spec = _spec(header["spec"], flat=header["version"] < 2)
        # Half of a letter cannot be written anywhere.
        f"{spec.name}{spec.architecture}{spec.parent}".encode()
    except UnknownArchitecture as error:
        other = error.name[:LONGEST_SHOWN]
        reason = f"its weights do not fit its description ({other!r} is no architecture known here)"
        raise UnreadableModel(path, reason) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        told = str(error)[:LONGEST_SHOWN]
        raise UnreadableModel(path, f"its description is damaged ({told})") from error
    return spec


def _spec(told: Mapping[str, Any], *, flat: bool) -> ModelSpec:
    """The spec that a header tells, as `described` has it or `flat`, as version 1 had it.

    Raises UnknownArchitecture, and ValueError, KeyError or TypeError where no model has that.
    """
    name = told["architecture"]
    if not isinstance(name, str):
        raise ValueError(f"architecture is {name!r}, not text")
    config, own = architecture(name).config, dict(told)
    if flat:
        if "config" in own:
            raise ValueError("config is of a later version")
        inner = {each.name for each in fields(config)} & own.keys()
        own["config"] = {each: own.pop(each) for each in inner}
    return ModelSpec(**{**own, "config": config(**own["config"])})


def fingerprint(spec: ModelSpec, arrays: Mapping[str, NDArray[Any]]) -> str:
    """A hash of all that decides a model's answers, 16 hexadecimal digits.

    That is its weights and its spec; its name and how it came to be change nothing, nor does the
    version of its file.
    """
    digest = hashlib.sha256()
    for name, value in spec.decisive.items():
        # 1 and 1.0 are one number, however a file has it.
        number = isinstance(value, int | float)
        digest.update(f"{name}={float(value) if number else value};".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
