"""Keeps every diffusion step of a run, by member."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from engine.types import EnsembleResult, Float

#: A film beyond this leaves diffusion steps out, evenly, rather than fill the memory.
FILM_BYTES = 768 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class FilmStep:
    """One diffusion step of one member, on the grid: x_t and the mask it then believed in.

    `noisy_hw` is in mask units, `clean_hw` a probability in [0, 1].
    """

    member: int
    timestep: int
    noisy_hw: Float
    clean_hw: Float


class Film:
    """Every diffusion step of a run by member; written by the job's thread, read by any.

    `members` is how many the run draws at most, or 0 where that is open.
    """

    def __init__(self, members: int = 0) -> None:
        self._expected = members
        self._lock = threading.Lock()
        self._steps: dict[int, list[FilmStep]] = {}
        self._stride = 0

    @property
    def members(self) -> int:
        """How many members have steps."""
        with self._lock:
            return max(self._steps, default=-1) + 1

    def steps(self, member: int) -> tuple[FilmStep, ...]:
        """The steps of `member` so far, first to last."""
        with self._lock:
            return tuple(self._steps.get(member, ()))

    def find(self, member: int, timestep: int) -> FilmStep | None:
        """The step of `member` at `timestep`, or None."""
        for step in self.steps(member):
            if step.timestep == timestep:
                return step
        return None

    @property
    def nbytes(self) -> int:
        """The memory that its steps take."""
        with self._lock:
            steps = [step for each in self._steps.values() for step in each]
        return sum(step.noisy_hw.nbytes + step.clean_hw.nbytes for step in steps)

    def record(self, event: EnsembleResult) -> None:
        """Add what every member of the batch did in this step."""
        step = event.step
        if not self._stride:
            batch = len(step.noisy_nhw)
            # Where the number is given, the first batch may be smaller than the others.
            members = self._expected or batch * event.total // step.total
            each = (step.noisy_nhw.nbytes + step.clean_nhw.nbytes) // batch
            self._stride = 1 + each * members * step.total // FILM_BYTES
        # A batch's last step is always kept: it is the member's answer.
        if (step.done - 1) % self._stride and step.done != step.total:
            return
        with self._lock:
            for row, (noisy_hw, clean_hw) in enumerate(
                zip(step.noisy_nhw, step.clean_nhw, strict=True)
            ):
                member = event.first_member + row
                self._steps.setdefault(member, []).append(
                    FilmStep(member, step.timestep, noisy_hw, clean_hw)
                )
