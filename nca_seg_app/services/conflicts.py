"""Where somebody else changed what is to be saved over, a person says whose work is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ChangedOutside
from nca_seg_app.services.engine import Whose
from nca_seg_app.services.mask_writing import OpenMask, resolve_task, save_task

if TYPE_CHECKING:
    from nca_seg_app.session import Session


def settle(
    session: Session, mask: OpenMask, error: ChangedOutside, save_again: Callable[[], None]
) -> None:
    """Keep theirs, mine or both, as is answered; `save_again` writes mine."""
    if session.opening.asks:
        # The answer to the question that is open is for this one, too.
        return
    whose = _ask(session, mask, error)
    if whose == "cancel":
        session.message.emit(f"Nothing was saved: {error.path.name} was changed outside.")
        return
    state = mask.document.state

    def go(copy: Path | None) -> None:
        if mask.document is not session.document:
            return
        if whose == "theirs":
            # What was drawn since the answer is in no copy.
            mask.document.mark_saved(state)
            if not mask.document.unsaved:
                session.saving.drop_draft()
            session.opening.reload()
        else:
            save_again()
        if copy is not None:
            # Later than what saving or reading says.
            session.lane.run(
                lambda: None,
                lambda _: session.message.emit(f"The other mask is kept as {copy.name}."),
            )

    session.lane.run(resolve_task(mask, error, whose), go, session.fail)


def saved_last(session: Session, mask: OpenMask, reviewed: bool) -> bool:
    """Save while the program waits; False where a person has to be asked once more.

    Raises what keeps the mask from being saved, ChangedOutside where that is the answer.
    """
    try:
        session.lane.wait(save_task(mask, reviewed))
    except ChangedOutside as error:
        whose = _ask(session, mask, error)
        if whose == "cancel":
            raise
        session.lane.wait(resolve_task(mask, error, whose))
        if whose != "theirs":
            return False
    mask.document.mark_saved(mask.document.state)
    return True


def _ask(session: Session, mask: OpenMask, error: ChangedOutside) -> Whose:
    return session.opening.asking(lambda: session.prompts.ask_whose(mask.path.name, error))
