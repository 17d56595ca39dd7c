"""Undo is a list of packed differences and a place in it; what falls off its end stays true."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import Patch

Mask = NDArray[np.bool_]

#: Steps kept, and the memory they may take; a usual stroke takes a few hundred bytes.
UNDO_STEPS = 1000
UNDO_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class PackedPatch:
    """What a patch changes, small enough to keep: one bit a pixel, compressed.

    A difference of bits is its own inverse, so writing it twice gives the first mask back.
    """

    top: int
    left: int
    height: int
    width: int
    bits: bytes

    def flip(self, mask_hw: Mask) -> None:
        """Write the change into `mask_hw`, or take it out again."""
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
        flips = np.unpackbits(packed, count=self.height * self.width).view(np.bool_)
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        mask_hw[rows, columns] ^= flips.reshape(self.height, self.width)


def pack(patch: Patch | None) -> PackedPatch | None:
    """The patch packed, cut to the pixels that differ; None where no pixel does."""
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
    """A change that can be taken out again: the only kind of undo step there is.

    `note` is what it says about the mask, or None.
    """

    text: str
    packed: PackedPatch
    note: object = None


class History:
    """The steps, how many of them hold now, and which state is on disk."""

    def __init__(self, note: object) -> None:
        self._steps: list[UndoStep] = []
        self._place = 0
        self._first_note = note
        #: The state below all steps; a step that has fallen off, once one has.
        self._first: object = object()
        self._clean: object | None = self._first

    @property
    def texts(self) -> tuple[str, ...]:
        """What the steps are called, oldest first, undone ones included."""
        return tuple(step.text for step in self._steps)

    @property
    def place(self) -> int:
        """How many of the steps hold now."""
        return self._place

    @property
    def before(self) -> UndoStep | None:
        """The step that undo would take out."""
        return self._steps[self._place - 1] if self._place else None

    @property
    def after(self) -> UndoStep | None:
        """The step that redo would write."""
        return self._steps[self._place] if self._place < len(self._steps) else None

    @property
    def state(self) -> object:
        """What holds now, as the step that led to it: the same object whenever it holds again.

        A place would not do: it comes to mean another state where steps are replaced or fall off.
        """
        return self.before or self._first

    @property
    def is_clean(self) -> bool:
        """Whether the state that holds now is the one on disk."""
        return self.state is self._clean

    @property
    def note(self) -> object:
        """What the newest step that holds and has a note says, or what was said at the start."""
        for step in reversed(self._steps[: self._place]):
            if step.note is not None:
                return step.note
        return self._first_note

    def push(self, step: UndoStep) -> None:
        """Add a step that holds; undone ones are gone, and the oldest where there are too many."""
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
        """Go one step back (-1) or forth (1)."""
        self._place = min(len(self._steps), max(0, self._place + step))

    def mark_clean(self, state: object) -> None:
        """`state`, once or now given by `state`, is on disk."""
        self._clean = state

    def mark_dirty(self) -> None:
        """No state is known to be on disk."""
        self._clean = None
