"""Holds in which style a study is drawn, keeps it with the study, and draws the result anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from engine.study.study import Study, keep_style
from engine.types import StyleChoice, StyleName
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.run import Run, style_for, styles_offered
from nca_seg_app.services.segmentation import Segmentation

#: How long a style has to rest before the result is drawn anew in it.
SETTLE_MS = 150
#: How long it has to rest before it is written.
KEEP_MS = 400


class Styling(QObject):
    """The style and width in which the open study's outlines are drawn.

    Where a result is shown when they change, it is drawn anew: the newest choice wins, and a run
    under way in another style ends. The mask follows as it does the threshold
    (`services.proposal`).
    """

    #: `choice` or `offered` may be other ones.
    changed = Signal()

    def __init__(
        self,
        context: Context,
        models: ModelLibrary,
        segmentation: Segmentation,
        proposal: Proposal,
    ) -> None:
        super().__init__(context)
        self._context, self._workspace, self._models = context, context.workspace, models
        self._segmentation, self._proposal = segmentation, proposal
        #: Whether the result is to be drawn anew, as soon as it can be.
        self._wants_redraw = False
        #: A run that draws it anew and has shown nothing yet.
        self._coming: Run | None = None
        #: What is not written yet, and of which study.
        self._unkept: tuple[Study, StyleChoice] | None = None
        self._settles = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settles.timeout.connect(self._ask_redraw)
        self._keeps = QTimer(self, singleShot=True, interval=KEEP_MS)
        self._keeps.timeout.connect(self.keep)
        for signal in (
            self._workspace.style_changed,
            self._workspace.image_changed,
            models.chosen_changed,
        ):
            signal.connect(self.changed)
        segmentation.run_changed.connect(self._note_run)
        segmentation.running_changed.connect(self._note_running)
        proposal.changed.connect(self._redraw)
        context.jobs.changed.connect(self._redraw)

    @property
    def offered(self) -> tuple[StyleName, ...]:
        """The styles that the chosen model can be told; empty where it cannot be told any."""
        model = self._models.chosen
        return styles_offered(model.spec) if model is not None else ()

    @property
    def choice(self) -> StyleChoice:
        """The style and width in which the chosen model draws the next result."""
        model = self._models.chosen
        return style_for(model.spec, self._workspace.style) if model is not None else StyleChoice()

    def choose(self, **changes: Any) -> None:
        """Change `style`, `width` or both, keep them with the study, and draw the result anew.

        Raises ValueError where one is out of range.
        """
        study, before = self._workspace.study, self._workspace.style
        choice = replace(before, **changes)
        if study is None or choice == before:
            return
        if self._unkept is not None and self._unkept[0] != study:
            self.keep()
        self._unkept = study, choice
        self._keeps.start()
        self._settles.start()
        self._workspace.style = choice

    def choose_fitted(self, choice: StyleChoice) -> None:
        """As `choose()`, but a mask that is saved stays: a fit to masks changes none of them."""
        document = self._workspace.document
        if choice != self._workspace.style and document is not None and not document.unsaved:
            self._proposal.leave_mask()
        self.choose(style=choice.style, width=choice.width)

    def draw_anew(self) -> None:
        """Draw the result anew, unless it is one of the style and settings as they are."""
        self._settles.start()

    def keep(self) -> None:
        """Write what is not written yet: soon after a change, and before a folder is read."""
        self._keeps.stop()
        if self._unkept is not None:
            (study, choice), self._unkept = self._unkept, None
            self._context.lane.run(lambda: keep_style(study, choice), None, self._context.fail)

    # Inside

    def _note_run(self) -> None:
        run, self._coming = self._segmentation.run, None
        if run is None or not run.follows:
            # It began in the style as it is now, or there is nothing to draw anew any more.
            self._settles.stop()
            self._wants_redraw = False

    def _note_running(self) -> None:
        if self._coming is not None and not self._segmentation.running:
            # A person who took what was shown meanwhile has the mask follow.
            self._wants_redraw = self._wants_redraw or self._proposal.taking
            self._coming = None

    def _ask_redraw(self) -> None:
        self._wants_redraw = True
        self._redraw()

    def _redraw(self) -> None:
        """Draw the result anew if that is wanted, or as soon as what is in its way has ended."""
        segmentation, chosen = self._segmentation, Run.chosen(self._context, self._models)
        newest = self._coming or segmentation.run
        shows = segmentation.result is not None or segmentation.running
        if not self._wants_redraw or self._settles.isActive():
            return
        if newest is None or chosen is None or not shows or newest.terms == chosen.terms:
            self._wants_redraw = False
        elif segmentation.running:
            segmentation.cancel()
        elif self._context.jobs.current is None and not self._proposal.taking:
            self._wants_redraw = False
            self._coming = segmentation.segment(anew=True)
