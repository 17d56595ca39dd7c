"""Laws of prompts: nothing shown changes nothing, a box holds its result, a mask is begun from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.diffusion.ensemble import replay, segment
from engine.diffusion.model import Model
from engine.diffusion.outlines import ALIKE, MEMBERS, outlines, styles_to_show
from engine.framing import BOX_MARGIN, Box, Frame
from engine.metrics import dice
from engine.types import EnsembleResult, Image, ModelSpec, Prompt, SampleSettings, StyleChoice
from tests.oracles import OracleModel, StyledModel, disk, lesion, lively_model, tiny_spec

SETTINGS = SampleSettings(members=4, steps=3, seed=3, batch_size=4)
SHARES = {"T1": 0.5, "T2": 0.25, "T3": 0.15, "several": 0.1}
BOX = Box(8, 20, 24, 16)


def steerable() -> Model:
    return lively_model(steerable=True, styles=SHARES)


def events(
    model: Model | OracleModel, image: Image, prompt: Prompt | None, **changes: object
) -> list[EnsembleResult]:
    return list(segment(model, image, replace(SETTINGS, **changes), prompt))


def hint(shape: tuple[int, int]) -> np.ndarray:
    hint_hw = np.zeros(shape, np.int8)
    hint_hw[: shape[0] // 4, : shape[1] // 4] = 1
    hint_hw[-shape[0] // 4 :, -shape[1] // 4 :] = -1
    return hint_hw


# Values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"hint_hw": np.zeros((4, 4))}, "hint_hw is float64"),
        ({"hint_hw": np.full((4, 4), 2, np.int8)}, "other than -1, 0 and 1"),
        ({"start_hw": np.zeros((4, 4, 1), bool)}, "start_hw is bool"),
        ({"hint_hw": np.zeros((4, 4), np.int8), "start_hw": np.zeros((4, 5), bool)}, "shapes"),
        ({"hint_hw": np.zeros((4, 4), np.int8), "box": (0, 0, 5, 4)}, "not within"),
        ({"noise": 0.0}, "noise must be more"),
        ({"noise": 1.5}, "noise"),
        ({"resamplings": 0}, "resamplings"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Prompt(**values)  # type: ignore[arg-type]


def test_a_prompt_does_not_change_nor_freeze_what_it_was_given() -> None:
    given_hw = hint((8, 8))
    prompt = Prompt(given_hw)
    assert prompt.hint_hw is not None
    assert not prompt.hint_hw.flags.writeable
    assert given_hw.flags.writeable


def test_painted_pixels_are_as_painted_and_no_others_change() -> None:
    hint_hw, mask_hw = hint((20, 24)), np.random.default_rng(0).random((20, 24)) < 0.5
    painted_hw = Prompt(hint_hw).painted(mask_hw)
    assert bool(painted_hw[hint_hw > 0].all())
    assert not bool(painted_hw[hint_hw < 0].any())
    np.testing.assert_array_equal(painted_hw[hint_hw == 0], mask_hw[hint_hw == 0])
    np.testing.assert_array_equal(Prompt().painted(mask_hw), mask_hw)


# Nothing shown


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_an_empty_prompt_gives_the_same_bits(sampler: str) -> None:
    model, image = steerable(), lesion(disk(24))
    plain = events(model, image, None, sampler=sampler)
    empty = events(model, image, Prompt(noise=0.1, resamplings=3), sampler=sampler)
    assert len(plain) == len(empty) == 3
    for one, other in zip(plain, empty, strict=True):
        np.testing.assert_array_equal(one.members_nhw, other.members_nhw)
        np.testing.assert_array_equal(one.step.noisy_nhw, other.step.noisy_nhw)


def test_a_prompt_that_does_not_fit_the_image_is_refused_before_the_first_event() -> None:
    for prompt in (Prompt(hint((20, 24))), Prompt(box=Box(0, 0, 30, 24))):
        with pytest.raises(ValueError, match=r"24×24|expected"):
            next(segment(steerable(), lesion(disk(24)), SETTINGS, prompt))


# Boxes


def test_a_box_is_scaled_as_an_image_of_its_own() -> None:
    pixels_hwc = lesion(disk(48)).pixels_hwc
    framed = Frame(48, 48, 16, box=BOX)
    crop = framed.crop
    assert crop == BOX.grown(BOX_MARGIN, (48, 48)) == Box(2, 16, 36, 24)
    alone = Frame(crop.height, crop.width, 16)
    assert framed.grid_shape == alone.grid_shape
    part_hwc = np.ascontiguousarray(pixels_hwc[crop.window])
    np.testing.assert_array_equal(framed.apply(pixels_hwc), alone.apply(part_hwc))
    mask_hw = disk(48)
    np.testing.assert_array_equal(
        framed.apply_mask(mask_hw), alone.apply_mask(mask_hw[crop.window])
    )


@pytest.mark.parametrize("box", [BOX, Box(0, 0, 1, 1), Box(0, 0, 48, 48), Box(40, 0, 8, 48)])
def test_what_is_restored_has_the_images_size_and_is_nothing_outside_the_box(box: Box) -> None:
    framed = Frame(48, 48, 16, box=box)
    whole_hw = framed.restore(np.ones(framed.grid_shape, np.float32))
    inside_hw = np.zeros((48, 48), bool)
    inside_hw[box.window] = True
    np.testing.assert_array_equal(whole_hw == 1, inside_hw)
    assert not whole_hw[~inside_hw].any()


def test_a_box_at_the_border_has_a_margin_only_within_the_image() -> None:
    assert Box(0, 40, 8, 8).grown(0.5, (48, 48)) == Box(0, 36, 12, 12)
    with pytest.raises(ValueError, match="not within"):
        Frame(48, 48, 16, box=Box(41, 0, 8, 8))


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_mask_has_nothing_outside_its_box(threshold: float) -> None:
    *_, result = events(steerable(), lesion(disk(48)), Prompt(box=BOX))
    mask_hw = result.mask(threshold)
    assert mask_hw.shape == (48, 48)
    assert mask_hw[BOX.window].any() or threshold
    mask_hw[BOX.window] = False
    assert not mask_hw.any()


def test_a_hint_and_a_start_are_cropped_with_the_box() -> None:
    model, image, crop = steerable(), lesion(disk(48)), Frame(48, 48, 16, box=BOX).crop
    part = Image(np.ascontiguousarray(image.pixels_hwc[crop.window]))
    hint_hw, start_hw = hint((48, 48)), disk(48)
    whole = Prompt(hint_hw, BOX, start_hw)
    cropped = Prompt(hint_hw[crop.window].copy(), None, start_hw[crop.window].copy())
    for one, other in zip(events(model, image, whole), events(model, part, cropped), strict=True):
        np.testing.assert_array_equal(one.members_nhw, other.members_nhw)


# A mask to begin from


def test_with_all_noise_a_start_is_as_pure_noise() -> None:
    model, image = steerable(), lesion(disk(32))
    pure = events(model, image, None)
    warm = events(model, image, Prompt(start_hw=disk(32, 0.1), noise=1.0))
    assert [each.step.timestep for each in warm] == [each.step.timestep for each in pure]
    np.testing.assert_allclose(warm[0].step.noisy_nhw, pure[0].step.noisy_nhw, atol=1e-2)
    np.testing.assert_allclose(warm[-1].members_nhw, pure[-1].members_nhw, atol=2e-2)


def test_the_less_noise_the_nearer_a_run_begins_to_its_mask() -> None:
    model, start_hw = steerable(), disk(32, 0.2, 0.3, 0.3)
    target_hw = model.spec.frame(32, 32).apply_mask(start_hw)
    far = []
    for noise in (0.02, 0.2, 0.5, 1.0):
        first, *_, last = events(model, lesion(disk(32)), Prompt(start_hw=start_hw, noise=noise))
        assert first.step.timestep == max(1, round(noise * 100))
        assert last.done == last.total == min(3, first.step.timestep)
        clean_nhw = first.step.noisy_nhw / (2 * model.spec.mask_scale) + 0.5
        far.append(float(np.abs(clean_nhw - target_hw).mean()))
    assert far == sorted(far)
    assert far[0] < 0.2


def test_a_model_that_trusts_its_start_stays_near_it() -> None:
    """A model that answers with what it is given keeps a mask that is noised little."""

    class Keeper(OracleModel):
        def denoiser(self, image_chw, settings, members, hint_hw=None):  # type: ignore[no-untyped-def]
            scale = self.spec.mask_scale
            return lambda noisy_n1hw, timestep: noisy_n1hw.clamp(-scale, scale)

    start_hw = disk(16, 0.3)
    prompt = Prompt(start_hw=start_hw, noise=0.02)
    *_, result = segment(Keeper(disk(16, 0.1)), lesion(disk(16)), SETTINGS, prompt)
    assert dice(result.mask(), start_hw) > 0.95


# Resampling


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_resampling_takes_each_step_several_times_and_holds_what_was_painted(sampler: str) -> None:
    model, image, hint_hw = steerable(), lesion(disk(32)), hint((32, 32))
    once = events(model, image, Prompt(hint_hw), sampler=sampler)
    thrice = events(model, image, Prompt(hint_hw, resamplings=3), sampler=sampler)
    assert [each.step.timestep for each in once] == [100, 67, 33]
    assert [each.step.timestep for each in thrice] == [100] * 3 + [67] * 3 + [33] * 3
    np.testing.assert_array_equal(once[0].members_nhw, thrice[0].members_nhw)
    assert not np.array_equal(once[-1].members_nhw, thrice[-1].members_nhw)
    for event in thrice:
        assert bool((event.members_nhw[:, :4, :4] == 1).all())
        assert bool((event.members_nhw[:, -4:, -4:] == 0).all())


def test_a_members_answer_does_not_depend_on_the_others_whatever_is_shown() -> None:
    prompt = Prompt(hint((32, 32)), Box(4, 4, 20, 24), disk(32), 0.6, 2)
    model, image = steerable(), lesion(disk(32))
    together = events(model, image, prompt, batch_size=4)[-1].members_nhw
    alone = events(model, image, prompt, batch_size=1)[-1].members_nhw
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_each_step_of_a_steered_run_is_replayed() -> None:
    model, image = steerable(), lesion(disk(48))
    prompt = Prompt(hint((48, 48)), BOX, disk(48), 0.6, 2)
    settings = replace(SETTINGS, batch_size=4)
    # What a replay needs of the prompt; the mask it began from is in x_t.
    kept = Prompt(prompt.hint_hw, prompt.box)
    for result in segment(model, image, settings, prompt):
        step = result.step
        *_, cell = replay(model, image, step.noisy_nhw[2], step.timestep, settings, 2, kept)
        predicted = 0.5 + np.tanh(cell.state_chw[0] / 2) / 2
        free = np.abs(step.clean_nhw[2] - (step.clean_nhw[2] > 0.5)) > 0
        np.testing.assert_allclose(predicted[free], step.clean_nhw[2][free], atol=1e-5)


# The outlines of all styles


def test_outlines_go_from_tightest_to_widest_and_all_differ() -> None:
    *before, last = outlines(StyledModel(64), lesion(disk(64)), SampleSettings(steps=1))
    assert last.done == last.total == len(before) + 1
    areas = [each.area for each in last.found]
    assert areas == sorted(areas)
    assert len(set(areas)) == len(areas) > 3
    assert all(len(each.result.members_nhw) == MEMBERS for each in last.found)
    assert StyleChoice() in [each.choice for each in last.found]
    for one, other in zip(last.found[:-1], last.found[1:], strict=True):
        assert dice(one.result.mean_hw >= 0.5, other.result.mean_hw >= 0.5) < ALIKE


def test_each_event_of_the_outlines_is_usable() -> None:
    stream = outlines(StyledModel(32), lesion(disk(32)), SampleSettings(steps=1, style="T3"))
    first = next(stream)
    (one,) = first.found
    assert (first.done, one.choice) == (1, StyleChoice("T3"))


@pytest.mark.parametrize(
    ("spec", "count"),
    [(tiny_spec(), 1), (tiny_spec(steerable=True), 3)],
    ids=["not steerable", "knows no tool"],
)
def test_a_model_that_knows_less_has_fewer_outlines(spec: ModelSpec, count: int) -> None:
    assert len(styles_to_show(spec, StyleChoice())) == count


def test_outlines_hold_to_the_prompt() -> None:
    *_, last = outlines(StyledModel(32), lesion(disk(32)), SETTINGS, Prompt(hint((32, 32))))
    for each in last.found:
        assert bool((each.result.members_nhw[:, :8, :8] == 1).all())
