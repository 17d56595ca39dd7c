"""However a network takes pictures it gives the same mask, or is refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.diffusion.model import Model
from engine.errors import NotFinite, NotRun, UnreadableModel
from engine.networks import library
from engine.networks.table import build
from tests.graphs import (
    TensorProto,
    added,
    answer,
    mean_of_colours,
    node,
    number,
    numpy_helper,
    write,
)
from tests.oracles import CPU, disk, lesion


@pytest.mark.parametrize(
    "how",
    ["probability", "classes", "two channels", "nhwc", "float16", "fixed", "coarse", "0..255",
     "normalised", "second output", "no channel dimension"],
)  # fmt: skip
def test_every_form_of_the_same_network_gives_the_same_mask(tmp_path: Path, how: str) -> None:
    plain = answer(added(write(tmp_path / "plain.onnx")))
    path = tmp_path / "other.onnx"
    near = 1e-5
    match how:
        case "probability":
            write(path, [node("Conv", "x w b", "z"), node("Sigmoid", "z", "y")], output=how)
        case "classes":
            write(path, weights=mean_of_colours(2, 1), output=how, channel=1)
        case "two channels":
            write(path, weights=mean_of_colours(2, 1), channel=1)
        case "nhwc":
            nodes = [
                node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
                node("Conv", "t w b", "z"),
                node("Transpose", "z", "y", perm=[0, 2, 3, 1]),
            ]
            write(path, nodes, shape=("n", "rows", "columns", 3))
        case "float16":
            nodes = [node("Cast", "x", "f", to=1), node("Conv", "f w b", "y")]
            write(path, nodes, kind=TensorProto.FLOAT16)
            near = 0.02
        case "fixed":
            write(path, shape=(1, 3, 16, 16), size=None)
        case "coarse":
            nodes = [
                node("AveragePool", "x", "p", kernel_shape=[2, 2], strides=[2, 2]),
                node("Conv", "p w b", "y"),
            ]
            write(path, nodes)
            near = 0.7
        case "0..255":
            write(path, weights=mean_of_colours(weight=-20 / 255), scale=how)
        case "normalised":
            nodes = [node("Mul", "x std", "m"), node("Add", "m mean", "a"),
                     node("Conv", "a w b", "y")]  # fmt: skip
            weights = [*mean_of_colours(), number("std", 0.25), number("mean", 0.5)]
            write(path, nodes, weights, mean=[0.5] * 3, std=[0.25] * 3)
        case "second output":
            nodes = [node("Neg", "x", "out"), node("Conv", "x w b", "aux")]
            write(path, nodes, outputs=("out", "aux"), output_name="aux")
        case "no channel dimension":
            nodes = [node("Conv", "x w b", "z"), node("Squeeze", "z axis", "y")]
            write(path, nodes, [*mean_of_colours(), number("axis", 1, kind=np.int64)])
    other = answer(added(path))
    assert plain.max() - plain.min() > 0.9
    assert np.abs(other - plain).max() < near
    assert np.abs(other - plain).mean() < near / 5


def test_a_picture_is_padded_to_the_multiple_and_cut_back(tmp_path: Path) -> None:
    image = lesion(np.pad(disk(24), ((0, 0), (6, 6))))
    plain = answer(added(write(tmp_path / "plain.onnx", multiple=1)), image)
    # Does not run where a side is no multiple of 8.
    nodes = [
        node("Shape", "x", "whole"),
        node("SpaceToDepth", "x", "s", blocksize=8),
        node("DepthToSpace", "s", "d", blocksize=8),
        node("Reshape", "d whole", "r"),
        node("Conv", "r w b", "y"),
    ]
    model = added(write(tmp_path / "blocks.onnx", nodes, multiple=8))
    assert model.spec.frame(24, 36).grid_shape == (12, 20)
    assert np.abs(answer(model, image) - plain).max() < 1e-5


def test_a_fixed_size_that_is_no_square_is_scaled_to_and_back(tmp_path: Path) -> None:
    image = lesion(disk(96))
    plain = answer(added(write(tmp_path / "plain.onnx", size=44)), image)
    fixed = added(write(tmp_path / "fixed.onnx", shape=(1, 3, 32, 62), size=[32, 62]))
    assert (fixed.spec.size, fixed.spec.framing) == (44, "proportional")
    found = answer(fixed, image)
    assert found.shape == plain.shape
    assert ((found > 0.5) != (plain > 0.5)).mean() < 0.05


#: Networks that are no use here: what is said of each, and how `write` writes it.
REFUSED: dict[str, dict[str, Any]] = {
    "2 inputs (x, z), not one": {
        "nodes": [node("Add", "x z", "y")], "weights": [], "inputs": ("x", "z"),
    },
    "3 dimensions, not the 4": {
        "nodes": [node("Neg", "x", "y")], "weights": [], "shape": (3, "r", "c"),
    },
    "input is a tensor(uint8), not floating": {
        "nodes": [node("Cast", "x", "f", to=1), node("Conv", "f w b", "y")],
        "kind": TensorProto.UINT8,
    },
    "takes 1 channels, not the 3": {
        "nodes": [node("Neg", "x", "y")], "weights": [], "shape": (1, 1, "r", "c"),
    },
    "2 pictures at once": {"shape": (2, 3, "r", "c")},
    "takes pictures of 24 × 24 only": {"shape": (1, 3, 24, 24), "size": [16, 16]},
    "pictures of 24 × 24 only": {"shape": (1, 3, 24, 24)},
    "No Op registered for Own": {"nodes": [node("Own", "x", "y")]},
    "is 1 × 2, which is no mask": {
        "nodes": [
            node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0), node("MatMul", "m w", "y"),
        ],
        "weights": [numpy_helper.from_array(np.ones((3, 2), np.float32), "w")],
    },
    "is no mask of a picture of": {
        "nodes": [
            node("AveragePool", "x", "p", kernel_shape=[1, 8], strides=[1, 8]),
            node("Conv", "p w b", "y"),
        ],
    },
    "holds int64, not floating numbers": {
        "nodes": [node("ArgMax", "x", "y", axis=1)], "weights": [], "gives": TensorProto.INT64,
    },
    "has 2 channels, and": {"weights": mean_of_colours(2), "channel": 2},
    "which of its 2 channels": {"weights": mean_of_colours(2)},
    "no choice among": {"output": "classes"},
    "which is no probability": {"output": "probability"},
    "no output 'z', only y": {"output_name": "z"},
    "numbers that are not finite": {
        "nodes": [node("Sub", "x x", "z"), node("Div", "z z", "y")], "weights": [], "channel": 0,
    },
    "cannot be reshaped": {
        "nodes": [node("Reshape", "x s", "r"), node("Conv", "r w b", "y")],
        "weights": [*mean_of_colours(), number("s", 1, 3, 5, 7, kind=np.int64)],
    },
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_a_network_that_is_no_use_is_refused_with_the_reason(tmp_path: Path, why: str) -> None:
    path = write(tmp_path / "mine.onnx", **REFUSED[why])
    with pytest.raises(UnreadableModel) as raised:
        library.add(path)
    assert raised.value.path == path
    assert why in raised.value.reason
    assert not library.models_folder().exists()


def test_numbers_that_are_not_finite_are_no_mask(tmp_path: Path) -> None:
    # The root of a negative number, where the picture is darker than grey.
    nodes = [node("Sub", "x half", "s"), node("Sqrt", "s", "q"), node("Conv", "q w b", "y")]
    path = write(tmp_path / "mine.onnx", nodes, [*mean_of_colours(), number("half", 0.49)])
    with pytest.raises(NotFinite):
        answer(added(path))
    with pytest.raises(NotFinite):
        answer(added(write(path, [*nodes[:2], node("Conv", "q w b", "z"),
                                  node("Sigmoid", "z", "y")],
                           [*mean_of_colours(), number("half", 0.49)],
                           output="probability")))  # fmt: skip


def test_a_size_that_it_cannot_run_on_is_told(tmp_path: Path) -> None:
    size = number("s", 1, 3, 12, 20, kind=np.int64)
    nodes = [node("Reshape", "x s", "r"), node("Conv", "r w b", "y")]
    model = added(write(tmp_path / "mine.onnx", nodes, [*mean_of_colours(), size], multiple=4))
    with pytest.raises(NotRun, match="onnxruntime says"):
        answer(model)
    with pytest.raises(NotRun, match="not loaded"):
        answer(Model(build(model.spec), CPU))
