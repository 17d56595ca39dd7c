"""Computes again what the cells did in a diffusion step, when somebody wants to see it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from engine.types import CellStep
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.segmentation import Segmentation


class Replay(QObject):
    """Replays steps of the newest run; a newer request replaces one not answered yet."""

    def __init__(self, context: Context, models: ModelLibrary, segmentation: Segmentation) -> None:
        super().__init__(context)
        self._context = context
        self._models = models
        self._segmentation = segmentation
        self._request_id = 0

    def replay(self, member: int, timestep: int, done: Callable[[list[CellStep]], None]) -> None:
        """Compute every cell update of one diffusion step of the newest run, in the background.

        Parameters
        ----------
        member, timestep : which step; nothing happens where the film does not hold it.
        done : given the cell updates. Only the newest request is answered. One that failed is
            told, and answered with none.
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
            chosen = run.settings
            for cell in context.engine.replay(
                handle, image, frame.noisy_hw, timestep, chosen.seed, member, chosen.views
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
