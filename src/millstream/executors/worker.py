"""What goes on in a worker process: it takes one task after the other from its line."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from millstream.drivers.executor import Delivery, Reply, TaskOutcome
from millstream.errors import UnpicklableError
from millstream.executors.line import Line
from millstream.executors.node_run import perform
from millstream.executors.pickling import dumps, named, packed, portable
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from millstream.drivers.executor import TaskRequest


@dataclass(frozen=True, slots=True)
class Started:
    """The worker takes tasks from now on."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A task has ended."""

    outcome: TaskOutcome
    traceback: str = ""
    """Where its error was raised."""


@dataclass(frozen=True, slots=True)
class Perform:
    """A task to be done, pickled: it may be that only this process cannot read it."""

    node: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the task."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the process when it has nothing to do."""


ORPHANED: Final = 1
"""The exit code of a worker whose owner has gone."""


def serve(connection: Connection) -> None:
    """Do what comes in, until the owner says that it is enough, or has gone."""
    # Ctrl-C reaches all processes of a terminal: the owner decides what becomes of tasks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(connection).serve()


class Worker:
    """A process that runs nodes, one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        """Held while something is sent: threads of a node may emit at once."""
        self._tasks: SimpleQueue[tuple[Perform, Line] | None] = SimpleQueue()
        self._line = Line()
        """That of the task which came last."""
        self._open: Line | None = None
        """That of the task whose outcome has not been sent: what code of others says, which has
        outlived them, must not be taken for its own."""

    def serve(self) -> None:
        """Do one task after the other, in this thread."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(pickle.dumps(Started()))
        while (task := self._tasks.get()) is not None:
            request, line = task
            with self._lock:
                self._open = line
            # In the main thread, where code of nodes may expect to be.
            outcome = self._perform(request, line)
            with self._lock:
                self._open = None
                self._send(outcome)
            # Threads that the node has left behind are told that nobody listens.
            line.end()

    def _listen(self) -> None:
        try:
            while not isinstance(message := self._connection.recv(), Leave):
                self._take(message)
        # At once, because a node may be at work, and nobody will ever ask what became of it.
        except (EOFError, OSError):
            os._exit(ORPHANED)
        self._tasks.put(None)

    def _take(self, message: Any) -> None:
        if isinstance(message, Perform):
            self._line = line = Line()
            line.send = lambda delivery: self._emit(line, message.node, delivery)
            self._tasks.put((message, line))
        elif isinstance(message, Reply):
            self._line.reply(message)
        else:
            self._line.stop()

    def _perform(self, task: Perform, line: Line) -> bytes:
        try:
            request: TaskRequest = pickle.loads(task.request)
        except Exception as error:
            refused = UnpicklableError(task.node, "what it is given", str(error))
            return self._ended(task.node, TaskOutcome(error=refused))
        return self._ended(task.node, perform(request, line))

    def _ended(self, node: str, outcome: TaskOutcome) -> bytes:
        """Return how a task ended, as bytes, whatever it ended with."""
        error = outcome.error
        text = "" if error is None else "".join(traceback.format_exception(error))
        if error is not None:
            return dumps(Ended(TaskOutcome(error=portable(error, node)), text))
        try:
            return dumps(Ended(outcome))
        except Exception as refused:
            # The error says which part of it, and the task fails with that.
            value = outcome.questions or outcome.result
            what = "what it asks" if outcome.questions else "what it returns"
            return self._ended(node, TaskOutcome(error=named(value, node, what, refused)))

    def _emit(self, line: Line, node: str, delivery: Delivery) -> None:
        data = packed(delivery, node, getattr(delivery.event, "what", "what it emits"))
        with self._lock:
            if self._open is not line:
                raise RunAbandoned(node)
            self._send(data)

    def _send(self, data: bytes) -> None:
        try:
            self._connection.send_bytes(data)
        except OSError:
            os._exit(ORPHANED)
