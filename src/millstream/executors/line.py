"""The line between a task that runs apart from its run, and the run."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from millstream.drivers.elsewhere import Passed
from millstream.drivers.executor import Delivery, Reply
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from millstream.drivers.executor import TaskEvent


WINDOW: Final = 32
"""How many events a task may be ahead of its run, where the way to it is short."""


class Line:
    """Takes events to the run, and has the task stopped. Usable from any thread."""

    send: Callable[[Delivery], None]
    """Take an event to where the run is."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._numbers = itertools.count()
        self._replies: dict[int, Callable[[Reply | None], None]] = {}
        self._lock = threading.Lock()
        self._ahead = 0
        """How many events were sent since the last mark."""
        self._mark: SimpleQueue[Reply | None] | None = None
        """Tells that all has been carried out that was sent before the last mark."""
        self._is_stopped = False
        self._stops: list[Callable[[], None]] = []

    def emit(self, event: TaskEvent) -> None:
        """Send an event; `RunAbandoned` when the task has been stopped.

        Waits now and then until what was sent some time ago has been carried out, so that a task
        does not run away from a slow reader.
        """
        if self._is_stopped:
            raise RunAbandoned
        self.send(Delivery(event))
        self._ahead += 1
        # Counted without a lock: several threads may miscount a little, and wait a little later.
        if self._ahead >= self._window // 2:
            self._ahead = 0
            self._set_mark()

    def _set_mark(self) -> None:
        """Wait until the run has come to the last mark, and set another one here.

        So half of the events of a window are on their way while the others are carried out.
        """
        answer = SimpleQueue[Reply | None]()
        self.begin(Passed(), answer.put)
        with self._lock:
            last, self._mark = self._mark, answer
        if last is not None and last.get() is None:
            raise RunAbandoned

    def ask(self, event: TaskEvent) -> Any:
        """Send an event and wait for what comes of it; see `emit`."""
        answer = SimpleQueue[Reply | None]()
        self.begin(event, answer.put)
        reply = answer.get()
        if reply is None:
            raise RunAbandoned
        if reply.error is not None:
            raise reply.error
        return reply.value

    def begin(self, event: TaskEvent, take: Callable[[Reply | None], None]) -> int:
        """Send an event, and have what comes of it given to a function, None if nothing will.

        Returns the number of the reply. The function is called in a thread that must not wait.
        """
        number = next(self._numbers)
        with self._lock:
            if self._is_stopped:
                raise RunAbandoned
            # Before it is sent: the reply may be faster than this thread.
            self._replies[number] = take
        try:
            self.send(Delivery(event, number))
        except BaseException:
            with self._lock:
                self._replies.pop(number, None)
            raise
        return number

    def when_stopped(self, stop: Callable[[], None]) -> None:
        """Call a function when the task is stopped."""
        with self._lock:
            if not self._is_stopped:
                self._stops.append(stop)
                return
        # It was stopped before anybody could say how.
        stop()

    def reply(self, reply: Reply) -> None:
        """Tell the task what came of an event."""
        with self._lock:
            take = self._replies.pop(reply.number, None)
        # None: who asked has been told that the task is stopped.
        if take is not None:
            take(reply)

    def stop(self) -> None:
        """Stop the task."""
        with self._lock:
            self._is_stopped = True
            stops, self._stops = self._stops, []
        self.end()
        for stop in stops:
            stop()

    def end(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._is_stopped = True
            waiting, self._replies = self._replies, {}
        for take in waiting.values():
            take(None)
