"""Laws of the automaton, and the paper's parameter counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.errors import UnknownArchitecture
from engine.networks.automaton.architectures import AUTOMATA
from engine.networks.automaton.cell import Cell
from engine.networks.automaton.config import AutomatonConfig
from engine.networks.automaton.levels import DETAIL_GAIN
from engine.networks.table import build, parameter_count, preset
from engine.types import ModelSpec
from tests.oracles import tiny_spec

COUNTS = {"basic": 139_648, "cbam": 206_118, "multi": 410_880, "multicbam": 412_236}


@pytest.mark.parametrize(("architecture", "count"), COUNTS.items())
def test_the_presets_have_the_papers_parameter_counts(architecture: str, count: int) -> None:
    spec = preset(architecture)
    assert sum(parameter.numel() for parameter in build(spec).parameters()) == count
    assert parameter_count(spec) == count


def test_an_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(UnknownArchitecture, match="'perceptron' is not one of"):
        build(ModelSpec("x", "perceptron", AutomatonConfig()))


def test_every_channel_has_a_name_in_the_order_of_the_state() -> None:
    network = build(preset("basic").changed(channels=8))
    assert network.channels == ("noise", "R", "G", "B", "x_t", "hidden 1", "hidden 2", "t")


def some(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def lively_cell(attention: bool = True) -> Cell:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cell = Cell(16, 32, attention)
        torch.nn.init.normal_(cell.act.weight, std=0.3)
    return cell


@pytest.mark.parametrize("attention", [False, True])
def test_an_untrained_cell_changes_nothing(attention: bool) -> None:
    state = some((2, 16, 9, 11))
    after = Cell(16, 32, attention)(state, torch.ones(2, 1, 9, 11, dtype=torch.bool))
    assert torch.equal(after, state)


@pytest.mark.parametrize("attention", [False, True])
def test_only_cells_that_fire_change(attention: bool) -> None:
    state, cell = some((2, 16, 9, 11)), lively_cell(attention)
    nobody = torch.zeros(2, 1, 9, 11, dtype=torch.bool)
    assert torch.equal(cell(state, nobody), state)
    some_fire = some((2, 1, 9, 11), seed=1) > 0
    moved = (cell(state, some_fire) != state).any(dim=1, keepdim=True)
    assert torch.equal(moved, some_fire)


def test_the_cell_is_the_papers_rule_written_out() -> None:
    """Dense, with the two convolutions apart: what `Cell` computes for firing cells alone."""
    cell, state = lively_cell(), some((1, 16, 8, 10))
    fires = some((1, 1, 8, 10), seed=2) > 0
    assert cell.attention is not None
    attended = cell.attention(state)
    padded = torch.nn.functional.pad(attended, (1, 1, 1, 1), mode="reflect")
    convolve = torch.nn.functional.conv2d
    first = convolve(padded, cell.perceive.weight[:16], cell.perceive.bias[:16])  # type: ignore[index]
    second = convolve(padded, cell.perceive.weight[16:], cell.perceive.bias[16:])  # type: ignore[index]
    perceived = torch.cat([attended, first, second], dim=1).permute(0, 2, 3, 1)
    hidden = torch.nn.functional.leaky_relu(cell.think(perceived))
    change = cell.act(hidden).permute(0, 3, 1, 2)
    torch.testing.assert_close(cell(state, fires), state + change * fires)


@pytest.mark.parametrize("attention", [False, True])
def test_dense_and_gathered_are_one_update_and_have_one_gradient(attention: bool) -> None:
    cell = lively_cell(attention)
    fires, found = some((2, 1, 9, 11), seed=1) > 0, []
    for update in (cell.dense, cell.gathered):
        state = some((2, 16, 9, 11)).requires_grad_()
        moved = update(state, fires)
        loss = (moved * some((2, 16, 9, 11), seed=2)).sum()
        found.append([moved, *torch.autograd.grad(loss, [state, *cell.parameters()])])
    for mine, theirs in zip(*found, strict=True):
        assert float(mine.detach().abs().max()) > 0.01
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_the_state_begins_with_the_given_and_zeros() -> None:
    network = build(tiny_spec())
    image, noisy = some((2, 3, 16, 12)), some((2, 1, 16, 12), seed=1)
    state = network.begin(image, noisy, torch.tensor([0.25, 1.0]))
    assert torch.equal(state[:, 1:4], image)
    assert torch.equal(state[:, 4:5], noisy)
    assert torch.equal(state[:, -1, 0, 0], torch.tensor([0.25, 1.0]))
    assert not state[:, 0].any()
    assert not state[:, 5:-1].any()


def test_cells_of_both_levels_are_told_of_the_pixels_of_their_own_place() -> None:
    """A picture of one bright pixel in four: every cell sees which, however much it covers."""
    network = build(tiny_spec(channels=18, detail=2))
    image = torch.zeros(1, 3, 64, 64)
    image[:, 1, 32:, 32:] = 1
    image[:, 2, ::2, 1::2] = 1
    noisy, time = some((1, 1, 32, 32)), torch.ones(1)
    coarse = network.enter(1, None, image, noisy, time)
    fine = network.enter(2, torch.zeros(1, 18, 8, 8), image, noisy, time)
    assert coarse.shape == (1, 18, 8, 8)
    assert fine.shape == (1, 18, 32, 32)
    striped = DETAIL_GAIN * torch.tensor([-0.25, 0.75, -0.25, -0.25])
    for state in (coarse, fine):
        half = state.shape[-1] // 2
        assert float(state[0, 2, half - 1, -1]) == 0
        assert float(state[0, 2, half, half]) == 1
        torch.testing.assert_close(state[0, 3], torch.full_like(state[0, 3], 0.25))
        assert not state[:, 5:13].any()
    torch.testing.assert_close(fine[0, 13:17, 5, 5], striped)
    assert not coarse[:, 13:17].any()


def test_more_detail_than_there_are_channels_is_refused() -> None:
    assert tiny_spec(channels=18, detail=2).pixels_per_cell == 2
    with pytest.raises(ValueError, match="detail is 2, too much for 17 channels"):
        tiny_spec(channels=17, detail=2)
    with pytest.raises(ValueError, match="detail is 0"):
        tiny_spec(detail=0)


@pytest.mark.parametrize("architecture", [each.name for each in AUTOMATA])
@pytest.mark.parametrize("shape", [(8, 8), (8, 32), (20, 12), (13, 9)])
def test_every_grid_from_eight_by_eight_works(architecture: str, shape: tuple[int, int]) -> None:
    network = build(tiny_spec(architecture))
    seen: list[tuple[int, int, tuple[int, int]]] = []

    def fires(level: int, update: int, grid: tuple[int, int]) -> Tensor:
        seen.append((level, update, grid))
        return torch.ones(1, 1, *grid, dtype=torch.bool)

    state = network(some((1, 3, *shape)), some((1, 1, *shape)), torch.ones(1), fires)
    assert state.shape == (1, 16, *shape)
    assert torch.isfinite(state).all()
    levels = 2 if architecture.startswith("multi") else 1
    assert [(level, update) for level, update, _ in seen] == [
        (level, update) for level in range(1, levels + 1) for update in (1, 2, 3)
    ]
    assert seen[-1][2] == shape
    if levels == 2:
        assert seen[0][2] == (max(2, shape[0] // 4), max(2, shape[1] // 4))


def test_the_second_level_gets_the_full_size_picture_and_what_the_first_learned() -> None:
    network = build(tiny_spec())
    torch.nn.init.constant_(network.levels[0].act.weight, 0.1)  # type: ignore[union-attr,arg-type]
    image, noisy = some((1, 3, 16, 16)), some((1, 1, 16, 16), seed=1)

    def fires(_level: int, _update: int, grid: tuple[int, int]) -> Tensor:
        return torch.ones(1, 1, *grid, dtype=torch.bool)

    moments = list(network.evolve(image, noisy, torch.ones(1), fires))
    assert [(m.level, m.update) for m in moments] == [(i, j) for i in (1, 2) for j in range(4)]
    handed_over = moments[4].state_nchw
    assert torch.equal(handed_over[:, 1:4], image)
    assert torch.equal(handed_over[:, 4:5], noisy)
    assert bool((handed_over[:, -1] == 1).all())
    assert bool(handed_over[:, 0].any())
    assert bool(handed_over[:, 5:-1].any())
