"""Law: everything that computes for long does so on threads that never wait inside an operation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from engine.networks import device
from engine.networks.device import alone, share_out, worker_count
from engine.training.gradient import give_gradient
from engine.training.loop import train
from engine.types import TrainSettings
from tests.oracles import tiny_spec
from tests.samples import drawn_dataset

POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
ENTRIES = ["engine", "engine.cli", "engine.networks.preload", "nca_seg_app.__main__"]


def printed(program: str, **given: str) -> tuple[str, str]:
    """Both outputs of a Python program in which nobody has said how OpenMP waits but `given`."""
    kept = {name: value for name, value in os.environ.items() if name not in POLICIES}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=kept | given,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_entry_says_how_openmp_waits_before_torch_is_there(entry: str) -> None:
    asking = f"import os, sys, {entry}; print('torch' in sys.modules, os.environ['{POLICIES[0]}'])"
    assert printed(asking)[0].split() == ["False", "PASSIVE"]


def test_openmp_then_does_not_spin() -> None:
    _, told = printed("import engine, torch", OMP_DISPLAY_ENV="VERBOSE")
    # GNU's and LLVM's words; both name PASSIVE as the policy even where they spin.
    assert "GOMP_SPINCOUNT = '0'" in told or "KMP_BLOCKTIME='0'" in told


@pytest.mark.parametrize("name", POLICIES)
def test_whoever_has_said_how_openmp_waits_is_obeyed(name: str) -> None:
    value = "ACTIVE" if name == "OMP_WAIT_POLICY" else "7"
    asking = f"import engine, os; print([os.environ.get(name) for name in {POLICIES}])"
    expected = [value if other == name else None for other in POLICIES]
    assert printed(asking, **{name: value})[0].strip() == str(expected)


@pytest.fixture
def three_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(device, "thread_count", lambda: 3)
    before = torch.get_num_threads()
    device._made_workers.cache_clear()
    yield
    device._workers().pool.shutdown()
    device._made_workers.cache_clear()
    torch.set_num_threads(before)


def threads(_: object) -> int:
    return torch.get_num_threads()


@pytest.mark.usefixtures("three_workers")
def test_pieces_come_in_order_and_all_are_computed_by_one_thread_each() -> None:
    assert worker_count() == 3
    assert share_out(lambda number: number**2, range(50)) == [n**2 for n in range(50)]
    assert share_out(threads, range(50)) == [1] * 50
    assert share_out(threads, [None]) == [1]
    assert share_out(threads, []) == []
    assert alone(threads, None) == 1


@pytest.mark.usefixtures("three_workers")
def test_pieces_may_be_shared_out_within_a_piece_to_any_depth() -> None:
    def inner(number: int) -> list[int]:
        return share_out(lambda other: 10 * number + other, range(4))

    expected = [[10 * number + other for other in range(4)] for number in range(9)]
    assert share_out(inner, range(9)) == expected
    assert alone(lambda: share_out(inner, range(9))) == expected
    assert alone(lambda: alone(lambda: alone(threads, None))) == 1


@pytest.mark.usefixtures("three_workers")
def test_a_worker_that_is_held_up_holds_up_its_own_piece_alone() -> None:
    others, done = Event(), []

    def act(number: int) -> int:
        if number == 0:
            assert others.wait(20)
        done.append(number)
        if len(done) == 19:
            others.set()
        return number

    assert share_out(act, range(20)) == list(range(20))
    assert done[-1] == 0


@pytest.mark.usefixtures("three_workers")
@pytest.mark.parametrize("within", [False, True])
def test_an_error_in_a_piece_is_raised_and_no_other_is_begun(within: bool) -> None:
    begun = []

    def act(number: int) -> None:
        begun.append(number)
        raise MemoryError(str(number))

    with pytest.raises(MemoryError):
        alone(share_out, act, range(1000)) if within else share_out(act, range(1000))
    assert len(begun) <= 3
    assert share_out(threads, range(5)) == [1] * 5


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 8])
def test_the_gradient_of_the_parts_is_that_of_the_whole_batch(samples: int) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    given, wanted = torch.randn(samples, 3), torch.randn(samples, 1)

    def loss_of(part: slice) -> torch.Tensor:
        return (network(given[part]) - wanted[part]).square().mean()

    loss = give_gradient(network, loss_of, samples, "cpu")
    found = [weight.grad.clone() for weight in network.parameters()]  # type: ignore[union-attr]
    network.zero_grad()
    whole = loss_of(slice(None))
    whole.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == pytest.approx(float(whole.detach()), rel=1e-6)
    for mine, weight in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(mine, weight.grad)


def test_training_is_the_same_on_one_core_and_on_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    dataset = drawn_dataset(tmp_path)
    settings = TrainSettings(steps=2, batch_size=6, size=16, validate_every=2)

    def losses(name: str) -> list[float]:
        steps = train(tiny_spec(), dataset, settings, tmp_path / name, device="cpu")
        return [step.loss for step in steps]

    one = losses("one")
    request.getfixturevalue("three_workers")
    three, again = losses("three"), losses("again")
    assert three == again
    np.testing.assert_allclose(one, three, rtol=1e-3)


def test_nothing_changes_the_number_of_threads_of_who_asks() -> None:
    # In a process of its own: the tests' own has one thread in all.
    asking = """
import numpy as np, torch
from pathlib import Path
import engine
from threading import Thread
image = engine.Image(np.zeros((40, 40, 3), np.uint8), Path("a.png"))
model = engine.load(engine.find("MultiCBAM").path, "cpu")
stream = engine.segment(model, image, engine.SampleSettings())
next(stream)
stream.close()
print(torch.get_num_threads())
later = Thread(target=lambda: print(torch.get_num_threads()))
later.start()
later.join()
"""
    assert printed(asking, OMP_NUM_THREADS="2")[0].split() == ["2", "2"]
