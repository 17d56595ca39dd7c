"""What the cells did in a diffusion step is computed again when somebody wants to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.types import CellStep
from nca_seg_app.services.run import Run

if TYPE_CHECKING:
    from nca_seg_app.session import Session


class Replay:
    """Replays of one run after another; a newer wish replaces one that was not answered yet."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ticket = 0

    def replay(
        self, run: Run, member: int, timestep: int, done: Callable[[list[CellStep]], None]
    ) -> None:
        """Give `done` every cell update of that step of `run`; see `Segmentation.replay`."""
        session, image = self._session, self._session.image
        frame = run.film.find(member, timestep)
        if image is None or frame is None:
            return
        self._ticket += 1
        ticket, device, shelf = self._ticket, session.settings.device, session.model_library.shelf

        def work() -> list[CellStep]:
            cells: list[CellStep] = []
            if ticket != self._ticket:
                return cells
            handle = shelf.get(run.model, device).handle
            for cell in session.engine.replay(
                handle, image, frame.noisy_hw, timestep, run.settings.seed, member
            ):
                cells.append(cell)
                if ticket != self._ticket:
                    break
            return cells

        def deliver(cells: list[CellStep]) -> None:
            session.jobs.let_go()
            if ticket == self._ticket:
                done(cells)

        def refuse(error: BaseException) -> None:
            session.fail(error)
            deliver([])

        session.jobs.hold(lambda: session.aside.run(work, deliver, refuse))
