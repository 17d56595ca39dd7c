"""A batch holds the same samples however it is drawn, on grids that inference has, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch.utils._python_dispatch import TorchDispatchMode

from engine.diffusion.noise import Purpose
from engine.training import augmentation, parallel
from engine.training.batches import Batch, BatchSource, Choice, reference
from engine.training.loop import train
from engine.types import Dataset, ModelSpec, Sample, TrainSettings
from tests.oracles import tiny_spec

BRIEF = TrainSettings(batch_size=4, size=16)
#: Four pictures on grids of 16 × 16 cells, two of 12 × 20 and four of 20 × 12.
SHAPES = [(32, 32)] * 4 + [(30, 48)] * 2 + [(48, 30)] * 4
DETAILED = tiny_spec(channels=64, detail=4)


def samples(folder: Path, shapes: Sequence[tuple[int, int]] = SHAPES) -> list[Sample]:
    """Pictures of these shapes, every pixel of its own colour, with lesions at the edge."""
    draws, found = np.random.default_rng(3), []
    for number, shape in enumerate(shapes):
        image_path, mask_path = folder / f"{number}.png", folder / f"{number}_mask.png"
        pixels_hwc = draws.integers(0, 256, (*shape, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels_hwc).save(image_path)
        mask_hw = np.zeros(shape, np.uint8)
        mask_hw[6:18, : 8 + number] = 255
        PillowImage.fromarray(mask_hw).save(mask_path)
        found.append(Sample(str(number), image_path, mask_path, "train"))
    return found


def expect_equal(one: Batch, other: Batch) -> None:
    """Floating point numbers to their rounding, all others exactly."""
    for name in ("image_n3hw", "share_n1hw", "noise_n1hw", "timestep_n", "sample_n"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", [tiny_spec(), DETAILED])
def test_a_sample_is_the_same_alone_and_in_every_batch(tmp_path: Path, spec: ModelSpec) -> None:
    source = BatchSource(samples(tmp_path), spec, replace(BRIEF, batch_size=8))
    for step in range(4):
        choice = source.choose(step)
        whole = source.batch(choice)
        for place in range(len(whole)):
            one = slice(place, place + 1)
            alone = Choice(choice.form, choice.number_n[one], choice.sample_n[one], 0)
            expect_equal(source.batch(alone), whole.only(one))
        backwards = Choice(choice.form, choice.number_n.flip(0), choice.sample_n.flip(0), 0)
        expect_equal(source.batch(backwards).only(slice(7, 8)), whole.only(slice(0, 1)))
    # Another sample of the run has another view of the same picture.
    later = Choice(choice.form, choice.number_n, choice.sample_n + 10**10, 0)
    assert not torch.allclose(source.batch(later).image_n3hw, whole.image_n3hw, atol=0.1)


def test_processes_draw_their_shares_of_one_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(BRIEF, recycle=0.75)
    source = BatchSource(samples(tmp_path), tiny_spec(), settings)
    whole = source.draw(3)
    assert whole.recycled == 3
    monkeypatch.setattr(parallel, "size", lambda: 2)
    recycled = 0
    for rank in range(2):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        share = source.draw(3)
        assert len(share) == 2
        for place in range(2):
            at = rank + 2 * place
            expect_equal(share.only(slice(place, place + 1)), whole.only(slice(at, at + 1)))
        recycled += share.recycled
    assert recycled == 3


def test_the_recycled_samples_are_the_first_ones(tmp_path: Path) -> None:
    batch = BatchSource(samples(tmp_path), tiny_spec(), replace(BRIEF, recycle=0.75)).draw(0)
    parts = [batch.only(part) for part in (slice(2), slice(2, 4), slice(3, 4), slice(None))]
    assert [part.recycled for part in parts] == [2, 1, 0, 3]
    assert [len(part) for part in parts] == [2, 2, 1, 4]
    for share, expected in ((0.0, 0), (1.0, 4), (0.1, 0), (0.5, 2)):
        source = BatchSource(samples(tmp_path), tiny_spec(), replace(BRIEF, recycle=share))
        assert {source.draw(step).recycled for step in range(3)} == {expected}


def test_chance_depends_on_sample_place_and_purpose_alone(tmp_path: Path) -> None:
    batch = BatchSource(samples(tmp_path), tiny_spec(), BRIEF).draw(0)
    places = [(level, update) for level in (1, 2) for update in range(1, 31)]
    chance = batch.chance_for(Purpose.CHANCE)
    drawn = {place: chance(*place, (16, 12)) for place in places}
    assert {found.shape for found in drawn.values()} == {(4, 1, 16, 12)}
    again = batch.chance_for(Purpose.CHANCE)
    of_one = batch.only(slice(2, 3)).chance_for(Purpose.CHANCE)
    for place in reversed(places):
        assert torch.equal(again(*place, (16, 12)), drawn[place])
        assert torch.equal(of_one(*place, (16, 12)), drawn[place][2:3])
    everything = torch.stack([*drawn.values()])
    assert 0 <= float(everything.min()) < float(everything.max()) < 1
    assert float(everything.mean()) == pytest.approx(0.5, abs=0.01)
    # No two places, and no two samples, have the same numbers.
    assert len(everything.flatten(3).flatten(0, 2).unique(dim=0)) == len(places) * 4
    other = batch.chance_for(Purpose.RECYCLING)(1, 1, (16, 12))
    assert not bool((other == drawn[1, 1]).any())


def test_every_step_has_the_grid_that_inference_gives_its_pictures(tmp_path: Path) -> None:
    source = BatchSource(samples(tmp_path), tiny_spec(), BRIEF)
    shapes = Counter(tuple(source.draw(step).share_n1hw.shape[2:]) for step in range(20))
    # In proportion to their numbers; those that are no squares lie on their side half of the time.
    assert shapes == {(16, 16): 8, (12, 20): 6, (20, 12): 6}
    square = BatchSource(samples(tmp_path), tiny_spec(framing="square"), BRIEF)
    assert {square.draw(step).share_n1hw.shape for step in range(4)} == {(4, 1, 16, 16)}


def test_groups_take_their_turns_and_every_sample_comes_once_before_any_again(
    tmp_path: Path,
) -> None:
    source = BatchSource(samples(tmp_path), tiny_spec(), BRIEF)
    chosen = [source.choose(step) for step in range(50)]
    groups = [choice.form.group for choice in chosen]
    # Four pictures are squares, six are not.
    assert Counter(groups) == {0: 20, 1: 30}
    # Spread evenly: never more than two steps of a group in a row.
    assert not any(len(set(groups[step : step + 3])) == 1 for step in range(48))
    for group, count in ((0, 4), (1, 6)):
        numbers = [
            number
            for choice in chosen
            if choice.form.group == group
            for number in choice.number_n.tolist()
        ]
        turns = [tuple(numbers[begin : begin + count]) for begin in range(0, len(numbers), count)]
        assert all(len(set(turn)) == count for turn in turns)
        assert len(set(turns)) > len(turns) / 2
    # A place in the run is given once.
    places = torch.cat([choice.sample_n for choice in chosen])
    assert places.tolist() == list(range(200))
    other = BatchSource(samples(tmp_path), tiny_spec(), replace(BRIEF, seed=1))
    assert any(
        not torch.equal(other.choose(step).number_n, chosen[step].number_n) for step in range(10)
    )


@pytest.mark.parametrize("framing", ["proportional", "square"])
@pytest.mark.parametrize("detail", [1, 4])
def test_what_is_not_augmented_is_seen_as_inference_sees_it(
    tmp_path: Path, framing: str, detail: int
) -> None:
    spec = tiny_spec(channels=64, detail=detail, framing=framing)
    every = samples(tmp_path)
    seen = [reference(each, 16, detail, framing == "square") for each in every]
    source = BatchSource(every, spec, replace(BRIEF, augment=False))
    met = set()
    for step in range(20):
        batch = source.draw(step)
        for image_3hw, share_1hw in zip(batch.image_n3hw, batch.share_n1hw, strict=True):
            (number,) = (
                number
                for number, (pixels_3hw, _) in enumerate(seen)
                if pixels_3hw.shape == tuple(image_3hw.shape)
                and np.allclose(pixels_3hw, image_3hw.numpy(), atol=1e-6)
            )
            mask_hw = seen[number][1]
            assert np.mean((share_1hw[0].numpy() >= 0.5) == mask_hw) > 0.95
            met.add(number)
    assert met == set(range(len(every)))


@pytest.mark.parametrize("detail", [1, 4])
def test_a_mask_of_its_own_width_is_the_same_for_a_steerable_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detail: int
) -> None:
    monkeypatch.setattr(augmentation, "FRAMED", 1.0)
    every = samples(tmp_path, [(64, 64)] * 4)
    spec = tiny_spec(channels=64, detail=detail)
    plain = BatchSource(every, spec, replace(BRIEF, batch_size=32)).draw(0)
    told = BatchSource(every, replace(spec, steerable=True), replace(BRIEF, batch_size=32)).draw(0)
    own = told.style_n5[:, -1] == 0
    assert 8 < int(own.sum()) < 24
    expected, found = (each.share_n1hw[own] for each in (plain, told))
    assert float(((expected > 0.1) & (expected < 0.9)).float().mean()) > 0.01
    # A distance is held in steps of about a tenth of a pixel.
    assert float((found - expected).abs().max()) < 0.1
    wider = told.style_n5[:, -1] > 0.3
    assert bool((told.share_n1hw > plain.share_n1hw + 0.1)[wider].any())
    assert not bool((told.share_n1hw < plain.share_n1hw - 0.1)[wider].any())


@pytest.mark.parametrize("augment", [True, False])
def test_pictures_of_several_shapes_are_trained_on_in_one_run(
    tmp_path: Path, augment: bool
) -> None:
    settings = replace(BRIEF, steps=5, augment=augment)
    dataset = Dataset(tmp_path, tuple(samples(tmp_path)))
    steps = list(train(DETAILED, dataset, settings, tmp_path / "run", device="cpu"))
    assert np.isfinite([step.loss for step in steps]).all()
    assert len(steps) == 5
    assert steps[-1].skipped == 0


class Recorded(TorchDispatchMode):
    """Writes down what operations are called, and with which shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple[tuple[int, ...], ...]]] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        tensors = (*args, found)
        shapes = tuple(tuple(each.shape) for each in tensors if isinstance(each, torch.Tensor))
        self.calls.append((str(func), shapes))
        return found


def in_this_thread(act: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    return [act(piece) for piece in pieces]


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("spec", [tiny_spec(), DETAILED])
def test_two_draws_of_one_form_take_the_same_operations_and_wait_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, spec: ModelSpec
) -> None:
    monkeypatch.setattr("engine.training.batches.share_out", in_this_thread)
    source = BatchSource(samples(tmp_path), spec, BRIEF, device)
    by_form: dict[object, list[object]] = {}
    for step in range(12):
        choice = source.choose(step)
        with Recorded() as recorded:
            batch = source.batch(choice)
            for purpose in (Purpose.RECYCLING, Purpose.CHANCE):
                batch.chance_for(purpose)(1, 2, (16, 16))
        assert batch.image_n3hw.device.type == batch.sample_n.device.type == device
        names = {name for name, _ in recorded.calls}
        assert len(names) > 20
        # What waits for a value, or has a shape that depends on values.
        for waits in ("nonzero", "_local_scalar_dense", "item", "masked_select", "unique"):
            assert not [name for name in names if waits in name]
        by_form.setdefault(choice.form, []).append(recorded.calls)
    assert len(by_form) == 3
    for first, *others in by_form.values():
        assert len(others) > 0
        assert all(other == first for other in others)
