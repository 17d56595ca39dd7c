"""Law: beside the paper stand our numbers, named by loss, and the same images for every model."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.evaluation.reliability import (
    Calibration,
)
from engine.evaluation.scoring import Evaluation, Examined, examine
from engine.networks.automaton.config import AutomatonConfig
from engine.networks.checkpoint import write
from engine.report.beside import beside_the_paper
from engine.report.commands import measured_by
from engine.report.compared import Compared, drawing, shown_ids, with_answer
from engine.report.recipes import changed, read_recipes, usual
from engine.report.reproduction import (
    by_loss,
    headings,
    in_order,
    loss_of,
    samples,
)
from engine.report.values import Measured, Report, Subject
from engine.types import ModelSpec, SampleSettings
from tests.oracles import OracleModel, disk
from tests.samples import drawn_dataset

SETTINGS = SampleSettings(steps=1, members=1)


def spec(**changes: object) -> ModelSpec:
    return ModelSpec("m", "multi", AutomatonConfig(), predicts="noise").changed(**changes)


def trained(rgb_weight: float, **changes: object) -> ModelSpec:
    return spec(training={"rgb_weight": rgb_weight}, **changes)


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (trained(0.0), "L_n only"),
        (trained(1.0), "L_total = L_n + L_RGB (eq. 5)"),
        (trained(0.3), "L_n + 0.3 L_RGB"),
        (trained(0.3, predicts="clean"), "mask loss + 0.3 L_RGB"),
        (trained(1.0, predicts="clean"), "mask loss + L_RGB"),
        (trained(0.0, predicts="velocity"), "velocity loss only"),
        (spec(), ""),
    ],
)
def test_a_loss_has_the_papers_name(one: ModelSpec, name: str) -> None:
    assert loss_of(one) == name


def test_images_are_compared_across_models_and_drawn_without_photographs(tmp_path: Path) -> None:
    samples = drawn_dataset(tmp_path, count=8).samples
    shown = shown_ids(samples)
    assert len(shown) == 5
    compared: tuple[Compared, ...] = ()
    measured: list[Measured] = []
    makes = (
        ("none", "multicbam", 0.0, 1.0),
        ("only", "multi", 0.3, 0.0),
        ("total", "multi", 0.3, 1.0),
    )
    for name, architecture, radius, weight in makes:
        made = trained(weight, architecture=architecture, size=32)
        model = OracleModel(disk(32, radius), timesteps=2)
        model.spec = replace(made, timesteps=2, mask_scale=model.spec.mask_scale)
        for examined in examine(model, samples, SETTINGS):
            assert isinstance(examined, Examined)
            compared = with_answer(compared, shown, name, examined)
        measured.append(Measured(Subject(model, name, "", 1), examined.evaluation))
    assert {one.id for one in compared} == shown
    for one in compared:
        assert one.truth_hw.shape == one.pixels_hwc.shape[:2]
        empty, half, whole = one.answers
        assert not empty.mask_hw.any()
        assert np.array_equal(half.mask_hw, whole.mask_hw)
        assert half.mask_hw.any()
        assert (empty.model, empty.dice) == ("none", 0.0)
    ordered = in_order(tuple(measured))
    assert [one.subject.name for one in ordered] == ["only", "total", "none"]
    (group,) = by_loss(tuple(measured))
    assert [one.subject.name for one in group] == ["only", "total"]

    last = Report(
        1, 1, "", measured[0].subject, tmp_path, SETTINGS,
        test=measured[0].evaluation, others=tuple(measured[1:]), compared=compared,
    )  # fmt: skip
    text = beside_the_paper(last)
    # Figure 4 has them all, Figure 3b every second one and two models.
    assert text.count("<img") == 5 * (2 + 3) + 3 * (2 + 2)
    # In the table, among the losses, and above a column of each figure.
    assert text.count("L<sub>n</sub> only") == 4
    assert text.count("predicts the noise; L<sub>total</sub> = ") == 2
    command = measured_by(measured[1].subject.name, last.data, last.settings, last.limit)
    assert text.count(command) == 2
    # The same answers by another loss: nothing is gained.
    assert "0.000 (0.000 to 0.000)" in text

    models = [(one.subject.name, "\n".join(headings(one))) for one in ordered]
    picture = PillowImage.open(io.BytesIO(drawing(compared, models)))
    red, green, blue, _ = np.moveaxis(np.asarray(picture.convert("RGBA")).astype(int), 2, 0)
    # Masks only: nothing in it has a colour.
    assert np.abs(red - green).max() == np.abs(green - blue).max() == 0
    # Every column has its title above its masks.
    above = red[: red.shape[0] // 30]
    columns = np.array_split(above, 4, axis=1)
    assert all(column.min() < 128 for column in columns[1:])


def measured_as(made: ModelSpec, name: str, evaluation: Evaluation) -> Measured:
    model = OracleModel(disk(32))
    model.spec = made
    return Measured(Subject(model, name, "", 1), evaluation)


def test_losses_are_compared_within_an_architecture() -> None:
    nothing = Evaluation(0, 0, (), Calibration.none())
    measured = tuple(
        measured_as(made, name, nothing)
        for name, made in {
            "mask": trained(0.3, predicts="clean"),
            "total": trained(1.0),
            "elsewhere": trained(0.0, architecture="cbam"),
            "only": trained(0.0),
            "mask again": trained(0.3, predicts="clean"),
            "unknown": spec(),
        }.items()
    )
    (group,) = by_loss(measured)
    assert [one.subject.name for one in group] == ["only", "total", "mask", "mask again"]
    # Without another loss there is nothing to compare.
    assert by_loss(measured[:1] + measured[4:]) == ()


def test_a_heading_tells_models_of_one_architecture_apart() -> None:
    nothing = Evaluation(0, 0, (), Calibration.none())
    record = {"rgb_weight": 0.0, "steps_done": 750, "batch_size": 12}
    here = measured_as(spec(name="b48", training=record), "runs/b48/best.safetensors", nothing)
    assert headings(here) == ("Multi", "L_n only", "b48", "9,000 samples")
    # What a parent had seen is not known here.
    assert samples(spec(parent="f00", training=record)) == "9,000+"
    assert samples(spec(parent="f00", training={**record, "samples_before": 500})) == "9,500"
    assert samples(spec()) == ""


def written(path: Path, **changes: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, {}, spec(**changes))


def test_recipes_say_what_differs_and_what_is_not_recorded(tmp_path: Path) -> None:
    record = {"steps_done": 10, "batch_size": 4, "ema": 0.9, "recycle": 0.5}
    common = {**record, "validation_dice": 0.7}
    written(tmp_path / "deep" / "a" / "best.safetensors", training=common)
    written(tmp_path / "b" / "best.safetensors", training={**common, "validation_dice": 0.8})
    older = {key: value for key, value in record.items() if key != "recycle"}
    written(tmp_path / "c" / "best.safetensors", training=older, schedule="linear")
    log = "done,total,loss,learning_rate,samples_per_s,validation_dice,best_dice,start_dice\n"
    rows = "5,10,1,1,1,0.9,0.9,\n10,10,1,1,1,0.6,0.9,\n"
    (tmp_path / "c" / "curves.csv").write_text(log + rows)
    longer = {**record, "steps_done": 99}
    written(tmp_path / "d" / "best.safetensors", training=longer, parent="f00")
    recipes = read_recipes(tmp_path)
    # Those of fewer samples first, of equal ones the best.
    assert [(one.name, one.dice) for one in recipes] == [
        ("b", 0.8), ("deep/a", 0.7), ("c", 0.6), ("d", None),
    ]  # fmt: skip
    common = usual(recipes)
    assert common["ema"] == 0.9
    assert [changed(one, common) for one in recipes] == [
        {}, {}, {"schedule": "linear", "recycle": "not recorded"}, {"parent": "f00"},
    ]  # fmt: skip
    assert read_recipes(tmp_path / "c")[0].name == "c"
    assert read_recipes(tmp_path / "deep" / "nothing") == ()
