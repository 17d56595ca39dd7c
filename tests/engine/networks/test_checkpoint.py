"""A model file gives back what was written, or says in one sentence why it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.diffusion.model import load, save
from engine.errors import UnreadableModel
from engine.networks import checkpoint, tensor_file
from engine.types import Tool
from tests.conftest import PROJECT
from tests.oracles import lively_model


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save(path, lively_model())
    return path


def test_weights_and_spec_come_back(stored: Path) -> None:
    model, original = load(stored, "cpu", "float32"), lively_model()
    assert model.spec == original.spec
    theirs = original.network.state_dict()
    for name, tensor in model.network.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), theirs[name].numpy())


def test_the_fingerprint_follows_all_that_decides_the_answers(stored: Path, tmp_path: Path) -> None:
    spec, arrays = checkpoint.read(stored)
    own = checkpoint.fingerprint(spec, arrays)
    assert load(stored).fingerprint == own
    for same in ({"name": "other"}, {"parent": "f00"}, {"training": {"steps": 1}}):
        other = tmp_path / "other.safetensors"
        checkpoint.write(other, arrays, replace(spec, **same))
        assert load(other).fingerprint == own
    changes: dict[str, object] = {
        "architecture": "multi", "channels": 32, "hidden": 33, "updates": 4, "coarse_updates": 5,
        "fire_probability": 0.25, "factor": 2, "predicts": "noise", "schedule": "linear",
        "timesteps": 50, "mask_scale": 1, "size": 20, "framing": "square", "detail": 2,
        "steerable": True, "condition": 2,
    }  # fmt: skip
    unchanging = {"name", "parent", "training"}
    # What a model has that is not steerable; `test_steering` has the others.
    unchanging |= {"styles"}
    described = {field.name for whole in (spec, spec.config) for field in fields(whole)}
    assert changes.keys() | unchanging == described - {"config"}
    # As many channels as `detail` needs.
    roomy = spec.changed(channels=32)
    variants = [roomy.changed(**{name: value}) for name, value in changes.items()]
    assert roomy in variants
    prints = {checkpoint.fingerprint(one, arrays) for one in (spec, *variants)}
    more = {name: array + 1e-3 for name, array in arrays.items()}
    assert len({*prints, checkpoint.fingerprint(spec, more)}) == len(changes) + 2
    one, float_one = (replace(spec, mask_scale=scale) for scale in (1, 1.0))
    assert checkpoint.fingerprint(one, arrays) == checkpoint.fingerprint(float_one, arrays)


def test_the_readme_names_the_model_in_the_box() -> None:
    project = PROJECT
    (shipped,) = (project / "resources").glob("*.safetensors")
    own = checkpoint.fingerprint(*checkpoint.read(shipped))
    assert f"model {shipped.stem}, fingerprint {own}" in (project / "README.md").read_text("utf-8")


def test_the_bundled_model_is_steerable_and_the_same_when_it_is_saved_anew(tmp_path: Path) -> None:
    (shipped,) = (PROJECT / "resources").glob("*.safetensors")
    told, _ = tensor_file.read(shipped, checkpoint.MOST_BYTES)
    header = json.loads(told[checkpoint.SPEC])
    assert header["version"] == 2
    assert header["spec"]["config"]["channels"] == 64
    assert "channels" not in header["spec"]
    spec, arrays = checkpoint.read(shipped)
    assert spec.steerable
    assert set(spec.styles) == set(get_args(Tool))
    anew = tmp_path / "anew.safetensors"
    save(anew, load(shipped, "cpu"))
    assert checkpoint.read_spec(anew) == spec
    assert load(anew, "cpu").fingerprint == checkpoint.fingerprint(spec, arrays)


#: Fingerprints that version 1 gave the tiny models, with ones as weights.
FLAT = {
    "basic": "b81261153a9e05d2", "cbam": "48f9e57d4eb1ac70", "multi": "1c721303cd28bcb8",
    "multicbam": "130d336a44faed2b",
}  # fmt: skip


@pytest.mark.parametrize("architecture", FLAT)
def test_a_file_and_its_flat_form_have_one_fingerprint(architecture: str, tmp_path: Path) -> None:
    split, flat = tmp_path / "split.safetensors", tmp_path / "flat.safetensors"
    model = lively_model(architecture)
    save(split, model)
    spec, arrays = checkpoint.read(split)
    header = {"format": checkpoint.FORMAT, "version": 1, "spec": spec.flat}
    flat.write_bytes(tensor_file.content(arrays, {checkpoint.SPEC: json.dumps(header)}))
    assert checkpoint.read_spec(flat) == spec == model.spec
    prints = {checkpoint.fingerprint(*checkpoint.read(path)) for path in (split, flat)}
    assert len(prints) == 1
    # Drawn weights need not be the same everywhere.
    ones = {name: np.ones_like(array) for name, array in arrays.items()}
    assert checkpoint.fingerprint(spec, ones) == FLAT[architecture]


def test_a_spec_without_its_config_is_refused(stored: Path) -> None:
    spec, arrays = checkpoint.read(stored)
    for config in ({"channels": 16, "width": 3}, [], None, {"channels": 2000}):
        told = {**checkpoint.described(spec), "config": config}
        header = {"format": checkpoint.FORMAT, "version": 2, "spec": told}
        stored.write_bytes(tensor_file.content(arrays, {checkpoint.SPEC: json.dumps(header)}))
        with pytest.raises(UnreadableModel, match="description is damaged"):
            checkpoint.read(stored)


def test_a_config_in_a_file_of_version_1_is_refused(stored: Path) -> None:
    spec, arrays = checkpoint.read(stored)
    header = {"format": checkpoint.FORMAT, "version": 1, "spec": {**spec.flat, "config": {}}}
    stored.write_bytes(tensor_file.content(arrays, {checkpoint.SPEC: json.dumps(header)}))
    with pytest.raises(UnreadableModel, match="config is of a later version"):
        checkpoint.read_spec(stored)


def test_reading_a_spec_loads_no_torch(stored: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.networks.checkpoint import read_spec;"
        "print(read_spec(Path(sys.argv[1])).architecture, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(stored)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["multicbam", "False"]


def damaged(stored: Path, kind: str) -> Path:
    path = stored.with_name(f"{kind}.safetensors")
    spec, arrays = checkpoint.read(stored)
    header = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "spec": {}}
    match kind:
        case "absent":
            pass
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(stored.read_bytes()[:-100])
        case "text":
            path.write_text("not a model", encoding="utf-8")
        case "foreign":
            save_file(arrays, path)
        case "newer":
            save_file(arrays, path, {"nca-seg": json.dumps({**header, "version": 99})})
        case "other format":
            save_file(arrays, path, {"nca-seg": json.dumps({**header, "format": "x/y"})})
        case "no spec":
            save_file(arrays, path, {"nca-seg": json.dumps(header)})
        case "not json":
            save_file(arrays, path, {"nca-seg": "{"})
        case "wrong shape":
            checkpoint.write(path, arrays, spec.changed(hidden=33))
        case "unknown network":
            checkpoint.write(path, arrays, replace(spec, architecture="perceptron"))
        case "not a number":
            checkpoint.write(path, {n: a * np.float32("nan") for n, a in arrays.items()}, spec)
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    {
        "absent": "no such file",
        "empty": "not a whole safetensors file",
        "truncated": "not a whole safetensors file",
        "text": "not a whole safetensors file",
        "foreign": "without a description",
        "newer": "newer than we read",
        "other format": "its format is 'x/y'",
        "no spec": "description is damaged",
        "not json": "description is damaged",
        "wrong shape": "do not fit its description",
        "unknown network": "do not fit its description",
        "not a number": "not all finite",
    }.items(),
)
def test_what_cannot_be_used_is_refused_with_its_reason(
    stored: Path, kind: str, reason: str
) -> None:
    path = damaged(stored, kind)
    with pytest.raises(UnreadableModel, match=reason) as caught:
        load(path)
    assert caught.value.path == path


def test_a_flipped_bit_is_refused_or_changes_nothing(stored: Path) -> None:
    whole, draws = stored.read_bytes(), np.random.default_rng(0)
    spec, arrays = checkpoint.read(stored)
    header = 8 + int.from_bytes(whole[:8], "little")
    places = {*draws.integers(8 * len(whole), size=200), *draws.integers(8 * header, size=400)}
    refused: list[str] = []
    for place in sorted(map(int, places)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        stored.write_bytes(damaged)
        try:
            other_spec, others = checkpoint.read(stored)
        except UnreadableModel as error:
            refused.append(error.reason)
            continue
        assert other_spec == spec
        assert {name: array.tobytes() for name, array in others.items()} == {
            name: array.tobytes() for name, array in arrays.items()
        }
    assert all(refused)
    assert len(refused) > 0.95 * len(places)


def test_a_file_from_before_there_were_checksums_is_taken_at_its_word(stored: Path) -> None:
    spec, arrays = checkpoint.read(stored)
    header = {"format": checkpoint.FORMAT, "version": 1, "spec": spec.flat}
    save_file(arrays, stored, {"nca-seg": json.dumps(header)})
    assert load(stored, "cpu").fingerprint == checkpoint.fingerprint(spec, arrays)


def test_the_model_in_the_box_has_a_checksum() -> None:
    (shipped,) = (PROJECT / "resources").glob("*.safetensors")
    whole = bytearray(shipped.read_bytes())
    told, arrays = tensor_file.read(shipped, checkpoint.MOST_BYTES)
    assert tensor_file.checksum(arrays, told).encode() in whole


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "circle", "long", "endless header"])
def test_what_is_no_regular_file_of_a_models_length_is_refused_without_waiting(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "odd.safetensors"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "circle":
            path.symlink_to(path)
        case "long":
            with path.open("wb") as stream:
                stream.truncate(1 << 40)
        case "endless header":
            path.write_bytes((1 << 63).to_bytes(8, "little") + b"{}")
    for read in (checkpoint.read, checkpoint.read_spec, load):
        with pytest.raises(UnreadableModel) as caught:
            read(path)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        '{"format": "nca-seg/model", "format": "nca-seg/model"}': "comes twice",
        '{"format": "nca-seg/model", "version": "1", "spec": {}}': "description is damaged",
        '"text"': "description is damaged",
        '{"format": "nca-seg/model", "version": 1, "spec": {"name": "\\ud800", '
        '"architecture": "cbam"}}': "description is damaged",
        '{"format": "nca-seg/model", "version": 1, "spec": ' + "[" * 100_000: "damaged",
        '{"format": "nca-seg/model", "version": 1, "spec": {"name": "a", "architecture": "cbam", '
        '"channels": 1000000000}}': "channels is 1000000000, outside",
        '{"format": "nca-seg/model", "version": 1, "spec": {"name": "a", "architecture": "cbam", '
        '"size": -8}}': "size is -8, outside",
    }.items(),
)
def test_a_description_that_no_model_has_is_refused(stored: Path, text: str, reason: str) -> None:
    _, arrays = checkpoint.read(stored)
    stored.write_bytes(tensor_file.content(arrays, {"nca-seg": text}))
    with pytest.raises(UnreadableModel, match=reason):
        checkpoint.read(stored)


def test_a_description_does_not_decide_how_much_memory_is_taken(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, arrays = checkpoint.read(stored)
    checkpoint.write(stored, arrays, spec.changed(channels=1024, hidden=16_384))

    def build(_: object) -> None:
        raise AssertionError("gigabytes of weights were made")

    monkeypatch.setattr("engine.diffusion.model.build", build)
    with pytest.raises(UnreadableModel, match="do not fit its description"):
        load(stored)
