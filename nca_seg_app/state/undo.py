"""Keeps the undo steps of a mask as packed differences, and knows which state is saved on disk."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import Patch

Mask = NDArray[np.bool_]

#: The most steps that are kept, and the memory they may take; a usual stroke takes a few hundred
#: bytes. Older steps are dropped and can no longer be undone.
UNDO_STEPS = 1000
UNDO_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class PackedPatch:
    """The pixels that a patch changes in a rectangle of the mask, one bit each, compressed.

    Undo and redo are the same operation: `flip` inverts these pixels.
    """

    top: int
    left: int
    height: int
    width: int
    bits: bytes

    def flip(self, mask_hw: Mask) -> None:
        """Apply the change to `mask_hw` in place, or take it back."""
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
        flips = np.unpackbits(packed, count=self.height * self.width).view(np.bool_)
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        mask_hw[rows, columns] ^= flips.reshape(self.height, self.width)


def pack(patch: Patch | None) -> PackedPatch | None:
    """The patch packed and cropped to the pixels that it changes; None if it changes none."""
    if patch is None:
        return None
    flips_hw = patch.before_hw ^ patch.after_hw
    rows = np.flatnonzero(flips_hw.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(flips_hw.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    bits = zlib.compress(np.packbits(flips_hw[top:bottom, left:right]).tobytes(), 1)
    return PackedPatch(patch.top + top, patch.left + left, bottom - top, right - left, bits)


@dataclass(frozen=True)
class UndoStep:
    """A change of the mask that can be undone.

    Parameters
    ----------
    text : what it is called in the menu, for example "Brush stroke".
    packed : the change.
    note : what is known of the mask from this step on, for example its origin, or None.
    """

    text: str
    packed: PackedPatch
    note: object = None


class History:
    """The undo steps, how many of them are applied now, and which state is saved on disk.

    `note` is what is known of the mask before any step.
    """

    def __init__(self, note: object) -> None:
        self._steps: list[UndoStep] = []
        self._place = 0
        self._first_note = note
        #: Stands for the state before all steps; once steps were dropped, the last of these.
        self._first: object = object()
        self._clean: object | None = self._first

    @property
    def texts(self) -> tuple[str, ...]:
        """The names of all steps, oldest first, undone ones included."""
        return tuple(step.text for step in self._steps)

    @property
    def place(self) -> int:
        """How many of the steps are applied now."""
        return self._place

    @property
    def before(self) -> UndoStep | None:
        """The step that undo would take back, or None."""
        return self._steps[self._place - 1] if self._place else None

    @property
    def after(self) -> UndoStep | None:
        """The step that redo would apply, or None."""
        return self._steps[self._place] if self._place < len(self._steps) else None

    @property
    def state(self) -> object:
        """An object that stands for the present state: the same one whenever that state returns.

        It is the step that led to the state. A number of steps would not do, because it means
        another state after steps are replaced or dropped.
        """
        return self.before or self._first

    @property
    def is_clean(self) -> bool:
        """Whether the present state is the one on disk."""
        return self.state is self._clean

    @property
    def note(self) -> object:
        """The note of the newest applied step that has one, else that of the beginning."""
        for step in reversed(self._steps[: self._place]):
            if step.note is not None:
                return step.note
        return self._first_note

    def push(self, step: UndoStep) -> None:
        """Add a step that is applied already; drops undone steps, and the oldest if too many."""
        del self._steps[self._place :]
        self._steps.append(step)
        self._place += 1
        used = sum(len(each.packed.bits) for each in self._steps)
        while len(self._steps) > UNDO_STEPS or (used > UNDO_BYTES and len(self._steps) > 1):
            oldest = self._first = self._steps.pop(0)
            used -= len(oldest.packed.bits)
            self._first_note = self._first_note if oldest.note is None else oldest.note
            self._place -= 1

    def move(self, step: int) -> None:
        """Count one step less (-1) or more (1) as applied."""
        self._place = min(len(self._steps), max(0, self._place + step))

    def mark_clean(self, state: object) -> None:
        """Note that `state`, a present or former value of `History.state`, is saved on disk."""
        self._clean = state

    def mark_dirty(self) -> None:
        """Note that no state is known to be saved on disk."""
        self._clean = None
