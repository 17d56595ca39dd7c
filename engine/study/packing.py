"""Packs data sets into one small folder, to be carried to another machine for training."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image as PillowImage

from engine.errors import DatasetProblem
from engine.files import put_in_place
from engine.images.reading import read_image
from engine.masks.files import mask_name
from engine.masks.reading import read_mask
from engine.study.dataset_index import (
    SPLITS,
    OtherColumns,
    as_cell,
    csv_rows,
    from_cell,
    known_id,
    plain,
    reason_of,
)
from engine.study.kinship import COLUMNS as KIN_COLUMNS
from engine.study.merging import merge, without_leakage
from engine.study.styles import COLUMNS as STYLE_COLUMNS
from engine.study.styles import STYLES
from engine.types import Dataset, Sample

#: Of the JPEG files in a pack.
JPEG_QUALITY = 92
#: A further column of a table of styles: under which licence an image may be handed on.
_LICENCE = "licence"


@dataclass(frozen=True)
class PackStep:
    """One sample more is packed: `path` is its image, `size_bytes` what the pack has by now.

    With the last step the pack is in its place. `leaking` are the samples that were left out, as
    `without_leakage` finds them.
    """

    done: int
    total: int
    path: Path
    size_bytes: int
    leaking: tuple[Sample, ...] = ()


def pack(
    datasets: Sequence[Dataset], destination: Path, short_side_px: int, most_mb: float
) -> Iterator[PackStep]:
    """Pack data sets into one data set folder of small pictures, one step for each sample.

    Images become JPEG without metadata and masks PNG of one bit, both with a shorter side of
    `short_side_px`; smaller ones keep their size. Samples keep their ids and splits, and a lesion
    that stands in two splits is left out of the less guarded one (`without_leakage`). `splits.csv`
    also has their lesions and patients, `styles.csv` what those of the data sets say. The folder
    appears under its name when it is whole; if the stream ends before, nothing is left of it.

    Parameters
    ----------
    datasets : what to pack; an id stands in one of them only.
    destination : the folder, which must not be there yet.
    short_side_px : the most pixels that the shorter side of an image has.
    most_mb : the most that the pack may have, in units of a million bytes.

    Raises
    ------
    DatasetProblem : before the first step if `destination` is there already or two data sets have
        one id; later if the pack becomes larger than `most_mb` or cannot be written.
    UnreadableImage, UnreadableMask : at the first file that cannot be read.
    """
    if os.path.lexists(destination):
        raise DatasetProblem(destination, "is there already, and a pack replaces nothing")
    dataset, leaking = without_leakage(merge(datasets))
    samples = dataset.samples
    # A name that `engine.files` gives to what is being written.
    part = destination.with_name(f".{destination.name}.{uuid4().hex[:8]}.part")
    try:
        for folder in (part / "images", part / "masks"):
            folder.mkdir(parents=True)
        size = sum(_write(part / name, text) for name, text in _tables(datasets, samples).items())
        for done, sample in enumerate(samples, 1):
            image_path, written = _write_sample(sample, part, short_side_px)
            size += written
            if size > 1e6 * most_mb:
                so_far = f"{done} of {len(samples)} images at {short_side_px} px"
                raise DatasetProblem(
                    destination, f"would be larger than {most_mb:g} MB: {so_far} have more already"
                )
            if done == len(samples):
                put_in_place(part, destination)
            path = destination / image_path.relative_to(part)
            yield PackStep(done, len(samples), path, size, leaking)
    except OSError as error:
        raise DatasetProblem(destination, reason_of(error)) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(part)


def _write(path: Path, content: str | bytes) -> int:
    """Write a file; how many bytes it has."""
    return path.write_bytes(content.encode() if isinstance(content, str) else content)


def _write_sample(sample: Sample, folder: Path, short_side_px: int) -> tuple[Path, int]:
    """Write image and mask of a sample; the file of the image, and how many bytes both have."""
    name = mask_name(sample.id)
    if not name.startswith(sample.id) or Path(sample.id).name != sample.id:
        # Cut short it would not be found by the id.
        raise DatasetProblem(sample.image_path, "has a name that the files of a pack cannot have")
    image = read_image(sample.image_path)
    mask_hw = read_mask(sample.mask_path, (image.height, image.width))
    # Scaled as a model's frame scales them.
    scale = min(1.0, short_side_px / min(image.height, image.width))
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    picture = PillowImage.fromarray(image.pixels_hwc)
    scaled = picture.resize(size, PillowImage.Resampling.BILINEAR, reducing_gap=3.0)
    path = folder / "images" / f"{sample.id}.jpg"
    written = _write(path, _encoded(scaled, "JPEG", quality=JPEG_QUALITY, optimize=True))
    shares = PillowImage.fromarray(mask_hw.astype(np.uint8) * np.uint8(255)).resize(
        size, PillowImage.Resampling.BOX, reducing_gap=3.0
    )
    bits = shares.point(lambda level: 255 * (level >= 128), "1")
    return path, written + _write(folder / "masks" / name, _encoded(bits, "PNG", optimize=True))


def _encoded(picture: PillowImage.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _tables(datasets: Sequence[Dataset], samples: Sequence[Sample]) -> dict[str, str]:
    """The text of `splits.csv`, and of `styles.csv` where there is one."""
    splits = (("id", "split", *KIN_COLUMNS), *map(_split_row, samples))
    rows = _style_rows(datasets)
    styles = [(x.id, *rows[x.id]) for x in samples if x.style is not None and x.id in rows]
    tables = {SPLITS: _as_csv(splits)}
    if styles:
        tables[STYLES] = _as_csv(((*STYLE_COLUMNS, _LICENCE), *styles))
    return tables


def _split_row(sample: Sample) -> tuple[str, ...]:
    known: dict[str, str] = {}
    for key in sample.kin:
        column, _, value = key.partition(" ")
        known.setdefault(column, value)
    return (sample.id, sample.split, *(known.get(column, "") for column in KIN_COLUMNS))


def _style_rows(datasets: Sequence[Dataset]) -> Mapping[str, tuple[str, ...]]:
    """What the tables of styles say of each id, licence last; nothing for what they lack."""
    found: dict[str, tuple[str, ...]] = {}
    for dataset in datasets:
        if not any(sample.style for sample in dataset.samples):
            # A file of that name beside the pictures of a study is not ours.
            continue
        path, ids = dataset.root / STYLES, {sample.id for sample in dataset.samples}
        licences: dict[str, str] = {}
        with suppress(OtherColumns):
            licences = {plain(from_cell(x)): y for _, (x, y) in csv_rows(path, ("id", _LICENCE))}
        for _, (cell, *values) in csv_rows(path, STYLE_COLUMNS):
            name = plain(from_cell(cell))
            found[known_id(name, ids)] = (*values, licences.get(name, ""))
    return found


def _as_csv(rows: Iterable[Sequence[str]]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([as_cell(cell) for cell in row] for row in rows)
    return table.getvalue()
