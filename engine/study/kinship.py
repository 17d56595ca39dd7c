"""Tells which images show the same lesion or the same patient, so that a split keeps them together.

Images are kin by keys, such as "patient_id IP_1", that all images of a lesion or patient have.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import DatasetProblem
from engine.files import read_regular
from engine.study.dataset_index import (
    INDEX,
    MOST_BYTES,
    SPLITS,
    OtherColumns,
    csv_rows,
    from_cell,
    is_there,
    known_id,
    plain,
    reason_of,
)
from engine.study.styles import STYLES

#: The columns and JSON keys that name what an image shows, the widest first.
COLUMNS = ("patient_id", "lesion_id")
#: The tables of a folder that may have such columns.
TABLES = (STYLES, SPLITS)

#: The keys of each image by its id, the widest first.
Kin = Mapping[str, Sequence[str]]


def read_kin(root: Path, images: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Read which lesion and patient the images of a folder show, where it is known.

    They stand in the columns `lesion_id` and `patient_id` of `styles.csv` or `splits.csv`, and
    under these names at the samples of `dataset.json`. Files without them are passed over.

    Parameters
    ----------
    root : the folder.
    images : the ids of its images.

    Returns
    -------
    dict : the keys of each image that has any, those of the patient first.

    Raises
    ------
    DatasetProblem : if one of these files is there and cannot be read.
    """
    found: dict[str, set[str]] = {}
    for name, column, value in _named(root):
        known = known_id(plain(name), images)
        if known in images and value.strip():
            found.setdefault(known, set()).add(f"{column} {value.strip()}")
    # "patient_id" comes after "lesion_id".
    return {name: tuple(sorted(keys, reverse=True)) for name, keys in found.items()}


def together(ids: Iterable[str], kin: Kin) -> list[list[str]]:
    """Group ids that share a key, also over others; each group in order."""
    group_of: dict[str, list[str]] = {}
    groups: list[list[str]] = []
    for name in sorted(set(ids)):
        group = [name]
        for key in kin.get(name, ()):
            other = group_of.get(key)
            if other is not None and other is not group:
                group += other
                for member in other:
                    group_of.update(dict.fromkeys(kin[member], group))
                groups = [each for each in groups if each is not other]
            group_of[key] = group
        groups.append(group)
    return [sorted(group) for group in groups]


def _named(root: Path) -> Iterator[tuple[str, str, str]]:
    """Every id in the folder's files with a column and what that says of it."""
    for table in TABLES:
        if is_there(root / table):
            for column in COLUMNS:
                with suppress(OtherColumns):
                    for _, (name, value) in csv_rows(root / table, ("id", column)):
                        yield from_cell(name), column, from_cell(value)
    if is_there(root / INDEX):
        try:
            content = json.loads(read_regular(root / INDEX, MOST_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetProblem(root / INDEX, reason_of(error)) from error
        samples = content.get("samples") if isinstance(content, dict) else None
        for sample in samples if isinstance(samples, list) else ():
            entry = sample if isinstance(sample, dict) else {}
            for column in COLUMNS:
                if isinstance(entry.get("id"), str) and isinstance(entry.get(column), str):
                    yield entry["id"], column, entry[column]
