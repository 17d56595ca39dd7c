"""Edits the whole mask: undo and redo, and slow edits computed beside the person's drawing."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from engine.masks import edits
from nca_seg_app.services.context import Context
from nca_seg_app.state.document import Edit, Mask, MaskDocument, PackedPatch, pack

#: Radius of `smooth()` as a share of the image's shorter side.
SMOOTH_SHARE = 0.005


class MaskEdits(QObject):
    """Commands on the open mask; each is one undo step."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace

    def undo(self) -> None:
        """Take the last step back."""
        if self._workspace.document is not None:
            self._workspace.document.undo()

    def redo(self) -> None:
        """Bring the last undone step back."""
        if self._workspace.document is not None:
            self._workspace.document.redo()

    def fill_holes(self) -> None:
        """Fill what the outline encloses."""
        self.apply("Fill holes", edits.fill_holes)

    def keep_largest(self) -> None:
        """Remove all but the largest connected area."""
        self.apply("Keep largest", edits.keep_largest)

    def smooth(self) -> None:
        """Round the outline a little, in proportion to the image."""
        if (image := self._workspace.image) is not None:
            radius_px = max(1.0, SMOOTH_SHARE * min(image.height, image.width))
            self.apply("Smooth", lambda mask_hw: edits.smooth(mask_hw, radius_px))

    def clear(self) -> None:
        """Empty the mask."""
        self.apply("Clear", lambda mask_hw: edits.replace(mask_hw, mask_hw & False))

    def apply(self, text: str, edit: Edit) -> None:
        """Apply a slow edit to the open mask as one undo step called `text`."""
        if self._workspace.document is not None:
            edit_aside(self._context, self._workspace.document, text, edit)


def edit_aside(
    context: Context,
    document: MaskDocument,
    text: str,
    edit: Edit,
    *,
    note: Callable[[Mask], object] | None = None,
    done: Callable[[], None] = lambda: None,
    refused: Callable[[BaseException], None] | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Compute an edit off the main thread and push it as one undo step.

    Where the mask is changed meanwhile the edit is computed again; while something is drawn it
    waits. Nothing is pushed where another image is open by then.

    Parameters
    ----------
    text : what the undo step is called.
    note : given the new mask, makes the document's note of the step; in any thread.
    done : called once the step is taken, also where the mask was like that already.
    refused : told an error in place of `context.fail`.
    wanted : whether the edit is still wanted once it has been computed.
    """
    revision, snapshot = document.revision, document.snapshot()

    def work() -> tuple[PackedPatch | None, object]:
        mask_hw = snapshot()
        packed = pack(edit(mask_hw))
        if packed is None or note is None:
            return packed, None
        packed.flip(mask_hw)
        return packed, note(mask_hw)

    def push(edited: tuple[PackedPatch | None, object]) -> None:
        if document is not context.workspace.document or not wanted():
            return
        if document.drawing:
            document.when_still(lambda: push(edited))
        elif document.revision != revision:
            edit_aside(
                context, document, text, edit, note=note, done=done, refused=refused, wanted=wanted
            )
        else:
            if not document.push(text, *edited):
                context.message.emit(f"{text}: the mask is like that already.")
            done()

    context.lane.run(work, push, refused or context.fail)
