"""A worker on a cluster: an actor of Ray's, which runs one node at a time.

`perform` streams what the node says, in batches; `tell` is called meanwhile, in a thread of Ray's
own, because a node waits for replies and may have to be stopped.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Final

from millstream.executors.attempt import Attempt
from millstream.executors.batches import SIZE, Batches
from millstream.executors.by_value import dumps_back
from millstream.executors.messages import CLUSTER_WORKER, Perform, read_answer

WINDOW: Final = 16 * SIZE
"""How many events a task may be ahead of its run: as many as are said while one goes there and what
comes of it goes back."""
logger = logging.getLogger(__name__)


class RayWorker:
    """Runs nodes, one at a time."""

    def __init__(self, folders: Sequence[str]) -> None:
        multiprocessing.current_process().name = CLUSTER_WORKER
        # Where the program has its modules from, as far as that is there on this machine.
        sys.path += [path for path in folders if path not in sys.path and os.path.exists(path)]
        self._lock = threading.Lock()
        self._number = -1
        """That of the attempt which came last; they are counted by the executor."""
        self._attempt: Attempt | None = None
        self._stopped = -1
        """The last attempt that was to be stopped."""
        self._attempts = SimpleQueue[tuple[Attempt, Batches]]()
        # One for all nodes: to start a thread takes longer than many a node.
        threading.Thread(target=self._work, name="millstream-node", daemon=True).start()

    def ready(self) -> int:
        """Say which process this is."""
        return os.getpid()

    def perform(self, number: int, node: str, request: bytes) -> Iterator[list[bytes]]:
        """Have a node run; yield what it says, and at last how it ended."""
        batches = Batches()
        attempt = Attempt(Perform(node, request), batches.put, dump=dumps_back, window=WINDOW)
        with self._lock:
            self._number, self._attempt = number, attempt
            is_stopped = self._stopped == number
        if is_stopped:
            attempt.line.stop()
        self._attempts.put((attempt, batches))
        yield from batches

    def _work(self) -> None:
        while True:
            attempt, batches = self._attempts.get()
            try:
                attempt.perform()
            except BaseException:  # not of the node, whose errors are its outcome
                logger.exception("How node '%s' ended could not be said", attempt.node)
            finally:
                batches.end()
            del attempt, batches  # held by nobody while nothing comes

    def stop(self, number: int) -> None:
        """Stop an attempt, which may not have come yet."""
        with self._lock:
            self._stopped = number
            attempt = self._attempt if self._number == number else None
        if attempt is not None:
            attempt.line.stop()

    def reply(self, number: int, reply: int, node: str, data: bytes) -> None:
        """Tell a node what came of an event, by the number of its reply."""
        with self._lock:
            attempt = self._attempt if self._number == number else None
        # None: the node has ended meanwhile.
        if attempt is None:
            return
        attempt.line.reply(read_answer(reply, data, node))
