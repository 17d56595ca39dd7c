"""Reads a folder, or chosen images, into the rows of the list and the first image to open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError, UnreadableImage
from engine.images.listing import Listing, list_folder
from engine.images.reading import read_image
from engine.study.mask_files import image_version
from engine.study.study import Study, Writer
from engine.types import StyleChoice
from nca_seg_app.services.annotation import OpenedImage, read_opened, with_annotation
from nca_seg_app.state.workspace import ImageRow


@dataclass(frozen=True, eq=False)
class Opened:
    """A study with its images, one of which is read.

    Parameters
    ----------
    study : the folder.
    rows : its images, or those that were chosen.
    index : the place of the image that is read.
    opened : that image.
    refused : the errors of images that could not be opened.
    whole : whether `rows` are all images of the folder.
    style : the style that the study has kept.
    skipped : how many pictures of the folder have kinds that are not read, by kind.
    """

    study: Study
    rows: tuple[ImageRow, ...]
    index: int
    opened: OpenedImage
    refused: tuple[EngineError, ...] = ()
    whole: bool = True
    style: StyleChoice = StyleChoice()
    skipped: Mapping[str, int] = field(default_factory=dict)


def open_listed(
    paths: list[Path],
    announce: Callable[[Path], None] = lambda _: None,
    writer: Writer | None = None,
) -> Opened:
    """Read a folder, an image or several images.

    A folder opens at its first image that is not reviewed. Of several images those in another
    folder than the first are refused, and so are those before the first readable one.

    Parameters
    ----------
    paths : one folder, or images.
    announce : called with the path of each image before it is read.
    writer : the window that writes the drafts.

    Raises
    ------
    EngineError, OSError : if nothing can be opened.
    """
    first = paths[0]
    if first.is_dir():
        study = Study.open(first, writer)
        there = list_folder(study.folder)
        rows = listed(study, there)
        skipped = dict(there.skipped)
        if unnamed := len(there.images) - len(rows):
            # Index and records are text, so files whose names are not cannot be listed.
            skipped["unreadably named"] = unnamed
        if not rows:
            others = f" but {describe_skipped(skipped)}" if skipped else ""
            raise UnreadableImage(first, f"there are no images in this folder{others}")
        order = sorted(range(len(rows)), key=lambda place: rows[place].status == "reviewed")
        found = _first_readable(study, rows, order, announce)
        return dataclasses.replace(found, skipped=skipped, style=study.style)
    # Read before a study is made, so that an unreadable file leaves no index in its folder.
    refused: list[EngineError] = []
    for path in paths:
        announce(path)
        try:
            # Taken before reading, so that a change meanwhile is noticed when the mask is saved.
            version = image_version(path)
            image = read_image(path)
        except UnreadableImage as error:
            refused.append(error)
            continue
        break
    else:
        raise refused[0]
    study = Study.open(path.parent, writer)
    known = {row.path.name: row for row in listed(study)}
    rows = tuple(
        known.get(each.name, ImageRow(study.folder / each.name))
        for each in paths
        if each.parent.resolve() == path.parent.resolve()
        and each not in {error.path for error in refused if isinstance(error, UnreadableImage)}
    )
    refused += [
        UnreadableImage(each, "it lies in another folder than the first one")
        for each in paths
        if each.parent.resolve() != path.parent.resolve()
    ]
    base = dataclasses.replace(study.base(rows[0].path), image=version)
    opened = with_annotation(study, image, rows[0].path, base)
    return Opened(study, rows, 0, opened, tuple(refused), whole=False, style=study.style)


def _first_readable(
    study: Study, rows: tuple[ImageRow, ...], order: list[int], announce: Callable[[Path], None]
) -> Opened:
    """The study with the first image, by `order`, that can be read; raises if there is none."""
    refused: list[EngineError] = []
    listed = list(rows)
    for place in order:
        announce(rows[place].path)
        try:
            opened = read_opened(study, rows[place].path)
        except EngineError as error:
            refused.append(error)
            listed[place] = dataclasses.replace(rows[place], readable=False)
            continue
        return Opened(study, tuple(listed), place, opened, tuple(refused))
    raise refused[0]


def describe_skipped(skipped: Mapping[str, int]) -> str:
    """The numbers of pictures by kind in words, as "3 HEIC pictures and 1 GIF picture"."""
    parts = [f"{n:,} {kind} picture{'s' if n > 1 else ''}" for kind, n in skipped.items()]
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def listed(study: Study, listing: Listing | None = None) -> tuple[ImageRow, ...]:
    """The rows of all images of a study; `listing` is that of the folder, if it is known."""
    return tuple(
        ImageRow(each.path, each.status, each.expected_error, each.saved_at is not None)
        for each in study.images(listing)
    )
