"""How many members an ensemble needs where nobody says, and what view each has of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import engine.diffusion.ensemble
from engine.diffusion.ensemble import LAST_MEMBERS, segment
from engine.diffusion.model import Denoiser, mirrored
from engine.diffusion.views import VIEWS, views_of
from engine.errors import NotFinite, OutOfMemory
from engine.types import EnsembleResult, Float, SampleSettings, Views
from tests.oracles import OracleModel, disk, lesion, lively_model

UNTIL_SETTLED = SampleSettings(steps=2, members=0, batch_size=1)


class QuarrellingModel(OracleModel):
    """Every member after the first says the opposite of what the others say together."""

    def denoiser(
        self, image_chw: Float, seed: int, members: Sequence[int], views: Views = "mirrored"
    ) -> Denoiser:
        truth = super().denoiser(image_chw, seed, members, views)

        def predict_clean(noisy_n1hw: Tensor, timestep: int) -> Tensor:
            return truth(noisy_n1hw, timestep) * (1 if members[0] % 2 else -1)

        return predict_clean


class GreedyModel(OracleModel):
    """More than two members at once ask for more memory than any machine has."""

    def denoiser(
        self, image_chw: Float, seed: int, members: Sequence[int], views: Views = "mirrored"
    ) -> Denoiser:
        if len(members) > 2:
            torch.empty(1 << 50)
        return super().denoiser(image_chw, seed, members, views)


class OverflowingModel(OracleModel):
    """Its answer is no number from some step on."""

    number, since = float("nan"), 0

    def denoiser(
        self, image_chw: Float, seed: int, members: Sequence[int], views: Views = "mirrored"
    ) -> Denoiser:
        truth = super().denoiser(image_chw, seed, members, views)

        def predict_clean(noisy_n1hw: Tensor, timestep: int) -> Tensor:
            answer = truth(noisy_n1hw, timestep)
            if timestep <= 100 - self.since:
                answer[-1, 0, 3, 4] = self.number
            return answer

        return predict_clean


class BrokenModel(OracleModel):
    def denoiser(
        self, image_chw: Float, seed: int, members: Sequence[int], views: Views = "mirrored"
    ) -> Denoiser:
        raise RuntimeError("shapes do not fit")


def test_what_does_not_fit_into_memory_names_a_batch_that_may() -> None:
    truth, asked = disk(32), SampleSettings(steps=2, members=4, batch_size=4)
    with pytest.raises(OutOfMemory) as caught:
        list(segment(GreedyModel(truth), lesion(truth), asked))
    assert (caught.value.batch, caught.value.what, caught.value.smaller) == (4, "members", 2)
    smaller = replace(asked, batch_size=caught.value.smaller)
    *_, result = segment(GreedyModel(truth), lesion(truth), smaller)
    assert result.finished == 4
    with pytest.raises(RuntimeError, match="shapes"):
        list(segment(BrokenModel(truth), lesion(truth), asked))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize(("since", "before"), [(0, 0), (50, 1)])
def test_members_that_are_no_numbers_are_an_error(number: float, since: int, before: int) -> None:
    model = OverflowingModel(disk(32))
    model.number, model.since = number, since
    seen: list[EnsembleResult] = []
    with pytest.raises(NotFinite) as caught:
        seen.extend(segment(model, lesion(disk(32)), SampleSettings(steps=2, members=3)))
    assert len(seen) == before
    assert caught.value.name == model.spec.name


@pytest.mark.parametrize("predicts", ["clean", "noise", "velocity"])
@pytest.mark.parametrize("weight", [1e30, 3e38, -3e38])
def test_weights_that_overflow_give_no_empty_mask(predicts: str, weight: float) -> None:
    model = lively_model(predicts=predicts)
    for cell in model.network.levels:
        torch.nn.init.constant_(cell.act.weight, weight)  # type: ignore[union-attr,arg-type]
    with pytest.raises(NotFinite):
        list(segment(model, lesion(disk(32)), SampleSettings(steps=2, members=2)))


def test_members_that_agree_are_enough_as_soon_as_the_last_five_do() -> None:
    truth = disk(32)
    results = list(segment(OracleModel(truth), lesion(truth), UNTIL_SETTLED))
    assert [result.done for result in results] == list(range(1, 2 * LAST_MEMBERS + 1))
    assert results[-1].total == results[-1].done
    assert results[-1].finished == len(results[-1].members_nhw) == LAST_MEMBERS
    # Before that nobody knows how many it will take.
    assert {result.total for result in results[:-1]} == {2 * engine.diffusion.ensemble.MOST_MEMBERS}


@pytest.mark.parametrize("batch_size", [0, 2, 3, 7])
def test_how_many_are_enough_does_not_depend_on_the_batch(batch_size: int) -> None:
    truth, settings = disk(32), replace(UNTIL_SETTLED, batch_size=batch_size)
    *_, result = segment(OracleModel(truth), lesion(truth), settings)
    assert result.finished == len(result.members_nhw) == LAST_MEMBERS
    assert result.done == result.total


def test_members_that_never_agree_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.diffusion.ensemble, "MOST_MEMBERS", 8)
    truth = disk(32)
    *_, result = segment(QuarrellingModel(truth), lesion(truth), UNTIL_SETTLED)
    assert (result.done, result.total, result.finished) == (16, 16, 8)


def test_each_view_is_its_own_way_back_and_members_take_them_in_turn() -> None:
    pictures = torch.randn(6, 2, 4, 8, generator=torch.Generator().manual_seed(0))
    members = [0, 1, 2, 3, 4, 9]
    numbers = views_of(members)
    seen = mirrored(pictures, numbers)
    assert torch.equal(mirrored(seen, numbers), pictures)
    assert torch.equal(seen[0], pictures[0])
    assert torch.equal(seen[1], pictures[1].flip(-1))
    assert torch.equal(seen[2], pictures[2].flip(-2))
    assert torch.equal(seen[5], pictures[5].flip(-1))
    for place, member in enumerate(members):
        alone = mirrored(pictures[place : place + 1], views_of([member]))
        assert torch.equal(alone[0], seen[place])
    assert len(set(VIEWS)) == 4
