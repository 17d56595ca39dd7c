"""Exports samples as copies into a data set folder, which a later export can extend."""

from __future__ import annotations

import errno
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image as PillowImage

from engine.errors import DatasetProblem, UnreadableImage, UnreadableMask
from engine.files import read_regular, replacing
from engine.images.metadata import stripped
from engine.images.reading import read_image
from engine.masks.files import find_mask, mask_name, write_mask
from engine.masks.reading import read_mask
from engine.plaintext import shown_text
from engine.study.dataset import VAL_SHARE, assign_splits
from engine.study.dataset_index import (
    INDEX,
    Entries,
    index_files,
    plain,
    reason_of,
    write_index,
)
from engine.study.export_folder import prepare
from engine.study.kinship import read_kin
from engine.study.records import is_text
from engine.types import Image, Sample, Split

#: What is left out of an export, and why.
LeftOut = UnreadableImage | UnreadableMask | DatasetProblem
_LEFT_OUT = (UnreadableImage, UnreadableMask, DatasetProblem)

#: Longer image files are not copied byte by byte.
_MOST_BYTES = 2**30
_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})


@dataclass(frozen=True)
class ExportStep:
    """One sample more is dealt with: `path` is its image in the folder, or what was left out.

    `left_out` says of all samples left out so far which they are and why.
    """

    done: int
    total: int
    path: Path
    left_out: tuple[LeftOut, ...] = ()

    @property
    def written(self) -> int:
        """How many of the samples so far are in the folder."""
        return self.done - len(self.left_out)


def export_dataset(
    samples: Iterable[Sample],
    destination: Path,
    val_share: float = VAL_SHARE,
    keep_metadata: bool = False,
) -> Iterator[ExportStep]:
    """Copy samples into a data set folder, one step each; the index is written at the end.

    Masks become 8-bit PNG of 0 and 255. Images leave without metadata: a JPEG or PNG that is
    upright keeps its coded pixels, any other becomes a PNG of what `read_image` gives; with
    `keep_metadata` they are copied byte by byte. A sample that cannot be read, or whose id another
    sample or another image in the folder has, is left out, and the step says why.

    A folder exported before grows: what it held stays, with its split. A test sample stays one.
    However it ends, it can be repeated, and closing the stream early leaves a readable data set of
    the samples so far.

    Parameters
    ----------
    samples : what to copy.
    destination : the folder, made where it is missing.
    val_share : about this share of the samples becomes `val`, unless their split is fixed.
    keep_metadata : copy image files as they are.

    Raises DatasetProblem before anything is copied where the folder is not ours, is that of the
    samples, or has links where files would be written; and at the sample that cannot be written.
    """
    destination = Path(destination)
    samples = tuple(replace(sample, id=plain(sample.id)) for sample in samples)
    entries, held = prepare(destination, samples)
    problems = _problems(samples, entries)
    named = [x for x, problem in zip(samples, problems, strict=True) if problem is None]
    tests: dict[str, Split] = {x.id: "test" for x in named if x.split == "test"}
    fixed = {**tests, **{name: split for name, (split, _) in entries.items()}}
    kin = read_kin(destination, fixed) | {x.id: x.kin for x in named if x.kin}
    splits = assign_splits((sample.id for sample in named), val_share, fixed, kin)
    copied = dict(entries)
    left_out: list[LeftOut] = []
    reserve = _reserve(destination, {**entries, **{x.id: (splits[x.id], x.origin) for x in named}})
    try:
        for done, (sample, problem) in enumerate(zip(samples, problems, strict=True), 1):
            path = sample.image_path
            try:
                if problem is not None:
                    raise problem
                path = _copy(sample, destination, held.get(sample.id, []), keep_metadata)
                copied[sample.id] = (splits[sample.id], sample.origin)
            except _LEFT_OUT as error:
                left_out.append(error)
            except OSError as error:
                raise DatasetProblem(error.filename or path, reason_of(error)) from error
            yield ExportStep(done, len(samples), path, tuple(left_out))
    finally:
        with suppress(OSError):
            reserve.unlink()
        write_index(destination, copied)


def _problems(
    samples: Sequence[Sample], entries: Mapping[str, object]
) -> list[DatasetProblem | None]:
    """Why the files of a sample cannot be called by its id, for each sample.

    Ids that differ in capital letters alone are one: to Windows and macOS their files are.
    """
    first: dict[str, Sample] = {}
    there = {name.casefold(): name for name in entries}
    problems: list[DatasetProblem | None] = []
    for sample in samples:
        key = sample.id.casefold()
        reason = _unfit(sample.id)
        if not reason and key in first:
            other = first[key]
            but = "" if other.id == sample.id else " but for capital letters"
            reason = f"has the id of {shown_text(other.image_path.name)}{but}, which is exported"
        elif not reason and there.get(key, sample.id) != sample.id:
            other_id = shown_text(there[key])
            reason = f"has the id of {other_id} in the data set but for capital letters"
        first.setdefault(key, sample)
        problems.append(DatasetProblem(sample.image_path, reason) if reason else None)
    return problems


def _unfit(name: str) -> str:
    """Why an id cannot be the name of files; empty where it can."""
    if not is_text(name):
        return "has a name with characters that are not text"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "has a name with control characters"
    if not name or Path(name).name != name or name.startswith("."):
        return f"has an id that files cannot have: {shown_text(name)!r}"
    return ""


def _reserve(destination: Path, entries: Entries) -> Path:
    """A file as long as the index will be, so that a full disk has room for it in the end."""
    path = destination / f".{INDEX}.{uuid4().hex[:8]}.part"
    try:
        path.write_bytes("".join(index_files(destination, entries).values()).encode())
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise DatasetProblem(error.filename or destination, reason_of(error)) from error
    return path


def _copy(sample: Sample, destination: Path, held: Sequence[Path], keep_metadata: bool) -> Path:
    """The image of a sample in the folder, where it and its mask now are.

    `held` are the images there under its id. Raises what is left out, or OSError.
    """
    if not mask_name(sample.id).startswith(sample.id):
        # Cut short it would not be found by the id.
        raise DatasetProblem(sample.image_path, "has too long a name for a mask")
    image = read_image(sample.image_path)
    mask_hw = read_mask(sample.mask_path, (image.height, image.width))
    for path in held:
        if not _shows(path, image):
            raise DatasetProblem(path, f"is another image than {sample.image_path}")
    masks = destination / "masks"
    mask_path, is_new = masks / mask_name(sample.id), False
    try:
        there = find_mask(masks, sample.id)
        mask_path, is_new = there or mask_path, there is None
        write_mask(mask_path, mask_hw)
        path = _copy_image(sample, image, destination / "images", held, keep_metadata)
    except OSError as error:
        if is_new:
            # A full disk has other use for it.
            with suppress(OSError):
                mask_path.unlink()
        if error.errno == errno.ENAMETOOLONG:
            raise DatasetProblem(sample.image_path, "has too long a name for a mask") from error
        raise
    for other in held:
        if not other.samefile(path):
            other.unlink()
    return path


def _copy_image(
    sample: Sample, image: Image, folder: Path, held: Sequence[Path], keep_metadata: bool
) -> Path:
    """The image as it is now in the folder, written where it was not there just so."""
    content = _content(sample.image_path, keep_metadata)
    if content is not None:
        suffix = sample.image_path.suffix if keep_metadata else _suffix(sample.image_path, content)
        path = _place(folder, f"{sample.id}{suffix}", held)
        if path in held and read_regular(path, _MOST_BYTES) == content:
            return path
        with suppress(_ShowsAnother), replacing(path) as stream:
            stream.write(content)
            stream.flush()
            # What turns it upright, or says how large its pixels are, may be among what went.
            if not (keep_metadata or _shows(Path(stream.name), image)):
                raise _ShowsAnother
            return path
    path = _place(folder, f"{sample.id}.png", held)
    if path not in held or _content(path, False) != read_regular(path, _MOST_BYTES):
        _write_png(path, image)
    return path


class _ShowsAnother(Exception):
    """A stripped file does not show what its source does."""


def _content(path: Path, keep_metadata: bool) -> bytes | None:
    """What of an image file can be copied byte by byte. Raises UnreadableImage."""
    try:
        content = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise UnreadableImage(path, reason_of(error)) from error
    return content if keep_metadata else stripped(content)


def _suffix(path: Path, content: bytes) -> str:
    """The suffix of a JPEG or PNG file: its own, where that says what it is."""
    own, others = (".jpg", _JPEG_SUFFIXES) if content.startswith(b"\xff") else (".png", {".png"})
    return path.suffix if path.suffix.lower() in others else own


def _place(folder: Path, name: str, held: Sequence[Path]) -> Path:
    """A file in a folder; one of those held that is called so, in whatever case."""
    same = (path for path in held if plain(path.name).casefold() == name.casefold())
    return next(same, folder / name)


def _shows(path: Path, image: Image) -> bool:
    """Whether an image file reads as this image: the same pixels, of the same size on the skin."""
    try:
        again = read_image(path)
    except UnreadableImage:
        return False
    is_as_large = math.isclose(again.spacing_mm or 0, image.spacing_mm or 0, rel_tol=0.001)
    return is_as_large and np.array_equal(again.pixels_hwc, image.pixels_hwc)


def _write_png(path: Path, image: Image) -> None:
    """Write the pixels of an image, and their size where it is known, as a PNG."""
    picture = PillowImage.fromarray(image.pixels_hwc)
    dpi = 25.4 / image.spacing_mm if image.spacing_mm else None
    with replacing(path) as stream:
        picture.save(stream, "PNG", compress_level=3, **({"dpi": (dpi, dpi)} if dpi else {}))
