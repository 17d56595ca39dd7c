"""A model's proposal, as it forms: shown while it grows, taken over only by a person's wish."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal

from engine.masks import edits
from engine.networks.library import ModelEntry
from engine.types import CellStep, EnsembleResult, Origin, Patch, SampleSettings
from nca_seg_app.background.job_controller import JobController
from nca_seg_app.services.annotation import Source
from nca_seg_app.services.mask_edits import edit_aside
from nca_seg_app.services.replay import Replay
from nca_seg_app.services.run import Film, Run
from nca_seg_app.state.document import Mask

if TYPE_CHECKING:
    from nca_seg_app.session import Session

#: How long a threshold has to rest before the mask that came from it follows.
SETTLE_MS = 150
#: Told instead of putting a result in the place of what a person drew.
STAYS = "Your outline is kept. Ctrl+Shift+Return puts the model's in its place."


class Segmentation(JobController):
    """The run, its result so far, its film, and what a person does with them."""

    #: `result` is another one, or None; or it was accepted, or is proposed again.
    result_changed = Signal()
    #: The film grew or is a new one.
    film_changed = Signal()
    threshold_changed = Signal(float)
    #: The run reached its end; `result` is the answer.
    completed = Signal()
    #: The result is not becoming the mask after all.
    given_up = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session, session.jobs)
        self._run: Run | None = None
        self._no_film = Film()
        self._result: EnsembleResult | None = None
        #: The document's notes of the steps in which the result was taken.
        self._taken: list[object] = []
        #: The document's states when the run began, and whenever its result was taken since.
        self._start: object = None
        self._takes: list[object] = []
        self._told = self._whole = False
        #: While the result is becoming the mask: what is to follow, and whether also where the
        #: person changed the mask meanwhile.
        self._taking: list[tuple[Callable[[], None], bool]] | None = None
        #: The member whose answer was taken last; None: that of all.
        self._member: int | None = None
        #: Runs while the mask, taken at another threshold, waits to follow.
        self._follows = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._follows.timeout.connect(self._follow)
        #: The document's state that a mask under way follows from, or None.
        self._followed: object = None
        self._replaying = Replay(session)

    @property
    def result(self) -> EnsembleResult | None:
        """What the members say so far; None before a run and after `discard()`."""
        return self._result

    @property
    def proposed(self) -> bool:
        """Whether the result waits for a decision, and its outline is to be drawn.

        It waits again once the step that took it is undone.
        """
        document = self._session.document
        taken = document is not None and any(document.note is note for note in self._taken)
        return self._result is not None and not taken

    @property
    def may_replace(self) -> bool:
        """Whether a person has drawn nothing since the run began, or its result was taken."""
        document, row = self._session.document, self._session.row
        if document is None or row is None or document.drawing:
            return False
        # A mask that is empty and was never saved holds nothing of theirs.
        return self._untouched or (document.is_empty and not row.has_mask)

    @property
    def _untouched(self) -> bool:
        """Whether the mask is as the result was taken, or before that as the run found it."""
        document = self._session.document
        states = self._takes or [self._start]
        return document is not None and any(document.state is state for state in states)

    @property
    def to_correct(self) -> bool:
        """Whether drawing means to correct the proposal: it is whole, and all that there is."""
        document, row = self._session.document, self._session.row
        if document is None or row is None or not (self.proposed and self._whole):
            return False
        return document.is_empty and not row.has_mask and not document.drawing

    @property
    def film(self) -> Film:
        """The film of the newest run; empty before the first."""
        return self._run.film if self._run is not None else self._no_film

    @property
    def progress(self) -> tuple[int, int]:
        """(done, total) diffusion steps of the result at hand; (0, 0) without one."""
        return (self._result.done, self._result.total) if self._result is not None else (0, 0)

    @property
    def threshold(self) -> float:
        """Mean probability from which a pixel belongs to the proposal."""
        return self._session.settings.threshold

    @property
    def settings(self) -> SampleSettings:
        """What the result at hand was, or else the next run will be, drawn with."""
        return self._run.settings if self._run is not None else self._session.settings.sample

    @property
    def run(self) -> Run | None:
        """The newest run on the open image, or None."""
        return self._run

    @property
    def model(self) -> ModelEntry | None:
        """The model that drew the result at hand."""
        return self._run.model if self._run is not None else None

    @property
    def taking(self) -> bool:
        """Whether the result is becoming the mask, which takes a moment on a large image."""
        return self._taking is not None

    # The run

    def segment(self) -> None:
        """Draw an ensemble for the open image with the chosen model and settings."""
        if self._taking is not None:
            self._taking.append((self.segment, True))
            return
        session, image, run = self._session, self._session.image, Run.chosen(self._session)
        if image is None or run is None or session.jobs.current is not None:
            return
        self._set_run(run)
        self._set_result(None)
        self.film_changed.emit()
        self._begin(lambda: run.stream(session, image))

    def propose(self, run: Run, result: EnsembleResult) -> None:
        """Put up what a run on the open image's file has given elsewhere, as if it ended now."""
        self.reset()
        self._set_run(run)
        self._complete(result)

    def step(self) -> None:
        """Let a paused run take one diffusion step; a running one pauses."""
        if self._job is not None:
            if self._job.paused:
                self._job.advance()
            else:
                self._job.pause()

    def cancel(self) -> None:
        """Stop the run; what it has so far stays as the result."""
        if self._job is not None:
            self._job.cancel()

    # The decision

    def set_threshold(self, threshold: float) -> None:
        """Move the proposal's outline; in [0, 1].

        The mask follows where it is the accepted result and nothing was drawn since; else that is
        proposed again.
        """
        if threshold == self.threshold:
            return
        taken = self._result is not None and not self.proposed and self._untouched
        follows = taken or self._follows.isActive()
        self._session.change_settings(threshold=threshold)
        self.threshold_changed.emit(threshold)
        self._taken = []
        self.note_history()
        if follows:
            self._follows.start()

    def accept(self, then: Callable[[], None] | None = None, *, anyway: bool = False) -> None:
        """Make the result, or the member that is shown, the mask, as one undo step.

        Not where that would replace what a person drew since the run began or was last taken.
        `then` is called when it is done; only `anyway` where a person changed the mask meanwhile,
        which going on would leave behind. Asked again before it is done, it is done once.
        """
        if self._taking is not None:
            self._taking += [(then, anyway)] if then is not None else []
        elif self._follows.isActive():
            self.use_member(self._member, then, anyway=anyway)
        elif self._result is not None and not self.may_replace:
            self._session.message.emit(STAYS)
        else:
            self.replace(then, anyway=anyway)

    def replace(self, then: Callable[[], None] | None = None, *, anyway: bool = False) -> None:
        """As `accept()`, also in place of what a person drew; undo gives that back."""
        shown = self._session.view_state.shown
        self.use_member(shown.member if shown is not None else None, then, anyway=anyway)

    def use_member(
        self, member: int | None, then: Callable[[], None] | None = None, *, anyway: bool = False
    ) -> None:
        """Make one member's answer (None: all members') the mask, as one undo step.

        In any case, and `then` as for `accept()`.
        """
        result, threshold = self._result, self.threshold
        if self._taking is not None:
            self._taking.append((lambda: self.use_member(member, then, anyway=anyway), True))
        elif result is not None and member is None:
            self._member = None
            self._take("Accept result", lambda: result.mask(threshold), then, anyway)
        elif result is not None and member is not None and 0 <= member < len(result.members_nhw):
            self._member, answer_hw = member, result.members_nhw[member]
            self._take(
                f"Use member {member + 1}",
                lambda: result.frame.restore(answer_hw) >= threshold,
                then,
                anyway,
            )

    def when_settled(self, go: Callable[[], None]) -> None:
        """Call `go` once the mask is what it is about to be: as the threshold has it, or taken."""
        if self._follows.isActive():
            self._follow(go)
        elif self._taking is not None:
            self._taking.append((go, True))
        else:
            go()

    def discard(self) -> None:
        """Stop the run and drop the result; the mask stays as it is."""
        self._give_up()
        self.cancel()
        self._forget()

    def note_history(self) -> None:
        """Look whether the result waits, after a step of the document was taken or undone."""
        document = self._session.document
        follows = self._taking is not None and self._followed is not None
        if follows and document is not None and document.state is not self._followed:
            # What is drawn or undone meanwhile stays.
            self._give_up()
        if self._told != self.proposed:
            self._tell()

    def reset(self) -> None:
        """Forget run, result and film, as when another image is opened."""
        self.discard()
        self._run = None
        self.film_changed.emit()

    def replay(self, member: int, timestep: int, done: Callable[[list[CellStep]], None]) -> None:
        """Give `done` every cell update of that diffusion step, recomputed in the background.

        A newer call replaces one that has not been answered yet: only the newest is. One that
        failed is told, and answered with none.
        """
        if self._run is not None:
            self._replaying.replay(self._run, member, timestep, done)

    # Inside

    def _follow(self, then: Callable[[], None] | None = None) -> None:
        self._follows.stop()
        document = self._session.document
        if document is not None and self._result is not None and self._untouched:
            self.use_member(self._member, then, anyway=True)
            self._followed = document.state
        elif then is not None:
            then()

    def _take(
        self,
        text: str,
        proposal: Callable[[], Mask],
        then: Callable[[], None] | None,
        anyway: bool,
    ) -> None:
        self.cancel()
        self._follows.stop()
        session, document = self._session, self._session.document
        run, threshold = self._run, self.threshold
        if run is None or document is None:
            return
        origin = Origin(run.model.name, run.fingerprint, run.settings, threshold)
        taking = self._taking = [(then, anyway)] if then is not None else []
        self._followed = None
        # Computed once, though the edit is tried again where the mask is changed meanwhile.
        tried: list[Mask] = []

        def edit(mask_hw: Mask) -> Patch | None:
            tried.append(tried[0] if tried else proposal())
            return edits.replace(mask_hw, tried[0])

        def finish() -> None:
            self._taking = None
            self._taken.append(document.note)
            self._takes.append(document.state)
            if threshold != self.threshold:
                # It was moved on meanwhile.
                self._follows.start()
            # What was taken is to be seen, not the map over it.
            session.view_state.show(None)
            self._tell()
            for follow, always in taking:
                if always or len(tried) == 1:
                    follow()
                else:
                    session.message.emit(
                        "The mask was changed while the result was taken over, and the result "
                        "replaced that: undo gives it back."
                    )

        def refuse(error: BaseException) -> None:
            session.fail(error)
            if taking is self._taking:
                self._give_up()

        edit_aside(
            session,
            document,
            text,
            edit,
            finish,
            lambda mask_hw: Source.of(origin, mask_hw),
            wanted=lambda: taking is self._taking,
            refused=refuse,
        )

    def _give_up(self) -> None:
        """The result does not become the mask, where it was about to."""
        if self._taking is not None:
            self._taking = None
            self.given_up.emit()

    def _set_run(self, run: Run) -> None:
        document = self._session.document
        self._run, self._taken, self._whole = run, [], False
        self._start, self._takes = document.state if document is not None else None, []
        self._follows.stop()

    def _set_result(self, result: EnsembleResult | None) -> None:
        self._result = result
        self._tell()

    def _tell(self) -> None:
        self._told = self.proposed
        self.result_changed.emit()
        self._session.update_state()

    def _forget(self) -> None:
        self._let_go()
        self._follows.stop()
        self._taken = []
        if self._result is not None:
            self._set_result(None)

    def _work(self, result: EnsembleResult) -> tuple[int, int]:
        members = self.settings.members
        if not members:
            return super()._work(result)
        # Batches are of unlike size, and a step takes as long as it has members.
        steps, drawn = result.step.total, len(result.step.clean_nhw)
        return result.first_member * steps + drawn * result.step.done, members * steps

    def _show(self, result: EnsembleResult) -> None:
        if self._result is None:
            self._session.model_library.note_loaded()
        self._set_result(result)
        self.film_changed.emit()

    def _complete(self, result: EnsembleResult | None) -> None:
        self._whole = True
        self._stopped(result)
        if result is not None and self._session.path is not None:
            self._session.saving.note_doubt(self._session.path, result)
        self.completed.emit()

    def _stopped(self, result: EnsembleResult | None) -> None:
        if result is not None and result is not self._result:
            self._set_result(result)
            self.film_changed.emit()

    def _fail(self, error: BaseException) -> None:
        self._session.fail(error)
