"""Writes a data set's masks as COCO annotations: polygons along the pixels' edges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DatasetProblem
from engine.files import write_atomic
from engine.images.reading import read_image
from engine.masks.arrays import Mask
from engine.masks.outlines import outline
from engine.masks.reading import read_mask
from engine.study.export import ExportStep
from engine.types import Dataset

ANNOTATIONS = "annotations.json"
CATEGORY = {"id": 1, "name": "lesion", "supercategory": ""}

#: Corners of a closed line, (n, 2) of (row, column) in pixels; the first does not come again.
Corners = NDArray[np.float64]


def write_annotations(dataset: Dataset) -> Iterator[ExportStep]:
    """One step per sample; with the last, `annotations.json` lies in the data set's folder.

    Every sample is an image, with its split, and every one that is not empty has one annotation.
    `file_name` is the name in `images/`; sizes and coordinates, (x, y) from the upper left corner,
    are those of the upright image. Raises UnreadableImage, UnreadableMask for a mask of another
    size, too, and DatasetProblem where the file cannot be written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    path = dataset.root / ANNOTATIONS
    for number, sample in enumerate(dataset.samples, 1):
        image = read_image(sample.image_path)
        mask_hw = read_mask(sample.mask_path, (image.height, image.width))
        height, width = mask_hw.shape
        name = sample.image_path.name
        size = {"width": width, "height": height}
        images.append({"id": number, "file_name": name, **size, "split": sample.split})
        if mask_hw.any():
            own = {"id": len(annotations) + 1, "image_id": number, "category_id": CATEGORY["id"]}
            annotations.append({**own, **_described(mask_hw)})
        if number == len(dataset.samples):
            info = {"description": "Masks of skin lesions, written by nca-seg", "version": "1"}
            content = {"info": info, "images": images, "annotations": annotations}
            try:
                write_atomic(path, json.dumps({**content, "categories": [CATEGORY]}) + "\n")
            except OSError as error:
                raise DatasetProblem(path, error.strerror or str(error)) from error
        yield ExportStep(number, len(dataset.samples), sample.mask_path)


def polygons(mask_hw: Mask) -> list[Corners]:
    """The polygons that together cover the mask and nothing else, one for each island.

    COCO's polygons have no holes: a line of no width leads to each hole, around it and back.
    """
    lines = [_corners(contour_rc) for contour_rc in outline(mask_hw)]
    # Around an island the line runs one way, around a hole the other.
    areas = [_area(line) for line in lines]
    way = np.sign(areas[int(np.argmax(np.abs(areas)))]) if areas else 0.0
    islands = [line for line, area in zip(lines, areas, strict=True) if area * way > 0]
    holes = [line for line, area in zip(lines, areas, strict=True) if area * way < 0]
    islands.sort(key=lambda line: abs(_area(line)))
    around = [next(i for i, island in enumerate(islands) if _holds(island, h)) for h in holes]
    for hole, index in zip(holes, around, strict=True):
        islands[index] = _joined(islands[index], hole)
    return islands


def _described(mask_hw: Mask) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(mask_hw.any(axis=axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "segmentation": [line[:, ::-1].ravel().astype(int).tolist() for line in polygons(mask_hw)],
        "area": int(np.count_nonzero(mask_hw)),
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "iscrowd": 0,
    }


def _corners(contour_rc: NDArray[np.float64]) -> Corners:
    """Where the edge of the pixels turns that an outline of a mask runs along.

    The outline goes from middle to middle of the pixels' edges, and so cuts every corner off:
    half a pixel of every island.
    """
    before, after = contour_rc[:-1], contour_rc[1:]
    turns = (before != after).all(axis=1)
    before, after = before[turns], after[turns]
    # Of a middle one coordinate is whole: the corner has the whole one of either end.
    row_is_whole = before[:, :1] == np.round(before[:, :1])
    rows = np.where(row_is_whole, before[:, :1], after[:, :1])
    columns = np.where(row_is_whole, after[:, 1:], before[:, 1:])
    return np.hstack([rows, columns])


def _area(line: Corners) -> float:
    """The area in a closed line, with a sign that tells which way it runs."""
    rows, columns = line.T
    return float((rows * np.roll(columns, -1) - columns * np.roll(rows, -1)).sum()) / 2


def _holds(island: Corners, hole: Corners) -> bool:
    """Whether the middle of a pixel beside the first corner of a hole, in it, is in an island."""
    # Lines can share corners; a place just inside the hole is on neither.
    ahead = hole[1] - hole[0]
    across = np.array([-ahead[1], ahead[0]]) * np.sign(_area(hole))
    row, column = hole[0] + (ahead / np.abs(ahead).sum() + across / np.abs(across).sum()) / 2
    (rows, columns), (next_rows, next_columns) = island.T, np.roll(island, -1, axis=0).T
    upright = (columns == next_columns) & (columns > column)
    crossed = upright & ((rows > row) != (next_rows > row))
    return bool(np.count_nonzero(crossed) % 2)


def _joined(island: Corners, hole: Corners) -> Corners:
    """An island's line with the way to a hole, around it and back put in where they are nearest."""
    # What else the way crosses does not matter: it has no width, and is walked both ways.
    there = int(np.argmin(hole[:, 1]))
    here = int(np.argmin(np.abs(island - hole[there]).sum(axis=1)))
    around = np.roll(hole, -there, axis=0)
    return np.vstack([island[: here + 1], around, around[:1], island[here:]])
