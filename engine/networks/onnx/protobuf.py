"""Looks into the bytes of an ONNX file: how many weights it has, and whether all are in it.

onnxruntime tells neither. An ONNX file is a message of protocol buffers, which is a sequence of
numbered fields; those that are read here have the numbers of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

#: TensorProto.data_type of floating numbers and of quantised weights.
WEIGHTS = frozenset((1, 2, 3, 10, 11, 16))
#: TensorProto.data_location of numbers that are in another file.
EXTERNAL = 1
BROKEN = "it is no whole ONNX file"
#: The deepest that graphs and nodes are nested in a file that is read.
DEEPEST = 50
#: Of each message the fields that lead to its tensors, and the message that they hold.
_WAYS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def parameter_count(content: bytes) -> int:
    """How many numbers the weights of an ONNX file have.

    Raises ValueError if some of them lie in other files, or the bytes are no whole ONNX file.
    """
    return sum(map(_weights, _tensors(memoryview(content), "model")))


def _tensors(message: memoryview, kind: str, depth: int = 0) -> Iterator[memoryview]:
    """The tensors in a message of that kind. Raises ValueError."""
    if kind == "tensor":
        yield message
        return
    if depth > DEEPEST:
        raise ValueError("it is nested more deeply than a network is")
    for number, value in _fields(message):
        inner = _WAYS[kind].get(number)
        if inner is not None:
            if not isinstance(value, memoryview):
                raise ValueError(BROKEN)
            yield from _tensors(value, inner, depth + 1)


def _weights(tensor: memoryview) -> int:
    """How many numbers a tensor has if they are weights, else 0. Raises ValueError."""
    sides: list[int] = []
    kind = 0
    for number, value in _fields(tensor):
        if number == 13 or (number == 14 and value == EXTERNAL):
            raise ValueError("weights of it lie in other files; export it with external_data=False")
        if number == 1 and isinstance(value, int):
            sides.append(value)
        elif number == 1 and isinstance(value, memoryview):
            place = 0
            while place < len(value):
                side, place = _number(value, place)
                sides.append(side)
        elif number == 2 and isinstance(value, int):
            kind = value
    return prod(sides) if kind in WEIGHTS else 0


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: the number of each, and its number or its bytes."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        if not key >> 3:
            raise ValueError(BROKEN)
        match key & 7:
            case 0:
                value, place = _number(message, place)
                yield key >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, place = _number(message, place)
            case 5:
                length = 4
            case _:
                raise ValueError(BROKEN)
        if length > len(message) - place:
            raise ValueError(BROKEN)
        yield key >> 3, message[place : place + length]
        place += length


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """The number that begins at a place, seven bits to a byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError(BROKEN)
