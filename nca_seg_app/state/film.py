"""Keeps the diffusion steps of a run, by member."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from engine.types import EnsembleResult, Float

#: The memory for a film; one that would need more leaves out diffusion steps evenly.
FILM_BYTES = 768 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class FilmStep:
    """One diffusion step of one member, on the grid.

    `noisy_hw` is x_t in mask units, `clean_hw` the clean prediction as a probability in [0, 1].
    """

    member: int
    timestep: int
    noisy_hw: Float
    clean_hw: Float


class Film:
    """Records the diffusion steps of a run by member; the job's thread writes, any may read.

    `members` is how many members the run draws, or 0 if that is automatic.
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
        """The recorded steps of `member`, first to last."""
        with self._lock:
            return tuple(self._steps.get(member, ()))

    def find(self, member: int, timestep: int) -> FilmStep | None:
        """The recorded step of `member` at `timestep`, or None."""
        for step in self.steps(member):
            if step.timestep == timestep:
                return step
        return None

    @property
    def nbytes(self) -> int:
        """The memory of the recorded steps in bytes."""
        with self._lock:
            steps = [step for each in self._steps.values() for step in each]
        return sum(step.noisy_hw.nbytes + step.clean_hw.nbytes for step in steps)

    def record(self, event: EnsembleResult) -> None:
        """Record the newest step of every member of the batch."""
        step = event.step
        if not self._stride:
            batch = len(step.noisy_nhw)
            # The batch alone does not tell: if the number is given, the first may be smaller.
            members = self._expected or batch * event.total // step.total
            each = (step.noisy_nhw.nbytes + step.clean_nhw.nbytes) // batch
            self._stride = 1 + each * members * step.total // FILM_BYTES
        # A batch's last step is always kept, because it is the member's answer.
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
