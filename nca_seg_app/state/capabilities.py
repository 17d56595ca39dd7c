"""Names the facts that decide which actions are enabled."""

from __future__ import annotations

from enum import Flag, auto


class Has(Flag):
    """Facts about what is open and what runs; an action needs some of them to be enabled."""

    NOTHING = 0
    IMAGE = auto()
    MODEL = auto()
    STYLES = auto()  # the chosen model can be told a style
    OWN_MODEL = auto()  # the chosen model is a person's own, not a shipped one
    IDLE = auto()  # no job runs
    RUNNING = auto()  # a segmentation runs, paused or not
    PAUSED = auto()  # the running segmentation waits
    LEARNING = auto()  # a fine-tuning runs
    FITTING = auto()  # a style is being fitted to the saved masks
    EXPORTING = auto()  # a data set is being written
    SURVEYING = auto()  # the expected errors of all new images are being found
    CANDIDATE = auto()  # a fine-tuned model waits to be accepted or discarded
    RESULT = auto()  # the model has a proposal
    TO_DISCARD = auto()  # a proposal, or what the model was shown for one
    MASK = auto()  # the document's mask is not empty
    UNSAVED = auto()
    STUDY = auto()
    SAVED_MASKS = auto()  # the study holds masks to learn from
    CAN_UNDO = auto()
    CAN_REDO = auto()
    NEXT = auto()
    PREVIOUS = auto()
    RECENT = auto()
