"""The stream law, over every stream of the engine, and what each stream's answer is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.diffusion.ensemble import replay, segment
from engine.diffusion.outlines import outlines
from engine.diffusion.sampling import denoise
from engine.evaluation.scoring import evaluate, examine
from engine.evaluation.simulated_person import simulate
from engine.framing import Box
from engine.metrics import disagreement
from engine.report.measuring import report
from engine.report.sweep import sweep
from engine.report.values import Subject
from engine.study.coco import write_annotations
from engine.study.export import export_dataset
from engine.study.packing import pack
from engine.training.loop import finetune, train
from engine.types import Dataset, EnsembleResult, Image, Prompt, SampleSettings, TrainSettings
from tests.oracles import OracleModel, disk, lesion, lively_model, tiny_spec
from tests.samples import drawn_dataset

Stream = Callable[[Path], Iterator[Any]]
SHORT = SampleSettings(steps=4, members=3, batch_size=2)
BRIEF = TrainSettings(steps=5, batch_size=2, size=16, validate_every=2)


def picture() -> Image:
    return lesion(disk(24))


def image_chw() -> Any:
    return np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)


def noisy_hw() -> Any:
    return np.random.default_rng(1).standard_normal((16, 16)).astype(np.float32)


def prompt() -> Prompt:
    hint_hw = np.zeros((24, 24), np.int8)
    hint_hw[:6, :6] = 1
    return Prompt(hint_hw, Box(0, 0, 20, 16), disk(24), 0.5, 2)


def validated(folder: Path) -> Any:
    return drawn_dataset(folder).split("val")


def judging(folder: Path) -> Dataset:
    """Two images to validate and three to test."""
    drawn = drawn_dataset(folder)
    test = tuple(replace(sample, split="test") for sample in drawn.split("train")[:3])
    return replace(drawn, samples=(*drawn.split("val"), *test))


STREAMS: dict[str, Stream] = {
    "denoise": lambda _: denoise(lively_model(), image_chw(), SHORT, [0, 1]),
    "segment": lambda _: segment(lively_model(), picture(), SHORT),
    "segment, steered": lambda _: segment(lively_model(), picture(), SHORT, prompt()),
    "outlines": lambda _: outlines(lively_model(steerable=True), picture(), SHORT),
    "simulate": lambda folder: simulate(lively_model(), validated(folder), SHORT, 2),
    "replay": lambda _: replay(lively_model(), picture(), noisy_hw(), 50, SampleSettings(), 1),
    "train": lambda folder: train(tiny_spec(), drawn_dataset(folder), BRIEF, folder / "run"),
    "finetune": lambda folder: finetune(
        lively_model(), drawn_dataset(folder), BRIEF, folder / "run"
    ),
    "export_dataset": lambda folder: export_dataset(
        drawn_dataset(folder / "from").samples, folder / "to"
    ),
    "pack": lambda folder: pack([drawn_dataset(folder)], folder / "pack", 24, 1.0),
    "write_annotations": lambda folder: write_annotations(drawn_dataset(folder)),
    "evaluate": lambda folder: evaluate(lively_model(), validated(folder), SHORT),
    "examine": lambda folder: examine(lively_model(), validated(folder), SHORT),
    "sweep": lambda folder: sweep(lively_model(timesteps=2), validated(folder), SHORT),
    "report": lambda folder: report(
        Subject(lively_model(timesteps=2), "lively", "", 0),
        judging(folder),
        SHORT,
        others=[Subject(lively_model("basic"), "basic", "", 0)],
        sweep_images=1,
    ),
}


def arrays(event: Any) -> list[Any]:
    """The arrays of an event and of the values within it."""
    values = list(vars(event).values())
    inner = [array for value in values if is_dataclass(value) for array in arrays(value)]
    return [value for value in values if isinstance(value, np.ndarray)] + inner


@pytest.mark.parametrize("name", STREAMS)
def test_stream_law(name: str, tmp_path: Path) -> None:
    before_random = torch.get_rng_state()
    assert torch.is_grad_enabled()
    dones, totals, kept = [], set(), []
    for event in STREAMS[name](tmp_path):
        assert torch.is_grad_enabled(), "the stream leaks its gradient mode"
        dones.append(event.done)
        totals.add(event.total)
        kept += [(array, array.copy()) for array in arrays(event)]
        assert not any(array.flags.writeable for array in arrays(event))
    assert len(totals) == 1
    assert dones == list(range(1, totals.pop() + 1))
    assert all(np.array_equal(array, copy) for array, copy in kept), "an event was changed"
    assert torch.equal(torch.get_rng_state(), before_random)


@pytest.mark.parametrize("name", STREAMS)
def test_a_closed_stream_leaves_the_caller_as_it_was(name: str, tmp_path: Path) -> None:
    stream = STREAMS[name](tmp_path)
    before_random = torch.get_rng_state()
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before_random)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("steps", [1, 3, 100])
def test_a_sampler_reaches_the_truth_that_its_model_knows(sampler: str, steps: int) -> None:
    truth = disk(32)
    settings = SampleSettings(sampler=sampler, steps=steps, members=2)
    *_, result = segment(OracleModel(truth), lesion(truth), settings)
    assert np.array_equal(result.mask(), truth)
    assert disagreement(result.members_nhw) == 0
    np.testing.assert_allclose(result.variance_hw, 0, atol=1e-6)


def last(settings: SampleSettings, architecture: str = "multicbam") -> EnsembleResult:
    *_, result = segment(lively_model(architecture), picture(), settings)
    return result


@pytest.mark.parametrize("architecture", ["basic", "multicbam"])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_member_is_the_same_in_any_batch(architecture: str, sampler: str) -> None:
    settings = SampleSettings(sampler=sampler, steps=5, members=5, seed=7)
    alone = last(replace(settings, batch_size=1), architecture).members_nhw
    for batch_size in (2, 5):
        together = last(replace(settings, batch_size=batch_size), architecture).members_nhw
        np.testing.assert_allclose(together, alone, atol=1e-4)
    fewer = last(replace(settings, members=2), architecture).members_nhw
    np.testing.assert_allclose(fewer, alone[:2], atol=1e-4)
    other = last(replace(settings, seed=8), architecture).members_nhw
    assert np.abs(other - alone).max() > 1e-2
    assert np.abs(alone[0] - alone[1]).max() > 1e-2


def test_a_step_is_replayed_from_its_stored_x_t() -> None:
    model = lively_model()
    settings = SampleSettings(steps=5, members=3, seed=3, batch_size=3)
    for result in segment(model, picture(), settings):
        step = result.step
        for member in range(3):
            *_, cell = replay(
                model, picture(), step.noisy_nhw[member], step.timestep, settings, member
            )
            belief = 1 / (1 + np.exp(-cell.state_chw[0]))
            np.testing.assert_allclose(belief, step.clean_nhw[member], atol=1e-4)


def test_members_fill_in_and_what_is_finished_stays() -> None:
    results = list(segment(lively_model(), picture(), SHORT))
    assert [r.finished for r in results] == [0, 0, 0, 2, 2, 2, 2, 3]
    assert [len(r.members_nhw) for r in results] == [2, 2, 2, 2, 3, 3, 3, 3]
    np.testing.assert_array_equal(results[-1].members_nhw[:2], results[3].members_nhw)


def test_results_have_the_images_own_size() -> None:
    image = Image(np.full((37, 91, 3), 128, dtype=np.uint8))
    *_, result = segment(lively_model(), image, SHORT)
    assert result.mask().shape == (37, 91)
    assert result.mean_hw.shape == result.frame.grid_shape
    expected = result.members_nhw.mean(axis=0)
    np.testing.assert_allclose(result.mean_hw, expected, atol=1e-6)
    np.testing.assert_allclose(result.variance_hw, result.members_nhw.var(axis=0), atol=1e-6)


def test_more_steps_than_the_model_has_are_all_it_has() -> None:
    model = lively_model(timesteps=6)
    results = list(segment(model, picture(), SampleSettings(steps=50, members=1)))
    assert len(results) == 6
