"""Reads and writes model files: safetensors with the spec as JSON in the header."""

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

#: In version 1 the values of the config stand among the spec's own.
FORMAT, VERSION = "nca-seg/model", 2
#: The header's key for the spec.
SPEC = "nca-seg"
#: The most characters of a file's own text that are shown in an error.
LONGEST_SHOWN = 100
#: The longest file that is read, in bytes: room for the largest preset, with 88 million parameters.
MOST_BYTES = 512 << 20


def write(path: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> None:
    """Write weights and spec as one file, atomically.

    Parameters
    ----------
    path : where the file is written; replaced if it exists.
    arrays : the weights by their name in the network's state dict.
    spec : written as JSON into the header.

    Raises
    ------
    OSError : if the file cannot be written.
    """
    write_atomic(path, content(arrays, spec))


def content(arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> bytes:
    """The bytes of the file that `write` makes of these weights and this spec."""
    return tensor_file.content(arrays, {SPEC: header(spec)})


def header(spec: ModelSpec) -> str:
    """The JSON text that describes a spec in a file's header."""
    return json.dumps({"format": FORMAT, "version": VERSION, "spec": described(spec)})


def described(spec: ModelSpec) -> dict[str, Any]:
    """A spec as plain JSON values, as it stands in a file's header."""
    whole = {each.name: getattr(spec, each.name) for each in fields(spec)}
    if spec.framing == "proportional":
        # As all files had it before there was another, so that older programs read it.
        del whole["framing"]
    if spec.steerable:
        whole["styles"] = dict(spec.styles)
    else:
        del whole["steerable"], whole["styles"]
    return {**whole, "config": asdict(spec.config), "training": dict(spec.training)}


def read_spec(path: Path) -> ModelSpec:
    """The spec of a model file; loads no torch. Raises UnreadableModel."""
    return read(path)[0]


def read(path: Path) -> tuple[ModelSpec, dict[str, NDArray[Any]]]:
    """The spec and the weights of a model file; loads no torch.

    Raises UnreadableModel if the path is not a regular file, or the file is cut short, damaged,
    from a newer version of the program, or holds values that no model can have.
    """
    texts, arrays = tensor_file.read(path, MOST_BYTES)
    if SPEC not in texts:
        raise UnreadableModel(path, "it is a safetensors file without a description of ours")
    spec = described_spec(path, texts[SPEC])
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise UnreadableModel(path, "its weights are not all finite numbers")
    return spec, arrays


def described_spec(path: Path, text: str) -> ModelSpec:
    """The spec that the JSON `text` of a file's header describes. Raises UnreadableModel."""
    try:
        whole = json.loads(text, object_pairs_hook=tensor_file.without_repeats)
        if whole["format"] != FORMAT:
            other = str(whole["format"])[:LONGEST_SHOWN]
            raise UnreadableModel(path, f"its format is {other!r}, not {FORMAT!r}")
        if whole["version"] > VERSION:
            other = str(whole["version"])[:LONGEST_SHOWN]
            raise UnreadableModel(path, f"it is of version {other}, newer than we read")
        spec = _spec(whole["spec"], flat=whole["version"] < 2)
        # Raises UnicodeEncodeError, a ValueError, for half of a surrogate pair: such a name could
        # not be written to a file or shown.
        f"{spec.name}{spec.architecture}{spec.parent}".encode()
    except UnknownArchitecture as error:
        other = error.name[:LONGEST_SHOWN]
        reason = f"its weights do not fit its description ({other!r} is no architecture known here)"
        raise UnreadableModel(path, reason) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = str(error)[:LONGEST_SHOWN]
        raise UnreadableModel(path, f"its description is damaged ({message})") from error
    return spec


def _spec(values: Mapping[str, Any], *, flat: bool) -> ModelSpec:
    """The spec of the values in a header: as `described` has them, or `flat` as in version 1.

    Raises UnknownArchitecture, and ValueError, KeyError or TypeError if no model has such values.
    """
    name = values["architecture"]
    if not isinstance(name, str):
        raise ValueError(f"architecture is {name!r}, not text")
    config, own = architecture(name).config, dict(values)
    if flat:
        if "config" in own:
            raise ValueError("config is of a later version")
        inner = {each.name for each in fields(config)} & own.keys()
        own["config"] = {each: own.pop(each) for each in inner}
    return ModelSpec(**{**own, "config": config(**own["config"])})


def fingerprint(spec: ModelSpec, arrays: Mapping[str, NDArray[Any]]) -> str:
    """A hash of everything that decides a model's answers, 16 hexadecimal digits.

    Hashed are `ModelSpec.decisive` and the weights (`arrays`). The model's name, its training
    record and the version of its file do not change it.
    """
    digest = hashlib.sha256()
    for name, value in spec.decisive.items():
        # A file may hold 1 or 1.0 for the same number.
        number = isinstance(value, int | float)
        digest.update(f"{name}={float(value) if number else value};".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        if array.dtype == np.float16:
            # A file may hold its weights in half the room; they are the same numbers.
            array = array.astype(np.float32)
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
