"""Laws of steering: who is told which style, that it reaches the cells, and that paint is held."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from engine.diffusion.ensemble import replay, segment
from engine.diffusion.model import Model, load, save, styles_of
from engine.errors import StyleNotKnown
from engine.networks import checkpoint, tensor_file
from engine.networks.automaton.levels import Automaton, FastAutomaton
from engine.networks.device import DeviceChoice
from engine.networks.network import Steering
from engine.networks.steerability import expect_style
from engine.networks.table import preset
from engine.types import EnsembleResult, Image, ModelSpec, Prompt, SampleSettings, StyleName, Tool
from tests.oracles import OracleModel, disk, lesion, lively_model, tiny_spec

SHARES = {"T1": 0.5, "T2": 0.25, "T3": 0.15, "several": 0.1}
SETTINGS = SampleSettings(members=4, steps=3, seed=3)


def steerable_model(architecture: str = "multicbam", **changes: object) -> Model:
    return lively_model(architecture, steerable=True, styles=SHARES, **changes)


def last(model: Model, settings: SampleSettings, image: Image | None = None) -> EnsembleResult:
    *_, result = segment(model, image or lesion(disk(24)), settings)
    return result


# Files


def test_a_steerable_model_comes_back_from_its_file(tmp_path: Path) -> None:
    model = steerable_model()
    save(tmp_path / "m.safetensors", model)
    found = load(tmp_path / "m.safetensors", "cpu", "float32")
    assert found.spec == model.spec
    assert dict(found.spec.styles) == SHARES
    _, arrays = checkpoint.read(tmp_path / "m.safetensors")
    other = {"T1": 0.4, "T2": 0.35, "T3": 0.15, "several": 0.1}
    variants = [{"styles": other}, {"styles": {}}, {"steerable": False, "styles": {}}]
    prints = {checkpoint.fingerprint(replace(found.spec, **each), arrays) for each in variants}
    assert len(prints | {found.fingerprint}) == 4


def test_a_model_that_is_not_steerable_has_the_file_that_it_always_had(tmp_path: Path) -> None:
    save(tmp_path / "m.safetensors", lively_model())
    told, _ = tensor_file.read(tmp_path / "m.safetensors", checkpoint.MOST_BYTES)
    assert "steer" not in told[checkpoint.SPEC]
    assert "styles" not in told[checkpoint.SPEC]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"steerable": False, "styles": SHARES}, "has no styles"),
        ({"styles": {"T1": 0.5}}, "do not add up to 1"),
        ({"styles": {"T4": 1.0}}, "not shares of tools"),
        ({"styles": {"T1": True}}, "share of T1 is True"),
        ({"styles": {"T1": 1.0, "T2": 0.0}}, "share of T2 is 0.0"),
        ({"channels": 11}, "cannot be"),
    ],
)
def test_what_no_model_can_have_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        tiny_spec(**{"steerable": True, **values})


def test_too_few_channels_make_a_preset_that_is_not_steerable() -> None:
    roomy = preset("multicbam").changed(channels=12, styles=SHARES)
    assert roomy.steerable
    narrow = roomy.changed(channels=11)
    assert (narrow.steerable, dict(narrow.styles)) == (False, {})
    assert not roomy.changed(steerable=False).styles


# Who is told what


def told(style: StyleName, members: range | list[int], spec: ModelSpec) -> list[Tool | None]:
    return styles_of(members, spec, style)


@pytest.mark.parametrize(
    "shares", [SHARES, {"T2": 1.0}, {"T1": 0.4, "T2": 0.35, "T3": 0.15, "several": 0.1}]
)
def test_the_first_members_of_a_mixed_ensemble_have_the_tools_by_their_shares(
    shares: dict[Tool, float],
) -> None:
    spec = tiny_spec(steerable=True, styles=shares)
    drawn = told("mixed", range(60), spec)
    for count in range(1, 61):
        found = Counter(drawn[:count])
        for tool, share in shares.items():
            assert abs(found[tool] - share * count) <= 1
    # A member's tool does not depend on who else is drawn.
    assert [told("mixed", [member], spec)[0] for member in range(60)] == drawn
    assert told("mixed", range(50, 60), spec) == drawn[50:]


def test_a_style_that_is_given_is_told_to_all_and_unknown_to_none() -> None:
    spec = tiny_spec(steerable=True, styles=SHARES)
    assert told("T3", range(3), spec) == ["T3"] * 3
    assert told("unknown", range(3), spec) == [None] * 3
    assert told("mixed", range(3), tiny_spec(steerable=True)) == [None] * 3
    assert told("mixed", range(3), tiny_spec()) == [None] * 3


@pytest.mark.parametrize("style", ["mixed", "unknown", *get_args(Tool)])
def test_a_model_that_is_not_steerable_answers_the_same_in_every_style(style: StyleName) -> None:
    model, noisy = lively_model(), torch.randn(3, 1, 16, 16)
    image_chw = np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)
    answers = [
        model.denoiser(image_chw, settings, range(3))(noisy, 60)
        for settings in (SampleSettings(), SampleSettings(style=style, width=0.5))
    ]
    assert torch.equal(*answers)


def test_what_a_model_was_not_taught_is_refused_by_name() -> None:
    plain = tiny_spec()
    taught = tiny_spec(steerable=True, styles={"T1": 0.5, "T3": 0.5})
    for spec in (plain, taught):
        for style in ("mixed", "unknown"):
            expect_style(spec, SampleSettings(style=style))
    expect_style(taught, SampleSettings(style="T3", width=-1.0))
    for spec, settings, asked in (
        (plain, SampleSettings(style="T3"), "T3"),
        (plain, SampleSettings(width=0.1), "width"),
        (taught, SampleSettings(style="T2"), "T2"),
    ):
        with pytest.raises(StyleNotKnown) as caught:
            expect_style(spec, settings)
        assert (caught.value.asked, caught.value.known) == (asked, tuple(spec.styles))
    with pytest.raises(StyleNotKnown):
        next(segment(lively_model(), lesion(disk(24)), SampleSettings(width=1.0)))


# What the network makes of it


def steering(n: int, rows: int, columns: int) -> Steering:
    draws = torch.Generator().manual_seed(7)
    style_n5 = torch.rand(n, 5, generator=draws)
    return Steering(style_n5, torch.rand(n, 1, rows, columns, generator=draws) * 2 - 1)


@pytest.mark.parametrize("architecture", ["basic", "multicbam"])
def test_each_way_of_steering_changes_the_answer(architecture: str) -> None:
    model = steerable_model(architecture)
    answers = [
        last(model, replace(SETTINGS, **changes)).members_nhw
        for changes in ({}, {"style": "T1"}, {"style": "T3"}, {"width": 0.5}, {"style": "unknown"})
    ]
    for place, one in enumerate(answers):
        assert all(not np.array_equal(one, other) for other in answers[:place])


@pytest.mark.parametrize("detail", [1, 2])
def test_steering_stands_in_the_first_state_of_both_levels(detail: int) -> None:
    network = steerable_model(channels=24, detail=detail).network
    assert isinstance(network, Automaton)
    asked = Steering(torch.tensor([[0.0, 1.0, 0.0, 0.0, -0.5]]), torch.zeros(1, 1, 16, 16))
    asked.hint_n1hw[..., 8:] = 1
    image, noisy = torch.zeros(1, 3, 16 * detail, 16 * detail), torch.zeros(1, 1, 16, 16)
    first = 5 + network.config.detailed
    for level, side, below in ((1, 4, None), (2, 16, torch.zeros(1, 24, 4, 4))):
        state = network.enter(level, below, image, noisy, torch.ones(1), asked)
        for place, value in enumerate((0.0, 1.0, 0.0, 0.0, -0.5)):
            assert bool((state[:, first + place] == value).all())
        hint = state[0, first + 5]
        assert bool((hint[:, : side // 2 - 1] == 0).all())
        assert bool((hint[:, side // 2 + 1 :] == 1).all())


@pytest.mark.parametrize("architecture", ["basic", "multicbam"])
def test_the_fast_cells_are_steered_as_the_readable_ones(architecture: str) -> None:
    network = steerable_model(architecture).network
    assert isinstance(network, Automaton)
    draws = torch.Generator().manual_seed(1)
    given = (
        torch.rand(3, 3, 16, 12, generator=draws) * 2 - 1,
        torch.randn(3, 1, 16, 12, generator=draws),
        torch.rand(3, generator=draws),
    )

    def fires(_level: int, _update: int, shape: tuple[int, int]) -> torch.Tensor:
        return torch.rand(3, 1, *shape, generator=torch.Generator().manual_seed(5)) < 0.5

    swift = network.inferring(DeviceChoice("cpu", "float32", "for the test"))
    assert isinstance(swift, FastAutomaton)
    asked = steering(3, 16, 12)
    expected = network(*given, fires, asked)[:, :1]
    answer = swift.answer(*given, fires, asked)
    torch.testing.assert_close(answer, expected, atol=1e-4, rtol=0)
    plain = network(*given, fires)[:, :1]
    assert float((plain - expected).abs().max()) > 1e-3
    whole = swift(*given, fires, asked)[:, :1]
    torch.testing.assert_close(whole, expected, atol=1e-4, rtol=0)


def test_a_members_answer_does_not_depend_on_the_others() -> None:
    model = steerable_model()
    together = last(model, replace(SETTINGS, batch_size=4)).members_nhw
    alone = last(model, replace(SETTINGS, batch_size=1)).members_nhw
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_step_is_replayed_in_its_style() -> None:
    model, image = steerable_model(), lesion(disk(24))
    settings = replace(SETTINGS, style="T2", width=-1.0, batch_size=4)
    hint_hw = np.zeros((24, 24), np.int8)
    hint_hw[3:9, 4:12] = 1
    for result in segment(model, image, settings, Prompt(hint_hw)):
        step = result.step
        *_, cell = replay(
            model, image, step.noisy_nhw[2], step.timestep, settings, 2, Prompt(hint_hw)
        )
        predicted = 0.5 + np.tanh(cell.state_chw[0] / 2) / 2
        free = np.abs(step.clean_nhw[2] - (step.clean_nhw[2] > 0.5)) > 0
        np.testing.assert_allclose(predicted[free], step.clean_nhw[2][free], atol=1e-5)


# What a person painted


def test_a_hint_is_mirrored_with_its_member() -> None:
    """A member of view 1 that is told the mirrored is a member of view 0 that is told it plainly.

    The cells that fire are those of the member, so both are asked for the same member.
    """
    model, noisy = steerable_model(), torch.randn(1, 1, 16, 12)
    image_chw = np.random.default_rng(0).random((3, 16, 12), dtype=np.float32)
    hint_hw = np.zeros((16, 12), np.float32)
    hint_hw[2:5, 1:4], hint_hw[9, 9] = 1, -1
    mirrored = model.denoiser(image_chw, SampleSettings(style="T1"), [1], hint_hw)(noisy, 60)
    plain = model.denoiser(
        image_chw[..., ::-1].copy(), SampleSettings(style="T1", views="plain"), [1],
        hint_hw[:, ::-1].copy(),
    )(noisy.flip(-1), 60)  # fmt: skip
    torch.testing.assert_close(mirrored, plain.flip(-1), atol=1e-5, rtol=0)
    unasked = model.denoiser(image_chw, SampleSettings(style="T1"), [1])(noisy, 60)
    assert not torch.allclose(unasked, mirrored, atol=1e-4)


@pytest.mark.parametrize("steerable", [False, True])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_painted_cells_are_what_was_painted_at_every_event(steerable: bool, sampler: str) -> None:
    model = steerable_model() if steerable else lively_model()
    image, hint_hw = lesion(disk(32)), np.zeros((32, 32), np.int8)
    hint_hw[4:12, 4:12], hint_hw[20:28, 16:24] = 1, -1
    settings = replace(SETTINGS, sampler=sampler, batch_size=4)
    events = list(segment(model, image, settings, Prompt(hint_hw)))
    assert len(events) == 3
    for event in events:
        assert bool((event.members_nhw[:, 2:6, 2:6] == 1).all())
        assert bool((event.members_nhw[:, 10:14, 8:12] == 0).all())
    free = last(model, settings, image).members_nhw
    assert not bool((free[:, 2:6, 2:6] == 1).all())


def test_paint_corrects_even_a_model_that_knows_better() -> None:
    hint_hw = np.zeros((16, 16), np.int8)
    hint_hw[:2], hint_hw[7:9, 7:9] = 1, -1
    *_, result = segment(OracleModel(disk(16)), lesion(disk(16)), SETTINGS, Prompt(hint_hw))
    expected = disk(16)
    expected[:2], expected[7:9, 7:9] = True, False
    np.testing.assert_array_equal(result.mask(), expected)
