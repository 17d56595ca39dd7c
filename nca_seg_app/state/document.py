"""Holds the mask that is being edited, through which every change of it goes and can be undone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, QRect, QTimer, Signal

from engine.types import Patch
from nca_seg_app.state.undo import History, Mask, PackedPatch, UndoStep, pack

__all__ = ["Edit", "Mask", "MaskDocument", "PackedPatch", "pack"]

#: A pure function from the mask, bool (height, width), to its change; None changes nothing.
Edit = Callable[[Mask], Patch | None]
#: How often it is checked whether a stroke has ended.
STROKE_MS = 30


class MaskDocument(QObject):
    """Holds the mask of one image with its undo steps, and signals which pixels change.

    A stroke is a transaction: `begin()` at mouse-down, `draw(edit)` on each move, `commit(text)`
    at mouse-up, `rollback()` on Escape. Everything else is `edit(text, edit)`. Edits are pure
    functions of the mask, such as those of `engine.masks.edits`.

    Parameters
    ----------
    shape : (height, width) of the image in pixels.
    mask_hw : the mask to begin with, which is copied; empty by default.
    note : what is known of that mask, for example its origin.
    parent : the Qt parent.

    Raises
    ------
    ValueError : if `mask_hw` has another shape.
    """

    #: Pixels that may differ from before (x = column, y = row, in image pixels).
    changed = Signal(QRect)
    #: Something about undo, redo or the unsaved mark changed.
    history_changed = Signal()

    def __init__(
        self,
        shape: tuple[int, int],
        mask_hw: Mask | None = None,
        note: object = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        if mask_hw is not None and mask_hw.shape != shape:
            raise ValueError(f"the mask is {mask_hw.shape}, the image {shape}")
        self._mask_hw: Mask = np.zeros(shape, bool) if mask_hw is None else mask_hw.astype(bool)
        self._history = History(note)
        self._revision = 0
        #: (revision, whether the mask was empty then), so that it is searched once a revision.
        self._emptiness = (0 if mask_hw is None else -1, True)
        self._tool = ""
        self._strokes: list[Patch] = []

    # What it holds

    @property
    def mask_hw(self) -> Mask:
        """The mask, bool (height, width), as a read-only view that follows all changes."""
        view = self._mask_hw.view()
        view.flags.writeable = False
        return view

    def snapshot(self) -> Callable[[], Mask]:
        """A function that gives the present mask, bool (height, width), later and in any thread."""
        # Packed to eight pixels a byte: a plain copy of 24 megapixels takes the window up to 60 ms.
        packed, shape = np.packbits(self._mask_hw), self.shape
        count = self._mask_hw.size
        return lambda: np.unpackbits(packed, count=count).view(np.bool_).reshape(shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self._mask_hw.shape
        return height, width

    @property
    def revision(self) -> int:
        """A number that differs after every change of the mask, also within a stroke."""
        return self._revision

    @property
    def state(self) -> object:
        """An object that stands for the present mask: the same one if undo or redo lead back."""
        return self._history.state

    @property
    def is_empty(self) -> bool:
        """Whether no pixel is lesion."""
        # It is asked at every event of a run, and searching a large mask each time would be felt.
        if self._emptiness[0] != self._revision:
            self._emptiness = (self._revision, not self._mask_hw.any())
        return self._emptiness[1]

    @property
    def unsaved(self) -> bool:
        """Whether the mask differs from what was last saved."""
        return bool(self._strokes) or not self._history.is_clean

    @property
    def drawing(self) -> bool:
        """Whether a stroke is under way."""
        return bool(self._tool)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return self._history.before is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return self._history.after is not None

    @property
    def undo_text(self) -> str:
        """The name of the step that undo would take back, for example "Brush stroke", or ""."""
        step = self._history.before
        return step.text if step is not None else ""

    @property
    def redo_text(self) -> str:
        """The name of the step that redo would bring back, or ""."""
        step = self._history.after
        return step.text if step is not None else ""

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the undo steps, oldest first, undone ones included."""
        return self._history.texts

    @property
    def place(self) -> int:
        """How many of `steps` are applied now."""
        return self._history.place

    # A stroke

    def begin(self, tool: str) -> None:
        """Begin a stroke of `tool`; a stroke under way is taken back first."""
        self.rollback()
        self._tool = tool or "tool"

    def draw(self, edit: Edit) -> None:
        """Apply one edit of the stroke under way. Raises RuntimeError if there is no stroke."""
        if not self._tool:
            raise RuntimeError("draw() outside begin() and commit()")
        patch = edit(self.mask_hw)
        if patch is None:
            return
        self._write(patch.top, patch.left, patch.after_hw)
        self._strokes.append(patch)

    def commit(self, text: str) -> bool:
        """End the stroke as one undo step called `text`; False if it changed no pixel."""
        strokes, self._strokes, self._tool = self._strokes, [], ""
        packed = pack(_union(self._mask_hw, strokes))
        if packed is not None:
            self._push(text, packed, written=True)
        return packed is not None

    def rollback(self) -> None:
        """Take back the stroke under way."""
        strokes, self._strokes, self._tool = self._strokes, [], ""
        for patch in reversed(strokes):
            self._write(patch.top, patch.left, patch.before_hw)

    def when_still(self, go: Callable[[], None]) -> None:
        """Call `go` as soon as no stroke is under way; not if the document is deleted before."""
        if self.drawing:
            QTimer.singleShot(STROKE_MS, self, lambda: self.when_still(go))
        else:
            go()

    # One-shot edits

    def edit(self, text: str, edit: Edit, note: object = None) -> bool:
        """Apply one edit as one undo step called `text`; False if it changed no pixel.

        `note` is as for `push`.
        """
        self.rollback()
        return self.push(text, pack(edit(self.mask_hw)), note)

    def push(self, text: str, packed: PackedPatch | None, note: object = None) -> bool:
        """Apply an edit as one undo step; False if it changes no pixel.

        Parameters
        ----------
        text : what the step is called.
        packed : the edit, which must have been computed from the present revision.
        note : what is known of the mask from then on, until the step is undone.
        """
        self.rollback()
        if packed is not None:
            self._push(text, packed, written=False, note=note)
        return packed is not None

    @property
    def note(self) -> object:
        """The note of the newest applied step that has one, else that of the beginning."""
        return self._history.note

    def undo(self) -> None:
        """Take back the last step, or the stroke under way if there is one."""
        if self._tool:
            self.rollback()
        else:
            self._move(self._history.before, -1)

    def redo(self) -> None:
        """Apply the last undone step again."""
        if not self._tool:
            self._move(self._history.after, 1)

    # Saved or not

    def mark_saved(self, state: object) -> None:
        """Note that the mask is saved on disk as it was when `MaskDocument.state` was `state`."""
        self._history.mark_clean(state)
        self.history_changed.emit()

    def mark_unsaved(self) -> None:
        """Note that no state is known to be saved, for example while one is being written."""
        self._history.mark_dirty()
        self.history_changed.emit()

    # Inside

    def _push(self, text: str, packed: PackedPatch, *, written: bool, note: object = None) -> None:
        if not written:
            self._flip(packed)
        self._history.push(UndoStep(text, packed, note))
        self.history_changed.emit()

    def _move(self, step: UndoStep | None, places: int) -> None:
        if step is not None:
            self._flip(step.packed)
            self._history.move(places)
            self.history_changed.emit()

    def _flip(self, packed: PackedPatch) -> None:
        packed.flip(self._mask_hw)
        self._revision += 1
        self.changed.emit(QRect(packed.left, packed.top, packed.width, packed.height))

    def _write(self, top: int, left: int, values_hw: Mask) -> None:
        height, width = values_hw.shape
        self._mask_hw[top : top + height, left : left + width] = values_hw
        self._revision += 1
        self.changed.emit(QRect(left, top, width, height))


def _union(mask_hw: Mask, strokes: list[Patch]) -> Patch | None:
    """All patches of a stroke as one; `mask_hw` is the mask after them. None without patches."""
    if not strokes:
        return None
    top = min(patch.top for patch in strokes)
    left = min(patch.left for patch in strokes)
    bottom = max(patch.top + patch.after_hw.shape[0] for patch in strokes)
    right = max(patch.left + patch.after_hw.shape[1] for patch in strokes)
    after_hw = mask_hw[top:bottom, left:right].copy()
    before_hw = after_hw.copy()
    for patch in reversed(strokes):
        rows, columns = patch.before_hw.shape
        row, column = patch.top - top, patch.left - left
        before_hw[row : row + rows, column : column + columns] = patch.before_hw
    return Patch(top, left, before_hw, after_hw)
