"""Computes a diffusion step of the newest run again, to show the states of the cells in it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from engine.types import CellStep
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.segmentation import Segmentation


class Replay(QObject):
    """Replays diffusion steps of the newest run; a new request replaces one not yet answered."""

    def __init__(self, context: Context, models: ModelLibrary, segmentation: Segmentation) -> None:
        super().__init__(context)
        self._context = context
        self._models = models
        self._segmentation = segmentation
        self._request_id = 0

    def replay(self, member: int, timestep: int, done: Callable[[list[CellStep]], None]) -> None:
        """Compute the states of one diffusion step of the newest run, in the background.

        Parameters
        ----------
        member, timestep : the step. If the film does not hold it nothing happens.
        done : called with the state after every cell update, unless there is a newer request. If
            the replay fails the person is told, and `done` is called with an empty list.
        """
        context, image, run = self._context, self._context.workspace.image, self._segmentation.run
        frame = run.film.find(member, timestep) if run is not None else None
        if image is None or run is None or frame is None:
            return
        self._request_id += 1
        request_id, device, models = self._request_id, context.settings.device, self._models.cache

        def work() -> list[CellStep]:
            cells: list[CellStep] = []
            if request_id != self._request_id:
                return cells
            handle = models.get(run.model, device).handle
            for cell in context.engine.replay(
                handle, image, frame.noisy_hw, timestep, run.settings, member, run.prompt
            ):
                cells.append(cell)
                if request_id != self._request_id:
                    break
            return cells

        def deliver(cells: list[CellStep]) -> None:
            context.jobs.let_go()
            if request_id == self._request_id:
                done(cells)

        def refuse(error: BaseException) -> None:
            context.fail(error)
            deliver([])

        context.jobs.hold(lambda: context.aside.run(work, deliver, refuse))
