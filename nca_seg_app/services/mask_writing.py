"""Makes the tasks that write an open mask: to save it, draft it, or resolve a conflict about it."""

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
    """What is on disk for an open mask, as far as its window knows.

    Tasks update it in the lane, where they run one after the other. `draft` is the file of a
    recovered draft.
    """

    base: Base
    draft: Seen | None = None


@dataclass(frozen=True, eq=False)
class OpenMask:
    """A mask that is being edited and the image that it belongs to.

    Tasks keep it, because another image may be open by the time they run.
    """

    study: Study
    path: Path
    document: MaskDocument
    on_disk: OnDisk


def save_task(mask: OpenMask, reviewed: bool) -> Callable[[], Path]:
    """A task that saves the mask as it is now, `reviewed` or not, and gives the path of its file.

    The task raises ChangedOutside if image or saved mask were changed by somebody else.
    """
    snapshot, on_disk = _snapshot(mask), mask.on_disk

    def work() -> Path:
        mask_hw, origin = snapshot()
        path, on_disk.base = mask.study.save_over(
            on_disk.base, mask.path, mask_hw, origin, reviewed
        )
        return path

    return work


def draft_task(mask: OpenMask) -> Callable[[], Path]:
    """A task that writes the mask as it is now as a draft, and gives the path of its file."""
    snapshot, on_disk = _snapshot(mask), mask.on_disk

    def work() -> Path:
        return mask.study.save_draft(mask.path, *snapshot(), on_disk.base)

    return work


def resolve_task(mask: OpenMask, error: ChangedOutside, whose: Whose) -> Callable[[], Path | None]:
    """A task that carries out a person's decision about a conflict.

    A change that comes after the person was asked is a conflict again.

    Parameters
    ----------
    mask : the mask that could not be saved.
    error : the conflict.
    whose : "theirs" puts an unsaved mask aside as a copy, "both" the mask on disk. Unless it is
        "theirs", saving may then replace what is on disk.

    Returns
    -------
    The task, which gives the path of the copy, or None if none is made.
    """
    snapshot, study, unsaved = _snapshot(mask), mask.study, mask.document.unsaved

    def work() -> Path | None:
        if whose == "theirs":
            # What is on disk becomes the base when it is opened.
            return study.keep_copy(mask.path, *snapshot()) if unsaved else None
        copy = study.keep_copy(mask.path) if whose == "both" and error.found.mask else None
        # If mask and image both changed, the person is asked about one after the other.
        changed = {error.what: getattr(error.found, error.what)}
        mask.on_disk.base = dataclasses.replace(mask.on_disk.base, **changed)
        return copy

    return work


def _snapshot(mask: OpenMask) -> Callable[[], tuple[Mask, Origin | None]]:
    """A function that gives the present mask and its origin, later and in any thread."""
    take, source = mask.document.snapshot(), mask.document.note

    def snapshot() -> tuple[Mask, Origin | None]:
        mask_hw = take()
        if isinstance(source, Source):
            return mask_hw, source.origin_of(mask_hw)
        # A mask without a source was drawn by hand alone.
        return mask_hw, Origin(pixels_changed=int(np.count_nonzero(mask_hw)))

    return snapshot
