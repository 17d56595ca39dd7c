"""Reads and writes safetensors files whose header holds a checksum of all that they contain."""

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
#: The longest header that is read, in bytes; ours have a few thousand.
LONGEST_HEADER = 4 << 20
#: numpy's dtypes by the format's names. bfloat16 and smaller floats are left out: numpy has none.
_KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def content(arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file of these arrays; its header holds `metadata` and the checksum."""
    whole = {name: _plain(array) for name, array in arrays.items()}
    return to_bytes(whole, {**metadata, CHECKSUM: checksum(whole, metadata)})


def read(path: Path, most_bytes: int) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """The metadata of a file's header, without the checksum, and the file's arrays by name.

    A file without a checksum is from before there was one, and is read unchecked.

    Parameters
    ----------
    path : the file.
    most_bytes : the longest file that is read.

    Raises
    ------
    UnreadableModel : if it is not a regular file of at most `most_bytes`, is cut short, holds
        numbers of a kind that is not read, or differs from what was written.
    """
    try:
        whole = read_regular(path, most_bytes)
        metadata = _header(whole)
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
    stored = metadata.pop(CHECKSUM, None)
    if stored is not None and stored != checksum(arrays, metadata):
        raise UnreadableModel(path, "its weights or its description are damaged")
    return metadata, arrays


def checksum(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """The SHA-256 of the metadata and of names, dtypes, shapes and bytes of all arrays, as hex."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(arrays):
        array = _plain(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict of a JSON object's pairs, for json's `object_pairs_hook`.

    Raises ValueError if a key comes twice: the second would silently replace the first.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name comes twice")
    return content


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array in C order and little-endian, as files hold it; a 0-d array stays 0-d."""
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _header(whole: bytes) -> dict[str, str]:
    """The metadata in the header of a file's bytes. Raises ValueError, RecursionError."""
    length = int.from_bytes(whole[:8], "little")
    if length > min(len(whole) - 8, LONGEST_HEADER):
        raise ValueError("its header is longer than it can be")
    header = json.loads(whole[8 : 8 + length], object_pairs_hook=without_repeats)
    texts = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its header is no record of texts")
    return texts


def _stored(whole: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The arrays of a file's bytes: the name of each with its dtype, shape and data."""
    stored: list[tuple[str, dict[str, Any]]] = deserialize(whole)  # type: ignore[no-untyped-call]
    return stored


def _array(dtype: str, shape: list[int], data: bytearray) -> NDArray[Any]:
    """A writable array. Raises KeyError for a dtype that is not read."""
    array: NDArray[Any] = np.frombuffer(data, np.dtype(_KINDS[dtype])).reshape(shape)
    return array
