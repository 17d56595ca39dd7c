"""Small ONNX networks, written as a person's own would be, with the JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model, load
from engine.networks import library
from engine.types import Image, SampleSettings
from tests.oracles import disk, lesion

onnx = pytest.importorskip("onnx", reason="writes networks with the package onnx")
pytest.importorskip("onnxruntime", reason="needs the packages of nca-seg[onnx]")

from onnx import NodeProto, TensorProto, helper, numpy_helper  # noqa: E402

#: Lesion where the picture is dark: a logit from colours in [0, 1].
DARK, BIAS = -20.0, 9.0
#: What the JSON says of the network that `dark` writes.
DESCRIBED: dict[str, Any] = {
    "format": "nca-seg/onnx",
    "version": 1,
    "size": 16,
    "scale": "0..1",
    "mean": [0, 0, 0],
    "std": [1, 1, 1],
    "output": "logit",
}
ANY = (1, 3, "rows", "columns")


def mean_of_colours(channels: int = 1, place: int = 0, weight: float = DARK) -> list[Any]:
    """The weights of a 1 × 1 convolution: one channel tells how dark it is, others are 0."""
    filters = np.zeros((channels, 3, 1, 1), np.float32)
    filters[place] = weight / 3
    bias = np.zeros(channels, np.float32)
    bias[place] = BIAS
    return [numpy_helper.from_array(filters, "w"), numpy_helper.from_array(bias, "b")]


def write(
    path: Path,
    nodes: Sequence[NodeProto] = (helper.make_node("Conv", ["x", "w", "b"], ["y"]),),
    weights: Sequence[TensorProto] | None = None,
    *,
    shape: Sequence[Any] = ANY,
    inputs: Sequence[str] = ("x",),
    outputs: Sequence[str] = ("y",),
    kind: int = TensorProto.FLOAT,
    gives: int = TensorProto.FLOAT,
    described: dict[str, Any] | None = None,
    **values: Any,
) -> Path:
    """Write a network and its JSON.

    Parameters
    ----------
    path : of the network; the JSON lies beside it.
    nodes, weights : of its graph; by default one that finds dark pixels.
    shape, kind : of the inputs.
    inputs, outputs : their names.
    gives : the type of its outputs.
    described : what the JSON says instead of `DESCRIBED`.
    values : what it says beside that; None for what it does not say.
    """
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, kind, list(shape)) for name in inputs],
        [helper.make_tensor_value_info(name, gives, None) for name in outputs],
        list(mean_of_colours() if weights is None else weights),
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    path.write_bytes(model.SerializeToString())
    whole = {**(DESCRIBED if described is None else described), **values}
    kept = {key: value for key, value in whole.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(kept), encoding="utf-8")
    return path


def node(kind: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    """A node of a graph; `inputs` are names with spaces between them."""
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def number(name: str, *values: float, kind: type = np.float32) -> TensorProto:
    """A weight of one dimension."""
    return numpy_helper.from_array(np.array(values, kind), name)


def added(path: Path) -> Model:
    """The model that a network becomes which is added to the list."""
    return load(library.add(path).path, "cpu")


def answer(model: Model, image: Image | None = None) -> NDArray[np.float32]:
    """The members for an image, float32 (members, rows, columns)."""
    *_, result = segment(model, image or lesion(disk(24)), SampleSettings(steps=2))
    return result.members_nhw
