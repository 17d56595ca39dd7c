"""Laws: painted pixels hold, a box changes nothing outside it, each gesture leads back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.framing import Box
from engine.types import SampleSettings
from nca_seg_app.state.guidance import NO_GUIDANCE, Guidance, Stroke, painted
from tests.fakes import DiskModel, image_of

SHAPE = (48, 64)
points = st.tuples(st.floats(-10, 60), st.floats(-10, 80))
strokes = st.builds(
    Stroke,
    st.lists(points, min_size=1, max_size=4).map(tuple),
    st.floats(0.5, 20),
    st.booleans(),
)
boxes = st.builds(
    Box, st.integers(0, 20), st.integers(0, 30), st.integers(2, 28), st.integers(2, 34)
)
seeds = st.integers(0, 2**16)


def random_mask(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(SHAPE) < 0.5


def told(gestures: list[Stroke | Box], alone: bool = False) -> Guidance:
    guidance = NO_GUIDANCE
    for gesture in gestures:
        if isinstance(gesture, Stroke):
            guidance = guidance.with_stroke(gesture)
        else:
            guidance = guidance.with_box(gesture, None, alone)
    return guidance


@settings(deadline=None)
@given(st.lists(st.one_of(strokes, boxes), min_size=1, max_size=4), seeds, seeds)
def test_painted_pixels_are_as_painted(
    gestures: list[Stroke | Box], found: int, before: int
) -> None:
    guidance = told(gestures)
    prompt = guidance.prompt(SHAPE)
    placed_hw = guidance.placed(random_mask(found), random_mask(before), prompt, 0.5)
    hint_hw = painted(guidance.strokes, SHAPE)
    assert placed_hw[hint_hw > 0].all()
    assert not placed_hw[hint_hw < 0].any()


@given(boxes, seeds, seeds)
def test_a_box_changes_nothing_outside_of_it(box: Box, found: int, before: int) -> None:
    guidance = told([box])
    found_hw, before_hw = random_mask(found), random_mask(before)
    placed_hw = guidance.placed(found_hw, before_hw, guidance.prompt(SHAPE), 0.5)
    assert np.array_equal(placed_hw[box.window], found_hw[box.window])
    outside_hw = np.ones(SHAPE, bool)
    outside_hw[box.window] = False
    assert np.array_equal(placed_hw[outside_hw], before_hw[outside_hw])


@given(boxes, seeds, seeds)
def test_a_box_in_place_of_the_whole_outline_leaves_nothing_else(
    box: Box, found: int, before: int
) -> None:
    guidance = told([box], alone=True)
    placed_hw = guidance.placed(random_mask(found), random_mask(before), None, 0.5)
    placed_hw[box.window] = False
    assert not placed_hw.any()


def test_the_lesions_of_boxes_before_stay() -> None:
    first, second = Box(2, 2, 20, 24), Box(10, 16, 30, 40)
    guidance = NO_GUIDANCE.with_box(first, None, alone=False)
    *_, part = DiskModel(size=32).segment(image_of(SHAPE), SampleSettings(), guidance.prompt(SHAPE))
    guidance = guidance.with_box(second, part, alone=False)
    nothing_hw = np.zeros(SHAPE, bool)
    placed_hw = guidance.placed(nothing_hw, nothing_hw, None, 0.5)
    assert guidance.boxes == (first, second)
    assert np.array_equal(placed_hw, part.mask())


@given(st.lists(st.one_of(strokes, boxes), max_size=4))
def test_each_gesture_leads_back_to_the_one_before(gestures: list[Stroke | Box]) -> None:
    guidance: Guidance | None = told(gestures)
    for _ in gestures:
        assert guidance is not None
        assert not guidance.is_empty
        guidance = guidance.before
    assert guidance is NO_GUIDANCE


def test_the_later_stroke_counts() -> None:
    here = Stroke(((10.0, 10.0),), 4.0, True)
    hint_hw = painted((here, Stroke(here.points, 2.0, False)), SHAPE)
    assert hint_hw[10, 10] == -1
    assert hint_hw[10, 13] == 1
