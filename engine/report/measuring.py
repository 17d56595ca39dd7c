"""Measures a model for a report, the most important first, for it may be stopped at any time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
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
from engine.evaluation.scoring import Examined, Unread, examine
from engine.report.compared import shown_ids, with_answer
from engine.report.recipes import Recipe
from engine.report.sweep import planned, sweep
from engine.report.values import Measured, Numbers, Report, Subject
from engine.report.worst import with_newest
from engine.types import Dataset, Sample, SampleSettings, evenly

#: So many pixels of each image of val, drawn with replacement, enter the fit of the temperature.
PIXELS_AN_IMAGE = 1000
#: The report after each image of a part; the last of them is returned.
_Events = Generator[Report, None, Report]


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

    A sample of val or test that cannot be read is left out, and `left_out` tells of it. Raises
    DatasetProblem before the first event where the data has neither val nor test, and what
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

    newest = yield from _of_val(newest, val)
    newest = yield from _of_test(newest, test, shown)
    for other in others:
        newest = yield from _of_other(newest, other, test, shown)
    unread = {error.path for error in newest.left_out}
    read = [each for each in swept if not {each.image_path, each.mask_path} & unread]
    tried = len(planned(subject.model.spec, settings))
    newest = replace(newest, total=total - (len(swept) - len(read)) * tried)
    for swept_so_far in sweep(subject.model, read, settings):
        now = f"settings {swept_so_far.done}/{swept_so_far.total}"
        newest = _next(newest, now, sweep=swept_so_far)
        yield newest


def _of_val(newest: Report, val: Sequence[Sample]) -> _Events:
    """The report with each image of val; with the last of them the temperature is fitted."""
    drawn: tuple[tuple[Numbers, Numbers], ...] = ()
    for event in examine(newest.subject.model, val, newest.settings):
        if isinstance(event, Unread):
            newest = _without(newest, "val", event)
        else:
            drawn = (*drawn, _some_pixels(event))
            newest = _next(newest, _line("val", event))
        if drawn:
            newest = replace(newest, val=event.evaluation)
            if event.evaluation.done == len(val):
                newest = replace(newest, temperature=_temperature(drawn))
        yield newest
    return newest


def _of_test(newest: Report, test: Sequence[Sample], shown: frozenset[str]) -> _Events:
    """The report with each image of test."""
    calibrated = Calibration.none()
    for event in examine(newest.subject.model, test, newest.settings):
        if isinstance(event, Unread):
            newest = _without(newest, "test", event)
        else:
            newest = _next(
                newest,
                _line("test", event),
                worst=with_newest(newest.worst, event),
                compared=with_answer(newest.compared, shown, newest.subject.name, event),
            )
            if newest.temperature is not None:
                cooler_hw = apply_temperature(event.probability_hw, newest.temperature)
                calibrated += reliability_bins(cooler_hw, event.truth_hw)
                newest = replace(newest, calibrated=calibrated)
        if event.evaluation.images:
            newest = replace(newest, test=event.evaluation)
        yield newest
    return newest


def _of_other(
    newest: Report, other: Subject, test: Sequence[Sample], shown: frozenset[str]
) -> _Events:
    """The report with each image of test, as another model sees it."""
    before = newest.others
    for event in examine(other.model, test, newest.settings):
        if isinstance(event, Unread):
            newest = _without(newest, other.name, event)
        else:
            compared = with_answer(newest.compared, shown, other.name, event)
            newest = _next(newest, _line(other.name, event), compared=compared)
        if event.evaluation.images:
            newest = replace(newest, others=(*before, Measured(other, event.evaluation)))
        yield newest
    return newest


def _without(before: Report, what: str, unread: Unread) -> Report:
    """The report after a sample that could not be read, which it names once."""
    error, evaluation = unread.error, unread.evaluation
    known = any(error.path == each.path for each in before.left_out)
    left_out = before.left_out if known else (*before.left_out, error)
    now = f"{what} {evaluation.done}/{evaluation.total} {error.path.name} is left out"
    return _next(before, now, left_out=left_out)


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
