"""The samples are what the generator makes, and the icons are one family."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.sources import PROJECT, expect_none, sources

SAMPLES = PROJECT / "resources" / "samples"
ICONS = PROJECT / "resources" / "icons"


def test_every_sample_is_small_and_has_its_outline() -> None:
    pictures = sorted(SAMPLES.glob("*.jpg"))
    assert len(pictures) >= 4
    expect_none(f"{path.name} {why}" for path in pictures for why in flaws_of_a_sample(path))


def flaws_of_a_sample(path: Path) -> Iterator[str]:
    """What is wrong with a sample."""
    if path.stat().st_size > 150_000:
        yield "is large"
    mask_path = SAMPLES / "masks" / f"{path.stem}_segmentation.png"
    with Image.open(path) as picture, Image.open(mask_path) as mask:
        if (picture.mode, mask.mode) != ("RGB", "L"):
            yield f"is {picture.mode}, its mask {mask.mode}"
        if mask.size != picture.size:
            yield f"is {picture.size}, its mask {mask.size}"
            return
        pixels_hwc, mask_hw = np.asarray(picture), np.asarray(mask)
    if set(np.unique(mask_hw)) != {0, 255}:
        yield "has a mask of other values than 0 and 255"
    rim_hw = np.zeros_like(mask_hw)
    rows, columns = np.nonzero(mask_hw)
    rim_hw[rows.min() : rows.max(), columns.min() : columns.max()] = 1
    around = pixels_hwc[(rim_hw == 1) & (mask_hw == 0)].mean()
    if pixels_hwc[mask_hw == 255].mean() >= around - 20:
        yield "has a lesion that is not darker than the skin around it"


def test_the_samples_are_what_the_generator_makes() -> None:
    from resources.samples.generate import RECIPES, make

    # The plainest and the one with most in it; all four would take ten seconds.
    for recipe in (RECIPES[0], RECIPES[-1]):
        picture_hwc, mask_hw = make(recipe)
        with Image.open(SAMPLES / f"{recipe.stem}.jpg") as picture:
            difference = np.abs(np.asarray(picture, dtype=float) - picture_hwc).mean()
        assert difference < 3.0
        with Image.open(SAMPLES / "masks" / f"{recipe.stem}_segmentation.png") as mask:
            assert np.array_equal(np.asarray(mask) > 0, mask_hw)


def test_every_icon_is_of_the_family() -> None:
    icons = sorted(ICONS.glob("*.svg"))
    assert icons
    expect_none(f"{path.name} {why}" for path in icons for why in flaws_of_an_icon(path))


def flaws_of_an_icon(path: Path) -> Iterator[str]:
    """What is wrong with an icon."""
    root = ElementTree.parse(path).getroot()
    wanted = {"viewBox": "0 0 24 24", "stroke": "currentColor", "stroke-width": "1.75"}
    if path.stem == "app":
        wanted = {"viewBox": "0 0 64 64"}
    elif "#" in path.read_text(encoding="utf-8"):
        yield "has a colour of its own"
    for name, value in wanted.items():
        if root.get(name) != value:
            yield f"has {name}={root.get(name)}, not {value}"


def test_every_icon_that_is_asked_for_is_there() -> None:
    asked = {
        keyword.value.value: each.at(call, f"asks for {keyword.value.value}")
        for each in sources("nca_seg_app")
        for call in each.calls()
        for keyword in call.keywords
        if keyword.arg == "icon"
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, str)
    }
    assert asked
    there = {path.stem for path in ICONS.glob("*.svg")}
    expect_none(place for name, place in asked.items() if name and name not in there)
