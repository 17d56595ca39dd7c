"""Safetensors files that are known to be as they were written: a checksum covers all they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as to_bytes

from engine.errors import UnreadableModel
from engine.files import read_regular

Arrays = Mapping[str, NDArray[Any]]

#: The header's key for the SHA-256 of everything else in the file.
CHECKSUM = "sha256"
#: Of the header, in bytes; ours are a few thousand.
LONGEST_HEADER = 4 << 20
#: By the format's own names. bfloat16 and smaller numbers are not among them: numpy has none.
_KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def content(arrays: Arrays, told: Mapping[str, str]) -> bytes:
    """The bytes of a file of these arrays; its header holds `told` and the checksum."""
    whole = {name: _plain(array) for name, array in arrays.items()}
    return to_bytes(whole, {**told, CHECKSUM: checksum(whole, told)})


def read(path: Path, most_bytes: int) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """What a file's header tells, without the checksum, and its arrays.

    A file without a checksum, from before there was one, is taken at its word. Raises
    UnreadableModel where it is not a whole regular file of at most `most_bytes`, or not as it was
    written.
    """
    try:
        whole = read_regular(path, most_bytes)
        told = _header(whole)
        arrays = {name: _array(**stored) for name, stored in _stored(whole)}
    except FileNotFoundError as error:
        raise UnreadableModel(path, "there is no such file") from error
    except OSError as error:
        raise UnreadableModel(path, error.strerror or str(error)) from error
    except (SafetensorError, ValueError, RecursionError) as error:
        raise UnreadableModel(path, f"it is not a whole safetensors file ({error})") from error
    except KeyError as error:
        kind = "bfloat16" if error.args[0] == "BF16" else error.args[0]
        raise UnreadableModel(path, f"its weights are of a kind not read here ({kind})") from error
    stored = told.pop(CHECKSUM, None)
    if stored is not None and stored != checksum(arrays, told):
        raise UnreadableModel(path, "its weights or its description are damaged")
    return told, arrays


def checksum(arrays: Arrays, told: Mapping[str, str]) -> str:
    """The SHA-256 of names, kinds, shapes and bytes of all arrays, and of what a header tells."""
    digest = hashlib.sha256(json.dumps(dict(told), sort_keys=True).encode())
    for name in sorted(arrays):
        array = _plain(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON text. Raises ValueError where one key would hide another."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name comes twice")
    return content


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array as files hold it: in C's order, low bytes first; one number stays one number."""
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _header(whole: bytes) -> dict[str, str]:
    """The texts in a file's header. Raises ValueError, RecursionError."""
    length = int.from_bytes(whole[:8], "little")
    if length > min(len(whole) - 8, LONGEST_HEADER):
        raise ValueError("its header is longer than it can be")
    header = json.loads(whole[8 : 8 + length], object_pairs_hook=without_repeats)
    told = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
        raise ValueError("its header is no record of texts")
    return told


def _stored(whole: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Each array's name with its dtype, shape and data."""
    stored: list[tuple[str, dict[str, Any]]] = deserialize(whole)  # type: ignore[no-untyped-call]
    return stored


def _array(dtype: str, shape: list[int], data: bytearray) -> NDArray[Any]:
    """A writable array. Raises KeyError for a kind of numbers that is not read."""
    array: NDArray[Any] = np.frombuffer(data, np.dtype(_KINDS[dtype])).reshape(shape)
    return array
