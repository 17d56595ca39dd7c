"""Plain networks predict the mask from the image alone, at any size, and train like all others."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model, load, save
from engine.errors import MissingExtra
from engine.evaluation.scoring import evaluate
from engine.networks.architecture import Architecture
from engine.networks.baselines.architectures import BASELINES
from engine.networks.device import DeviceChoice
from engine.networks.low_precision import LowPrecision
from engine.networks.network import Network
from engine.networks.table import architecture, build, parameter_count, preset
from engine.training.loop import finetune, train
from engine.types import Image, ModelSpec, SampleSettings, TrainSettings
from tests.oracles import CPU
from tests.samples import drawn_dataset

# MONAI warns of what it itself calls.
pytestmark = pytest.mark.filterwarnings("ignore:::monai")
pytest.importorskip("monai", reason="needs the packages of nca-seg[baselines]")

#: Small forms of every architecture.
SMALL: dict[str, dict[str, int]] = {
    "unet": {"first": 8, "width": 8},
    "dynunet": {"first": 4, "most": 16},
    "unetr": {},
    "swinunetr": {"features": 12},
}


def small(name: str) -> ModelSpec:
    return preset(name).changed(size=32, **SMALL[name])


def built(spec: ModelSpec) -> Network:
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return build(spec).eval()


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("U-Net-0.4M", 0.38),
        ("U-Net-2M", 1.98),
        ("U-Net-31M", 31.1),
        ("DynUNet", 20.6),
        ("Swin-UNETR", 6.3),
    ],
)
def test_presets_have_the_usual_sizes(name: str, count: float) -> None:
    network = built(preset(name))
    assert parameter_count(preset(name)) / 1e6 == pytest.approx(count, rel=0.01)
    # A file holds every parameter once, and nothing else.
    assert network.state_dict().keys() == dict(network.named_parameters()).keys()


@pytest.mark.parametrize("name", SMALL.keys() - {"unetr"})
@pytest.mark.parametrize("shape", [(8, 8), (52, 76), (64, 48)])
def test_pictures_of_any_size_are_taken(name: str, shape: tuple[int, int]) -> None:
    with torch.no_grad():
        (logit,) = built(small(name)).condition(torch.rand(2, 3, *shape))
    assert logit.shape == (2, 1, *shape)


def test_a_padded_border_does_not_move_the_picture() -> None:
    network, image = built(small("unet")), torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        (whole,) = network.condition(image)
        (cut,) = network.condition(image[..., :52])
    # Far from the cut border nothing is seen of it.
    assert (
        torch.corrcoef(torch.stack([whole[..., :24].flatten(), cut[..., :24].flatten()]))[0, 1]
        > 0.9
    )


def test_unetr_takes_other_sizes_than_its_own() -> None:
    network = built(small("unetr"))
    with torch.no_grad():
        assert network.condition(torch.rand(1, 3, 24, 44))[0].shape == (1, 1, 24, 44)


@pytest.mark.parametrize("name", ["unet", "dynunet", "swinunetr"])
def test_every_parameter_learns(name: str) -> None:
    network = built(small(name))
    network.condition(torch.rand(1, 3, 32, 32))[0].square().mean().backward()
    assert [called for called, each in network.named_parameters() if each.grad is None] == []


@pytest.mark.parametrize("entry", BASELINES, ids=lambda entry: str(entry.name))
def test_the_cost_is_right_to_a_factor_of_two(entry: Architecture) -> None:
    spec = small(entry.name).changed(size=64)
    network = built(spec).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.condition(torch.empty(1, 3, 64, 64, device="meta"))
    estimated = architecture(spec.architecture).cost(spec).multiplications
    assert 0.5 < estimated / (counter.get_total_flops() / 2) < 2


def test_members_are_the_mirrored_views_and_no_more() -> None:
    spec = small("unet")
    model = Model(built(spec), CPU)
    image = Image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), Path("x.png"))
    *_, result = segment(model, image, SampleSettings(members=10, steps=5))
    assert len(result.members_nhw) == result.finished == 4
    assert result.done == result.total
    *_, plain = segment(model, image, SampleSettings(members=10, views="plain"))
    assert len(plain.members_nhw) == 1
    np.testing.assert_array_equal(plain.members_nhw[0], result.members_nhw[0])
    *_, auto = segment(model, image, SampleSettings(members=0))
    assert len(auto.members_nhw) == 4
    other = replace(SampleSettings(members=10), seed=7)
    *_, again = segment(model, image, other)
    np.testing.assert_array_equal(again.members_nhw, result.members_nhw)


def test_a_plain_network_trains_is_saved_scored_and_tuned(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "data", count=8)
    settings = TrainSettings(
        steps=60, batch_size=4, size=32, learning_rate=3e-3, validate_every=60, recycle=0.5
    )
    *_, last = train(small("unet"), dataset, settings, tmp_path / "run", device="cpu")
    assert last.best_path is not None
    model = load(last.best_path, "cpu")
    *_, evaluation = evaluate(model, dataset.split("val"), SampleSettings())
    assert evaluation.mean.dice > 0.6
    save(tmp_path / "again.safetensors", model)
    assert load(tmp_path / "again.safetensors", "cpu").fingerprint == model.fingerprint
    few = replace(settings, steps=2, validate_every=2)
    *_, tuned = finetune(model, dataset, few, tmp_path / "tuned")
    assert tuned.best_dice is not None


def test_bfloat16_is_near_float32() -> None:
    network, image = built(small("unet")), torch.rand(1, 3, 32, 48)
    low = network.inferring(DeviceChoice("cpu", "bfloat16", ""))
    assert isinstance(low, LowPrecision)
    assert network.inferring(DeviceChoice("cpu", "float32", "")) is network
    with torch.no_grad():
        exact, near = network.condition(image)[0], low.condition(image)[0]
    assert near.dtype == torch.float32
    assert (exact - near).abs().mean() < 0.05 * exact.std()


def test_without_monai_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    with pytest.raises(MissingExtra) as raised:
        build(small("unet"))
    assert raised.value.extra == "baselines"
