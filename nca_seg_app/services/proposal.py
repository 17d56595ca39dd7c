"""Takes a model's result over as the mask, when a person decides so, and lets it follow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from engine.masks import edits
from engine.types import Origin, Patch
from nca_seg_app.services.annotation import Source
from nca_seg_app.services.context import Context
from nca_seg_app.services.mask_edits import edit_aside
from nca_seg_app.services.segmentation import Segmentation
from nca_seg_app.state.document import Mask
from nca_seg_app.state.view_state import ViewState

#: How long a threshold has to rest before the mask that came from it follows.
SETTLE_MS = 150
#: Told instead of putting a result in the place of what a person drew.
STAYS = "Your outline is kept. Ctrl+Shift+Return puts the model's in its place."


@dataclass(eq=False)
class _Taking:
    """A result that is becoming the mask.

    `follows_state` is the document's state where an accepted mask follows the threshold. `source`
    is the document's note of the step in which it becomes the mask, once it has been computed.
    """

    follows_state: object = None
    source: object = field(default_factory=object)


class Proposal(QObject):
    """The result of a segmentation as a proposal: accepted, replaced, discarded by a person.

    Once accepted, the mask follows the threshold, and the result where that is drawn anew, until it
    is drawn on. Taking a result over takes a moment on a large image; commands that have to come
    after it wait in one queue here, in the order in which they were asked for, and are dropped
    where it is given up.
    """

    #: The result is another one, or None; or it was accepted, or is proposed again.
    changed = Signal()
    threshold_changed = Signal(float)
    #: The result is not becoming the mask after all, and what waited for it is dropped.
    given_up = Signal()

    def __init__(self, context: Context, segmentation: Segmentation, view_state: ViewState) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace
        self._segmentation, self._view_state = segmentation, view_state
        #: The document's notes of the steps in which the result was taken.
        self._taken: list[object] = []
        #: The document's states when the run began, and whenever its result was taken since.
        self._start: object = None
        self._takes: list[object] = []
        #: The document's state from which the mask follows the run under way, which draws anew what
        #: was taken; None where it does not.
        self._follows_from: object = None
        self._was_proposed = self._is_whole = False
        self._taking: _Taking | None = None
        self._commands: deque[Callable[[], object]] = deque()
        self._replaced_changes = False
        #: The member whose answer was taken last; None: that of all.
        self._member: int | None = None
        #: Runs while the mask, taken at another threshold, waits to follow.
        self._follows = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._follows.timeout.connect(self._follow)
        segmentation.run_changed.connect(self._note_run)
        segmentation.result_changed.connect(self._note_result)
        segmentation.completed.connect(self._note_end)
        self._workspace.history_changed.connect(self._note_history)

    @property
    def proposed(self) -> bool:
        """Whether the result waits for a decision, and its outline is to be drawn.

        It waits again once the step that took it is undone.
        """
        document = self._workspace.document
        taken = document is not None and any(document.note is note for note in self._taken)
        return self._segmentation.result is not None and not taken

    @property
    def is_taken(self) -> bool:
        """Whether the mask is the result, and nothing was drawn since."""
        has_result = self._segmentation.result is not None
        return has_result and not self.proposed and self._untouched

    @property
    def may_replace(self) -> bool:
        """Whether a person has drawn nothing since the run began, or its result was taken."""
        document, row = self._workspace.document, self._workspace.row
        if document is None or row is None or document.drawing:
            return False
        # A mask that is empty and was never saved holds nothing of theirs.
        return self._untouched or (document.is_empty and not row.has_mask)

    @property
    def to_correct(self) -> bool:
        """Whether drawing means to correct the proposal: it is whole, and all that there is."""
        document, row = self._workspace.document, self._workspace.row
        if document is None or row is None or not (self.proposed and self._is_whole):
            return False
        return document.is_empty and not row.has_mask and not document.drawing

    @property
    def threshold(self) -> float:
        """Mean probability from which a pixel belongs to the proposal."""
        return self._context.settings.threshold

    @property
    def taking(self) -> bool:
        """Whether the result is becoming the mask, which takes a moment on a large image."""
        return self._taking is not None

    @property
    def replaced_changes(self) -> bool:
        """Whether the result, taken last, replaced what a person changed while it was computed."""
        return self._replaced_changes

    def set_threshold(self, threshold: float) -> None:
        """Move the proposal's outline; in [0, 1].

        The mask follows where it is the accepted result and nothing was drawn since; else that is
        proposed again.
        """
        if threshold == self.threshold:
            return
        follows = self.is_taken or self._follows.isActive()
        self._context.change_settings(threshold=threshold)
        self.threshold_changed.emit(threshold)
        self._taken = []
        self._note_history()
        if follows:
            self._follows.start()

    def accept(self) -> None:
        """Make the result, or the member that is shown, the mask, as one undo step.

        Not where that would replace what a person drew since the run began or was last taken.
        Asked again before it is done, it is done once.
        """
        if self._taking is not None:
            return
        if self._follows.isActive():
            self.use_member(self._member)
        elif self._segmentation.result is not None and not self.may_replace:
            self._context.message.emit(STAYS)
        else:
            self.replace()

    def replace(self) -> None:
        """As `accept()`, also in place of what a person drew; undo gives that back."""
        shown = self._view_state.shown
        self.use_member(shown.member if shown is not None else None)

    def use_member(self, member: int | None) -> None:
        """Make one member's answer (None: all members') the mask, as one undo step, in any case."""
        result, threshold = self._segmentation.result, self.threshold
        if self._taking is not None:
            self._commands.append(partial(self.use_member, member))
        elif result is not None and member is None:
            self._member = None
            self._take("Accept result", lambda: result.mask(threshold))
        elif result is not None and member is not None and 0 <= member < len(result.members_nhw):
            self._member, answer_hw = member, result.members_nhw[member]
            self._take(
                f"Use member {member + 1}",
                lambda: result.frame.restore(answer_hw) >= threshold,
            )

    def after_taking(self, command: Callable[[], object]) -> None:
        """Do `command` once no result is becoming the mask: now, or after what waits already."""
        self._commands.append(command)
        self._run_commands()

    def when_settled(self, command: Callable[[], object]) -> None:
        """As `after_taking()`, but the mask follows the threshold first, where it is about to."""
        if self._follows.isActive():
            self._follow()
        self.after_taking(command)

    def discard(self) -> None:
        """Stop the run and drop the result; the mask stays as it is."""
        self._give_up()
        self._segmentation.drop()

    def leave_mask(self) -> None:
        """Let the mask stay from now on, as one that a person drew; the result is proposed again.

        Asked for while the result is becoming the mask, it ends that.
        """
        self._forget()
        self._takes, self._start = [], object()
        self._announce()

    # Inside

    @property
    def _untouched(self) -> bool:
        """Whether the mask is as the result was taken, or before that as the run found it."""
        document = self._workspace.document
        states = self._takes or [self._start]
        return document is not None and any(document.state is state for state in states)

    def _note_run(self) -> None:
        document = self._workspace.document
        state = document.state if document is not None else None
        follows_from = self._follows_from
        if self.is_taken or self._follows.isActive():
            follows_from = state
        self._forget()
        self._is_whole = False
        run = self._segmentation.run
        if run is not None and run.follows:
            # What was drawn since the run that it follows is still the person's.
            self._follows_from = follows_from
        else:
            self._takes, self._start = [], state

    def _note_end(self) -> None:
        document, follows_from = self._workspace.document, self._follows_from
        self._is_whole, self._follows_from = True, None
        if document is not None and document.state is follows_from:
            self._follow()

    def _note_result(self) -> None:
        if self._segmentation.result is None:
            self._forget()
        self._announce()

    def _forget(self) -> None:
        self._give_up()
        self._follows.stop()
        self._taken, self._follows_from = [], None

    def _note_history(self) -> None:
        """Look whether the result waits, after a step of the document was taken or undone."""
        document, taking = self._workspace.document, self._taking
        if document is not None and taking is not None and taking.follows_state is not None:
            is_as_before = document.state is taking.follows_state
            if not is_as_before and document.note is not taking.source:
                # What is drawn or undone meanwhile stays.
                self._give_up()
        if self._was_proposed != self.proposed:
            self._announce()

    def _announce(self) -> None:
        self._was_proposed = self.proposed
        self.changed.emit()

    def _follow(self) -> None:
        """Take the result over once more, at the threshold as it is now."""
        self._follows.stop()
        document = self._workspace.document
        if document is not None and self._segmentation.result is not None and self._untouched:
            self.use_member(self._member)
            if self._taking is not None:
                self._taking.follows_state = document.state

    def _take(self, text: str, proposal: Callable[[], Mask]) -> None:
        """Compute the mask `proposal` gives in the lane, and make it the mask."""
        self._follows.stop()
        document, run, threshold = self._workspace.document, self._segmentation.run, self.threshold
        if run is None or document is None:
            return
        guidance, prompt = run.guidance, run.prompt
        # A person vouches for what they painted, so that the model may learn from it.
        origin = Origin(run.model.name, run.fingerprint, run.settings, threshold, run.painted_px)
        taking = self._taking = _Taking()
        self._segmentation.cancel()
        # Computed once, though the edit is tried again where the mask is changed meanwhile.
        tried: list[Mask] = []

        def edit(mask_hw: Mask) -> Patch | None:
            tried.append(tried[0] if tried else proposal())
            return edits.replace(mask_hw, guidance.placed(tried[0], mask_hw, prompt, threshold))

        def note(mask_hw: Mask) -> Source:
            taking.source = source = Source.of(origin, mask_hw)
            return source

        def finish() -> None:
            self._taking, self._replaced_changes = None, len(tried) > 1
            self._taken.append(document.note)
            self._takes.append(document.state)
            if threshold != self.threshold:
                # It was moved on meanwhile.
                self._follows.start()
            # What was taken is to be seen, not the map over it.
            self._view_state.show(None)
            self._announce()
            self._run_commands()

        def refuse(error: BaseException) -> None:
            self._context.fail(error)
            if taking is self._taking:
                self._give_up()

        edit_aside(
            self._context,
            document,
            text,
            edit,
            note=note,
            done=finish,
            refused=refuse,
            wanted=lambda: taking is self._taking,
        )

    def _run_commands(self) -> None:
        """Do what waits, one after the other, until one has a result taken over once more."""
        while self._commands and self._taking is None:
            self._commands.popleft()()

    def _give_up(self) -> None:
        """The result does not become the mask, where it was about to."""
        if self._taking is not None:
            self._taking = None
            self._commands.clear()
            self.given_up.emit()
