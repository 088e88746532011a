"""An attempt of a task in a worker, whatever takes its messages to the executor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from millstream.drivers.executor import TaskOutcome
from millstream.errors import UnpicklableError
from millstream.executors.line import WINDOW, Line
from millstream.executors.messages import ended, read_order, said
from millstream.executors.node_run import perform
from millstream.executors.pickling import dumps
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from millstream.drivers.executor import Delivery
    from millstream.executors.messages import Perform
    from millstream.executors.pickling import Dumps

Send: TypeAlias = "Callable[[bytes, bool], None]"
"""Takes a message to the executor, and is told whether somebody waits for what comes of it."""


class Attempt:
    """Has a node run, and says what it does.

    The line takes replies and has the node stopped, also before it begins.
    """

    def __init__(
        self, order: Perform, send: Send, *, dump: Dumps = dumps, window: int = WINDOW
    ) -> None:
        self._order, self._send, self._dump = order, send, dump
        self._lock = threading.Lock()
        """Held while something is sent: threads of a node may emit at once."""
        self._is_open = False
        """The outcome has not been sent: what code of a node says that has outlived it must not be
        taken for something of the next task."""
        self.line = Line(window)
        self.line.send = self._emit

    @property
    def node(self) -> str:
        """The name of the node."""
        return self._order.node

    def perform(self) -> None:
        """Run the node in this thread, and send how it ended."""
        with self._lock:
            self._is_open = True
        try:
            outcome = perform(read_order(self._order), self.line)
        except UnpicklableError as error:
            outcome = TaskOutcome(error=error)
        data = ended(outcome, self.node, self._dump)
        with self._lock:
            self._is_open = False
            self._send(data, True)
        # Threads that the node has left behind are told that nobody listens.
        self.line.end()

    def _emit(self, delivery: Delivery) -> None:
        data = said(delivery, self.node, self._dump)
        with self._lock:
            if not self._is_open:
                raise RunAbandoned(self.node)
            self._send(data, delivery.number is not None)
