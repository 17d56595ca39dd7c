"""Holds back what is drawn on a proposal until that proposal has become the mask.

What is drawn on a proposal corrects it, so the proposal is accepted first. A large mask takes a
moment, in which the hand goes on.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from nca_seg_app.session import Session
from nca_seg_app.state.tools import DrawingTool, Point

#: How long the window may wait for steps that were held back, before it looks after events.
CATCHING_UP_S = 0.02


class Step(Protocol):
    """One thing that the hand did with a tool."""

    def apply(self) -> None:
        """Have the tool do it."""


@dataclass(frozen=True)
class Press:
    """The button went down at a point of the image; `pixel` as for `DrawingTool.press()`."""

    tool: DrawingTool
    point: Point
    erases: bool
    pixel: float

    def apply(self) -> None:
        """Have the tool do it."""
        self.tool.press(self.point, self.erases, self.pixel)


@dataclass(frozen=True)
class Drag:
    """The pointer moved to a point of the image with the button held."""

    tool: DrawingTool
    point: Point

    def apply(self) -> None:
        """Have the tool do it."""
        self.tool.drag(self.point)


@dataclass(frozen=True)
class Release:
    """The button went up."""

    tool: DrawingTool

    def apply(self) -> None:
        """Have the tool do it."""
        self.tool.release()


@dataclass(frozen=True)
class Finish:
    """What is drawn was ended by a key or a double click."""

    tool: DrawingTool

    def apply(self) -> None:
        """Have the tool do it."""
        self.tool.finish()


@dataclass(eq=False)
class Waiting:
    """Steps held back; `corrects` where the proposal is accepted for their sake alone."""

    corrects: bool
    steps: deque[Step] = field(default_factory=deque)


class DeferredInput(QObject):
    """Applies steps in their order: at once, or when the proposal they correct is the mask."""

    #: Nothing is held back any more.
    ended = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._waiting: Waiting | None = None
        #: The state of the document once a proposal was accepted for what is drawn now.
        self._accepted_for: object = None
        session.proposal.given_up.connect(self.forget)

    @property
    def holds(self) -> bool:
        """Whether what is drawn waits for the proposal."""
        return self._waiting is not None

    def begin(self, draws_on: bool) -> None:
        """Something is about to be drawn; `draws_on` where it goes on with what was begun."""
        proposal = self._session.proposal
        # One that is being accepted already was accepted for something else.
        corrects = proposal.to_correct and not draws_on and not proposal.taking
        if not draws_on:
            self._accepted_for = None
        if self._waiting is not None:
            # What is drawn while others wait comes after them.
            return
        if corrects:
            proposal.accept()
        if proposal.taking:
            self._waiting = Waiting(corrects)
            proposal.after_taking(partial(self._note_accepted, self._waiting))

    def do(self, step: Step) -> None:
        """Apply `step` now, or after those that are held back."""
        if self._waiting is not None:
            self._waiting.steps.append(step)
        else:
            step.apply()

    def cancel(self) -> None:
        """Give up what is drawn, and the proposal that was accepted for it alone."""
        self.forget()
        self._undo_accepting()

    def forget(self) -> None:
        """Drop what is held back."""
        self._waiting = None
        self.ended.emit()

    def _note_accepted(self, waiting: Waiting) -> None:
        document = self._session.workspace.document
        accepted = waiting.corrects and document is not None
        self._accepted_for = document.state if accepted and document is not None else None
        if waiting is self._waiting:
            self._catch_up(waiting)
        elif self._waiting is None:
            # Given up before the proposal had become the mask, and nothing was begun since.
            self._undo_accepting()

    def _undo_accepting(self) -> None:
        document, state = self._session.workspace.document, self._accepted_for
        if document is not None and state is not None and document.state is state:
            document.undo()
        self._accepted_for = None

    def _catch_up(self, waiting: Waiting) -> None:
        if waiting is not self._waiting:
            return
        began = time.monotonic()
        while waiting.steps and time.monotonic() - began < CATCHING_UP_S:
            waiting.steps.popleft().apply()
        if waiting.steps:
            QTimer.singleShot(0, self, partial(self._catch_up, waiting))
        else:
            self.forget()
