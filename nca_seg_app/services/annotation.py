"""Reads an image with its saved mask and its draft, and turns them into a document to edit."""

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
    """Where a mask came from, and the mask as it came, packed to one bit a pixel.

    `origin` is None if that is not known.
    """

    origin: Origin | None
    bits: bytes

    @classmethod
    def of(cls, origin: Origin | None, mask_hw: Mask) -> Source:
        """The source of the mask `mask_hw`, which came from `origin`."""
        return cls(origin, zlib.compress(np.packbits(mask_hw).tobytes(), 1))

    def origin_of(self, mask_hw: Mask) -> Origin | None:
        """The origin of `mask_hw`, an edited form of the mask, with the changed pixels counted.

        None if the origin is not known.
        """
        if self.origin is None:
            return None
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
        first = np.unpackbits(packed, count=mask_hw.size).view(np.bool_)
        changed = int(np.count_nonzero(first != mask_hw.ravel()))
        return dataclasses.replace(self.origin, pixels_changed=self.origin.pixels_changed + changed)


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image as read from disk, with its saved mask and its draft.

    Parameters
    ----------
    image : the image.
    base : the versions of image and mask on disk, or those that the draft was drawn over.
    mask_hw, source : the saved mask and where it came from.
    draft_hw, draft_source : a newer, unsaved mask and where it came from.
    draft_seen : the draft's file.
    is_outdated : whether the draft was drawn over other versions than those on disk.
    reviewed : whether the saved mask is reviewed.
    trouble : why a draft could not be used, or None.
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
        """The document to edit; a draft is in it as an unsaved step that can be undone."""
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
    """Read the image at `path` with its saved mask and its draft.

    Parameters
    ----------
    study : the image's folder.
    path : the image's file.
    read : reads the image itself, for example from memory.

    Raises
    ------
    UnreadableMask : if the saved mask cannot be used, and whatever `read` raises.
    """
    # Taken before reading, so that a change meanwhile is noticed when the mask is saved.
    base = study.base(path)
    return with_annotation(study, read(path), path, base)


def with_annotation(study: Study, image: Image, path: Path, base: Base) -> OpenedImage:
    """Add the saved mask, and the draft if it is newer, to an image that is read already.

    Parameters
    ----------
    study : the image's folder.
    image, path : the image and its file.
    base : the versions on disk from before the image was read.

    Raises
    ------
    UnreadableMask : if the saved mask cannot be used. A draft that cannot be used is `trouble`.
    """
    shape = (image.height, image.width)
    opened = OpenedImage(image, base)
    saved = study.load(path, shape)
    if saved is not None:
        source, reviewed = Source.of(saved.record.origin, saved.mask_hw), saved.record.reviewed
        opened = OpenedImage(image, base, saved.mask_hw, source, reviewed=reviewed)
    try:
        draft = study.load_draft(path, shape)
    except EngineError as error:
        # The image is opened without the draft, but the person must be told of its loss.
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
