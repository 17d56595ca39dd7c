"""Law: a report says what its parts say, at every moment, in a page that needs nothing else."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from engine.errors import DatasetProblem
from engine.evaluation.reliability import (
    Calibration,
    aurc,
    auroc,
    spearman,
)
from engine.evaluation.scoring import Evaluation, Scores, evaluate
from engine.evaluation.uncertainty import UNCERTAINTIES
from engine.metrics import Overlap
from engine.report.commands import trained_by
from engine.report.content import as_json
from engine.report.measuring import report
from engine.report.page import render
from engine.report.reproduction import PAPER, rows
from engine.report.sweep import Point, Sweep, cheapest, planned, sweep
from engine.report.values import Measured, Report, Subject
from engine.types import Dataset, Sampler, SampleSettings, Style, evenly
from tests.oracles import OracleModel, disk, lively_model, tiny_spec
from tests.samples import drawn_dataset

SETTINGS = SampleSettings(steps=2, members=3)
#: Few timesteps, so that a sweep has few settings: 5, 3, 2 and 1 steps for each sampler.
TIMESTEPS = 5
SVG = "{http://www.w3.org/2000/svg}"


def with_test(dataset: Dataset) -> Dataset:
    """The same with what was to train on to test on."""
    changed = {"train": "test", "val": "val"}
    return replace(
        dataset,
        samples=tuple(
            replace(sample, split=changed[sample.split])  # type: ignore[arg-type]
            for sample in dataset.samples
        ),
    )


def lively(name: str = "lively", **changes: object) -> Subject:
    return Subject(lively_model(timesteps=TIMESTEPS, **changes), name, "f00", 123)  # type: ignore[arg-type]


def oracle(**changes: object) -> Subject:
    return Subject(OracleModel(disk(32), timesteps=TIMESTEPS, **changes), "oracle", "", 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three images to validate and nine to test."""
    return with_test(drawn_dataset(tmp_path_factory.mktemp("report"), count=12))


@pytest.fixture(scope="module")
def events(data: Dataset) -> tuple[Report, ...]:
    """A whole report about a lively model, with an oracle beside it."""
    others = [oracle(), Subject(OracleModel(disk(32), timesteps=5), "b", "", 7)]
    return tuple(report(lively(), data, SETTINGS, others=others, sweep_images=2))


def without_seconds(evaluation: Evaluation) -> list[tuple[str, dict[str, float]]]:
    return [(name, {**asdict(scores), "seconds": 0.0}) for name, scores in evaluation.images]


def test_one_event_for_each_image_of_each_part(events: tuple[Report, ...]) -> None:
    assert [event.done for event in events] == [*range(1, 3 + 9 + 2 * 9 + 2 * 7 + 1)]
    assert {event.total for event in events} == {len(events)}
    begun = [event.now.split()[0] for event in events]
    parts = ["val"] * 3 + ["test"] * 9 + ["oracle"] * 9 + ["b"] * 9 + ["settings"] * 14
    assert begun == parts


def test_its_scores_are_those_of_evaluate(data: Dataset, events: tuple[Report, ...]) -> None:
    content = as_json(events[-1])
    for split, found in (("val", events[-1].val), ("test", events[-1].test)):
        *_, expected = evaluate(lively().model, data.split(split), SETTINGS)
        assert found is not None
        assert without_seconds(found) == without_seconds(expected)
        written = content[split]
        for field in fields(Scores):
            if field.name != "seconds":
                assert written["mean"][field.name] == getattr(expected.mean, field.name)
                assert tuple(written["intervals"][field.name]) == expected.intervals[field.name]
        assert written["expected_calibration_error"] == expected.calibration.ece
        assert list(written["images"]) == [sample.id for sample in data.split(split)]
    *_, expected = evaluate(oracle().model, data.split("test"), SETTINGS)
    assert without_seconds(events[-1].others[0].evaluation) == without_seconds(expected)


def test_doubt_is_judged_by_what_came_of_it(events: tuple[Report, ...]) -> None:
    test = events[-1].test
    assert test is not None
    risk = 1 - test.column("dice")
    for ranking in events[-1].rankings:
        column = test.column(ranking.name)
        np.testing.assert_equal(ranking.spearman, spearman(column, risk))
        np.testing.assert_equal(ranking.auroc, auroc(column, test.column("dice") < 0.8))
        assert ranking.aurc == aurc(column, risk)
        assert ranking.excess_aurc == max(0.0, ranking.aurc - aurc(risk, risk))
        assert as_json(events[-1])["doubt"][ranking.name]["excess_aurc"] == ranking.excess_aurc
        assert ranking.kept_risk[-1] == pytest.approx(risk.mean())
    assert [each.name for each in events[-1].rankings] == [*UNCERTAINTIES]
    assert events[-1].floor is not None
    assert events[-1].floor.aurc == aurc(risk, risk)


def test_the_temperature_is_of_all_of_val_and_is_used_on_test(events: tuple[Report, ...]) -> None:
    assert [event.temperature is not None for event in events[:4]] == [False, False, True, True]
    last = events[-1]
    assert last.test is not None
    assert last.calibrated is not None
    assert last.calibrated.cells.sum() == last.test.calibration.cells.sum() == 9 * 32 * 32
    # Lively answers have little to do with the truth: one temperature makes them more honest.
    assert last.calibrated.ece < last.test.calibration.ece
    content = as_json(last)["calibration"]
    assert content["temperature"] == last.temperature
    assert content["after"]["expected_calibration_error"] == last.calibrated.ece


def test_two_reports_agree(data: Dataset, events: tuple[Report, ...]) -> None:
    again = list(report(lively(), data, SETTINGS, sweep_images=0))
    assert again[-1].temperature == events[-1].temperature
    assert [one.id for one in again[-1].worst] == [one.id for one in events[-1].worst]


def test_the_worst_come_first_with_both_outlines(data: Dataset) -> None:
    twelve = replace(data, samples=tuple(replace(one, split="test") for one in data.samples))
    for event in report(oracle(), twelve, SETTINGS):
        assert event.test is not None
        dices = {name: scores.dice for name, scores in event.test.images}
        assert [one.id for one in event.worst] == sorted(dices, key=dices.__getitem__)[:10]
    for one in event.worst:
        assert one.pixels_hwc.shape == (32, 32, 3)
        assert not one.pixels_hwc.flags.writeable
        for outlines in (one.truth_outlines, one.mask_outlines):
            assert outlines
            assert all(line_rc.min() >= 0 and line_rc.max() <= 32 for line_rc in outlines)


def test_a_sweep_asks_for_what_its_statement_needs_and_no_more() -> None:
    tried = planned(tiny_spec(timesteps=100), SampleSettings(seed=5, batch_size=3))
    assert {(one.seed, one.batch_size) for one in tried} == {(5, 3)}
    by_sampler = {
        sampler: {one.steps: one.members for one in tried if one.sampler == sampler}
        for sampler in ("ddim", "ddpm")
    }
    assert list(by_sampler["ddim"]) == [100, 50, 20, 10, 5, 3, 2, 1]
    assert by_sampler["ddim"] == {**by_sampler["ddpm"], 1: 20}
    assert sum(one.steps * one.members for one in tried) == 760


def test_one_step_is_the_same_for_both_samplers(data: Dataset) -> None:
    found = [
        [*evaluate(lively().model, data.split("val"), SampleSettings(sampler, 1, members=3))]
        for sampler in get_args(Sampler)
    ]
    assert without_seconds(found[0][-1]) == without_seconds(found[1][-1])


def test_a_point_of_a_curve_is_that_setting_alone(data: Dataset) -> None:
    samples = data.split("val")[:1]
    *_, last = sweep(lively().model, samples, replace(SETTINGS, seed=5))
    assert last.images == tuple(sample.id for sample in samples)
    assert [(curve.sampler, curve.steps, curve.members) for curve in last.curves] == [
        ("ddim", 5, 8), ("ddim", 3, 20), ("ddim", 2, 20), ("ddim", 1, 20),
        ("ddpm", 5, 8), ("ddpm", 3, 20), ("ddpm", 2, 20),
    ]  # fmt: skip
    assert last.members == 8
    assert last.cost == 2 * (40 + 60 + 40) + 20
    assert [curve.steps for curve in last.of("ddpm")] == [5, 3, 2, 1]
    for curve in last.curves:
        chosen = SampleSettings(curve.sampler, curve.steps, members=3, seed=5)
        *_, alone = evaluate(lively().model, samples, chosen)
        assert [*curve.column(3)] == [*alone.column("dice")]
        assert curve.point(3).dice == pytest.approx(alone.mean.dice)
        assert [*last.column(curve.point(3))] == [*curve.column(3)]


def test_only_whole_images_enter_the_curves(events: tuple[Report, ...]) -> None:
    swept = [event.sweep for event in events if event.sweep is not None]
    assert [len(each.images) for each in swept] == [0] * 6 + [1] * 7 + [2]
    assert all(len(curve.dice) == len(each.images) for each in swept for curve in each.curves)


def test_the_cheapest_of_those_that_are_as_good_as_the_best() -> None:
    best = Point("ddpm", 100, 2, 0.8540, 20.0)
    nearly = Point("ddim", 5, 4, 0.8520, 2.0)
    cheap = Point("ddim", 1, 3, 0.8519, 0.3)
    dear = Point("ddim", 3, 20, 0.8539, 6.0)
    assert cheapest([best, cheap, nearly, dear]) == nearly
    assert cheapest([best, cheap, nearly, dear], tolerance=0.003) == cheap
    assert cheapest([best, cheap, nearly, dear], tolerance=0.0) == best
    # Of equal cost, the better one.
    equal = Point("ddpm", 4, 5, 0.8530, 9.0)
    assert cheapest([best, nearly, equal]) == equal
    with pytest.raises(ValueError, match="empty"):
        cheapest([])


def test_samples_are_spread_over_a_split(data: Dataset) -> None:
    samples = data.split("test")
    assert evenly(samples, None) == evenly(samples, 99) == samples
    assert evenly(samples, 3) == (samples[0], samples[3], samples[6])
    assert evenly(samples, 0) == evenly((), 5) == ()


def test_without_val_and_test_there_is_no_report(data: Dataset) -> None:
    learnt = replace(data, samples=tuple(replace(one, split="train") for one in data.samples))
    with pytest.raises(DatasetProblem, match="neither"):
        next(report(oracle(), learnt, SETTINGS))


# Beside the paper


def test_a_model_stands_beside_the_line_of_its_architecture(events: tuple[Report, ...]) -> None:
    evaluation = events[-1].others[0].evaluation
    own = [
        Measured(oracle(architecture=name), evaluation) for name in ("multi", "unheard", "multi")
    ]
    found = rows(tuple(own))
    assert [row.published for row in found] == [*PAPER, None]
    beside = {row.published.architecture: row.measured for row in found if row.published}
    assert beside["multi"] == (own[0], own[2])
    assert not beside["multicbam"]
    assert found[-1].measured == (own[1],)


def test_a_training_is_told_as_its_file_records_it() -> None:
    record = {"steps": 750, "batch_size": 12, "size": 48, "augment": False, "steps_done": 675}
    spec = tiny_spec(training=record, predicts="noise")
    told = trained_by(spec)
    assert told.startswith("nca-seg train --data DATA --out DIR --architecture multicbam")
    for flags in (
        "--predicts noise",
        "--steps 750",
        "--batch-size 12",
        "--size 48",
        "--no-augment",
    ):
        assert flags in told
    assert "--mask-scale" not in told
    assert spec.samples_seen == 675 * 12
    assert "--from PARENT" in trained_by(replace(spec, parent="f00"))
    # A model that was renamed, as the bundled one, no longer names its parent.
    went_on = replace(spec, training={**record, "samples_before": 52_800})
    assert "--from PARENT" in trained_by(went_on)
    seeing = trained_by(spec.changed(channels=64, detail=4, updates=6))
    assert "--updates 6 --detail 4" in seeing
    assert "--no-steerable" in seeing
    assert "steerable" not in trained_by(spec.changed(steerable=True))
    assert trained_by(tiny_spec()) == ""
    assert tiny_spec().samples_seen is None


# The page


def test_the_page_is_whole_at_every_moment(events: tuple[Report, ...]) -> None:
    begun = Report(0, 9, "", lively(), Path("data"), SETTINGS)
    halfway = Sweep(1, 16)
    for event in (begun, events[0], events[2], events[3], replace(events[-1], sweep=halfway)):
        text = render(event)
        ElementTree.fromstring(text)
        json.dumps(as_json(event), allow_nan=False)
        assert "not a medical device" in text
        assert ("This report is unfinished" in text) == (event.done < event.total)
    assert render(begun).count('class="missing"') == 7


def test_the_page_shows_what_a_given_style_brings(events: tuple[Report, ...]) -> None:
    test = events[-1].test
    assert test is not None
    whole = {"T1": Overlap(3, 4, 4), "T3": Overlap(4, 4, 4)}
    told = [replace(one, style=Style("T1", 1), in_styles=whole) for one in test.scored]
    given = replace(test, scored=tuple(told), styles_known=2)
    assert "Style given" not in render(events[-1])
    page = ElementTree.fromstring(render(replace(events[-1], test=given)))
    lines = [["".join(cell.itertext()) for cell in each] for each in page.iter("tr")]
    found = next(each for each in lines if each[0] == "all")
    assert found[1] == str(len(told))
    assert found[3:] == ["0.750 (0.750 to 0.750)", "1.000"]


def test_the_page_shows_the_numbers_and_loads_nothing(events: tuple[Report, ...]) -> None:
    text = render(events[-1], "today")
    root = ElementTree.fromstring(text)
    assert len([*root.iter(f"{SVG}svg")]) == 6 + 9
    assert root.find(".//script") is None
    for each in root.iter():
        for name, value in each.attrib.items():
            if name.endswith(("src", "href")):
                assert value.startswith(("#", "data:image/")), (each.tag, value)
    assert "url(http" not in text
    assert "@import" not in text
    found = "".join(root.itertext())
    test = events[-1].test
    assert test is not None
    low, high = test.intervals["dice"]
    assert f"{test.mean.dice:.3f} ({low:.3f} to {high:.3f})" in found
    assert "today" in found
    assert cheapest_named(events[-1]) in found
    targets = {each.attrib["href"] for each in root.iter("a")}
    assert targets == {f"#{each.attrib['id']}" for each in root.iter("section")}


def test_styles_are_shown_where_the_data_has_them(
    data: Dataset, events: tuple[Report, ...]
) -> None:
    assert "Masks made by" not in render(events[-1])
    assert as_json(events[-1])["test"]["styles"] is None
    kinds = (Style("T2", 1), Style("several", 4, 0.81), None)
    samples = (replace(one, style=kinds[k % 3]) for k, one in enumerate(data.samples))
    *_, last = report(oracle(), replace(data, samples=tuple(samples)), SETTINGS, sweep_images=0)
    found = "".join(ElementTree.fromstring(render(last)).itertext())
    content = as_json(last)["test"]
    assert sum(one["images"] for one in content["styles"]["tools"].values()) == 9
    assert content["styles"]["people"]["dice"] == pytest.approx(0.81)
    for words in ("T2, flood fill", "several tools", "People with each other", "0.810"):
        assert words in found
    assert f"{content['pooled']['dice']:.3f} (" in found


def cheapest_named(last: Report) -> str:
    assert last.sweep is not None
    point = cheapest(last.sweep.points)
    steps = "1 step" if point.steps == 1 else f"{point.steps} steps"
    return f"Enough: {point.sampler.upper()} with {steps}"


def test_strange_names_are_text(data: Dataset) -> None:
    bad = "<script>alert('1 & 2')</script>\""
    named = replace(
        data, root=Path(bad), samples=tuple(replace(s, id=s.id + bad) for s in data.samples)
    )
    subject = Subject(OracleModel(disk(32), timesteps=2, name=bad), bad, bad, 1)
    *_, last = report(subject, named, SETTINGS, sweep_images=1)
    root = ElementTree.fromstring(render(last, bad))
    assert root.find(".//script") is None
    assert "".join(root.itertext()).count(bad) > 10


def test_what_is_not_defined_is_null_and_said(data: Dataset) -> None:
    # One image ranks nothing.
    *_, last = report(oracle(), data, SETTINGS, sweep_images=0, limit=1)
    content = json.loads(json.dumps(as_json(last), allow_nan=False))
    assert content["doubt"]["variance"]["spearman"] is None
    assert content["fewer_steps"] is None
    assert content["test"]["done"] == 1
    assert "not defined" in render(last)
    empty = replace(last.val, calibration=Calibration.none()) if last.val else None
    assert as_json(replace(last, val=empty))["val"]["expected_calibration_error"] is None
