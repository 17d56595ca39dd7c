"""A report's numbers as JSON; what was not measured, or is not defined, is null."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from engine.evaluation.reliability import (
    Calibration,
)
from engine.metrics import interval
from engine.report.commands import measured_by, trained_by
from engine.report.recipes import Recipe, changed, usual
from engine.report.reproduction import loss_of, rows
from engine.report.sweep import TOLERANCE, Curve, Point, Sweep, best, cheapest
from engine.report.values import Measured, Report, Subject, UncertaintyRanking


def as_json(report: Report, written: str = "") -> dict[str, Any]:
    """All numbers of the page, as what the standard library writes as JSON without NaN."""
    calibrated = None if report.calibrated is None else _calibration(report.calibrated)
    whole = {
        "format": "nca-seg/report",
        "version": 1,
        "use": "Research use only, not a medical device.",
        "written": written,
        "done": report.done,
        "total": report.total,
        "model": _subject(report.subject),
        "data": str(report.data),
        "limit": report.limit,
        "settings": asdict(report.settings),
        "threshold": 0.5,
        "left_out": [{"file": str(e.path), "reason": e.reason} for e in report.left_out],
        "val": None if report.val is None else report.val.as_json(),
        "test": None if report.test is None else report.test.as_json(),
        "doubt": {each.name: _ranking(each) for each in report.rankings},
        "doubt_floor": None if report.floor is None else _ranking(report.floor),
        "calibration": {
            "temperature": report.temperature,
            "before": None if report.test is None else _calibration(report.test.calibration),
            "after": calibrated,
        },
        "fewer_steps": _sweep(report.sweep),
        "paper": [
            {
                "published": None if row.published is None else asdict(row.published),
                "measured": [_measured(report, measured) for measured in row.measured],
            }
            for row in rows(report.measured)
        ],
        "recipes": _recipes(report.recipes),
        "compared": {
            one.id: {answer.model: answer.dice for answer in one.answers} for one in report.compared
        },
        "worst": [{"id": one.id, **asdict(one.scores)} for one in report.worst],
    }
    written_down: dict[str, Any] = finite(whole)
    return written_down


def _subject(subject: Subject) -> dict[str, Any]:
    spec = subject.model.spec
    return {
        "name": subject.name,
        "fingerprint": subject.fingerprint,
        "parameters": subject.parameters,
        "samples_seen": spec.samples_seen,
        "device": str(subject.model.device),
        "spec": spec.flat,
    }


def _measured(report: Report, measured: Measured) -> dict[str, Any]:
    return {
        "model": _subject(measured.subject),
        "measured_by": measured_by(
            measured.subject.name, report.data, report.settings, report.limit
        ),
        "trained_by": trained_by(measured.subject.model.spec),
        "loss": loss_of(measured.subject.model.spec),
        **measured.evaluation.as_json(),
    }


def _recipes(recipes: tuple[Recipe, ...]) -> list[dict[str, Any]]:
    common = usual(recipes)
    return [
        {
            "name": recipe.name,
            "settings": recipe.settings,
            "changed": changed(recipe, common),
            "samples_seen": recipe.spec.samples_seen,
            "val_dice": recipe.dice,
            "trained_by": recipe.command,
        }
        for recipe in recipes
    ]


def _ranking(ranking: UncertaintyRanking) -> dict[str, Any]:
    return {
        "spearman": ranking.spearman,
        "auroc": ranking.auroc,
        "aurc": ranking.aurc,
        "excess_aurc": ranking.excess_aurc,
        "coverage": ranking.coverage.tolist(),
        "kept_risk": ranking.kept_risk.tolist(),
    }


def _calibration(calibration: Calibration) -> dict[str, Any]:
    return {
        "expected_calibration_error": calibration.ece,
        "cells": calibration.cells.tolist(),
        "predicted": calibration.predicted.tolist(),
        "lesion": calibration.lesion.tolist(),
    }


def _sweep(sweep: Sweep | None) -> dict[str, Any] | None:
    if sweep is None or not sweep.curves:
        return None
    return {
        "images": list(sweep.images),
        "tolerance": TOLERANCE,
        "best": _point(best(sweep.points)),
        "cheapest": _point(cheapest(sweep.points)),
        "equal_members": sweep.members,
        "questions_an_image": sweep.cost,
        "settings": [_curve(curve, sweep.members) for curve in sweep.curves],
    }


def _curve(curve: Curve, members: int) -> dict[str, Any]:
    return {
        "sampler": curve.sampler,
        "steps": curve.steps,
        "at_equal_members": {
            **_point(curve.point(members)),
            "interval": interval(curve.column(members)),
        },
        "by_members": [_point(curve.point(count)) for count in range(1, curve.members + 1)],
        "dice_by_image": [list(row) for row in curve.dice],
        "seconds_by_image": list(curve.seconds),
    }


def _point(point: Point) -> dict[str, Any]:
    return {**asdict(point), "cost": point.cost}


def finite(value: Any) -> Any:
    """The same with null for every number that JSON has not."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
