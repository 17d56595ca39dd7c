"""Lists the images of a folder: tells by their names which files are images to outline."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UnreadableImage
from engine.images.formats import IMAGE_SUFFIXES

_RAW = "3fr arw cr2 cr3 dng erf kdc mos mrw nef nrw orf pef raf rw2 rwl sr2 srf srw x3f"
#: Suffixes of pictures that are not read, and what they are called.
_UNREAD: dict[str, str] = {
    f".{suffix}": kind
    for kind, suffixes in {
        "AVIF": "avif avifs",
        "BigTIFF slide": "ndpi svs",
        "DICOM": "dcm dicom",
        "GIF": "gif",
        "HEIC": "heic heics heif heifs hif",
        "JPEG 2000": "j2c j2k jp2 jpf jpm jpx",
        "JPEG XL": "jxl",
        "JPEG XR": "hdp jxr wdp",
        "OpenEXR": "exr",
        "Photoshop": "psb psd",
        "PNM": "pbm pgm pnm ppm",
        "SVG": "svg svgz",
        "TGA": "tga",
        "raw camera": _RAW,
    }.items()
    for suffix in suffixes.split()
    if f".{suffix}" not in IMAGE_SUFFIXES
}
#: What no photograph is called: masks of this program and of ISIC, and ISIC's other maps.
_MAP = re.compile(r"_(segmentation|superpixels|attribute_\w+)$", re.IGNORECASE)
#: What a photograph can be called; it is a map where the picture without this ending is beside it.
#: (PH2's maps of colours are called _R1_Label2.)
_MAP_OF_ANOTHER = re.compile(
    r"[ _.-]((segmentation[ _-])?masks?|lesion|seg|gt|ground[ _-]?truth|labels?|annotation|contour|"
    r"overlay|r\d+_label\d+)$",
    re.IGNORECASE,
)
#: The end of the variance maps that results hold, beside a record (engine.study.results).
_VARIANCE = "_variance.png"


@dataclass(frozen=True)
class Listing:
    """What a folder holds: images in the order people count, and how many pictures are not read.

    `skipped` goes from the kind as people call it, "HEIC", to the count, both sorted by kind.
    """

    images: list[Path]
    skipped: dict[str, int]


def list_folder(folder: Path | str) -> Listing:
    """The images of a folder, and the pictures in it that cannot be read. Raises UnreadableImage.

    Links are followed; what is not a file is passed over.
    """
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries if _is_file(entry)}
    except OSError as error:
        reason = (error.strerror or "it cannot be opened").lower()
        raise UnreadableImage(folder, reason) from error
    images = sorted(_images(names, names), key=_counting_order)
    kinds = [_UNREAD.get(_split(name)[1].lower(), "") for name in names if name[0] != "."]
    skipped = Counter(filter(None, kinds))
    return Listing([Path(folder, name) for name in images], dict(sorted(skipped.items())))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        # One link that leads to itself, or to where nobody may look, hides no other file.
        return False


def list_images(folder: Path | str) -> list[Path]:
    """The images of a folder, in the order people count. Raises UnreadableImage."""
    return list_folder(folder).images


def is_image(file: Path) -> bool:
    """Whether a file is taken for an image to outline: by its name and what lies beside it.

    Not opened; it need not be there. For many files of a folder `list_images` is much faster.
    """
    name = file.name
    if not _can_be_image(name):
        return False
    if not _depends_on_others(name):
        return True
    try:
        with os.scandir(file.parent) as entries:
            beside = [entry.name for entry in entries]
    except OSError:
        beside = []
    return bool(_images([name], beside))


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return stem, dot + suffix


def _can_be_image(name: str) -> bool:
    stem, suffix = _split(name)
    known = suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
    return known and not _MAP.search(stem)


def _depends_on_others(name: str) -> bool:
    ends_so = _MAP_OF_ANOTHER.search(_split(name)[0])
    return bool(ends_so) or name.lower().endswith(_VARIANCE)


def _images(names: Iterable[str], beside: Iterable[str]) -> list[str]:
    """Those of the names that are images, in a folder of the names `beside`; letter case is one."""
    candidates = [name for name in names if _can_be_image(name)]
    if not any(map(_depends_on_others, candidates)):
        return candidates
    pictures, records = set(), set()
    for name in beside:
        stem, suffix = _split(name.casefold())
        if suffix == ".json":
            records.add(stem)
        elif suffix in IMAGE_SUFFIXES or suffix in _UNREAD:
            pictures.add(stem)

    def stands_alone(name: str) -> bool:
        name = name.casefold()
        if name.endswith(_VARIANCE) and name.removesuffix(_VARIANCE) in records:
            return False
        stem = _split(name)[0]
        shorter = _MAP_OF_ANOTHER.sub("", stem)
        return shorter == stem or shorter not in pictures

    return [name for name in candidates if stands_alone(name)]


def _counting_order(name: str) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], name
