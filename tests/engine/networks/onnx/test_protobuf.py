"""What onnxruntime does not tell is read from the file: its weights, and whether all are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import UnreadableModel
from engine.networks import library
from engine.networks.onnx.protobuf import parameter_count
from tests.graphs import TensorProto, helper, mean_of_colours, node, number, numpy_helper, write


def test_weights_are_counted_wherever_they_are(tmp_path: Path) -> None:
    inside = numpy_helper.from_array(np.ones((2, 5), np.float32), "c")
    nodes = [
        node("Constant", "", "const", value=inside),
        node("Conv", "x w b", "y"),
    ]
    weights = [
        *mean_of_colours(),
        number("shape", 1, 2, 3, kind=np.int64),
        helper.make_tensor("scalar", TensorProto.FLOAT, [], [1.0]),
    ]
    assert parameter_count(write(tmp_path / "a.onnx", nodes, weights).read_bytes()) == 4 + 10 + 1


def test_weights_in_other_files_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = mean_of_colours()
    weights[0].ClearField("raw_data")
    weights[0].data_location = TensorProto.EXTERNAL
    weights[0].external_data.add(key="location", value="mine.bin")
    (tmp_path / "mine.bin").write_bytes(bytes(12))
    path = write(tmp_path / "mine.onnx", weights=weights)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableModel, match="lie in other files"):
        library.add(path)


@pytest.mark.parametrize("inside", ["initializer", "attribute"])
def test_no_depth_of_nesting_hides_them(tmp_path: Path, inside: str) -> None:
    hidden = mean_of_colours()[0]
    hidden.data_location = TensorProto.EXTERNAL
    within = [node("Constant", "", "v", value=hidden)] if inside == "attribute" else []
    held = [hidden] if inside == "initializer" else []
    branch = helper.make_graph(within or [node("Identity", "w", "v")], "branch", [], [], held)
    nodes = [node("If", "x", "y", then_branch=branch, else_branch=branch)]
    with pytest.raises(ValueError, match="lie in other files"):
        parameter_count(write(tmp_path / "mine.onnx", nodes).read_bytes())


def test_a_file_that_is_cut_or_none_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.onnx")
    whole = path.read_bytes()
    for content, why in (
        (whole[:-10], "no whole ONNX file"),
        (b"", "onnxruntime says"),
        (b"\xff" * 40, "no whole ONNX file"),
        (b"\0" * 40, "no whole ONNX file"),
        (b"\x3b" + whole, "no whole ONNX file"),
        (b"\x38\x01", "no whole ONNX file"),
    ):
        path.write_bytes(content)
        with pytest.raises(UnreadableModel, match=why):
            library.add(path)
    path.unlink()
    with pytest.raises(UnreadableModel, match="No such file"):
        library.add(path)


def test_nothing_is_nested_without_end() -> None:
    graph = b""
    for _ in range(100):
        # A graph that is an attribute of a node of a graph.
        for field in (6, 5, 1):
            graph = bytes([field << 3 | 2]) + _length(len(graph)) + graph
    with pytest.raises(ValueError, match="nested"):
        parameter_count(bytes([7 << 3 | 2]) + _length(len(graph)) + graph)


def _length(count: int) -> bytes:
    """A number as a message has it."""
    low, rest = count & 0x7F, count >> 7
    return bytes([low | 0x80]) + _length(rest) if rest else bytes([low])
