"""A data set is a folder anyone can zip: images, masks, and one index that says which is what."""

from __future__ import annotations

import csv
import filecmp
import hashlib
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from engine.errors import DatasetProblem
from engine.files import write_atomic
from engine.images import IMAGE_SUFFIXES
from engine.masks import mask_name
from engine.records import is_text, origin_from_json, origin_to_json
from engine.types import Dataset, Origin, Sample, Split

FORMAT = {"format": "nca-seg/dataset", "version": 1}
INDEX, SPLITS = "dataset.json", "splits.csv"
VAL_SHARE = 0.15


@dataclass(frozen=True)
class ExportStep:
    """One sample more lies in the exported folder: `path` is its image there."""

    done: int
    total: int
    path: Path


def read_dataset(root: Path) -> Dataset:
    """The samples of a folder in ISIC layout, in order of id; no picture is opened.

    Splits come from `dataset.json` or `splits.csv`; without either, `assign_splits` makes them.
    Raises DatasetProblem, with file and reason, for whatever is missing or contradictory.
    """
    root = Path(root)
    images = _by_id(root / "images", "", IMAGE_SUFFIXES)
    masks = _by_id(root / "masks", "_segmentation", frozenset({".png"}))
    for name, path in masks.items():
        if name not in images:
            raise DatasetProblem(path, f"is a mask, but there is no image {name}")
    index = _read_index(root, images)
    splits = {name: split for name, (split, _) in index.items()} or assign_splits(images)
    for name in images:
        if name not in splits:
            raise DatasetProblem(images[name], "is in no split")
        if name not in masks:
            raise DatasetProblem(root / "masks" / mask_name(name), "is missing")
    if not images:
        raise DatasetProblem(root / "images", "holds no images")
    return Dataset(
        root,
        tuple(
            Sample(
                name,
                images[name],
                masks[name],
                splits[name],
                index[name][1] if name in index else None,
            )
            for name in sorted(images)
        ),
    )


def assign_splits(
    ids: Iterable[str], val_share: float = VAL_SHARE, fixed: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """`train` or `val` for each id by a hash of the id alone, unless `fixed` has its split.

    From four ids up each split has at least one where any is free to move; below that all free ones
    train. Adding ids to four or more moves none from train to val (unless all had hashed to val),
    so nothing is validated on that was trained on before.
    """
    fixed = fixed or {}
    free = [name for _, name in sorted((_position(name), name) for name in set(ids) - fixed.keys())]
    if len(free) + len(fixed) < 4:
        return {**dict.fromkeys(free, "train"), **fixed}
    splits: dict[str, Split] = {
        name: "val" if _position(name) < val_share else "train" for name in free
    }
    if free and "val" not in {*splits.values(), *fixed.values()}:
        splits[free[0]] = "val"
    if free and "train" not in {*splits.values(), *fixed.values()}:
        splits[free[-1]] = "train"
    return {**splits, **fixed}


def export_dataset(
    samples: Iterable[Sample], destination: Path, val_share: float = VAL_SHARE
) -> Iterator[ExportStep]:
    """Copies samples into a data set folder, one step each; the index is written at the end.

    A folder exported before grows: what it held stays, with its split. Closing the stream early
    leaves a readable data set of the samples copied so far. A test sample stays one. Raises
    DatasetProblem before anything is copied where the folder is not ours, or holds another image
    under one of the ids.
    """
    destination = Path(destination)
    samples = tuple(replace(sample, id=_plain(sample.id)) for sample in samples)
    entries = _prepare(destination, samples)
    tests: dict[str, Split] = {x.id: "test" for x in samples if x.split == "test"}
    fixed = {**tests, **{name: split for name, (split, _) in entries.items()}}
    splits = assign_splits((sample.id for sample in samples), val_share, fixed)
    copied = dict(entries)
    try:
        for done, sample in enumerate(samples, 1):
            image_path = destination / "images" / f"{sample.id}{sample.image_path.suffix}"
            try:
                if not image_path.exists():
                    write_atomic(image_path, sample.image_path.read_bytes())
                mask_path = destination / "masks" / mask_name(sample.id)
                write_atomic(mask_path, sample.mask_path.read_bytes())
            except OSError as error:
                raise DatasetProblem(error.filename or image_path, _reason(error)) from error
            copied[sample.id] = (splits[sample.id], sample.origin)
            yield ExportStep(done, len(samples), image_path)
    finally:
        _write_index(destination, copied)


def _by_id(folder: Path, ending: str, suffixes: frozenset[str]) -> dict[str, Path]:
    """The files of a folder whose names end in `ending`, by what comes before it."""
    found: dict[str, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DatasetProblem(folder, _reason(error)) from error
    for path in paths:
        # ISIC 2016 and 2017 put superpixel maps among the images.
        other = path.name.startswith(".") or path.stem.endswith("_superpixels")
        if other or path.suffix.lower() not in suffixes:
            continue
        stem = unicodedata.normalize("NFC", path.stem)
        if not stem.lower().endswith(ending):
            continue
        if not is_text(stem):
            raise DatasetProblem(path, "has a name with characters that are not text")
        name = stem[: len(stem) - len(ending)]
        if name in found:
            raise DatasetProblem(path, f"has the same id as {found[name].name}")
        found[name] = path
    return found


Entries = dict[str, tuple[Split, Origin | None]]


def _read_index(root: Path, images: Mapping[str, Path]) -> Entries:
    """Split and origin by id, from whichever index there is; empty where there is none."""
    ours, isic = root / INDEX, root / SPLITS
    entries = _read_json(ours) if ours.exists() else {}
    rows = _read_csv(isic) if isic.exists() else {}
    for path, named in ((ours, entries), (isic, rows)):
        for name in named:
            if name not in images:
                raise DatasetProblem(path, f"names {name}, which has no image")
        if path.exists() and not named:
            raise DatasetProblem(path, "names no samples")
    for name in entries.keys() & rows.keys():
        if entries[name][0] != rows[name][0]:
            raise DatasetProblem(
                isic, f"puts {name} in {rows[name][0]}, {INDEX} in {entries[name][0]}"
            )
    return {**rows, **entries}


def _read_csv(path: Path) -> Entries:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetProblem(path, _reason(error)) from error
    return _entries(path, rows)


def _read_json(path: Path) -> Entries:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetProblem(path, _reason(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT["format"]:
        raise DatasetProblem(path, f"is not a {FORMAT['format']} file")
    if content.get("version") != FORMAT["version"]:
        raise DatasetProblem(path, f"is of version {content.get('version')}, which is not known")
    return _entries(path, content.get("samples"))


def _entries(path: Path, rows: Any) -> Entries:
    entries: Entries = {}
    if not isinstance(rows, list):
        raise DatasetProblem(path, "has no list of samples")
    for row in rows:
        name, split = (row.get(key) for key in ("id", "split")) if isinstance(row, dict) else (0, 0)
        if not isinstance(name, str) or not isinstance(split, str):
            raise DatasetProblem(path, f"has a sample without id and split: {row}")
        name, split = _plain(name), split.strip()
        if split not in get_args(Split):
            raise DatasetProblem(path, f"puts {name} in an unknown split {split!r}")
        if name in entries:
            raise DatasetProblem(path, f"names {name} twice")
        try:
            entries[name] = (split, origin_from_json(row.get("origin")))  # type: ignore[assignment]
        except (TypeError, ValueError) as error:
            raise DatasetProblem(
                path, f"has an origin of {name} that is not one: {error}"
            ) from error
    return entries


def _prepare(destination: Path, samples: tuple[Sample, ...]) -> Entries:
    """What the folder holds already; makes it a data set folder where it is new or empty."""
    if len({sample.id for sample in samples}) < len(samples):
        raise DatasetProblem(destination, "would hold two samples of one id")
    try:
        if (destination / INDEX).exists():
            entries = _read_json(destination / INDEX)
        elif destination.exists() and any(destination.iterdir()):
            raise DatasetProblem(destination, f"is not empty and has no {INDEX}")
        else:
            entries = {}
        for name in ("images", "masks"):
            (destination / name).mkdir(parents=True, exist_ok=True)
        if not entries:
            # Marks the folder as ours, so that an export killed half-way can be repeated.
            _write_index(destination, entries)
        held = _by_id(destination / "images", "", IMAGE_SUFFIXES)
        for sample in samples:
            there = held.get(sample.id)
            if there and (
                there.suffix != sample.image_path.suffix
                or not filecmp.cmp(there, sample.image_path, shallow=False)
            ):
                raise DatasetProblem(there, f"is another image than {sample.image_path}")
    except OSError as error:
        raise DatasetProblem(error.filename or destination, _reason(error)) from error
    return entries


def _write_index(destination: Path, entries: Entries) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("id", "split"))
    writer.writerows((name, entries[name][0]) for name in sorted(entries))
    samples = [
        {"id": name, "split": entries[name][0], "origin": origin_to_json(entries[name][1])}
        for name in sorted(entries)
    ]
    content = json.dumps({**FORMAT, "samples": samples}, indent=1, ensure_ascii=False)
    write_atomic(destination / SPLITS, table.getvalue())
    write_atomic(destination / INDEX, content + "\n")


def _plain(name: str) -> str:
    """An id as an index has it, whatever hands it out: macOS decomposes accents."""
    return unicodedata.normalize("NFC", name.strip())


def _position(name: str) -> float:
    """Where an id lies in [0, 1), evenly and for ever."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
