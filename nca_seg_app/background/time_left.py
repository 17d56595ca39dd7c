"""Estimates how long a stream still needs."""

from __future__ import annotations

import time
from collections.abc import Callable


class TimeLeft:
    """Estimates how long a stream still needs from its pace so far, without pauses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self._held_at: float | None = None
        self._held_s = 0.0
        #: Seconds to go, or None before the second event.
        self.seconds: float | None = None

    def note(self, done: int, total: int) -> None:
        """Take in an event of the stream: `done` of `total` steps of equal length are over."""
        now = self._clock()
        if self._began is None:
            self._began = (now, done)
            self._held_s = 0.0
            return
        began, first = self._began
        if done > first:
            pause_s = self._held_s + (now - self._held_at if self._held_at is not None else 0.0)
            self.seconds = (now - began - pause_s) / (done - first) * (total - done)

    def hold(self, paused: bool) -> None:
        """Take in that the stream was paused, or continued."""
        now = self._clock()
        if self._held_at is not None:
            self._held_s += now - self._held_at
        self._held_at = now if paused else None
