"""What a GPU needs of a training step: nothing is read from it, and every step is the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.networks.automaton.cell import Cell
from engine.networks.device import DeviceChoice
from engine.networks.table import build
from engine.training.batches import BatchSource, Choice
from engine.training.loop import train
from engine.training.trainer import Trainer
from engine.types import TrainSettings
from tests.oracles import tiny_spec
from tests.samples import drawn_dataset

BRIEF = TrainSettings(steps=40, batch_size=4, size=16, learning_rate=3e-3)
#: Operations by which the processor waits for the device, or whose shapes depend on numbers.
WAITING = {"_local_scalar_dense", "nonzero", "item", "is_nonzero", "unique", "masked_select"}


@dataclass(frozen=True)
class AnyDevice(DeviceChoice):
    """A device that no person can choose."""

    def __post_init__(self) -> None:
        pass


def trainer_on(name: str, folder: Path, settings: TrainSettings, **changes: object) -> Trainer:
    spec = tiny_spec(**changes)
    samples = drawn_dataset(folder).split("train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, average = build(spec).to(name), build(spec).to(name)
    for each in (network, average):
        for cell in getattr(each, "levels", ()):
            torch.nn.init.constant_(cell.act.weight, 0.01)
    average.requires_grad_(False)
    batches = BatchSource(samples, spec, settings, name)
    device = AnyDevice(name, "float32", "a test")
    return Trainer(spec, settings, device, network, average, batches)


#: What makes a network that is told styles and strokes.
STEERED: dict[str, object] = {"channels": 16, "steerable": True}


class Written(TorchDispatchMode):
    """Writes down every operation with the shapes of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[str, tuple[Any, ...]]] = []
        #: Operations that were given or gave a tensor somewhere else than on "meta".
        self.elsewhere = set[str]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        shapes = [
            tuple(each.shape) if isinstance(each, Tensor) else None
            for each in torch.utils._pytree.tree_leaves((args, kwargs))
        ]
        name, made = func.overloadpacket.__name__, func(*args, **(kwargs or {}))
        self.operations.append((name, tuple(shapes)))
        leaves = torch.utils._pytree.tree_leaves((args, kwargs, made))
        if any(isinstance(each, Tensor) and each.device.type != "meta" for each in leaves):
            self.elsewhere.add(name)
        return made


def of_one_form(trainer: Trainer) -> list[int]:
    """The numbers of steps that take the same operations as the first."""
    first = trainer.batches.choose(0).form
    return [step for step in range(40) if trainer.batches.choose(step).form == first]


@pytest.mark.parametrize(
    "changes", [{}, {"predicts": "noise"}, {"channels": 64, "detail": 4}, STEERED]
)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_whole_step_runs_where_there_are_shapes_only(
    tmp_path: Path, optimizer: str, changes: dict[str, object]
) -> None:
    settings = replace(BRIEF, optimizer=optimizer)  # type: ignore[arg-type]
    trainer = trainer_on("meta", tmp_path, settings, **changes)
    before = trainer.network.parameters()
    trainer.step()
    assert trainer.done == 1
    assert all(weight.device.type == "meta" for weight in before)


@pytest.mark.parametrize("changes", [{}, STEERED])
def test_two_steps_take_the_same_operations_and_read_nothing(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    trainer = trainer_on("meta", tmp_path, BRIEF, **changes)
    found = []
    for step in of_one_form(trainer)[:2]:
        trainer.done = step
        chosen = trainer.batches.choose(step)
        held = (each.to("meta") for each in (chosen.number_n, chosen.sample_n))
        choice = Choice(chosen.form, *held, chosen.recycled)
        with Written() as written:
            trainer._move(trainer._gradient(trainer.batches.batch(choice)))
        found.append(written.operations)
        # What is copied to a GPU from other memory waits for it, and is not copied in a replay.
        assert not written.elsewhere
    first, second = found
    assert first == second
    names = {name for name, _ in first}
    # The step is whole: it draws, convolves, multiplies, goes back, and skips where it must.
    assert {"grid_sampler_2d", "convolution", "convolution_backward", "bmm", "where"} <= names
    assert not names & WAITING
    # Borders and enlarging go back without the operations that add up in any order on CUDA.
    assert not {name for name in names if "backward" in name and ("pad" in name or "up" in name)}
    assert not names & {"index_add", "index_add_", "scatter_add_", "index_put_"}


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU compute cells as a GPU does."""
    monkeypatch.setattr(Cell, "forward", Cell.dense)


def losses(folder: Path) -> list[float]:
    settings = replace(BRIEF, steps=4)
    return [
        step.loss for step in train(tiny_spec(), drawn_dataset(folder), settings, folder / "run")
    ]


def test_a_training_of_dense_cells_is_that_of_gathered_ones(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NCA_SEG_PRECISION", "float32")
    gathered = losses(tmp_path / "gathered")
    request.getfixturevalue("dense")
    assert losses(tmp_path / "dense") == pytest.approx(gathered, rel=1e-4)


def test_how_steps_went_is_asked_now_and_then_and_always_before_it_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, whose losses are read every few steps."""
    from engine.training import loop

    asked = list[int]()
    real = Trainer.read
    monkeypatch.setattr(Trainer, "read", lambda own: asked.append(own.done) or real(own))
    real_init = loop._Run.__init__

    def init(run: loop._Run, *given: Any) -> None:
        real_init(run, *given)
        run._reads_every = 4

    monkeypatch.setattr(loop._Run, "__init__", init)
    settings = replace(BRIEF, steps=12, validate_every=7)
    stream = train(tiny_spec(), drawn_dataset(tmp_path), settings, tmp_path / "run")
    steps = [(step.done, step.loss, step.samples_per_s) for step in stream]
    # The state is written before the first step and after the last.
    assert asked == [0, 0, 1, 5, 7, 11, 12, 12]
    told = [loss for _, loss, _ in steps]
    assert told[1] == told[0] != told[4] != told[6]
    assert all(speed > 0 for *_, speed in steps)


def test_a_divergence_that_is_read_late_is_told_of_its_own_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer.loss
    monkeypatch.setattr(
        Trainer, "loss", lambda own, batch: real(own, batch) * (1 if own.done < 2 else torch.nan)
    )
    trainer = trainer_on("cpu", tmp_path, BRIEF)
    for _ in range(2):
        trainer.step()
    before = [weight.detach().clone() for weight in trainer.network.parameters()]
    for _ in range(9):
        trainer.step()
    news = trainer.read()
    assert (trainer.done, news.skipped, news.skipped_in_a_row, news.diverged) == (6, 4, 4, True)
    for old, weight in zip(before, trainer.network.parameters(), strict=True):
        assert torch.equal(old, weight.detach())
    assert not trainer.read().diverged
