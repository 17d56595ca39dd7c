"""A slow edit is computed beside the person's drawing and never written over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nca_seg_app.state.document import Edit, Mask, MaskDocument, PackedPatch, pack

if TYPE_CHECKING:
    from nca_seg_app.session import Session


def edit_aside(
    session: Session,
    document: MaskDocument,
    text: str,
    edit: Edit,
    then: Callable[[], None] | None = None,
    note: Callable[[Mask], object] | None = None,
    *,
    wanted: Callable[[], bool] = lambda: True,
    refused: Callable[[BaseException], None] | None = None,
) -> None:
    """Compute `edit` in the session's lane and push it as one undo step; see Session.edit_aside.

    Not where it is not `wanted` any more by then. An error is told to `refused` in the session's
    stead.
    """
    revision, snapshot = document.revision, document.snapshot()

    def work() -> tuple[PackedPatch | None, object]:
        mask_hw = snapshot()
        packed = pack(edit(mask_hw))
        if packed is None or note is None:
            return packed, None
        packed.flip(mask_hw)
        return packed, note(mask_hw)

    def done(edited: tuple[PackedPatch | None, object]) -> None:
        if document is not session.document or not wanted():
            return
        if document.drawing:
            document.when_still(lambda: done(edited))
        elif document.revision != revision:
            edit_aside(session, document, text, edit, then, note, wanted=wanted, refused=refused)
        else:
            if not document.push(text, *edited):
                session.message.emit(f"{text}: the mask is like that already.")
            if then is not None:
                then()

    session.lane.run(work, done, refused or session.fail)
