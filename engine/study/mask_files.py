"""Finds the mask file of each image of a study, and tells its versions apart."""

from __future__ import annotations

import filecmp
import hashlib
import os
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import StudyProblem
from engine.files import stamp
from engine.images.formats import IMAGE_SUFFIXES
from engine.images.listing import list_images
from engine.masks.files import find_mask, mask_name
from engine.study.records import read_record, read_record_of, study_trouble

#: The folder for masks beside the images, and the index of a study in it.
MASKS, INDEX = "segmentations", "study.sqlite"

#: For each folder the names of the files in it.
Names = Mapping[Path, set[str]]


@dataclass(frozen=True)
class MaskFiles:
    """The mask files of the images in `folder`; they lie in `places`, new ones go to `new_place`.

    Of images of one stem (a.jpg, a.png) the first to be saved keeps `a_segmentation.png`; the
    others have their whole name in that of their mask. Raises StudyProblem where a file system
    fails.
    """

    folder: Path
    places: tuple[Path, ...]
    new_place: Path

    def find(self, image_path: Path) -> tuple[Path, bool]:
        """The file where an image's mask belongs, and whether a mask of this image lies there."""
        own = self.own(image_path)
        if own:
            # Two where the folder was read-only for a time.
            first = self.is_away or len(own) == 1
            return (own[0] if first else max(own, key=_saved_at)), True
        taken = any(find_mask(place, image_path.stem) for place in self.places)
        return self.new_place / mask_name(image_path.name if taken else image_path.stem), False

    def own(self, image_path: Path) -> list[Path]:
        """The masks of an image, in the order of the places; more than one is rare."""
        # A mask with the whole name of its image can be of no other.
        for stem in (image_path.name, image_path.stem):
            found = [path for place in self.places if (path := find_mask(place, stem))]
            if own := [path for path in found if self._is_of(path, image_path, stem)]:
                return own
        return []

    @property
    def is_away(self) -> bool:
        """Whether new masks go to another folder than the images'; old ones beside them stay."""
        return self.new_place.parent != self.folder

    def names(self) -> Names:
        """What lies in all places, for looking many images up at once."""
        with study_trouble(self.folder):
            return {place: {file.name for file in os.scandir(place)} for place in self.places}

    def stamp(self, image_path: Path, names: Names) -> str:
        """Text that changes with every write to what may be an image's mask, or its record."""
        stamps = []
        for stem in (image_path.stem, image_path.name):
            plain = mask_name(stem)
            for name in (plain, plain.replace("_seg", "_Seg")):
                stamps += [_stamp(place, name) for place, held in names.items() if name in held]
        return "|".join(stamps)

    def version(self, image_path: Path) -> str:
        """The version of an image's saved mask; empty where there is none."""
        path, owned = self.find(image_path)
        return mask_version(path) if owned else ""

    def is_saved(self, image_path: Path, draft: Path) -> bool:
        """Whether a draft is byte for byte the saved mask of an image."""
        path, owned = self.find(image_path)
        try:
            return owned and filecmp.cmp(path, draft, shallow=False)
        except OSError:
            return False

    def _is_of(self, mask_path: Path, image_path: Path, stem: str) -> bool:
        """Whether a mask that is called by `stem` is of an image."""
        owner = ""
        with suppress(StudyProblem):
            owner = read_record(mask_path).image
        # A record that names an image of another stem is not of this mask.
        if stem in (owner, Path(owner).stem) and (self.folder / owner).exists():
            return owner == image_path.name or self._is_same(owner, image_path)
        # Nobody knows: the first image of that name that has no mask of its own.
        suffixes = {each for suffix in IMAGE_SUFFIXES for each in (suffix, suffix.upper())}
        names = {f"{stem}{suffix}" for suffix in suffixes} | {image_path.name}
        there = (
            name
            for name in sorted(names)
            if (self.folder / name).exists()
            and (name == stem or not any(find_mask(place, name) for place in self.places))
        )
        return next(there, None) == image_path.name

    def _is_same(self, name: str, image_path: Path) -> bool:
        """Whether a name is another spelling of an image's, on a file system that takes both."""
        plain = [unicodedata.normalize("NFC", each).casefold() for each in (name, image_path.name)]
        if plain[0] != plain[1]:
            return False
        with suppress(OSError):
            return (self.folder / name).samefile(image_path)
        return False


def keeps_masks(folder: Path) -> bool:
    """Whether what is written into a folder counts as masks that a person saved, or soon could.

    It holds the index of a study, or is called as a study calls it beside images.
    """
    folder = Path(folder).resolve()
    if (folder / INDEX).exists():
        return True
    # In any case: many file systems take "A" and "a" for one name.
    if folder.name.casefold() != MASKS or not folder.parent.is_dir():
        return False
    return bool(list_images(folder.parent))


def image_version(path: Path) -> str:
    """The hash of an image's file; empty where there is none."""
    if not path.is_file():
        return ""
    with study_trouble(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def mask_version(path: Path) -> str:
    """The version of a mask that is there."""
    record, digest = read_record_of(path)
    return version_of(digest, record.reviewed)


def version_of(digest: str, reviewed: bool) -> str:
    """The version of a mask whose file has this hash."""
    return f"{digest} reviewed" if reviewed else digest


def _stamp(place: Path, name: str) -> str:
    """Text that changes with every write of a mask or its record; empty without a mask."""
    # As text: a folder has many thousands of masks, and paths take their time.
    found = [stamp(f"{place}{os.sep}{each}") for each in (name, f"{name[:-4]}.json")]
    return repr(found) if found[0] is not None else ""


def _saved_at(path: Path) -> datetime:
    try:
        return read_record(path).saved_at
    except StudyProblem:
        return datetime.fromtimestamp(0, UTC)
