"""Outlines the open image in all styles of the model, for a person to take the one they mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import Signal

from engine.types import Outline, Outlines, StyleChoice
from nca_seg_app.background.job_controller import JobController
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.run import Run
from nca_seg_app.services.segmentation import Segmentation
from nca_seg_app.services.style_words import drawn_like
from nca_seg_app.services.styling import Styling
from nca_seg_app.state.guidance import NO_GUIDANCE


class StyleOutlines(JobController):
    """The outlines of an image in all styles, tightest first, one of which is the current one.

    They are shown from the first `cycle()` until one is taken, or `hide()`. The one that is taken
    becomes the result at once, and its style the study's (`services.styling`), in which the whole
    ensemble is drawn then.
    """

    #: `shown` or `current` are other ones.
    changed = Signal()

    def __init__(
        self,
        context: Context,
        models: ModelLibrary,
        segmentation: Segmentation,
        styling: Styling,
    ) -> None:
        super().__init__(context.jobs, context)
        self._context, self._workspace, self._models = context, context.workspace, models
        self._segmentation, self._styling = segmentation, styling
        #: The run whose style they vary, with what it is told beside the image.
        self._run: Run | None = None
        self._found: tuple[Outline, ...] = ()
        self._current: StyleChoice | None = None
        self._wanted = self._visible = False
        segmentation.run_changed.connect(self._forget)
        self._workspace.image_changed.connect(self._forget)
        models.chosen_changed.connect(self._forget)
        context.jobs.changed.connect(self._go)

    @property
    def shown(self) -> tuple[Outline, ...]:
        """The outlines to choose from, tightest first; empty while none are shown."""
        return self._found if self._visible else ()

    @property
    def current(self) -> int:
        """The place of the current one in `shown`; -1 without one."""
        choices = [outline.choice for outline in self.shown]
        return choices.index(self._current) if self._current in choices else -1

    @property
    def caption(self) -> str:
        """What the canvas calls the current one, or ""."""
        place, shown = self.current, self.shown
        if place < 0:
            return ""
        more = " · more are coming" if self.running else ""
        return f"{place + 1} of {len(shown)}: {drawn_like(shown[place].choice)}{more}"

    def cycle(self, step: int) -> None:
        """Show the outlines, or make the next wider (1) or tighter (-1) one the current one."""
        if self.shown:
            self.point_at((self.current + step) % len(self.shown))
        elif not self._styling.offered:
            self._context.message.emit("The chosen model knows no styles to choose from.")
        elif self._workspace.image is not None:
            self._visible = True
            if not self._found:
                self._wanted = True
                self._go()
            self.changed.emit()

    def point_at(self, place: int) -> None:
        """Make the outline at `place` of `shown` the current one."""
        choice = self.shown[place].choice
        if choice != self._current:
            self._current = choice
            self.changed.emit()

    def take(self) -> None:
        """Make the current outline the proposal, and its style the study's."""
        place, run = self.current, self._run
        if place < 0 or run is None:
            return
        outline = self.shown[place]
        drawn = replace(run.settings, members=len(outline.result.members_nhw))
        taken = Run(run.model, outline.choice.applied(drawn), run.device, run.guidance)
        taken.prompt, taken.painted_px = run.prompt, run.painted_px
        taken.fingerprint = run.fingerprint
        self.hide()
        self._segmentation.put_up(taken, outline.result)
        self._styling.choose(style=outline.choice.style, width=outline.choice.width)
        # Also where the style is the study's already: of this outline few members are drawn.
        self._styling.draw_anew()

    def hide(self) -> None:
        """Show the proposal again."""
        if not self._visible and self._job is None:
            return
        self._visible = self._wanted = False
        if self._job is not None:
            self._job.cancel()
            self._let_go()
            self._found = ()
        self.changed.emit()

    # Inside

    def _go(self) -> None:
        """Begin as soon as what is in the way has ended."""
        image = self._workspace.image
        if not self._wanted or image is None or self._context.jobs.current is not None:
            return
        self._wanted = False
        newest = self._segmentation.run
        guidance = newest.guidance if newest is not None else NO_GUIDANCE
        run = Run.chosen(self._context, self._models, guidance)
        if run is not None:
            # Choosing begins where the style is as it was.
            self._run = run
            self._current = StyleChoice(run.settings.style, run.settings.width)
            self._begin(lambda: run.outlines(self._models, image))

    def _forget(self) -> None:
        self.hide()
        self._found, self._run = (), None

    def _show(self, event: Outlines) -> None:
        self._found = event.found
        self.changed.emit()

    def _complete(self, event: Any) -> None:
        if event is not None:
            self._show(event)

    def _stopped(self, event: Any) -> None:
        self.hide()

    def _fail(self, error: BaseException) -> None:
        self.hide()
        self._context.fail(error)
