"""Law: operations are those of the convolutions, and an answer adds up what is computed once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.evaluation.flops import Flops, count_flops
from engine.networks.table import build
from engine.types import SampleSettings
from tests import toy


def test_a_network_takes_what_its_convolutions_take(monkeypatch: pytest.MonkeyPatch) -> None:
    toy.register(monkeypatch)
    spec = toy.TOY.presets[0]
    area, width = spec.size**2, 4
    see, tell = 2 * area * 3 * width * 9, 2 * area * (width + 2)
    assert count_flops(build(spec)) == Flops(condition=see, time=0, predict=tell)


def test_an_answer_computes_each_view_once_and_each_step_for_each_member() -> None:
    spec, flops = toy.TOY.presets[0], Flops(condition=1000, time=100, predict=1)
    settings = SampleSettings(steps=2, members=10)
    assert flops.step(spec) == 101
    assert flops.answer(spec, settings) == 4 * 1000 + 2 * (100 + 10)
    assert flops.answer(spec, replace(settings, views="plain")) == 1000 + 2 * (100 + 10)
    once = replace(spec, timesteps=1)
    assert flops.step(once) == 1101
    assert flops.answer(once, settings) == 4 * 1000 + 100 + 4
