"""The condition network sees the image once, and every cell is told what it saw there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.networks.automaton.condition import ConditionNetwork
from engine.networks.automaton.config import TOLD, AutomatonConfig, seeing_parameters
from engine.networks.automaton.levels import NOISY, Automaton
from engine.networks.device import DeviceChoice
from engine.networks.network import Steering, Target
from engine.networks.table import build, parameter_count, preset
from engine.types import ModelSpec, TrainSettings

CPU = DeviceChoice("cpu", "float32", "")


def small(**changes: object) -> ModelSpec:
    config = AutomatonConfig(
        channels=64, hidden=16, updates=2, coarse_updates=3, detail=4, condition=4
    )
    return replace(preset("MultiCBAM-conditioned"), config=config, size=16).changed(**changes)


def built(spec: ModelSpec) -> Automaton:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(spec)
    assert isinstance(network, Automaton)
    # As built, a cell changes nothing.
    for name, weight in network.named_parameters():
        if weight.abs().sum() == 0 and "condition" not in name:
            torch.nn.init.normal_(weight, std=0.02)
    return network


def all_fire(first: int, second: int, shape: tuple[int, int]) -> torch.Tensor:
    return torch.full((2, 1, *shape), 0.2)


def told() -> Steering:
    return Steering(torch.eye(5)[:2], torch.zeros(2, 1, 16, 12))


@pytest.mark.parametrize("width", [1, 4, 14])
def test_its_parameters_follow_from_its_width(width: int) -> None:
    network = ConditionNetwork(width, 3)
    assert sum(each.numel() for each in network.parameters()) == seeing_parameters(width, 3)
    spec = small(condition=width)
    assert sum(each.numel() for each in build(spec).parameters()) == parameter_count(spec)


def test_the_preset_has_the_parameters_of_both() -> None:
    plain, conditioned = (preset(f"MultiCBAM-{kind}") for kind in ("ours", "conditioned"))
    both = parameter_count(plain) + seeing_parameters(14, TOLD - 1)
    assert parameter_count(conditioned) == both


@pytest.mark.parametrize("shape", [(1, 1), (8, 12), (33, 64), (52, 40)])
def test_it_sees_images_of_any_size(shape: tuple[int, int]) -> None:
    with torch.no_grad():
        logit, features = ConditionNetwork(2, 3)(torch.rand(2, 3, *shape))
    assert logit.shape == (2, 1, *shape)
    assert features.shape == (2, 3, *shape)


def test_every_cell_is_told_what_was_seen_at_its_place() -> None:
    network, image = built(small()), torch.rand(2, 3, 64, 48)
    seen, logit = network.condition(image)
    state = network.begin(seen, torch.zeros(2, 1, 16, 12), torch.zeros(2), told())
    guess = torch.nn.functional.avg_pool2d(torch.tanh(logit / 2), 4)
    torch.testing.assert_close(state[:, -1 - TOLD : -TOLD], guess)
    # Behind what a person asks for, which stands as it stood without a condition network.
    without = build(small(condition=0))
    assert isinstance(without, Automaton)
    plain = without.begin(image, torch.zeros(2, 1, 16, 12), torch.zeros(2), told())
    torch.testing.assert_close(state[:, : -1 - TOLD], plain[:, : -1 - TOLD])
    assert plain[:, -1 - TOLD : -1].abs().sum() == 0
    assert state[:, NOISY].abs().sum() == 0


def test_every_parameter_learns_and_the_guess_has_a_loss_of_its_own() -> None:
    network = built(small())
    given = network.condition(torch.rand(2, 3, 64, 48))
    times = network.time_condition(torch.full((2,), 0.5), (16, 12))
    outputs = network.predict(given, times, torch.randn(2, 1, 16, 12), all_fire, told())
    share = torch.rand(2, 1, 16, 12)
    terms = network.losses(outputs, given, Target(share, torch.tensor([3, 5])), TrainSettings())
    assert len(terms) == 3
    sum(terms, start=outputs.prediction_n1hw.square().mean()).backward()
    assert [name for name, each in network.named_parameters() if each.grad is None] == []
    anchor = dict(network.condition_network.named_parameters())["logit.weight"]
    anchor.grad = None
    given = network.condition(torch.rand(2, 3, 64, 48))
    network.losses(outputs, given, Target(share, torch.tensor([3, 5])), TrainSettings())[
        0
    ].backward()
    assert anchor.grad is not None
    assert anchor.grad.abs().sum() > 0


def test_the_fast_form_is_told_the_same() -> None:
    network = built(small()).eval()
    fast = network.inferring(CPU)
    image, noisy = torch.rand(2, 3, 64, 48), torch.randn(2, 1, 16, 12)
    with torch.no_grad():
        answers = [
            each.predict(
                each.condition(image),
                each.time_condition(torch.full((2,), 0.5), (16, 12)),
                noisy,
                all_fire,
                told(),
            ).prediction_n1hw
            for each in (network, fast)
        ]
    torch.testing.assert_close(answers[0], answers[1], atol=1e-4, rtol=1e-3)
    assert not torch.equal(answers[0], torch.zeros_like(answers[0]))


def test_the_fast_form_draws_no_random_numbers() -> None:
    network = built(small()).eval()
    before = torch.get_rng_state()
    network.inferring(CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_needs_room_among_the_channels() -> None:
    with pytest.raises(ValueError, match="no room for a condition network"):
        AutomatonConfig(channels=56, detail=4, condition=4)
    assert not AutomatonConfig(channels=58, detail=4, condition=4).can_be_steered
    assert AutomatonConfig(channels=64, detail=4, condition=4).can_be_steered
