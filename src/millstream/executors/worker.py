"""What goes on in a worker process: it takes one task after the other from its line."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from millstream.executors.attempt import Attempt
from millstream.executors.messages import Answer, Leave, Perform, Started, read_answer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


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
        self._attempts: SimpleQueue[Attempt | None] = SimpleQueue()
        self._last: Attempt | None = None
        """The one that came last."""

    def serve(self) -> None:
        """Do one task after the other, in this thread."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(pickle.dumps(Started()))
        # In the main thread, where code of nodes may expect to be.
        while (attempt := self._attempts.get()) is not None:
            attempt.perform()

    def _listen(self) -> None:
        try:
            while not isinstance(message := self._connection.recv(), Leave):
                self._take(message)
        # At once, because a node may be at work, and nobody will ever ask what became of it.
        except (EOFError, OSError):
            os._exit(ORPHANED)
        self._attempts.put(None)

    def _take(self, message: Any) -> None:
        if isinstance(message, Perform):
            self._last = Attempt(message, self._send)
            self._attempts.put(self._last)
        elif self._last is not None and isinstance(message, Answer):
            self._last.line.reply(read_answer(message.number, message.reply, self._last.node))
        elif self._last is not None:
            self._last.line.stop()

    def _send(self, data: bytes, _is_urgent: bool = True) -> None:
        try:
            self._connection.send_bytes(data)
        except OSError:
            os._exit(ORPHANED)
