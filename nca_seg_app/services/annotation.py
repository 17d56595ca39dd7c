"""An image as it comes from the disk: its mask, its unsaved drawing, and what they lie over."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject

from engine.errors import EngineError
from engine.images.reading import read_image
from engine.masks.edits import replace
from engine.study.records import Seen
from engine.study.study import Study
from engine.types import Base, Image, Origin
from nca_seg_app.state.document import Mask, MaskDocument


@dataclass(frozen=True)
class Source:
    """Where a mask came from (None: not known), and the mask as it came, one bit a pixel."""

    origin: Origin | None
    bits: bytes

    @classmethod
    def of(cls, origin: Origin | None, mask_hw: Mask) -> Source:
        """The source of a mask that is `mask_hw` at this moment."""
        return cls(origin, zlib.compress(np.packbits(mask_hw).tobytes(), 1))

    def origin_of(self, mask_hw: Mask) -> Origin | None:
        """The origin of what the mask has become; counts the pixels changed since.

        What is not known stays so.
        """
        if self.origin is None:
            return None
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
        first = np.unpackbits(packed, count=mask_hw.size).view(np.bool_)
        changed = int(np.count_nonzero(first != mask_hw.ravel()))
        return dataclasses.replace(self.origin, pixels_changed=self.origin.pixels_changed + changed)


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image as it comes from the disk, with what was drawn on it before.

    `source` describes `mask_hw`; `draft_source` describes `draft_hw`, a newer unsaved mask whose
    file is `draft_seen`. `base` is what lies on disk, or what the draft was drawn over, which then
    `is_outdated` if it is something else. `trouble` tells why a draft could not be used.
    """

    image: Image
    base: Base
    mask_hw: Mask | None = None
    source: Source | None = None
    draft_hw: Mask | None = None
    draft_source: Source | None = None
    draft_seen: Seen | None = None
    is_outdated: bool = False
    reviewed: bool = False
    trouble: EngineError | None = None

    def document(self, parent: QObject) -> MaskDocument:
        """The mask to edit: a draft lies over the saved mask as an undoable, unsaved step."""
        shape = (self.image.height, self.image.width)
        document = MaskDocument(shape, self.mask_hw, self.source, parent)
        if self.draft_hw is not None:
            draft_hw = self.draft_hw
            document.edit(
                "Recover drawing", lambda mask_hw: replace(mask_hw, draft_hw), self.draft_source
            )
        return document


def read_opened(
    study: Study, path: Path, read: Callable[[Path], Image] = read_image
) -> OpenedImage:
    """The image at `path` with mask and draft. Raises what the engine's readers raise."""
    # Before anything is read: what changes meanwhile is noticed when it is to be replaced.
    base = study.base(path)
    return with_annotation(study, read(path), path, base)


def with_annotation(study: Study, image: Image, path: Path, base: Base) -> OpenedImage:
    """An image already read, with its mask and, where it holds something newer, its draft."""
    shape = (image.height, image.width)
    opened = OpenedImage(image, base)
    saved = study.load(path, shape)
    if saved is not None:
        source, reviewed = Source.of(saved.record.origin, saved.mask_hw), saved.record.reviewed
        opened = OpenedImage(image, base, saved.mask_hw, source, reviewed=reviewed)
    try:
        draft = study.load_draft(path, shape)
    except EngineError as error:
        # A draft is not worth keeping anyone from the image, but its loss must be told.
        return dataclasses.replace(opened, trouble=error)
    if draft is not None and draft.newer:
        over = draft.record.over or base
        opened = dataclasses.replace(
            opened,
            base=over,
            draft_hw=draft.mask_hw,
            draft_source=Source.of(draft.record.origin, draft.mask_hw),
            draft_seen=draft.seen,
            is_outdated=over != base,
        )
    return opened
