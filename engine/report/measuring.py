"""Measures a model for a report, the most important first, for it may be stopped at any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from engine.errors import DatasetProblem
from engine.evaluation.reliability import (
    Calibration,
    apply_temperature,
    fit_temperature,
    logit,
    reliability_bins,
)
from engine.evaluation.scoring import Examined, examine
from engine.report.compared import shown_ids, with_answer
from engine.report.recipes import Recipe
from engine.report.sweep import planned, sweep
from engine.report.values import Measured, Numbers, Report, Subject
from engine.report.worst import with_newest
from engine.types import Dataset, SampleSettings, evenly

#: So many pixels of each image of val, drawn with replacement, enter the fit of the temperature.
PIXELS_AN_IMAGE = 1000


def report(
    subject: Subject,
    dataset: Dataset,
    settings: SampleSettings,
    *,
    others: Sequence[Subject] = (),
    recipes: tuple[Recipe, ...] = (),
    sweep_images: int = 20,
    limit: int | None = None,
) -> Iterator[Report]:
    """One event per image evaluated: val, test, the other models on test, fewer steps on val.

    Parameters
    ----------
    subject : the model that the report is about.
    dataset : `test` judges, `val` chooses: the temperature and the settings that are enough.
    settings : of every evaluation but those with fewer steps, which take its seed and batch.
    others : models that are evaluated on test beside it.
    recipes : training runs to show beside each other; nothing is measured of them.
    sweep_images : so many images of val are segmented with every setting that is `planned`; 0 for
        none. Each setting of each image is an event.
    limit : at most this many images of a split, spread over it.

    Raises DatasetProblem before the first event where the data has neither val nor test, and what
    `engine.evaluation.scoring.evaluate` raises.
    """
    val, test = (evenly(dataset.split(name), limit) for name in ("val", "test"))
    if not val and not test:
        raise DatasetProblem(dataset.root, "it has neither a split val nor a split test")
    swept = evenly(val, sweep_images)
    ensembles = len(swept) * len(planned(subject.model.spec, settings))
    total = len(val) + len(test) * (1 + len(others)) + ensembles
    newest = Report(0, total, "", subject, dataset.root, settings, limit, recipes=recipes)
    shown = shown_ids(test)

    drawn: tuple[tuple[Numbers, Numbers], ...] = ()
    for examined in examine(subject.model, val, settings):
        drawn = (*drawn, _some_pixels(examined))
        newest = _next(newest, _line("val", examined), val=examined.evaluation)
        if examined.done == examined.total:
            newest = replace(newest, temperature=_temperature(drawn))
        yield newest

    calibrated = Calibration.none()
    for examined in examine(subject.model, test, settings):
        newest = _next(
            newest,
            _line("test", examined),
            test=examined.evaluation,
            worst=with_newest(newest.worst, examined),
            compared=with_answer(newest.compared, shown, subject.name, examined),
        )
        if newest.temperature is not None:
            cooler_hw = apply_temperature(examined.probability_hw, newest.temperature)
            calibrated += reliability_bins(cooler_hw, examined.truth_hw)
            newest = replace(newest, calibrated=calibrated)
        yield newest

    for other in others:
        before = newest.others
        for examined in examine(other.model, test, settings):
            measured = Measured(other, examined.evaluation)
            now = _line(other.name, examined)
            compared = with_answer(newest.compared, shown, other.name, examined)
            newest = _next(newest, now, others=(*before, measured), compared=compared)
            yield newest

    for swept_so_far in sweep(subject.model, swept, settings):
        now = f"settings {swept_so_far.done}/{swept_so_far.total}"
        newest = _next(newest, now, sweep=swept_so_far)
        yield newest


def _next(before: Report, now: str, **known: object) -> Report:
    return replace(before, done=before.done + 1, now=now, **known)  # type: ignore[arg-type]


def _line(what: str, examined: Examined) -> str:
    name, scores = examined.evaluation.images[-1]
    return f"{what} {examined.done}/{examined.total} {name} Dice {scores.dice:.3f}"


def _some_pixels(examined: Examined) -> tuple[Numbers, Numbers]:
    """Logits and truths of pixels that only the image's place in val decides, float64."""
    size = examined.truth_hw.size
    drawn = np.random.default_rng(examined.done).integers(size, size=PIXELS_AN_IMAGE)
    truths = examined.truth_hw.ravel()[drawn].astype(np.float64)
    return logit(examined.probability_hw.ravel()[drawn]), truths


def _temperature(drawn: Sequence[tuple[Numbers, Numbers]]) -> float:
    logits, truths = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return fit_temperature(logits, truths)
