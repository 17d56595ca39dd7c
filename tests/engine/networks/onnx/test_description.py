"""The JSON beside a network is checked, value by value, and what to write is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UnreadableModel
from engine.networks import library
from engine.networks.onnx import description
from tests.engine.commands import run
from tests.graphs import (
    write,
)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"size": None}, 'lacks "size"'),
        ({"size": "256"}, '"size" is'),
        ({"size": [256]}, '"size" is'),
        ({"size": [0, 0]}, '"size" is'),
        ({"size": 18}, "multiple of 4"),
        ({"size": 100_000}, "outside 8 to 4096"),
        ({"mean": [0, 0]}, "mean is [0, 0]"),
        ({"mean": [0, 0, True]}, "not three numbers"),
        ({"std": [1, 0, 1]}, "std must be more than 0"),
        ({"scale": "0..2"}, "scale must be one of 0..1, 0..255"),
        ({"output": "mask"}, "output must be one of logit, probability, classes"),
        ({"layout": "chw"}, "layout must be one of nchw, nhwc"),
        ({"channel": "lesion"}, "channel is 'lesion'"),
        ({"multiple": 0}, "multiple is 0"),
        ({"output": None, "scale": None}, "it lacks scale, output; as {"),
        ({"format": "other"}, "its format is not 'nca-seg/onnx'"),
        ({"version": 2}, "its version is not 1"),
        ({"colour": "bgr"}, "'colour' is none of its keys: format,"),
    ],
)
def test_a_wrong_description_is_told(tmp_path: Path, values: dict[str, Any], why: str) -> None:
    path = write(tmp_path / "mine.onnx", **values)
    with pytest.raises(UnreadableModel) as raised:
        library.add(path)
    assert raised.value.path == path.with_suffix(".json")
    assert why in raised.value.reason
    assert not library.models_folder().exists()


def test_what_to_write_is_told_where_no_description_is(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.onnx")
    beside = path.with_suffix(".json")
    beside.unlink()
    told = run("models", "--add", path, exit_code=4).stderr
    assert "mine.json" in told
    example = description.EXAMPLE
    assert set(json.loads(example)) == {*description.NEEDED, "size"}
    assert example in " ".join(told.split())
    beside.write_text(example, encoding="utf-8")
    library.add(path)
    for damaged, why in (("{", "not JSON"), ("[]", "should say {"), ('{"a": 1, "a": 2}', "twice")):
        beside.write_text(damaged, encoding="utf-8")
        with pytest.raises(UnreadableModel, match=why):
            library.add(path)


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "mine.onnx")
    monkeypatch.setattr(description, "MOST_BYTES", 100)
    with pytest.raises(UnreadableModel, match="longer than the 100 bytes"):
        library.add(path)
