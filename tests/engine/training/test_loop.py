"""Training learns, repeats itself, resumes where it stopped, and keeps its best."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from engine.diffusion.model import Model, load
from engine.errors import DatasetProblem, OutOfMemory, UnreadableModel
from engine.networks import checkpoint, tensor_file
from engine.networks.automaton.levels import rgb_loss
from engine.networks.device import DeviceChoice
from engine.networks.losses import mask_loss
from engine.networks.network import Outputs, Target
from engine.networks.table import build
from engine.training import loop
from engine.training.batches import Batch, BatchSource
from engine.training.loop import BEST, LAST, STATE, VALIDATIONS, finetune, train, train_for
from engine.training.loss import diffusion_loss, noise_loss
from engine.training.optimizer import Muon, orthogonal
from engine.training.trainer import Trainer
from engine.types import Dataset, Style, Tool, TrainSettings, TrainStep
from tests.oracles import lively_model, tiny_spec
from tests.samples import drawn_dataset

BRIEF = TrainSettings(steps=6, batch_size=4, size=16, learning_rate=3e-3, validate_every=3)


def losses(steps: list[TrainStep]) -> list[float]:
    return [step.loss for step in steps]


def in_styles(dataset: Dataset) -> Dataset:
    """The data set with masks made by two tools in turn, as a `styles.csv` would tell."""
    tools: tuple[Tool, ...] = ("T1", "T3")
    samples = enumerate(dataset.samples)
    return replace(
        dataset, samples=tuple(replace(each, style=Style(tools[i % 2], 1)) for i, each in samples)
    )


def test_thirty_steps_halve_the_loss_on_drawn_disks(tmp_path: Path) -> None:
    settings = TrainSettings(
        steps=30, learning_rate=5e-2, augment=False, batch_size=8, size=16, validate_every=30
    )
    steps = list(train(tiny_spec(), drawn_dataset(tmp_path), settings, tmp_path / "run"))
    assert np.mean(losses(steps)[-4:]) < 0.5 * np.mean(losses(steps)[:2])


@pytest.mark.parametrize("predicts", ["noise", "velocity", "clean"])
def test_two_runs_of_a_seed_agree(predicts: str, tmp_path: Path) -> None:
    spec, dataset = tiny_spec(predicts=predicts), drawn_dataset(tmp_path)
    first = list(train(spec, dataset, BRIEF, tmp_path / "a"))
    again = list(train(spec, dataset, BRIEF, tmp_path / "b"))
    other = list(train(spec, dataset, replace(BRIEF, seed=1), tmp_path / "c"))
    np.testing.assert_allclose(losses(first), losses(again), rtol=1e-5)
    assert losses(first) != pytest.approx(losses(other), rel=1e-3)


def test_every_sample_comes_once_before_any_comes_again_each_time_in_another_order(
    tmp_path: Path,
) -> None:
    settings, samples = replace(BRIEF, augment=False), drawn_dataset(tmp_path).split("train")
    batches, turns = BatchSource(samples, tiny_spec(), settings), 6
    views = [
        view.numpy().tobytes()
        for step in range(-(-turns * len(samples) // settings.batch_size))
        for view in batches.draw(step).image_n3hw
    ]
    orders = [tuple(views[turn * len(samples) :][: len(samples)]) for turn in range(turns)]
    assert {len(set(order)) for order in orders} == {len(samples)}
    assert len(set(orders)) > 1


@pytest.mark.parametrize("augment", [False, True])
def test_lessons_have_the_details_that_the_spec_asks_for(tmp_path: Path, augment: bool) -> None:
    samples = drawn_dataset(tmp_path).split("train")
    settings = replace(BRIEF, augment=augment)
    batch = BatchSource(samples, tiny_spec(channels=64, detail=4), settings).draw(0)
    assert batch.image_n3hw.shape == (4, 3, 64, 64)
    assert batch.share_n1hw.shape == batch.noise_n1hw.shape == (4, 1, 16, 16)
    assert 0 <= float(batch.image_n3hw.min()) < float(batch.image_n3hw.max()) <= 1
    if not augment:
        plain = BatchSource(samples, tiny_spec(), settings).draw(0)
        coarse = torch.nn.functional.avg_pool2d(batch.image_n3hw, 4)
        torch.testing.assert_close(coarse, plain.image_n3hw, atol=0.1, rtol=0)
        torch.testing.assert_close(batch.share_n1hw, plain.share_n1hw, atol=0.1, rtol=0)


def test_a_model_with_details_trains_and_is_judged(tmp_path: Path) -> None:
    spec = tiny_spec(channels=64, detail=4)
    *_, last = train(spec, drawn_dataset(tmp_path), BRIEF, tmp_path / "run")
    assert last.validation_dice is not None
    assert last.best_path is not None
    assert checkpoint.read_spec(last.best_path).pixels_per_cell == 4


@pytest.mark.parametrize("steerable", [False, True])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path, steerable: bool) -> None:
    dataset, spec = in_styles(drawn_dataset(tmp_path)), tiny_spec(steerable=steerable)
    whole = list(train(spec, dataset, BRIEF, tmp_path / "whole"))
    stream = train(spec, dataset, BRIEF, tmp_path / "parts")
    part = [next(stream) for _ in range(3)]
    stream.close()  # type: ignore[attr-defined]
    rest = list(train(spec, dataset, BRIEF, tmp_path / "parts", resume=True))
    assert [step.done for step in rest] == [4, 5, 6]
    np.testing.assert_allclose(losses(part + rest), losses(whole), rtol=1e-4)
    own, mine = checkpoint.read(tmp_path / "parts" / BEST)
    other, theirs = checkpoint.read(tmp_path / "whole" / BEST)
    assert own.styles == other.styles
    assert set(own.styles) == ({"T1", "T3"} if steerable else set())
    for name in theirs:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"predicts": "noise"}, "predicts 'clean', not 'noise'"),
        ({"mask_scale": 1.0}, "mask_scale 0.2, not 1.0"),
        ({"hidden": 16}, "hidden 32, not 16"),
        ({"parent": "f00"}, "parent '', not 'f00'"),
        ({"batch_size": 2}, "batch_size 4, not 2"),
        ({"learning_rate": 0.5}, "learning_rate 0.003, not 0.5"),
        ({"size": 32}, "size 16, not 32"),
        ({"steps": 9, "validate_every": 5}, ""),
    ],
)
def test_a_resumed_run_is_the_run_that_was_begun(
    tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    list(train(tiny_spec(), dataset, replace(BRIEF, steps=2), out))
    before = (out / BEST).read_bytes()
    of_settings = {name: value for name, value in changed.items() if hasattr(BRIEF, name)}
    of_spec = {name: value for name, value in changed.items() if name not in of_settings}
    settings = replace(BRIEF, **of_settings)  # type: ignore[arg-type]
    spec = tiny_spec().changed(**of_spec)
    stream = train(spec, dataset, settings, out, resume=True)
    if told:
        with pytest.raises(UnreadableModel, match=told):
            next(stream)
        assert (out / BEST).read_bytes() == before
    else:
        assert [step.done for step in stream] == [3, 4, 5, 6, 7, 8, 9]


def test_a_recipe_names_its_values_as_before_there_were_configs(tmp_path: Path) -> None:
    out = tmp_path / "run"
    list(train(tiny_spec(), drawn_dataset(tmp_path), replace(BRIEF, steps=2), out))
    with safe_open(out / STATE, framework="numpy") as file:
        recipe = json.loads(file.metadata()["recipe"])
    of_spec = {
        "architecture", "channels", "hidden", "updates", "coarse_updates", "fire_probability",
        "factor", "predicts", "schedule", "timesteps", "mask_scale", "detail", "framing", "parent",
        "steerable",
    }  # fmt: skip
    of_settings = {each.name for each in fields(BRIEF)} - {"steps", "validate_every"}
    assert set(recipe) == of_spec | of_settings


def test_a_run_that_drew_other_numbers_is_not_gone_on_with(tmp_path: Path) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    list(train(tiny_spec(), dataset, replace(BRIEF, steps=2), out))
    told, stored = tensor_file.read(out / STATE, 1 << 30)
    of_before = {name: text for name, text in told.items() if name != "draws"}
    (out / STATE).write_bytes(tensor_file.content(stored, of_before))
    before = (out / BEST).read_bytes()
    with pytest.raises(UnreadableModel, match="an earlier version drew other views"):
        next(train(tiny_spec(), dataset, BRIEF, out, resume=True))
    assert (out / BEST).read_bytes() == before


def test_a_run_may_end_early_at_the_rate_of_all_its_steps(tmp_path: Path) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "part"
    settings = replace(BRIEF, validate_every=100)
    whole = list(train(tiny_spec(), dataset, settings, tmp_path / "whole"))
    part = list(train(tiny_spec(), dataset, settings, out, stop_at=4))
    assert [step.learning_rate for step in part] == [step.learning_rate for step in whole[:4]]
    np.testing.assert_allclose(losses(part), losses(whole)[:4], rtol=1e-5)
    assert part[-1].validation_dice is not None
    assert part[-1].best_path == out / BEST
    rest = list(train(tiny_spec(), dataset, settings, out, resume=True, stop_at=99))
    assert [step.done for step in rest] == [5, 6]
    np.testing.assert_allclose(losses(part + rest), losses(whole), rtol=1e-4)


def test_a_run_that_is_out_of_time_is_judged_like_one_that_is_done(tmp_path: Path) -> None:
    dataset, settings = drawn_dataset(tmp_path), replace(BRIEF, validate_every=100)
    (only,) = train(tiny_spec(), dataset, settings, tmp_path / "run", minutes=0)
    assert (only.done, only.total) == (1, 6)
    assert only.validation_dice is not None
    assert only.best_path == tmp_path / "run" / BEST
    steps = list(train(tiny_spec(), dataset, settings, tmp_path / "long", minutes=60))
    assert len(steps) == 6


class Clock:
    """A time that passes by a tenth of a second whenever somebody looks."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += 0.1
        return self.now_s


@pytest.mark.parametrize("rest_s", [0.0, 500.0])
def test_a_training_for_a_time_ends_with_it_at_the_least_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest_s: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    steps, began_s, rested_s = [], 0.0, 0.0
    settings = replace(BRIEF, warm_up=0, steps=10_000)
    spec, dataset = tiny_spec(), drawn_dataset(tmp_path)
    for step in train_for(0.5, spec, dataset, settings, tmp_path / "run"):
        steps.append(step)
        began_s = began_s or clock.now_s
        # A pause costs nothing.
        if step.done == 9:
            clock.now_s += rest_s
            rested_s = rest_s
    # The clock goes on while each step is looked at.
    spent_s = clock.now_s - began_s - rested_s - 0.1 * len(steps)
    assert spent_s == pytest.approx(30, abs=2)
    assert steps[-1].done == steps[-1].total > 20
    assert all(abs(step.total - steps[-1].total) < 5 for step in steps[9:])
    assert steps[-1].learning_rate < 0.03 * settings.learning_rate
    assert [step.learning_rate for step in steps] == sorted(
        (step.learning_rate for step in steps), reverse=True
    )
    validated = [step.done for step in steps if step.validation_dice is not None]
    assert VALIDATIONS <= len(validated) <= VALIDATIONS + 2
    record = checkpoint.read_spec(tmp_path / "run" / LAST).training
    assert record["steps"] == record["steps_done"] == steps[-1].done


def test_a_training_for_no_time_takes_one_step_and_is_a_model(tmp_path: Path) -> None:
    (only,) = train_for(0, tiny_spec(), drawn_dataset(tmp_path), BRIEF, tmp_path / "run")
    assert only.done == only.total == 1
    assert only.best_path == tmp_path / "run" / BEST


def test_however_a_run_ends_its_newest_weights_are_a_model(tmp_path: Path) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    stream = train(tiny_spec(), dataset, BRIEF, out)
    assert [next(stream).done for _ in range(4)] == [1, 2, 3, 4]
    stream.close()  # type: ignore[attr-defined]
    spec, weights = checkpoint.read(out / LAST)
    assert (spec.training["steps_done"], spec.training["validation_dice"]) == (4, None)
    assert checkpoint.read_spec(out / BEST).training["steps_done"] == 3
    with safe_open(out / STATE, framework="numpy") as file:
        for name, array in weights.items():
            assert np.array_equal(file.get_tensor(f"average.{name}"), array)
    list(train(tiny_spec(), dataset, BRIEF, out, resume=True))
    for _ in range(2):
        *_, last = (checkpoint.read_spec(out / name) for name in (BEST, LAST))
        assert last.training["steps_done"] == 6
        assert last.training["validation_dice"] is not None
        assert last.samples_seen == 6 * BRIEF.batch_size
        # Once more, with nothing left to do.
        list(train(tiny_spec(), dataset, BRIEF, out, resume=True))


def test_the_best_file_is_a_model_with_a_record(tmp_path: Path) -> None:
    *_, last = train(tiny_spec(), drawn_dataset(tmp_path), BRIEF, tmp_path / "run")
    assert last.best_path == tmp_path / "run" / BEST
    spec = checkpoint.read_spec(last.best_path)
    assert spec.size == 16
    assert spec.training["validation_dice"] == pytest.approx(last.best_dice)
    assert spec.training["train_images"] == 6
    assert load(last.best_path).spec == spec


def test_a_fine_tuned_child_begins_at_its_parent_and_leaves_it_alone(tmp_path: Path) -> None:
    parent = lively_model()
    before = {name: tensor.clone() for name, tensor in parent.network.state_dict().items()}
    steps = list(finetune(parent, drawn_dataset(tmp_path), BRIEF, tmp_path / "run"))
    after = parent.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert steps[0].start_dice is not None
    assert steps[-1].best_path is not None
    spec, arrays = checkpoint.read(steps[-1].best_path)
    assert spec.parent == parent.fingerprint
    assert spec.size == parent.spec.size
    assert any(not np.array_equal(arrays[name], before[name].numpy()) for name in before)


@pytest.mark.parametrize("steerable", [False, True])
def test_masks_without_styles_leave_a_model_the_styles_it_knows(
    tmp_path: Path, steerable: bool
) -> None:
    styles = {"T1": 0.75, "several": 0.25} if steerable else {}
    parent = lively_model(steerable=steerable, styles=styles)
    told = list[torch.Tensor]()
    real = BatchSource.draw

    def draw(own: BatchSource, step: int) -> Batch:
        batch = real(own, step)
        told.append(batch.style_n5)
        return batch

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BatchSource, "draw", draw)
        list(finetune(parent, drawn_dataset(tmp_path), BRIEF, tmp_path / "run"))
    tools = torch.cat(told)[:, :4].sum(dim=0)
    assert (tools > 0).tolist() == [steerable, False, False, steerable]
    child = checkpoint.read_spec(tmp_path / "run" / BEST)
    assert (child.steerable, child.styles) == (steerable, styles)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fine_tuning_computes_in_the_precision_of_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    other = {"float32": "bfloat16", "bfloat16": "float32"}[precision]
    monkeypatch.setenv("NCA_SEG_PRECISION", other)
    parent = Model(lively_model().network, DeviceChoice("cpu", precision, "a test"))
    used = list[str]()
    real = Trainer._precision
    monkeypatch.setattr(
        Trainer, "_precision", lambda own: used.append(str(own.device.precision)) or real(own)
    )
    next(finetune(parent, drawn_dataset(tmp_path), BRIEF, tmp_path / "run"))
    assert set(used) == {precision}


def test_the_samples_of_the_weights_it_began_with_count(tmp_path: Path) -> None:
    model = lively_model()
    record = {"steps_done": 5, "batch_size": 3, "samples_before": 10}
    spec = replace(model.spec, training=record)
    weights = {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}
    *_, last = train(spec, drawn_dataset(tmp_path), BRIEF, tmp_path / "run", start=weights)
    assert last.best_path is not None
    trained = checkpoint.read_spec(last.best_path)
    assert trained.samples_seen == 25 + trained.training["steps_done"] * BRIEF.batch_size
    assert tiny_spec().samples_seen is None


def test_without_validation_images_the_last_weights_are_kept(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path)
    unjudged = Dataset(dataset.root, dataset.split("train"))
    *_, last = train(tiny_spec(), unjudged, BRIEF, tmp_path / "run")
    assert last.best_dice is None
    assert last.best_path is not None
    assert checkpoint.read_spec(last.best_path).training["steps_done"] == 6


def test_a_run_stopped_while_it_was_judged_is_judged_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    settings = replace(BRIEF, steps=3)
    *_, whole = train(tiny_spec(), dataset, settings, tmp_path / "whole")

    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("engine.training.loop._Run.validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(train(tiny_spec(), dataset, settings, out))
    assert not (out / BEST).exists()
    assert not list(train(tiny_spec(), dataset, settings, out, resume=True))
    found = checkpoint.read_spec(out / BEST).training["validation_dice"]
    assert found == pytest.approx(whole.best_dice)


def test_a_run_killed_before_its_first_step_can_be_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, out = drawn_dataset(tmp_path), tmp_path / "run"
    *_, whole = train(tiny_spec(), dataset, BRIEF, tmp_path / "whole")

    def killed(*_: object) -> None:
        (out / STATE).rename(out / "as the kill left it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("engine.training.loop._Run.step", killed)
        with pytest.raises(KeyboardInterrupt):
            list(train(tiny_spec(), dataset, BRIEF, out))
    (out / "as the kill left it").replace(out / STATE)
    *_, last = train(tiny_spec(), dataset, BRIEF, out, resume=True)
    assert last.loss == pytest.approx(whole.loss, rel=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        "DefaultCPUAllocator: can't allocate memory",
        "could not create a primitive",
        "std::bad_alloc",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_a_batch_that_does_not_fit_into_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def greedy(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("engine.training.trainer.Trainer.loss", greedy)
    with pytest.raises(OutOfMemory, match="4 samples on 16 × 16 cells") as caught:
        next(train(tiny_spec(), drawn_dataset(tmp_path), BRIEF, tmp_path / "run"))
    assert caught.value.smaller == 2


def test_problems_are_told_before_the_first_step(tmp_path: Path) -> None:
    for unknown in ({"device": "cuda:0"}, {"precision": "bf16"}):
        with pytest.raises(ValueError, match=r"is '(cuda:0|bf16)', not auto"):
            next(train(tiny_spec(), Dataset(tmp_path, ()), BRIEF, tmp_path / "run", **unknown))  # type: ignore[arg-type]
    with pytest.raises(DatasetProblem, match="no samples to train on"):
        next(train(tiny_spec(), Dataset(tmp_path, ()), BRIEF, tmp_path / "run"))
    dataset = drawn_dataset(tmp_path)
    with pytest.raises(UnreadableModel, match="no run can go on"):
        next(train(tiny_spec(), dataset, BRIEF, tmp_path / "new", resume=True))
    (tmp_path / "new" / STATE).write_bytes(b"half a file")
    with pytest.raises(UnreadableModel, match="no run can go on"):
        next(train(tiny_spec(), dataset, BRIEF, tmp_path / "new", resume=True))


def test_the_losses_are_the_papers() -> None:
    spec = tiny_spec(predicts="noise")
    draws = torch.Generator().manual_seed(0)
    state = torch.randn(2, 16, 8, 8, generator=draws)
    share = (torch.rand(2, 1, 8, 8, generator=draws) > 0.5).float()
    noise = torch.randn(2, 1, 8, 8, generator=draws)
    signed = 2 * share - 1
    l_n = ((state[:, :1] - noise) ** 2).mean()
    l_rgb = sum(((state[:, i : i + 1] - signed) ** 2).mean() for i in (1, 2, 3))
    torch.testing.assert_close(noise_loss(state[:, :1], noise), l_n)
    torch.testing.assert_close(rgb_loss(state[:, 1:4], signed), l_rgb)
    bar = torch.full((2, 1, 1, 1), 0.5)
    outputs = Outputs(state[:, :1], (state[:, 1:4],))
    target = Target(share, torch.full((2,), 50))
    settings = TrainSettings(rgb_weight=1.0)
    total = diffusion_loss(outputs.prediction_n1hw, share, noise, bar, spec)
    total = total + sum(build(spec).losses(outputs, (), target, settings))
    torch.testing.assert_close(total, l_n + l_rgb)


def test_the_mask_loss_is_small_for_the_truth_and_large_for_its_opposite() -> None:
    share = torch.zeros(1, 1, 8, 8)
    share[..., :4] = 1
    logit = 20 * (2 * share - 1)
    assert float(mask_loss(logit, share)) < 0.01
    assert float(mask_loss(-logit, share)) > 5


def test_recycling_changes_what_the_network_is_shown(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path)
    for predicts in ("noise", "clean"):
        spec = tiny_spec(predicts=predicts)
        never = list(train(spec, dataset, replace(BRIEF, recycle=0.0), tmp_path / f"{predicts}0"))
        always = list(train(spec, dataset, replace(BRIEF, recycle=1.0), tmp_path / f"{predicts}1"))
        # Before the first step all guesses are empty masks; from then on the two runs differ.
        assert losses(never)[1:] != pytest.approx(losses(always)[1:], rel=1e-5)
        assert np.isfinite(losses(always)).all()


def test_the_rate_rises_stays_and_falls(tmp_path: Path) -> None:
    settings = replace(BRIEF, steps=20, learning_rate=1e-2, cooldown=0.5, validate_every=100)
    steps = list(train(tiny_spec(), drawn_dataset(tmp_path), settings, tmp_path / "run"))
    rates = np.array([step.learning_rate for step in steps])
    assert rates[0] == pytest.approx(0.5e-2)
    assert np.all(rates[1:11] == 1e-2)
    assert np.all(np.diff(rates[11:]) < 0)
    assert rates[-1] < 0.1e-2


def test_an_orthogonal_change_keeps_the_directions_and_evens_their_strengths() -> None:
    matrix = torch.randn(12, 40, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    for shape in (matrix, matrix.T):
        strengths = torch.linalg.svdvals(orthogonal(shape))
        assert float(strengths.min()) > 0.6
        assert float(strengths.max()) < 1.3
    aligned = torch.diag(left.T @ orthogonal(matrix) @ right.T)
    assert float(aligned.min()) > 0.6


def test_muon_moves_by_the_rate_whatever_the_gradient() -> None:
    """As much as AdamW would: 0.2 of the rate in each weight, root mean square."""
    weight = torch.nn.Parameter(torch.zeros(8, 4, 3, 3))
    optimizer = Muon([weight], lr=0.1, weight_decay=0.0)
    weight.grad = 1e-4 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.02, rel=0.2)
    before = weight.detach().clone()
    weight.grad = None
    optimizer.step()
    assert torch.equal(weight, before)


def test_matrices_of_one_shape_are_optimized_together_as_each_alone() -> None:
    draws = torch.Generator().manual_seed(0)
    shapes = [(8, 4, 3, 3), (8, 12), (8, 4, 3, 3), (12, 8), (8, 12)]
    start = [torch.randn(shape, generator=draws) for shape in shapes]
    together, alone = ([torch.nn.Parameter(each.clone()) for each in start] for _ in range(2))
    one = Muon(together, lr=torch.tensor(0.1), weight_decay=0.1)
    several = [Muon([weight], lr=0.1, weight_decay=0.1) for weight in alone]
    for _ in range(3):
        for mine, theirs in zip(together, alone, strict=True):
            mine.grad = torch.randn(mine.shape, generator=draws)
            theirs.grad = mine.grad.clone()
        for optimizer in (one, *several):
            optimizer.step()
    for before, mine, theirs in zip(start, together, alone, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
        assert float((mine.detach() - before).abs().mean()) > 0.01
