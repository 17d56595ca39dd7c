"""A person's own ONNX network is a model like all others, or is refused with what is wrong."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model, load, save
from engine.errors import MissingExtra, NotFinite, NotRun, NotTrainable, UnreadableModel
from engine.evaluation.scoring import evaluate
from engine.networks import checkpoint, library
from engine.networks.onnx import description
from engine.networks.table import build, parameter_count, trainable
from engine.training.loop import finetune, train
from engine.types import Image, SampleSettings, TrainSettings
from tests.engine.commands import picture, run, write_dataset
from tests.graphs import TensorProto, helper, mean_of_colours, numpy_helper, write
from tests.oracles import CPU, disk, lesion
from tests.samples import drawn_dataset

FEW = SampleSettings(steps=2)


def added(path: Path) -> Model:
    return load(library.add(path).path, "cpu")


def answer(model: Model, image: Image | None = None) -> NDArray[np.float32]:
    """The members for an image, (members, rows, columns)."""
    *_, result = segment(model, image or lesion(disk(24)), FEW)
    return result.members_nhw


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def number(name: str, *values: float, kind: type = np.float32) -> Any:
    return numpy_helper.from_array(np.array(values, kind), name)


def test_it_becomes_one_file_that_is_a_model_like_all_others(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.onnx")
    entry = library.add(path)
    assert (entry.name, entry.path.name) == ("mine", "mine.safetensors")
    assert entry.parameters == parameter_count(entry.spec) == 4
    assert entry in library.installed()
    assert not library.broken()
    assert not entry.inspectable
    spec, arrays = checkpoint.read(entry.path)
    assert arrays["content"].tobytes() == path.read_bytes()
    assert checkpoint.fingerprint(spec, arrays) == entry.fingerprint
    assert library.add(path) == entry, "added twice it is there once"
    write(path, mean=[0.5, 0.5, 0.5])
    assert library.add(path).fingerprint != entry.fingerprint
    copy = tmp_path / "copy.safetensors"
    save(copy, load(entry.path, "cpu"))
    assert library.find(copy).fingerprint == entry.fingerprint


def test_its_members_are_the_mirrored_views(tmp_path: Path) -> None:
    filters = np.full((1, 3, 1, 3), -4, np.float32)
    filters[..., 2] = 0
    weights = [numpy_helper.from_array(filters, "w"), number("b", 9.0)]
    conv = node("Conv", "x w b", "y", pads=[0, 1, 0, 1])
    members = answer(added(write(tmp_path / "mine.onnx", [conv], weights)))
    assert members.shape == (4, 16, 16)
    assert not np.array_equal(members[0], members[1])
    assert np.array_equal(members[0], members[2]), "its filter has no up and down"


def test_what_it_finds_is_the_dark_disk(tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data")
    model = added(write(tmp_path / "mine.onnx", size=32))
    *_, found = evaluate(model, data.split("val"), FEW)
    assert found.mean.dice > 0.9
    assert not model.spec.sees_noise


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


def test_commands_take_it(tmp_path: Path) -> None:
    data, shot = write_dataset(tmp_path / "data"), picture(tmp_path / "shot.png")
    told = run("models", "--add", write(tmp_path / "mine.onnx"))
    assert "in the list as mine" in told.stderr
    listed = json.loads(run("models", "--json").stdout)["installed"][-1]
    assert (listed["architecture"], listed["parameters"], listed["size"]) == ("onnx", 4, 16)
    flags = ("--model", "mine", "--device", "cpu")
    run("segment", shot, "--out", tmp_path / "masks", *flags)
    assert (tmp_path / "masks" / "shot_segmentation.png").exists()
    scored = tmp_path / "scored.json"
    run("evaluate", "--data", data, "--split", "val", *flags, "--json", scored)
    assert json.loads(scored.read_text(encoding="utf-8"))["total"] == 2
    run("report", data, "--out", tmp_path / "report", *flags, "--sweep-images", "1")
    for refused in (
        run("finetune", "--data", data, "--steps", "1", *flags, exit_code=4),
        run("train", "--data", data, "--out", tmp_path / "a", "--architecture", "onnx",
            exit_code=4),
        run("train", "--data", data, "--out", tmp_path / "b", "--from", "mine", exit_code=4),
    ):  # fmt: skip
        assert "run as it is" in refused.stderr
    assert "onnx" not in run("train", "--data", data, "--out", tmp_path / "c",
                             "--architecture", "none", exit_code=2).stderr  # fmt: skip
    run("models", "--remove", "mine")
    assert "mine" not in [entry.name for entry in library.installed()]


def test_nothing_is_learned_of_it(tmp_path: Path) -> None:
    model = added(write(tmp_path / "mine.onnx"))
    data = drawn_dataset(tmp_path / "data")
    with pytest.raises(NotTrainable):
        next(finetune(model, data, TrainSettings(steps=1), tmp_path / "a"))
    with pytest.raises(NotTrainable):
        next(train(model.spec, data, TrainSettings(steps=1), tmp_path / "b"))
    with pytest.raises(NotTrainable):
        trainable("onnx")
    assert not (tmp_path / "a").exists()


def test_copies_and_threads_give_what_it_gives(tmp_path: Path) -> None:
    model = added(write(tmp_path / "mine.onnx"))
    copy = Model(deepcopy(model.network), CPU)
    expected = answer(model)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(answer, [model, copy] * 4))
    assert all(np.array_equal(each, expected) for each in answers)


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


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("two inputs", "2 inputs"),
        ("three dimensions", "3 dimensions, not the 4"),
        ("whole numbers", "not floating numbers"),
        ("grey", "takes 1 channels, not the 3"),
        ("two at once", "2 pictures at once"),
        ("another size", "takes pictures of 24 × 24 only"),
        ("fixed", "takes pictures of 24 × 24 only"),
        ("operator", "onnxruntime says"),
        ("classifier", "is 1 × 2, which is no mask"),
        ("another shape", "which is no mask of a picture of"),
        ("labels", "holds int64, not floating numbers"),
        ("channel", "has 2 channels, and"),
        ("which channel", "which of its 2 channels"),
        ("one class", "no choice among"),
        ("no probability", "which is no probability"),
        ("output", "no output 'z', only y"),
        ("not finite", "not finite"),
        ("will not run", "onnxruntime says"),
        ("outside", "lie in other files"),
        ("cut", "no whole ONNX file"),
        ("empty", "onnxruntime says"),
        ("nowhere", "No such file"),
    ],
)
def test_a_network_that_is_none_is_refused_with_the_reason(
    tmp_path: Path, how: str, why: str
) -> None:
    path = tmp_path / "mine.onnx"
    match how:
        case "two inputs":
            write(path, [node("Add", "x z", "y")], [], inputs=("x", "z"))
        case "three dimensions":
            write(path, [node("Neg", "x", "y")], [], shape=(3, "r", "c"))
        case "whole numbers":
            write(path, [node("Cast", "x", "f", to=1), node("Conv", "f w b", "y")],
                  kind=TensorProto.UINT8)  # fmt: skip
        case "grey":
            write(path, [node("Neg", "x", "y")], [], shape=(1, 1, "r", "c"))
        case "two at once":
            write(path, shape=(2, 3, "r", "c"))
        case "another size":
            write(path, shape=(1, 3, 24, 24), size=[16, 16])
        case "fixed":
            write(path, shape=(1, 3, 24, 24))
        case "operator":
            write(path, [node("Own", "x", "y", domain="ours")])
        case "classifier":
            nodes = [node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0),
                     node("MatMul", "m w", "y")]  # fmt: skip
            write(path, nodes, [numpy_helper.from_array(np.ones((3, 2), np.float32), "w")])
        case "another shape":
            write(path, [node("AveragePool", "x", "p", kernel_shape=[1, 8], strides=[1, 8]),
                         node("Conv", "p w b", "y")])  # fmt: skip
        case "labels":
            write(path, [node("ArgMax", "x", "y", axis=1)], [], gives=TensorProto.INT64)
        case "channel":
            write(path, weights=mean_of_colours(2), channel=2)
        case "which channel":
            write(path, weights=mean_of_colours(2))
        case "one class":
            write(path, output="classes")
        case "no probability":
            write(path, output="probability")
        case "output":
            write(path, output_name="z")
        case "not finite":
            write(path, [node("Sub", "x x", "z"), node("Div", "z z", "y")], [], channel=0)
        case "will not run":
            write(path, [node("Reshape", "x s", "r"), node("Conv", "r w b", "y")],
                  [*mean_of_colours(), number("s", 1, 3, 5, 7, kind=np.int64)])  # fmt: skip
        case "outside":
            weights = mean_of_colours()
            weights[0].ClearField("raw_data")
            weights[0].data_location = TensorProto.EXTERNAL
            weights[0].external_data.add(key="location", value="mine.bin")
            (tmp_path / "mine.bin").write_bytes(bytes(12))
            write(path, weights=weights)
        case "cut":
            write(path).write_bytes(path.read_bytes()[:-10])
        case "empty":
            write(path).write_bytes(b"")
        case "nowhere":
            write(path).unlink()
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


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "mine.onnx")
    monkeypatch.setattr(description, "MOST_BYTES", 100)
    with pytest.raises(UnreadableModel, match="longer than the 100 bytes"):
        library.add(path)


def test_without_onnxruntime_it_is_said_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "mine.onnx")
    kept = library.add(path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for act in (lambda: library.add(path), lambda: load(kept.path, "cpu")):
        with pytest.raises(MissingExtra) as raised:
            act()
        assert (raised.value.extra, raised.value.name) == ("onnx", "mine")
    assert "mine " in run("models").stdout, "it is listed all the same"


def test_a_model_file_whose_network_does_not_run_is_told_when_it_is_loaded(tmp_path: Path) -> None:
    spec, arrays = description.read(write(tmp_path / "mine.onnx"))
    kept = tmp_path / "kept.safetensors"
    checkpoint.write(kept, {"content": np.zeros_like(arrays["content"])}, spec)
    with pytest.raises(UnreadableModel, match="no whole ONNX file"):
        load(kept, "cpu")
    checkpoint.write(kept, {"content": arrays["content"][1:]}, spec)
    with pytest.raises(UnreadableModel, match="do not fit its description"):
        load(kept, "cpu")


def test_on_a_gpu_its_answer_comes_back_to_where_the_image_is(tmp_path: Path) -> None:
    network = added(write(tmp_path / "mine.onnx")).network
    image = torch.zeros(2, 3, 16, 16)
    outputs = network.predict((image,), (), image[:, :1], lambda *_: image)
    assert outputs.prediction_n1hw.shape == (2, 1, 16, 16)
    assert outputs.prediction_n1hw.device == image.device
