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
from millstream.executors.line import Line
from millstream.executors.node_run import perform
from millstream.executors.pickling import dumps, named, packed

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

    def serve(self) -> None:
        """Do one task after the other, in this thread."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(pickle.dumps(Started()))
        while (task := self._tasks.get()) is not None:
            self._send(self._perform(*task))

    def _listen(self) -> None:
        try:
            while not isinstance(message := self._connection.recv(), Leave):
                self._take(message)
        except (EOFError, OSError):
            os._exit(ORPHANED)
        self._tasks.put(None)

    def _take(self, message: Any) -> None:
        if isinstance(message, Perform):
            self._line = Line()
            self._line.send = lambda delivery: self._emit(message.node, delivery)
            self._tasks.put((message, self._line))
        elif isinstance(message, Reply):
            self._line.reply(message)
        else:
            self._line.stop()

    def _perform(self, task: Perform, line: Line) -> bytes:
        try:
            request: TaskRequest = pickle.loads(task.request)
        except Exception as error:
            return self._ended(task.node, TaskOutcome(error=error))
        return self._ended(task.node, perform(request, line))

    def _ended(self, node: str, outcome: TaskOutcome) -> bytes:
        """Return how a task ended, as bytes, whatever it ended with."""
        error = outcome.error
        text = "" if error is None else "".join(traceback.format_exception(error))
        try:
            data = dumps(Ended(outcome, text))
            if error is not None:
                pickle.loads(data)  # some errors can be pickled and not be read
        except Exception as refused:
            if error is None:
                value = outcome.questions or outcome.result
                what = "what it asks" if outcome.questions else "what it returns"
                return self._ended(node, TaskOutcome(error=named(value, node, what, refused)))
            told = RuntimeError(f"{type(error).__qualname__} in node '{node}': {error}")
            data = pickle.dumps(Ended(TaskOutcome(error=told), text))
        return data

    def _emit(self, node: str, delivery: Delivery) -> None:
        self._send(packed(delivery, node, "what it emits"))

    def _send(self, data: bytes) -> None:
        try:
            with self._lock:
                self._connection.send_bytes(data)
        except OSError:
            os._exit(ORPHANED)
