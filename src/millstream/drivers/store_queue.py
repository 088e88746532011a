"""A thread that stores checkpoints behind a sync run's back (durability `async`)."""

from __future__ import annotations

import threading
from queue import Queue
from typing import TYPE_CHECKING, Any

from millstream.drivers.persistence import MAX_IN_FLIGHT

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.drivers.persistence import Operation


class StoreThread:
    """Carries out operations one after the other, at most `MAX_IN_FLIGHT` behind the run.

    The first error of the saver is raised by the next `put`, or by `close`; nothing is stored
    after it.
    """

    __slots__ = ("_error", "_queue", "_saver", "_thread")

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._queue: Queue[Operation | None] = Queue(MAX_IN_FLIGHT)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="millstream-store", daemon=True)
        self._thread.start()

    def put(self, operation: Operation) -> None:
        """Hand over an operation; waits while too many are in flight."""
        self._raise_error()
        self._queue.put(operation)

    def close(self) -> None:
        """Wait until everything is stored, and end the thread."""
        self._queue.put(None)
        self._thread.join()
        self._raise_error()

    def has(self, thread: threading.Thread) -> bool:
        """Say whether it is the one that stores."""
        return thread is self._thread

    def _work(self) -> None:
        while (operation := self._queue.get()) is not None:
            if self._error is None:
                self._store(operation)

    def _store(self, operation: Operation) -> None:
        try:
            operation.store(self._saver)
        except BaseException as error:
            self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
