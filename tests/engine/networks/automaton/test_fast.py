"""The fast cell is the readable cell: same states for every model, shape and batch."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model, load
from engine.images.reading import read_image
from engine.metrics import dice
from engine.networks.automaton.architectures import AUTOMATA
from engine.networks.automaton.cell import Cell
from engine.networks.automaton.fast import FastCell, filled, neighbourhoods
from engine.networks.automaton.levels import Automaton, FastAutomaton, Fires
from engine.networks.device import DeviceChoice, rounds, small_round, thread_count
from engine.networks.library import find
from engine.networks.network import Network
from engine.networks.table import build, preset
from engine.study.dataset import read_dataset
from engine.types import SampleSettings
from tests.conftest import PROJECT

SHAPES = [(1, 8, 8), (3, 8, 8), (1, 13, 10), (2, 36, 20)]


def trained_like(architecture: str, **changes: int) -> Automaton:
    """A network whose cells all do something, as after training."""
    torch.manual_seed(3)
    network = build(preset(architecture).changed(**changes)).eval()
    assert isinstance(network, Automaton)
    network.requires_grad_(False)
    for cell in network.levels:
        torch.nn.init.normal_(cell.act.weight, std=0.01)
    return network


def swift_form(network: Automaton, precision: str = "float32") -> FastAutomaton:
    """The network as a processor infers with it."""
    swift = network.inferring(DeviceChoice("cpu", precision, "for the test"))
    assert isinstance(swift, FastAutomaton)
    return swift


def given(n: int, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(rows)
    image = torch.rand(n, 3, rows, columns, generator=draws) * 2 - 1
    noisy = torch.randn(n, 1, rows, columns, generator=draws)
    return image, noisy, torch.rand(n, generator=draws)


def half(n: int) -> Fires:
    def fires(level: int, update: int, shape: tuple[int, int]) -> Tensor:
        draws = torch.Generator().manual_seed(100 * level + update)
        return torch.rand(n, 1, *shape, generator=draws) < 0.5

    return fires


@pytest.mark.parametrize("architecture", [each.name for each in AUTOMATA])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_states_are_the_readable_ones(architecture: str, shape: tuple[int, int, int]) -> None:
    network = trained_like(architecture)
    expected = network(*given(*shape), half(shape[0]))
    exact, rounded, dense = (
        network.inferring(DeviceChoice(name, precision, "for the test"))(
            *given(*shape), half(shape[0])
        )
        for name, precision in [("cpu", "float32"), ("cpu", "bfloat16"), ("cuda", "float32")]
    )
    assert float((dense - expected).abs().max()) < 1e-4
    assert float(expected[:, 0].abs().max()) > 0.1
    assert exact.shape == rounded.shape == expected.shape
    assert exact.dtype == rounded.dtype == torch.float32
    assert float((exact - expected).abs().max()) < 1e-4
    assert 0 < float((rounded - expected).norm() / expected.norm()) < 4e-3


class Products(TorchDispatchMode):
    """Writes down the precision of every product and filter."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, torch.dtype]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("mm", "addmm", "bmm", "linear", "convolution"):
            self.found.append((func.overloadpacket.__name__, made.dtype))
        return made


def test_on_a_gpu_only_the_cells_of_the_full_grid_are_rounded() -> None:
    """Attention and the coarse grid stay float32 under autocast; the CPU's is as good to see it."""
    network = trained_like("multicbam")
    swift = network.inferring(DeviceChoice("cuda", "bfloat16", "for the test"))
    shape = SHAPES[0]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Products() as products:
        coarse, fine = swift.levels
        state = swift.enter(1, None, *given(*shape))
        fires = torch.ones_like(state[:, :1], dtype=torch.bool)
        state = coarse(state, fires)
        of_coarse = {dtype for _, dtype in products.found}
        products.found.clear()
        state = swift.enter(2, state, *given(*shape))
        assert state.dtype == torch.float32
        fine(state, torch.ones_like(state[:, :1], dtype=torch.bool))
    assert of_coarse == {torch.float32}
    # Attention: an MLP of two layers, asked twice, and a filter.
    assert [dtype for _, dtype in products.found[:5]] == [torch.float32] * 5
    assert {dtype for _, dtype in products.found[5:]} == {torch.bfloat16}


def test_the_fast_cells_see_the_details_that_the_readable_ones_see() -> None:
    network = trained_like("multicbam", detail=4)
    image, (_, noisy, time) = given(3, 64, 48)[0], given(3, 16, 12)
    expected = network(image, noisy, time, half(3))[:, :1]
    swift = swift_form(network)
    torch.testing.assert_close(
        swift.answer(image, noisy, time, half(3)), expected, atol=1e-4, rtol=0
    )
    means = torch.nn.functional.avg_pool2d(image, 4)
    blurred = torch.nn.functional.interpolate(means, scale_factor=4)
    assert float((network(blurred, noisy, time, half(3))[:, :1] - expected).abs().max()) > 0.01


def test_the_coarse_grid_is_not_rounded() -> None:
    network = trained_like("multicbam")
    exact, rounded = (
        list(swift_form(network, precision).evolve(*given(2, 16, 20), half(2)))
        for precision in ("float32", "bfloat16")
    )
    for one, other in zip(exact, rounded, strict=True):
        same = one.level == 1 or one.update == 0
        assert torch.equal(one.state_nchw, other.state_nchw) == same


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [*((each.name, "float32") for each in AUTOMATA), ("multicbam", "bfloat16")],
)
def test_the_answer_of_many_members_is_the_walk_of_each_alone(
    architecture: str, precision: str
) -> None:
    swift = swift_form(trained_like(architecture), precision)
    # Processors without bfloat16 take ten times as long for it.
    count = 7 if precision == "float32" else 3
    whole, fires = given(count, 45, 50), half(count)

    def alone(member: int) -> Tensor:
        one = slice(member, member + 1)
        state = swift(*(part[one] for part in whole), lambda *place: fires(*place)[one])
        return state[:, :1]

    answer = swift.answer(*whole, fires)
    assert answer.shape == (count, 1, 45, 50)
    assert torch.equal(answer, torch.cat([alone(member) for member in range(count)]))


def test_the_same_cells_may_fire_in_every_update() -> None:
    swift = swift_form(trained_like("cbam"))
    everybody = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    whole = given(1, 8, 8)
    walked = swift(*whole, lambda *_: everybody)
    assert torch.equal(swift.answer(*whole, lambda *_: everybody), walked[:, :1])


def test_nobody_waits_for_machine_code_of_a_number_of_rows_that_comes_once() -> None:
    lengths = {len(filled(torch.arange(count))) for count in range(2049)}
    assert len(lengths) < 60
    assert max(lengths) == 2048
    some = filled(torch.arange(5, 45))
    assert some[:40].tolist() == list(range(5, 45))
    assert some[40:].tolist() == 8 * [0]


def test_nobody_fires_nothing_changes_and_the_state_before_is_left_alone() -> None:
    cell = FastCell(trained_like("multicbam").levels[0], torch.bfloat16)  # type: ignore[arg-type]
    state = torch.randn(2, 64, 9, 8)
    before = state.clone()
    assert torch.equal(cell(state, torch.zeros(2, 1, 9, 8, dtype=torch.bool)), before)
    after = cell(state, torch.ones(2, 1, 9, 8, dtype=torch.bool))
    assert torch.equal(state, before)
    assert bool((after != before).any(dim=1).all())


def test_only_firing_cells_change() -> None:
    cell = FastCell(trained_like("basic").levels[0], torch.float32)  # type: ignore[arg-type]
    state = torch.randn(1, 64, 8, 12)
    fires = torch.rand(1, 1, 8, 12) < 0.3
    changed = (cell(state, fires) != state).any(dim=1, keepdim=True)
    assert torch.equal(changed, fires)


def test_neighbours_are_reflected_at_the_border() -> None:
    around = neighbourhoods(2, 3, 4)
    assert around.shape == (24, 9)
    assert around[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    # The cell above the first row is the one below it; the second member has cells of its own.
    assert around[0].tolist() == [5, 4, 5, 1, 0, 1, 5, 4, 5]
    assert torch.equal(around[12:], around[:12] + 12)


def test_what_is_learnt_later_is_not_seen() -> None:
    cell = Cell(8, 16, attention=False).requires_grad_(False)
    torch.nn.init.normal_(cell.act.weight)
    swift = FastCell(cell, torch.float32)
    state, everybody = torch.randn(1, 8, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    before = swift(state, everybody)
    cell.act.weight.zero_()
    cell.think.bias.zero_()
    assert torch.equal(swift(state, everybody), before)


def test_a_model_whose_weights_were_trained_answers_by_the_new_ones() -> None:
    network = trained_like("multicbam")
    model = Model(network, DeviceChoice("cpu", "float32", "for the test"))
    image_chw = np.random.default_rng(0).random((3, 16, 12), dtype=np.float32)
    noisy = torch.randn(1, 1, 16, 12)

    def predicted_clean(asked: Model) -> Tensor:
        return asked.denoiser(image_chw, SampleSettings(seed=5), [0])(noisy, 60)

    before = predicted_clean(model)
    assert torch.equal(predicted_clean(model), before)
    for weight in network.parameters():
        weight.lerp_(torch.ones_like(weight), 0.01)
    after = predicted_clean(model)
    assert not torch.equal(after, before)
    assert torch.equal(after, predicted_clean(Model(network, model.device)))


def answer_of(program: str, threads: int) -> str:
    """What a Python program prints in a process of its own in which torch has so many threads."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        cwd=PROJECT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def test_a_member_on_a_thread_of_its_own_is_the_member_alone() -> None:
    # In a process of its own: the tests' own has one thread in all.
    asking = """
import numpy as np
import torch
from engine.networks.device import DeviceChoice, thread_count
from engine.diffusion.model import Model, load
from engine.types import SampleSettings
from tests.engine.networks.automaton.test_fast import trained_like
# In bfloat16 some processors add up otherwise with one thread than with two.
model = Model(trained_like("multicbam"), DeviceChoice("cpu", "float32", "for the test"))
image_chw = np.random.default_rng(0).random((3, 16, 12), dtype=np.float32)
noisy = torch.randn(3, 1, 16, 12)
def predicted(*members):
    return model.denoiser(image_chw, SampleSettings(seed=5), members)(noisy[list(members)], 60)
alone = torch.cat([predicted(member) for member in range(3)])
found = [torch.equal(predicted(*some), alone[list(some)]) for some in ((0, 1, 2), (2, 0), (1,))]
print(thread_count(), *found, torch.equal(alone[0], alone[1]))
"""
    assert answer_of(asking, threads=2).split() == ["2", "True", "True", "True", "False"]


def test_threads_compute_alone_and_leave_the_others_as_they_are() -> None:
    # In a process of its own: the tests' own has one thread in all.
    asking = """
import torch
from engine.networks.device import share_out
found = [set(share_out(lambda _: torch.get_num_threads(), range(20))) for _ in range(2)]
print(*found, torch.get_num_threads())
"""
    assert answer_of(asking, threads=2).split() == ["{1}", "{1}", "2"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep their memory")
def test_threads_use_the_memory_of_one_update_again_in_the_next() -> None:
    # In a process of its own: what was freed before moves the thresholds.
    asking = """
import resource
import torch
from engine.networks.device import alone

def pages(_):
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    several = [torch.ones(1 << 17) for _ in range(32)]
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

print(*[alone(pages, 0) for _ in range(20)])
"""
    touched = [int(word) for word in answer_of(asking, threads=1).split()]
    assert sum(touched[10:]) < 100


@pytest.mark.parametrize(
    ("threads", "members", "sizes"),
    [
        (1, 10, [1, 5, 4]),
        (2, 10, [1, 1, 8]),
        (2, 1, [1]),
        (2, 30, [1, 1, 14, 14]),
        (2, 25, [1, 1, 12, 11]),
        (8, 10, [1, 7, 2]),
        (16, 10, [1, 9]),
    ],
)
def test_the_first_has_all_cores_then_each_other_has_one_and_the_rest_are_alike(
    monkeypatch: pytest.MonkeyPatch, threads: int, members: int, sizes: list[int]
) -> None:
    monkeypatch.setattr("engine.networks.device.thread_count", lambda: threads)
    spec = replace(preset("multicbam"), size=48)
    assert rounds(spec, "cpu", members) == sizes
    assert small_round(spec, "cpu", 5) == min(5, threads)


def test_large_grids_and_a_gpu_have_rounds_of_their_own() -> None:
    large, small = (replace(preset("multicbam"), size=size) for size in (256, 48))
    assert max(rounds(large, "cpu", 10)) == thread_count()
    assert rounds(large, "cuda", 25) == [9, 9, 7]
    assert rounds(small, "cuda", 17) == [9, 8]
    assert rounds(replace(large, size=2048), "cuda", 2) == [1, 1]


class Readable(Model):
    """The model as the definition computes it, in float32."""

    def _inferring(self) -> Network:
        return self.network


def test_masks_of_real_images_agree(isic2018: Path) -> None:
    shipped = find("MultiCBAM").path
    swift, readable = load(shipped, "cpu"), load(shipped, "cpu", "float32")
    readable.__class__ = Readable
    settings = SampleSettings(members=4)
    for sample in read_dataset(isic2018).split("val")[::40]:
        image = read_image(sample.image_path)
        *_, quick = segment(swift, image, settings)
        *_, defined = segment(readable, image, settings)
        assert dice(quick.mask(), defined.mask()) >= 0.999
