"""What is drawn on a proposal corrects it: the proposal is taken first, and the hand goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from nca_seg_app.session import Session

#: How long the window may wait for strokes that were held back, before it looks after events.
CATCHING_UP_S = 0.02


class DeferredInput(QObject):
    """Holds back what the hand does until the proposal that it corrects has become the mask."""

    #: Nothing is held back any more.
    ended = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._acts: list[Callable[[], None]] | None = None
        #: The state of the document once a proposal was taken for what is drawn now.
        self._took: object = None
        session.proposal.given_up.connect(self.forget)

    @property
    def holds(self) -> bool:
        """Whether what is drawn waits for the proposal."""
        return self._acts is not None

    def begin(self, draws_on: bool) -> None:
        """Something is about to be drawn; `draws_on` where it goes on with what was begun."""
        segmentation = self._session.segmentation
        # One that is being taken already was taken for something else.
        corrects = segmentation.to_correct and not draws_on and not segmentation.taking
        if not draws_on:
            self._took = None
        # What is drawn while others wait comes after them.
        if self._acts is None and (corrects or segmentation.taking):
            # A large mask takes a moment, in which the hand goes on.
            acts: list[Callable[[], None]] = []
            self._acts = acts
            segmentation.accept(lambda: self._taken(acts, corrects), anyway=True)

    def do(self, act: Callable[[], None]) -> None:
        """Call `act` now, or after what is held back."""
        if self._acts is not None:
            self._acts.append(act)
        else:
            act()

    def cancel(self) -> None:
        """What is drawn was given up: so is the proposal that was taken for it alone."""
        self.forget()
        self._give_back()

    def _give_back(self) -> None:
        document = self._session.workspace.document
        if document is not None and self._took is not None and document.state is self._took:
            document.undo()
        self._took = None

    def forget(self) -> None:
        """Drop what is held back."""
        self._acts = None
        self.ended.emit()

    def _taken(self, acts: list[Callable[[], None]], corrects: bool) -> None:
        document = self._session.workspace.document
        self._took = document.state if corrects and document is not None else None
        if acts is self._acts:
            self._catch_up(acts)
        elif self._acts is None:
            # Given up before the proposal had become the mask, and nothing was begun since.
            self._give_back()

    def _catch_up(self, acts: list[Callable[[], None]]) -> None:
        if acts is not self._acts:
            return
        began = time.monotonic()
        while acts and time.monotonic() - began < CATCHING_UP_S:
            acts.pop(0)()
        if acts:
            QTimer.singleShot(0, self, lambda: self._catch_up(acts))
        else:
            self.forget()
