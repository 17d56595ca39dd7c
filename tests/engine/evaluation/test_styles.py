"""Law: scores by tool are those of its images alone, and people stand beside the same images."""

from __future__ import annotations

import pytest

from engine.evaluation.styles import TOOLS, ToolScores, by_style
from engine.metrics import Overlap
from engine.types import Style

GOOD, SMALL, MISSED = Overlap(90, 100, 100), Overlap(5, 10, 10), Overlap(0, 0, 100)


def test_without_a_style_there_is_no_table() -> None:
    assert by_style([], []) is None
    assert by_style([None, None], [GOOD, SMALL]) is None


def test_each_tool_has_its_own_images_and_the_unknown_come_last() -> None:
    styles = [None, Style("T3", 1), Style(None, 0), Style("T1", 1), Style("T3", 1)]
    found = by_style(styles, [GOOD, GOOD, MISSED, SMALL, SMALL])
    assert found is not None
    assert list(found.tools) == ["T1", "T3", "unknown"]
    assert found.tools.keys() <= TOOLS.keys()
    assert found.tools["T1"] == ToolScores(1, 0.5, (0.5, 0.5), 0.5)
    assert (found.tools["T3"].images, found.tools["unknown"].images) == (2, 2)
    assert found.tools["T3"].dice == pytest.approx((0.9 + 0.5) / 2)
    assert found.tools["T3"].pooled_dice == pytest.approx(2 * 95 / 220)
    assert found.tools["unknown"].dice == pytest.approx(0.45)
    assert found.people is None


def test_people_are_compared_on_the_images_that_several_of_them_annotated() -> None:
    styles = [Style("several", 4, 0.7), Style("T2", 1), Style("T1", 2, 0.7)]
    found = by_style(styles, [GOOD, MISSED, SMALL])
    assert found is not None
    people = found.people
    assert people is not None
    assert people.images == 2
    assert people.interval == pytest.approx((0.7, 0.7))
    for dice in (people.dice, people.median, people.model_dice, people.model_median):
        assert dice == pytest.approx(0.7)


def test_the_medians_are_of_the_usual_image() -> None:
    styles = [Style("several", 4, agreement) for agreement in (0.9, 0.0, 0.8)]
    found = by_style(styles, [GOOD, MISSED, SMALL])
    assert found is not None
    assert found.people is not None
    assert (found.people.median, found.people.model_median) == (0.8, 0.5)
    assert found.people.dice == pytest.approx(1.7 / 3)
