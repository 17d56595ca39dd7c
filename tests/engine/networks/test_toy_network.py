"""A network without cells is an entry in the table: everything else works with it as it is."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from torch import Tensor
from typer.testing import CliRunner

from engine.cli.options import command
from engine.cli.train import train as train_command
from engine.diffusion.ensemble import replay, segment
from engine.diffusion.model import Model, load, save
from engine.evaluation.scoring import evaluate
from engine.networks import checkpoint, library, tensor_file
from engine.networks.network import Tensors
from engine.networks.table import ARCHITECTURES, build, parameter_count, preset
from engine.report.commands import trained_by
from engine.training.loop import finetune, train
from engine.types import SampleSettings, TrainSettings
from tests.engine.commands import install, picture, run, write_dataset
from tests.oracles import CPU, disk, lesion
from tests.samples import drawn_dataset
from tests.toy import TOY, Toy, ToyConfig, register

BRIEF = TrainSettings(steps=4, batch_size=2, size=16, validate_every=2)
FEW = SampleSettings(members=6, steps=3, batch_size=2)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


class CountingToy(Toy):
    """A toy that counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(TOY.presets[0])
        self.images, self.times, self.samples = 0, 0, 0

    def condition(self, image_n3hw: Tensor) -> Tensors:
        self.images += len(image_n3hw)
        return super().condition(image_n3hw)

    def time_condition(self, time_n: Tensor, grid: tuple[int, int]) -> Tensors:
        self.times += len(time_n)
        return super().time_condition(time_n, grid)


def test_every_entry_of_the_table_is_whole() -> None:
    for name, entry in ARCHITECTURES.items():
        assert name == entry.name
        for spec in entry.presets:
            assert spec.architecture == name
            assert isinstance(spec.config, entry.config)
            network = build(spec)
            weights = network.state_dict().values()
            assert sum(each.numel() for each in weights) == parameter_count(spec)
            assert entry.inspectable == bool(network.moments) == bool(network.channels)
            assert entry.cost(spec).memory_bytes > 0


def test_an_image_and_a_step_are_looked_at_once_however_many_members_there_are() -> None:
    torch.manual_seed(0)
    network = CountingToy()
    *_, result = segment(Model(network, CPU), lesion(disk(24)), FEW)
    # Four mirrored views, three rounds of two members, three steps each.
    assert (network.images, network.times) == (4, 9)
    assert len(result.members_nhw) == 6
    assert not np.array_equal(result.members_nhw[0], result.members_nhw[1])
    *_, again = segment(Model(network, CPU), lesion(disk(24)), FEW)
    np.testing.assert_array_equal(again.members_nhw, result.members_nhw)


def test_an_image_is_looked_at_anew_by_weights_that_were_trained() -> None:
    network = Toy(TOY.presets[0])
    model = Model(network, CPU)
    image_chw = np.random.default_rng(0).random((3, 16, 12), dtype=np.float32)
    noisy = torch.randn(1, 1, 16, 12)

    def predicted(asked: Model) -> Tensor:
        return asked.denoiser(image_chw, SampleSettings(seed=5), [0])(noisy, 60)

    before = predicted(model)
    assert torch.equal(predicted(model), before)
    for weight in network.see.parameters():
        weight.lerp_(torch.ones_like(weight), 0.5)
    after = predicted(model)
    assert not torch.equal(after, before)
    assert torch.equal(after, predicted(Model(network, CPU)))


def test_it_learns_is_judged_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    whole = list(train(preset("toy"), dataset, BRIEF, tmp_path / "whole", device="cpu"))
    assert whole[-1].best_dice is not None
    list(train(preset("toy"), dataset, BRIEF, out, device="cpu", stop_at=2))
    *_, last = train(preset("toy"), dataset, BRIEF, out, resume=True, device="cpu")
    assert last.done == 4
    assert last.loss == whole[-1].loss
    assert last.best_path is not None
    *_, scored = evaluate(load(last.best_path, "cpu"), dataset.split("val"), FEW)
    assert scored.done == scored.total
    *_, tuned = finetune(load(last.best_path, "cpu"), dataset, BRIEF, tmp_path / "tuned")
    assert tuned.done == 4


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path, spec = tmp_path / "toy.safetensors", preset("toy").changed(width=7)
    original = Model(build(spec), CPU)
    save(path, original)
    found = load(path, "cpu")
    assert found.spec == spec
    assert found.spec.config == ToyConfig(width=7)
    for name, weight in found.network.state_dict().items():
        assert torch.equal(weight, original.network.state_dict()[name])
    told, arrays = tensor_file.read(path, checkpoint.MOST_BYTES)
    assert json.loads(told[checkpoint.SPEC])["spec"]["config"] == {"width": 7}
    other = checkpoint.fingerprint(spec.changed(width=8), arrays)
    assert other != found.fingerprint == checkpoint.fingerprint(spec, arrays)


def test_a_value_that_it_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="toy has no channels, hidden"):
        preset("toy").changed(width=5, hidden=3, channels=8)
    with pytest.raises(ValueError, match="width is 0, outside 1 to 64"):
        preset("toy").changed(width=0)


def test_it_has_nothing_to_look_at() -> None:
    model = Model(build(preset("toy")), CPU)
    with pytest.raises(ValueError, match="nothing to look at"):
        next(
            replay(model, lesion(disk(24)), np.zeros((16, 16), np.float32), 50, SampleSettings(), 0)
        )


def test_its_config_has_flags_of_its_own(tmp_path: Path) -> None:
    # As the command line is made where the table has it from the start.
    program = typer.Typer(rich_markup_mode=None)
    program.command()(command(TrainSettings(), configs=True)(train_command.__wrapped__))
    listed = " ".join(CliRunner().invoke(program, ["--help"]).stdout.split())
    assert "--width <int range> Features of the image. [default: 4, or as --from]" in listed
    assert "basic, cbam, multi, multicbam (the default), " in listed
    assert " or toy." in listed
    out = tmp_path / "run"
    asked = ["--data", str(write_dataset(tmp_path / "data")), "--out", str(out)]
    brief = ["--size", "16", "--batch-size", "2", "--steps", "1", "--device", "cpu"]
    refused = CliRunner().invoke(program, [*asked, *brief, "--width", "7"])
    assert refused.exit_code == 2
    assert "multicbam has no width" in refused.output
    kind = ["--architecture", "toy", "--width", "7"]
    assert CliRunner().invoke(program, [*asked, *brief, *kind]).exit_code == 0
    spec = checkpoint.read_spec(out / "last.safetensors")
    assert spec.config == ToyConfig(width=7)
    assert "--architecture toy --width 7" in trained_by(spec)


def test_a_flag_means_the_same_in_every_family() -> None:
    configs = {entry.config for entry in ARCHITECTURES.values()}
    assert len(configs) > 1
    flags: dict[str, object] = {}
    for field in (each for config in configs for each in config.flagged()):
        told = (field.type, field.default, field.metadata["flag"])
        assert flags.setdefault(field.name, told) == told
        assert field.name not in inspect.signature(train_command.__wrapped__).parameters
        assert field.name not in {each.name for each in fields(TrainSettings)}


def test_the_commands_take_it(tmp_path: Path) -> None:
    data, shot = write_dataset(tmp_path / "data"), picture(tmp_path / "shot.png")
    out, flags = tmp_path / "run", ("--steps", "2", "--members", "2", "--device", "cpu")
    short = ("--size", "16", "--batch-size", "2", "--device", "cpu", "--architecture", "toy")
    told = run("train", "--data", data, "--out", out, "--steps", "2", *short)
    assert "best.safetensors" in told.stdout
    refused = run("train", "--data", data, "--out", tmp_path / "no", *short, "--updates", "3",
                  exit_code=2)  # fmt: skip
    assert "toy has no updates" in refused.stderr
    best = out / "best.safetensors"
    run("segment", shot, "--out", tmp_path / "masks", "--model", best, *flags)
    assert (tmp_path / "masks" / "shot_segmentation.png").exists()
    scored = tmp_path / "scored.json"
    run("evaluate", "--data", data, "--split", "val", "--model", best, *flags, "--json", scored)
    assert json.loads(scored.read_text(encoding="utf-8"))["total"] == 2
    install(preset("toy").changed(name="installed"))
    assert [entry.architecture.inspectable for entry in library.installed()] == [True, False]
    listed = json.loads(run("models", "--json").stdout)
    assert [each["parameters"] for each in listed["presets"]][-1] == parameter_count(preset("toy"))
    assert listed["installed"][-1]["architecture"] == "toy"
    page = tmp_path / "report"
    run("report", data, "--out", page, "--model", best, *flags, "--sweep-images", "1")
    numbers = next(page.glob("*.json")).read_text(encoding="utf-8")
    assert json.loads(numbers)["model"]["spec"]["width"] == 4
