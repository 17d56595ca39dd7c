"""Reads a data set folder, images/ and masks/ with an index, and assigns splits."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.errors import DatasetProblem
from engine.images.formats import IMAGE_SUFFIXES
from engine.images.listing import list_images
from engine.masks.files import mask_name
from engine.study.dataset_index import Entries, is_there, read_index, reason_of
from engine.study.kinship import Kin, read_kin, together
from engine.study.records import is_text
from engine.study.styles import read_styles
from engine.types import Dataset, Sample, Split

VAL_SHARE = 0.15
#: What may be learned from least comes first.
GUARDED: tuple[Split, ...] = ("test", "val", "train")


def read_dataset(root: Path) -> Dataset:
    """Read the samples of a folder in ISIC layout, in order of id; no picture is opened.

    Splits come from `dataset.json` or `splits.csv`, and what neither lists is left out and named in
    `left_out`; without either, `assign_splits` makes splits of all images, each of which then needs
    a mask. Styles come from `styles.csv`, where there is one. Raises DatasetProblem, with file and
    reason, for whatever is missing or contradictory.
    """
    root = Path(root)
    images = files_by_id(root / "images", "", IMAGE_SUFFIXES)
    masks = files_by_id(root / "masks", "_segmentation", frozenset({".png"}))
    index = read_index(root, images)
    pictures = set(list_images(root / "images"))
    unlisted = {
        name: [path for path in paths if path in pictures]
        for name, paths in images.items()
        if name not in index
    }
    if not index:
        # The folder itself is the list.
        images = {name: paths for name, paths in unlisted.items() if paths}
        for name, paths in masks.items():
            if name not in images:
                raise DatasetProblem(paths[0], f"is a mask, but there is no image {name}")
    if not images:
        raise DatasetProblem(root / "images", "holds no images")
    listed = sorted(index or images)
    for name in listed:
        for paths in (images[name], masks.get(name, [])):
            if len(paths) > 1:
                raise DatasetProblem(paths[1], f"has the same id as {paths[0].name}")
        if not is_text(name):
            raise DatasetProblem(images[name][0], "has a name with characters that are not text")
        if name not in masks:
            raise DatasetProblem(root / "masks" / mask_name(name), "is missing")
    kin = read_kin(root, listed)
    entries: Entries = index or {x: (y, None) for x, y in assign_splits(listed, kin=kin).items()}
    styles = read_styles(root, listed)
    samples = (
        Sample(x, images[x][0], masks[x][0], *entries[x], styles.get(x), kin.get(x, ()))
        for x in listed
    )
    return Dataset(root, tuple(samples), _left_out(unlisted, masks, index) if index else ())


def assign_splits(
    ids: Iterable[str],
    val_share: float = VAL_SHARE,
    fixed: Mapping[str, Split] | None = None,
    kin: Kin | None = None,
) -> dict[str, Split]:
    """Assign `train` or `val` to each id, by a hash of its patient, else its lesion, else the id.

    From four ids up each split has at least one where any is free to move and not all are kin;
    below that all free ones train. Adding ids to four or more moves none from train to val (unless
    all had hashed to val), so nothing is validated on that was trained on before.

    Parameters
    ----------
    ids : those of the samples.
    val_share : about this share of them becomes `val`.
    fixed : splits that are given already; these ids keep them.
    kin : keys of the patient and the lesion of ids, of fixed ones too. Ids that share one get one
        split; if one of them is fixed they get its split, `test` before `val` before `train`.
    """
    fixed, kin = fixed or {}, kin or {}
    every = {*ids, *fixed}
    splits: dict[str, Split] = dict(fixed)
    free: list[tuple[float, list[str]]] = []
    for group in together(every, kin):
        held = {fixed[name] for name in group if name in fixed}
        if held:
            kept: Split = next(split for split in GUARDED if split in held)
            splits |= {name: kept for name in group if name not in fixed}
        else:
            # The last of them: it can only come later when others join the group.
            free.append((max(_position(_own_key(name, kin)) for name in group), group))
    free.sort()
    chosen: list[Split] = [
        "val" if position < val_share and len(every) >= 4 else "train" for position, _ in free
    ]
    if free and len(every) >= 4:
        if "val" not in {*chosen, *splits.values()}:
            chosen[0] = "val"
        if "train" not in {*chosen, *splits.values()}:
            chosen[-1] = "train"
    for split, (_, group) in zip(chosen, free, strict=True):
        splits |= dict.fromkeys(group, split)
    return splits


def _own_key(name: str, kin: Kin) -> str:
    """What an image's place among the splits comes from: its patient, its lesion or its id."""
    return next(iter(kin.get(name, ())), name)


def files_by_id(folder: Path, ending: str, suffixes: frozenset[str]) -> dict[str, list[Path]]:
    """Find the files of a folder whose names end in `ending`, by what comes before it, in order.

    `suffixes` are those that count, in small letters. Hidden files and folders are passed over.
    Raises DatasetProblem for a link that leads nowhere.
    """
    found: dict[str, list[Path]] = {}
    is_there(folder)
    try:
        paths = sorted(folder.iterdir())
        for path in paths:
            if path.name.startswith(".") or path.suffix.lower() not in suffixes:
                continue
            stem = unicodedata.normalize("NFC", path.stem)
            if stem.lower().endswith(ending) and is_there(path) and path.is_file():
                found.setdefault(stem[: len(stem) - len(ending)], []).append(path)
    except OSError as error:
        raise DatasetProblem(folder, reason_of(error)) from error
    return found


def _left_out(
    unlisted: Mapping[str, list[Path]], masks: Mapping[str, list[Path]], index: Iterable[str]
) -> tuple[str, ...]:
    """What an index does not list: images, and masks of none, by their names in the folder."""
    images = [f"images/{path.name}" for paths in unlisted.values() for path in paths]
    alone = masks.keys() - unlisted.keys() - set(index)
    return (*images, *(f"masks/{masks[name][0].name}" for name in sorted(alone)))


def _position(name: str) -> float:
    """Where an id lies in [0, 1), evenly and for ever."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48
