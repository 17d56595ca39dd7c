"""Runs the chosen model on the open image, and holds its result."""

from __future__ import annotations

from PySide6.QtCore import Signal

from engine.networks.library import ModelEntry
from engine.types import EnsembleResult, SampleSettings
from nca_seg_app.background.job_controller import JobController
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.run import Run
from nca_seg_app.state.film import Film
from nca_seg_app.state.guidance import NO_GUIDANCE


class Segmentation(JobController):
    """Segments the open image, and holds the run, its result so far and its film.

    What a person does with the result is in `services.proposal`.
    """

    #: `run` changed; its result follows.
    run_changed = Signal()
    #: `result` changed.
    result_changed = Signal()
    #: `film` is another one or has new steps.
    film_changed = Signal()
    #: The run ended; `result` is the answer.
    completed = Signal()

    def __init__(self, context: Context, models: ModelLibrary) -> None:
        super().__init__(context.jobs, context)
        self._context, self._workspace, self._models = context, context.workspace, models
        self._run: Run | None = None
        #: A run that takes the place of `run` with its first event, so that result and run match.
        self._coming: Run | None = None
        self._no_film = Film()
        self._result: EnsembleResult | None = None
        models.removed.connect(self._forget_model)

    @property
    def result(self) -> EnsembleResult | None:
        """The ensemble so far; None before a run and after `drop()`."""
        return self._result

    @property
    def film(self) -> Film:
        """The film of the newest run; empty before the first."""
        return self._run.film if self._run is not None else self._no_film

    @property
    def progress(self) -> tuple[int, int]:
        """(done, total) diffusion steps of the present result; (0, 0) without one."""
        return (self._result.done, self._result.total) if self._result is not None else (0, 0)

    @property
    def settings(self) -> SampleSettings:
        """The settings of the present run, or else those of the next one."""
        return self._run.settings if self._run is not None else self._context.settings.sample

    @property
    def run(self) -> Run | None:
        """The newest run on the open image, or None."""
        return self._run

    def segment(self, *, anew: bool = False) -> Run | None:
        """Segment the open image with the chosen model and settings.

        Does nothing without an image or a model, or while another job runs. Where the result is
        drawn `anew`, with what the model was shown, that of before stays until there is one in
        its place. Returns the run that
        began, or None.
        """
        before = self._run
        guidance = before.guidance if anew and before is not None else NO_GUIDANCE
        run = Run.chosen(self._context, self._models, guidance)
        if run is None or not self.begin(run, shows_before=anew):
            return None
        run.follows = anew
        return run

    def begin(self, run: Run, *, shows_before: bool) -> bool:
        """Begin `run` on the open image; where `shows_before`, what is shown stays meanwhile.

        False without an image, or while another job runs.
        """
        image = self._workspace.image
        if image is None or self._context.jobs.current is not None:
            return False
        if shows_before:
            self._coming = run
        else:
            self._set_run(run)
            self._set_result(None)
            self.film_changed.emit()
        self._begin(lambda: run.stream(self._models, image))
        return True

    def put_up(self, run: Run, result: EnsembleResult) -> None:
        """Show the result of a run that was made in advance, as if it had ended now."""
        self.reset()
        self._set_run(run)
        self._complete(result)

    def step(self) -> None:
        """Let a paused run take one diffusion step; pause a running one."""
        if self._job is not None:
            if self._job.paused:
                self._job.advance()
            else:
                self._job.pause()

    def cancel(self) -> None:
        """Stop the run; the ensemble so far stays as the result."""
        if self._job is not None:
            self._job.cancel()
        if self._coming is not None:
            # It has shown nothing yet, and what is shown is not to change any more.
            self._coming = None
            self._let_go()

    def drop(self) -> None:
        """Stop the run, and forget its result."""
        self.cancel()
        self._let_go()
        if self._result is not None:
            self._set_result(None)

    def reset(self) -> None:
        """Forget run, result and film, for example when another image is opened."""
        self.drop()
        self._set_run(None)
        self.film_changed.emit()

    # Inside

    def _set_run(self, run: Run | None) -> None:
        self._run, self._coming = run, None
        self.run_changed.emit()

    def _take(self, result: EnsembleResult) -> None:
        """Show an event of the job, as the result of the run that it belongs to."""
        if self._coming is not None:
            self._set_run(self._coming)
        self._set_result(result)
        self.film_changed.emit()

    def _set_result(self, result: EnsembleResult | None) -> None:
        self._result = result
        self.result_changed.emit()

    def _forget_model(self, entry: ModelEntry) -> None:
        if self._run is not None and self._run.model == entry:
            # Without its model the run could not be replayed.
            self.reset()

    def _work(self, result: EnsembleResult) -> tuple[int, int]:
        members = self.settings.members
        if not members:
            return super()._work(result)
        # Batches differ in size, and the time of a step grows with its members.
        steps, drawn = result.step.total, len(result.step.clean_nhw)
        return result.first_member * steps + drawn * result.step.done, members * steps

    def _show(self, result: EnsembleResult) -> None:
        if self._result is None or self._coming is not None:
            self._models.note_loaded()
        self._take(result)

    def _complete(self, result: EnsembleResult | None) -> None:
        self._stopped(result)
        self.completed.emit()

    def _stopped(self, result: EnsembleResult | None) -> None:
        if result is not None and result is not self._result:
            self._take(result)

    def _fail(self, error: BaseException) -> None:
        self._coming = None
        self._context.fail(error)
