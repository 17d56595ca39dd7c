"""Runs short work off the main thread, in the order in which it was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

log = logging.getLogger(__name__)


class Tasks(QObject):
    """Short work off the main thread, one after the other: reading, writing, thumbnails."""

    _ended = Signal(object)

    def __init__(self, parent: QObject | None = None, threads: int = 1) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="nca-seg-task")
        self._open = True
        self._pending = 0
        self._ended.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def pending(self) -> int:
        """How many tasks have not delivered yet."""
        return self._pending

    def run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Run `work()` in a thread; then `done(its result)` or `failed(its error)` here."""
        if self._open:
            self._pending += 1
            self._pool.submit(self._work, work, done, failed)

    def wait(self, work: Callable[[], Any]) -> Any:
        """The result of `work()`, run after all that was asked for before; blocks until then.

        Only for what cannot wait, as the end of the program; its error is raised here.
        """
        future: Future[Any] = self._pool.submit(work)
        return future.result()

    def close(self) -> None:
        """Finish what was begun or asked for; nothing is delivered any more."""
        self._open = False
        self._pool.shutdown(wait=True)

    def _work(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None] | None,
        failed: Callable[[BaseException], None] | None,
    ) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as caught:
            # A task's failure belongs to whoever asked for it, in the thread it asked from.
            error = caught
        self._ended.emit((done, failed, result, error))

    @Slot(object)
    def _deliver(self, ended: tuple[Any, Any, Any, BaseException | None]) -> None:
        done, failed, result, error = ended
        self._pending -= 1
        if not self._open:
            return
        if error is None:
            if done is not None:
                done(result)
        elif failed is not None:
            failed(error)
        else:
            log.error("A task failed", exc_info=error)
