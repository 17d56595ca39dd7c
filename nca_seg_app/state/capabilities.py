"""What holds now is computed from the session in one place; nothing else decides enablement."""

from __future__ import annotations

from enum import Flag, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nca_seg_app.session import Session


class Has(Flag):
    """Facts about the session that actions need."""

    NOTHING = 0
    IMAGE = auto()
    MODEL = auto()
    OWN_MODEL = auto()  # the chosen model is a person's own, not a shipped one
    IDLE = auto()  # no job runs
    RUNNING = auto()  # a segmentation runs, paused or not
    PAUSED = auto()  # the running segmentation waits
    LEARNING = auto()  # a fine-tuning runs
    EXPORTING = auto()  # a data set is being written
    SURVEYING = auto()  # the doubt of all new images is being found
    CANDIDATE = auto()  # a fine-tuned model waits to be accepted or discarded
    RESULT = auto()  # the model has a proposal
    MASK = auto()  # the document's mask is not empty
    UNSAVED = auto()
    STUDY = auto()
    SAVED_MASKS = auto()  # the study holds masks to learn from
    CAN_UNDO = auto()
    CAN_REDO = auto()
    NEXT = auto()
    PREVIOUS = auto()
    RECENT = auto()


def facts(session: Session) -> Has:
    """Everything that holds for the session now."""
    document, segmentation, fine_tuning = (
        session.document,
        session.segmentation,
        session.fine_tuning,
    )
    image, result = session.image, segmentation.result
    if session.opening.preview_hwc is not None:
        # Another image is seen already: what is done now must not fall on the one behind it.
        document = image = result = None
    holds = {
        Has.IMAGE: image is not None,
        Has.MODEL: session.model is not None,
        Has.OWN_MODEL: session.model is not None and not session.model.shipped,
        Has.IDLE: session.jobs.current is None,
        Has.RUNNING: segmentation.running,
        Has.PAUSED: segmentation.paused,
        Has.LEARNING: fine_tuning.running,
        Has.EXPORTING: session.export.running,
        Has.SURVEYING: session.lookahead.surveys,
        Has.CANDIDATE: fine_tuning.candidate is not None,
        Has.RESULT: result is not None,
        Has.MASK: document is not None and not document.is_empty,
        Has.UNSAVED: document is not None and document.unsaved,
        Has.STUDY: session.study is not None,
        Has.SAVED_MASKS: any(row.has_mask for row in session.images),
        Has.CAN_UNDO: document is not None and document.can_undo,
        Has.CAN_REDO: document is not None and document.can_redo,
        Has.NEXT: session.image_order.neighbour(1) is not None,
        Has.PREVIOUS: session.image_order.neighbour(-1) is not None,
        Has.RECENT: bool(session.settings.recent),
    }
    state = Has.NOTHING
    for fact, true in holds.items():
        if true:
            state |= fact
    return state
