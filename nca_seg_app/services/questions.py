"""Puts the questions about the open mask to a person, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from engine.errors import ChangedOutside
from nca_seg_app.services.context import Context
from nca_seg_app.services.mask_writing import OpenMask
from nca_seg_app.services.prompts import Answer, Whose

Reply = TypeVar("Reply")


class Questions(QObject):
    """Questions about the open mask.

    The window lives on while one is open, but no other image takes the place of the one it is
    about: whatever is being opened is given up at `asked`, and nothing else begins to open.
    """

    #: A question is about to be put.
    asked = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether a question waits for its answer."""
        return self._is_open

    def ask_save(self, mask: OpenMask) -> Answer:
        """What a person wants with the unsaved changes of `mask`; "discard" where it has none."""
        mask.document.rollback()
        if not mask.document.unsaved:
            return "discard"
        return self._ask(lambda: self._context.prompts.ask_save(mask.path.name))

    def ask_whose(self, mask: OpenMask, error: ChangedOutside) -> Whose:
        """Whose mask is kept, where another window or program wrote one meanwhile."""
        return self._ask(lambda: self._context.prompts.ask_whose(mask.path.name, error))

    def _ask(self, question: Callable[[], Reply]) -> Reply:
        self.asked.emit()
        self._is_open = True
        try:
            return question()
        finally:
            self._is_open = False
