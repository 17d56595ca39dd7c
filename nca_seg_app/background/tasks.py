"""Runs short tasks off the main thread, in the order in which they are given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

log = logging.getLogger(__name__)


class Tasks(QObject):
    """A queue of short tasks, such as reading a file, that run in threads of their own.

    With one thread, the default, the tasks run one after the other.
    """

    _ended = Signal(object)

    def __init__(self, parent: QObject | None = None, threads: int = 1) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="nca-seg-task")
        self._open = True
        self._pending = 0
        self._ended.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def pending(self) -> int:
        """How many tasks have not delivered their result yet."""
        return self._pending

    def run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Run a task.

        Parameters
        ----------
        work : called in a thread of the queue.
        done : called with the result of `work`, in the thread of this object.
        failed : called with the error of `work`, in the thread of this object. Without it the error
            is logged.
        """
        if self._open:
            self._pending += 1
            self._pool.submit(self._work, work, done, failed)

    def wait(self, work: Callable[[], Any]) -> Any:
        """Run `work` after all tasks given before, block until it ends, and return its result.

        Raises what `work` raises. It is meant for the end of the program only.
        """
        future: Future[Any] = self._pool.submit(work)
        return future.result()

    def close(self) -> None:
        """Wait until all tasks have run; results are no longer delivered."""
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
            # Delivered to `failed` in the thread that gave the task.
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
