"""Law: beside the paper stand our numbers, named by loss, and the same images for every model."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.evaluation import examine
from engine.report.beside import beside_the_paper
from engine.report.compared import Compared, drawing, shown_ids, with_answer
from engine.report.measuring import Measured, Report, Subject
from engine.report.reproduction import by_loss, in_order, loss_of
from engine.types import ModelSpec, SampleSettings
from tests.oracles import OracleModel, disk
from tests.samples import drawn_dataset

SETTINGS = SampleSettings(steps=1, members=1)


def spec(**changes: object) -> ModelSpec:
    return replace(ModelSpec(name="m", architecture="multi", predicts="noise"), **changes)  # type: ignore[arg-type]


def trained(rgb_weight: float, **changes: object) -> ModelSpec:
    return spec(training={"rgb_weight": rgb_weight}, **changes)


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (trained(0.0), "L_n only"),
        (trained(1.0), "L_total = L_n + L_RGB"),
        (trained(0.3), "L_n + 0.3 L_RGB"),
        (trained(0.3, predicts="clean"), "mask loss + 0.3 L_RGB"),
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
    assert text.count("<img") == len(shown) * (2 + 3)
    assert text.count("L_n only") == 2  # in the table and among the losses
    assert "Figure 3b" in text

    picture = PillowImage.open(io.BytesIO(drawing(compared, [("only", "multi"), ("none", "all")])))
    # Masks only: nothing in it has a colour.
    red, green, blue, _ = np.moveaxis(np.asarray(picture.convert("RGBA")).astype(int), 2, 0)
    assert picture.width > 200
    assert np.abs(red - green).max() == np.abs(green - blue).max() == 0
