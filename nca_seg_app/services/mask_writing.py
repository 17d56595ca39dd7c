"""What is written of an open mask: work for the lane, which does one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import ChangedOutside
from engine.study.records import Seen
from engine.study.study import Study
from engine.types import Base, Origin
from nca_seg_app.services.annotation import Source
from nca_seg_app.services.prompts import Whose
from nca_seg_app.state.document import Mask, MaskDocument


@dataclass(eq=False)
class OnDisk:
    """What lies on disk under an open mask, as far as its window knows.

    Each write brings it up to date in the lane, where one write follows the other. `draft` is the
    file of a draft that was recovered.
    """

    base: Base
    draft: Seen | None = None


@dataclass(frozen=True, eq=False)
class OpenMask:
    """A mask under a person's hand and the image it belongs to, whatever is opened meanwhile."""

    study: Study
    path: Path
    document: MaskDocument
    on_disk: OnDisk


def save_task(mask: OpenMask, reviewed: bool) -> Callable[[], Path]:
    """The task that saves the mask as it is now, unless somebody changed what it lies over."""
    snapshot, on_disk = _snapshot(mask), mask.on_disk

    def work() -> Path:
        mask_hw, origin = snapshot()
        path, on_disk.base = mask.study.save_over(
            on_disk.base, mask.path, mask_hw, origin, reviewed
        )
        return path

    return work


def draft_task(mask: OpenMask) -> Callable[[], Path]:
    """The task that keeps the mask as it is now as a draft."""
    snapshot, on_disk = _snapshot(mask), mask.on_disk

    def work() -> Path:
        return mask.study.save_draft(mask.path, *snapshot(), on_disk.base)

    return work


def resolve_task(mask: OpenMask, error: ChangedOutside, whose: Whose) -> Callable[[], Path | None]:
    """The task that makes room for the mask, or puts it aside; gives the path of a copy, if any.

    Nothing is decided that was not seen: what has changed once more is a conflict again.
    """
    snapshot, study, unsaved = _snapshot(mask), mask.study, mask.document.unsaved

    def work() -> Path | None:
        if whose == "theirs":
            # What lies there becomes the base once it is shown.
            return study.keep_copy(mask.path, *snapshot()) if unsaved else None
        copy = study.keep_copy(mask.path) if whose == "both" and error.found.mask else None
        # A mask and an image that both changed are asked about one after the other.
        changed = {error.what: getattr(error.found, error.what)}
        mask.on_disk.base = dataclasses.replace(mask.on_disk.base, **changed)
        return copy

    return work


def _snapshot(mask: OpenMask) -> Callable[[], tuple[Mask, Origin | None]]:
    """A function that gives the mask as it is now and its origin, later and in any thread."""
    take, source = mask.document.snapshot(), mask.document.note

    def snapshot() -> tuple[Mask, Origin | None]:
        mask_hw = take()
        if isinstance(source, Source):
            return mask_hw, source.origin_of(mask_hw)
        # Without a source it is from a person's hand alone.
        return mask_hw, Origin(pixels_changed=int(np.count_nonzero(mask_hw)))

    return snapshot
