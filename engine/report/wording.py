"""Writes scores with their intervals and counts with their nouns."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from engine.metrics import interval
from engine.report.markup import Html, element, html
from engine.types import SampleSettings

if TYPE_CHECKING:
    from engine.evaluation.scoring import Evaluation


def mean(evaluation: Evaluation, key: str, digits: int = 3) -> str:
    """A score's mean over the images, with its interval: "0.848 (0.825 to 0.869)"."""
    return with_interval(evaluation.column(key), digits)


def with_interval(values: NDArray[Any], digits: int = 3) -> str:
    """The mean of one row of numbers, with its 95 % bootstrap interval."""
    low, high = interval(values)
    middle, least, most = (f"{each:z.{digits}f}" for each in (values.mean(), low, high))
    return f"{middle} ({least} to {most})".replace("-", "−")


def number(value: float, digits: int) -> str:
    """A number, or that it is none."""
    return "not defined" if math.isnan(value) else f"{value:.{digits}f}"


def chosen(settings: SampleSettings) -> str:
    """Every setting, by its label."""
    pieces = []
    for field in fields(settings):
        value, word = getattr(settings, field.name), field.metadata["word"]
        shown = word if word and value == field.metadata["low"] else value
        pieces.append(f"{field.metadata['label'].lower()} {shown}")
    return ", ".join(pieces)


def images(evaluation: Evaluation) -> str:
    """How many images were evaluated, and of how many where some are missing."""
    scored = len(evaluation.images)
    if scored < evaluation.total:
        return f"{scored} of {count(evaluation.total, 'image')}"
    return count(scored, "image")


def count(amount: int, word: str) -> str:
    """An amount with its noun."""
    return f"{amount} {word}" if amount == 1 else f"{amount} {word}s"


def symbols(text: str) -> Html:
    """Text with the paper's symbols set as it sets them: "L_n" is L with a small n."""
    return Html(re.sub(r"\bL_(\w+)", r"L<sub>\1</sub>", html(text)))


def missing(text: str) -> Html:
    """The paragraph that stands for what was not measured."""
    return element("p", text, class_="missing")
