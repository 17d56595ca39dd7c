"""The networks of the family: any grid, a gradient everywhere, and what each switch changes."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.ensemble import replay, segment
from engine.diffusion.model import Model
from engine.networks.device import DeviceChoice
from engine.networks.medsegdiff.networks import MedSegDiffV2
from engine.networks.network import Target
from engine.networks.table import build
from engine.training.batches import BatchSource
from engine.training.trainer import Trainer
from engine.types import SampleSettings, TrainSettings
from tests.engine.networks.medsegdiff.tiny import (
    ARCHITECTURES,
    answer,
    lively,
    no_chance,
    predicted,
    seen,
    tiny,
)
from tests.oracles import CPU, disk, lesion
from tests.samples import drawn_dataset

#: All combinations of switches with which the network sees the image at all.
SWITCHES: tuple[dict[str, Any], ...] = tuple(
    {"anchor": anchor, "transformer": transformer, "filters": filters, "sees": sees}
    for anchor, transformer, filters, sees in product(
        ("none", "sa", "u-sa"), (True, False), (True, False), ("noisy", "both")
    )
    if (anchor, transformer, sees) != ("none", False, "noisy") and (transformer or filters)
)


def called(switches: dict[str, Any]) -> str:
    return "-".join(str(each) for each in switches.values())


def v2(**changes: Any) -> MedSegDiffV2:
    network = lively(tiny(**changes))
    assert isinstance(network, MedSegDiffV2)
    return network


def gradients(network: MedSegDiffV2, timestep_n: Tensor) -> dict[str, Tensor]:
    image, noisy, _ = seen()
    outputs, given, _ = answer(network, (image, noisy, timestep_n / 100))
    target = Target((noisy > 0).float(), timestep_n)
    loss = outputs.prediction_n1hw.square().mean()
    for own in network.losses(outputs, given, target, TrainSettings()):
        loss = loss + own
    names, weights = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, weights), strict=True))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("grid", [(64, 64), (96, 64), (52, 76), (8, 8)])
def test_any_grid_is_answered(architecture: str, grid: tuple[int, int]) -> None:
    levels = {"multipliers": (1, 1, 2, 2, 2)}
    if architecture == "medsegdiff-v2":
        levels["condition_multipliers"] = (1, 1, 2, 2, 2)
    network = lively(tiny(architecture, **levels))
    prediction = predicted(network, seen(*grid))
    assert prediction.shape == (2, 1, *grid)
    assert prediction.isfinite().all()
    assert prediction.std() > 0.01


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_image_x_and_t_all_count(architecture: str) -> None:
    network = lively(tiny(architecture))
    whole, other = seen(), seen(seed=1)
    before = predicted(network, whole)
    for place in range(3):
        changed = list(whole)
        changed[place] = other[place] if place < 2 else whole[2] + 0.3
        assert (predicted(network, changed) - before).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_row_of_t_serves_all_members(architecture: str) -> None:
    network = lively(tiny(architecture))
    image, noisy, _ = seen(n=3)
    grid = (noisy.shape[2], noisy.shape[3])
    with torch.no_grad():
        one = network.time_condition(torch.full((1,), 0.4), grid)
        rows = network.time_condition(torch.full((3,), 0.4), grid)
        given = network.condition(image)
        expanded = tuple(each.expand(3, *each.shape[1:]) for each in one)
        together = network.predict(given, expanded, noisy, no_chance).prediction_n1hw
        single = network.predict(given, rows, noisy, no_chance).prediction_n1hw
    torch.testing.assert_close(together, single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES[1:])
def test_every_parameter_of_a_relative_has_a_gradient(architecture: str) -> None:
    network = lively(tiny(architecture))
    outputs, _, _ = answer(network, seen())
    weights = dict(network.named_parameters())
    slopes = torch.autograd.grad(outputs.prediction_n1hw.square().mean(), list(weights.values()))
    assert [name for name, slope in zip(weights, slopes, strict=True) if not slope.any()] == []


@pytest.mark.parametrize("switches", SWITCHES, ids=called)
def test_every_parameter_has_a_gradient_whatever_the_switches(switches: dict[str, Any]) -> None:
    slopes = gradients(v2(**switches), torch.tensor([10, 13]))
    assert [name for name, slope in slopes.items() if not slope.any()] == []


def test_without_the_anchor_s_loss_the_same_parameters_have_gradients() -> None:
    network = v2()
    without, with_anchor = (
        gradients(network, torch.tensor(steps)) for steps in ([11, 13], [10, 15])
    )
    assert without.keys() == with_anchor.keys() == dict(network.named_parameters()).keys()
    # Only the head is trained by the anchor's loss alone.
    silent = {name for name, slope in without.items() if not slope.any()}
    assert silent == {"look.head.weight", "look.head.bias"}


def test_a_part_that_is_off_has_no_parameters_and_the_rest_are_the_same() -> None:
    whole = dict(v2(sees="both").named_parameters())
    parts = {
        "former.": {"transformer": False},
        "former.filters.": {"filters": False},
        "look.gate.blur.": {"anchor": "sa"},
    }
    for prefix, changes in parts.items():
        less = dict(v2(sees="both", **changes).named_parameters())
        gone = whole.keys() - less.keys()
        assert gone == {name for name in whole if name.startswith(prefix)} != set()
        assert less.keys() <= whole.keys()
    bare = v2(sees="both", anchor="none", transformer=False)
    gone = whole.keys() - dict(bare.named_parameters()).keys()
    assert gone == {name for name in whole if name.startswith(("look.", "former."))}
    # What is left is EnsemDiff, weight for weight.
    alike = lively(tiny("ensemdiff"))
    alike.load_state_dict(bare.state_dict())
    torch.testing.assert_close(predicted(bare, seen()), predicted(alike, seen()))


@pytest.mark.parametrize(
    "changes",
    [{"anchor": "sa"}, {"anchor": "none"}, {"transformer": False}, {"filters": False}],
    ids=str,
)
def test_each_part_changes_the_answer(changes: dict[str, Any]) -> None:
    whole, less = v2(), v2(**changes)
    less.load_state_dict(
        {name: weight for name, weight in whole.state_dict().items() if name in less.state_dict()}
    )
    difference = predicted(whole, seen()) - predicted(less, seen())
    assert difference.abs().max() > 1e-4


def test_an_untrained_transformer_adds_nothing() -> None:
    torch.manual_seed(0)
    whole, less = build(tiny()), build(tiny(transformer=False))
    assert isinstance(whole, MedSegDiffV2)
    assert isinstance(less, MedSegDiffV2)
    less.load_state_dict(
        {name: weight for name, weight in whole.state_dict().items() if "former" not in name}
    )
    torch.testing.assert_close(predicted(whole, seen()), predicted(less, seen()))


def test_what_muon_trains() -> None:
    names = {True: set[str](), False: set[str]()}
    for architecture in ARCHITECTURES:
        network = lively(tiny(architecture))
        for name, weight in network.named_parameters():
            matrix = network.is_matrix(name, weight)
            names[matrix].add(name)
            assert not matrix or min(weight.flatten(1).shape) > 1
    assert {"stem.weight", "former.blocks.0.meet.query.imaginary", "see.weight"} <= names[True]
    assert {"former.filters.0.layers.0.mix.weight", "time.think.weight"} <= names[True]
    heads = {"head.convolve.weight", "look.head.weight", "look.gate.weigh.weight"}
    assert heads | {"former.filters.0.weigh.weight", "time.table"} <= names[False]
    assert {"meetings.0.parse.spectrum", "look.gate.blur.log_width"} <= names[False]
    assert {"encoder.stages.0.blocks.0.norm.weight"} <= names[False]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_file_holds_parameters_only(architecture: str) -> None:
    network = lively(tiny(architecture))
    assert network.state_dict().keys() == dict(network.named_parameters()).keys()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_form_for_inference_is_near_the_plain_one(architecture: str) -> None:
    network, inputs = lively(tiny(architecture)).eval(), seen(52, 44)
    plain = predicted(network, inputs)
    exact = predicted(network.inferring(CPU), inputs)
    torch.testing.assert_close(exact, plain, rtol=1e-4, atol=1e-4)
    low = network.inferring(DeviceChoice("cpu", "bfloat16", "a test"))
    rounded = predicted(low, inputs)
    assert rounded.dtype == torch.bfloat16
    assert (rounded - plain).std() < 0.03 * plain.std()
    kinds = {name: weight.dtype for name, weight in low.named_parameters()}
    exact_parts = ("time.", "former.", "meetings.0.parse")
    assert all(
        (kinds[name] == torch.float32) == name.startswith(exact_parts)
        for name in kinds
        if "parse" not in name or "meetings.0" in name
    )
    assert network.inferring(DeviceChoice("cuda", "float32", "a test")) is network


def test_later_training_does_not_reach_the_form_for_inference() -> None:
    network, inputs = lively(tiny()), seen()
    fast = network.inferring(CPU)
    before = predicted(fast, inputs)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.5)
    assert torch.equal(predicted(fast, inputs), before)
    assert not torch.allclose(predicted(network, inputs), before)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        # Shapes alone take torch far longer than numbers: as few operations as have all parts.
        ("medsegdiff-v2", {"depth": 1, "condition_multipliers": (1, 2), "sees": "both"}),
        ("medsegdiff", {"predicts": "noise"}),
    ],
)
def test_a_whole_step_runs_where_there_are_shapes_only(
    tmp_path: Path, architecture: str, changes: dict[str, Any]
) -> None:
    spec = tiny(architecture, multipliers=(1, 2), **changes)
    settings = TrainSettings(steps=4, batch_size=4, size=16)
    with torch.device("meta"):
        network, average = build(spec), build(spec)
    average.requires_grad_(False)
    batches = BatchSource(drawn_dataset(tmp_path).split("train"), spec, settings, "meta")
    device = object.__new__(DeviceChoice)
    for name, value in {"name": "meta", "precision": "float32", "reason": "a test"}.items():
        object.__setattr__(device, name, value)
    trainer = Trainer(spec, settings, device, network, average, batches)
    trainer.step()
    assert trainer.done == 1
    assert all(weight.device.type == "meta" for weight in network.parameters())


@pytest.mark.parametrize("switches", SWITCHES, ids=called)
def test_it_shows_what_its_parts_decide(switches: dict[str, Any]) -> None:
    network, (image, noisy, time) = v2(**switches), seen(16, 12)
    with torch.no_grad():
        given = network.condition(image)
        times = network.time_condition(time, (16, 12))
        moments = list(network.inspect(given, times, noisy, no_chance))
    assert len(moments) == network.moments == (3 if switches["transformer"] else 1)
    assert [moment.update for moment in moments] == list(range(len(moments)))
    for moment in moments:
        assert moment.state_nchw.shape == (2, len(network.channels), 16, 12)
        assert moment.state_nchw.dtype == torch.float32
        assert moment.fires_n1hw.all()
        named = dict(zip(network.channels, moment.state_nchw.unbind(1), strict=True))
        assert named["tokens"].min() > 0
        if switches["anchor"] != "none":
            logit = dict(zip(network.given, given, strict=True))["anchor"]
            assert torch.equal(named["anchor"], logit[:, 0].sigmoid())
            assert 0 < named["gate"].min() <= named["gate"].max() < 1
        if switches["transformer"] and switches["filters"] and moment.update:
            assert 0 < named["filter 1"].min() <= named["filter 1"].max() < 1
            assert not torch.equal(named["filter 1"], named["filter 2"])


def test_a_token_s_attention_is_a_map_for_each_block() -> None:
    network, (image, noisy, time) = v2(), seen(16, 12)
    with torch.no_grad():
        given, times = network.condition(image), network.time_condition(time, (16, 12))
        maps = network.attention(given, times, noisy, (9, 5))
        same = network.attention(given, times, noisy, (8, 4))
        other = network.attention(given, times, noisy, (8, 8))
    assert maps.shape == (2, 2, 16, 12)
    assert torch.equal(maps, same)
    assert not torch.allclose(maps, other)
    # One number for each token of 4 × 4 cells.
    assert torch.equal(maps[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3), maps)
    with pytest.raises(ValueError, match="no SS-Former"):
        v2(transformer=False).attention(given, times, noisy, (0, 0))


def test_images_are_segmented_and_steps_replayed() -> None:
    model = Model(lively(tiny(predicts="clean", mask_scale=0.2)), CPU)
    few = SampleSettings(members=5, steps=2, batch_size=3)
    *_, result = segment(model, lesion(disk(40)), few)
    assert len(result.members_nhw) == 5
    states = list(replay(model, lesion(disk(40)), result.step.noisy_nhw[0], 50, few, 3))
    assert [state.update for state in states] == [0, 1, 2]
    assert states[0].channels == model.network.channels
