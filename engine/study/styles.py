"""Reads styles.csv of a data set folder: how each image was annotated."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import get_args

from engine.errors import DatasetProblem
from engine.plaintext import shown_text
from engine.study.dataset_index import csv_rows, from_cell, is_there, known_id, plain
from engine.types import Sample, Style, Tool

STYLES = "styles.csv"
COLUMNS = ("id", "tool", "masks", "agreement")


def read_styles(root: Path, images: Collection[str]) -> dict[str, Style]:
    """Read how the images of a data set folder were annotated, by id; empty without `styles.csv`.

    Columns that are not known, and rows of images that the folder has not, are passed over. Raises
    DatasetProblem with the row where a value is none of its column or an id stands there twice.
    """
    path = root / STYLES
    styles: dict[str, Style] = {}
    if not is_there(path):
        return styles
    for where, (cell, *values) in csv_rows(path, COLUMNS):
        name = known_id(plain(from_cell(cell)), images)
        if not name:
            raise DatasetProblem(path, f"has no id in {where}")
        if name in styles:
            raise DatasetProblem(
                path, f"names {shown_text(name)} twice, the second time in {where}"
            )
        styles[name] = _style(path, where, *values)
    return {name: style for name, style in styles.items() if name in images}


def style_shares(samples: Iterable[Sample]) -> dict[Tool, float]:
    """How often each tool made the masks of samples, as shares of those whose tool is known.

    They are in the order of `Tool` and add up to 1; empty where no tool is known.
    """
    counts = Counter(each.style.tool for each in samples if each.style and each.style.tool)
    return {tool: counts[tool] / counts.total() for tool in get_args(Tool) if counts[tool]}


def _style(path: Path, where: str, tool: str, masks: str, agreement: str) -> Style:
    # "T1+" is several masks by one tool, which `masks` says already.
    named = tool.removesuffix("+").casefold()
    made_by = next((one for one in get_args(Tool) if named == one.casefold()), None)
    if made_by is None and tool:
        known = ", ".join(get_args(Tool))
        what = f"has an unknown tool {shown_text(tool)!r} in {where}"
        raise DatasetProblem(path, f"{what}; it must be {known} or nothing")
    if not re.fullmatch("[0-9]{1,6}", masks):
        what = f"has no number of masks in {where}: {shown_text(masks)!r}"
        raise DatasetProblem(path, what)
    return Style(made_by, int(masks), _agreement(path, where, agreement, int(masks)))


def _agreement(path: Path, where: str, text: str, masks: int) -> float | None:
    if not text:
        return None
    try:
        # Spreadsheets of some countries write a comma for the point.
        agreement = float(text.replace(",", "."))
    except ValueError:
        agreement = math.nan
    if not 0 <= agreement <= 1:
        what = f"has an agreement that is not from 0 to 1 in {where}: {shown_text(text)!r}"
        raise DatasetProblem(path, what)
    if masks < 2:
        raise DatasetProblem(path, f"has an agreement of fewer than 2 masks in {where}")
    return agreement
