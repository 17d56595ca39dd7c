"""Writes a model's result to disk, mask, variance and record, but never over a person's mask.

The mask is written last, so where it lies the other two lie.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from engine.errors import MaskKept, StudyProblem
from engine.files import read_regular, write_together
from engine.masks.files import find_mask, mask_name
from engine.metrics import disagreement
from engine.study.mask_files import keeps_masks
from engine.study.records import MOST_MASK_BYTES, MOST_RECORD_BYTES, record_path
from engine.types import EnsembleResult, Image, SampleSettings

FORMAT = {"format": "nca-seg/result", "version": 1}
#: The largest variance that numbers in [0, 1] can have; it becomes white.
LARGEST_VARIANCE = 0.25


@dataclass(frozen=True)
class ResultFiles:
    """Where a written result lies; `content` is what its record says."""

    mask: Path
    variance: Path
    record: Path
    content: dict[str, Any]


def write_result(
    out_dir: Path,
    stem: str,
    result: EnsembleResult,
    image: Image,
    model_name: str,
    fingerprint: str,
    settings: SampleSettings,
    threshold: float,
    seconds: float,
    overwrite: bool = False,
) -> ResultFiles:
    """Write `<stem>_segmentation.png`, `<stem>_variance.png` and `<stem>.json` into a folder.

    Both pictures have the image's size and 8 bits: the mask 0 and 255, the variance 0 to 0.25
    scaled to 0 to 255. After an error all files are as they were.

    Parameters
    ----------
    out_dir : the folder, made where it is missing.
    stem : what the files' names begin with, that of the image's file.
    result : a finished ensemble.
    image : what it was made from.
    model_name, fingerprint : the model, as the record names it.
    settings : of the ensemble.
    threshold : the mean probability from which a pixel is lesion, [0, 1].
    seconds : how long the result took.
    overwrite : replace what `expect_replaceable` would refuse.

    Raises StudyProblem as `expect_no_study`, MaskKept as `expect_replaceable` unless `overwrite`,
    and OSError.
    """
    out_dir = Path(out_dir)
    expect_no_study(out_dir)
    image_sha256 = _image_sha256(image)
    if not overwrite:
        _expect_replaceable(out_dir, stem, image_sha256)
    out_dir.mkdir(parents=True, exist_ok=True)
    mask_path = find_mask(out_dir, stem) or out_dir / mask_name(stem)
    mask_hw = result.mask(threshold)
    variance_hw = result.frame.restore(result.variance_hw) / np.float32(LARGEST_VARIANCE)
    mask_png = _png(mask_hw.astype(np.uint8) * np.uint8(255))
    rows, columns = result.frame.grid_shape
    content = {
        **FORMAT,
        "model": model_name,
        "fingerprint": fingerprint,
        "settings": asdict(settings),
        "threshold": threshold,
        "doubt": result.expected_error,
        "disagreement": disagreement(result.members_nhw),
        "lesion_share": float(mask_hw.mean()),
        "members": result.finished,
        "image": image.path.name if image.path else "",
        "image_sha256": image_sha256,
        "height": image.height,
        "width": image.width,
        "grid_rows": rows,
        "grid_columns": columns,
        "seconds": round(seconds, 3),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "mask": mask_path.name,
        "variance": f"{stem}_variance.png",
        "mask_sha256": hashlib.sha256(mask_png).hexdigest(),
        # A kill between record and mask leaves the mask before; it is still known as a result.
        "replaced_sha256": _file_sha256(mask_path),
    }
    files = ResultFiles(
        mask_path, out_dir / f"{stem}_variance.png", out_dir / f"{stem}.json", content
    )
    grey_hw = np.clip(np.rint(variance_hw * np.float32(255)), 0, 255).astype(np.uint8)
    record = json.dumps(content, indent=1) + "\n"
    write_together({files.variance: _png(grey_hw), files.record: record, files.mask: mask_png})
    return files


def expect_no_study(out_dir: Path) -> None:
    """Raise StudyProblem where a study keeps its masks: there a result would count as a person's.

    No option overrules it: the study, and all that learns from it, could not tell them apart.
    """
    if keeps_masks(out_dir):
        raise StudyProblem(
            Path(out_dir), "is where a study keeps a person's masks; results need another folder"
        )


def expect_replaceable(out_dir: Path, stem: str, image: Image) -> None:
    """Raise MaskKept, with file and reason, where a result must not be written.

    That is where the folder `out_dir` holds, under the same stem, a mask or record that is not the
    unchanged result of a model for the same picture as `image`.
    """
    _expect_replaceable(Path(out_dir), stem, _image_sha256(image))


def _expect_replaceable(out_dir: Path, stem: str, image_sha256: str) -> None:
    mask_path = find_mask(out_dir, stem)
    own_path = out_dir / f"{stem}.json"
    own = _read(own_path)
    if own is None and own_path.exists():
        raise MaskKept(own_path, "it is not the record of a result")
    if own is not None and own.get("image_sha256") != image_sha256:
        raise MaskKept(own_path, f"it is the result of another image, {own.get('image')}")
    if mask_path is None:
        return
    if record_path(mask_path).exists():
        raise MaskKept(mask_path, "a person saved it")
    if own is None:
        raise MaskKept(mask_path, "no record says that a model made it")
    if _file_sha256(mask_path) not in (own.get("mask_sha256"), own.get("replaced_sha256")):
        raise MaskKept(mask_path, "it was changed since a model made it")


def _read(path: Path) -> dict[str, Any] | None:
    """The record of a result, or None where there is none or something else."""
    try:
        content = json.loads(read_regular(path, MOST_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("format") != FORMAT["format"]:
        return None
    return content


def _png(grey_hw: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(grey_hw).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _image_sha256(image: Image) -> str:
    digest = hashlib.sha256(f"{image.height}x{image.width}".encode())
    digest.update(np.ascontiguousarray(image.pixels_hwc).data)
    return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    """The hash of a file's bytes; empty where there is no file."""
    try:
        return hashlib.sha256(read_regular(path, MOST_MASK_BYTES)).hexdigest()
    except FileNotFoundError:
        return ""
