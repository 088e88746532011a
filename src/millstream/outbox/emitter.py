"""Where the code of tasks emits for one consumer, and what happens when nobody reads any more.

Tokens, items of the writer, messages that are pushed, what tools emit: all of it goes through the
`Emitter` of the run whose consumer sees it (`Run.emit_from_task`). What the engine itself tells
does not (`Run.emit`): it comes to an end by itself, and must not fail a task that has done its
work.

When the consumer has gone, a coroutine is cancelled, but nothing stops a thread. What it emits next
raises: so a node ends in the middle of its loop, or its model's answer, instead of talking on to
nobody. Code in the reader's own thread is spared, because it is cancelled or is the reader.

Whether those who emit have to wait for a slow consumer is the business of `backpressure`.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.modes.parts import Emit, Part


class RunAbandoned(BaseException):
    """Nobody waits for this run any more, or for the one around it: it stops."""


def as_traced(error: BaseException) -> BaseException:
    """Return what callback handlers are told of an error: of ours, that it is a cancellation."""
    return CancelledError(*error.args) if isinstance(error, RunAbandoned) else error


class Emitter:
    """Takes what the code of tasks emits, until the consumer has gone."""

    __slots__ = ("_keep", "_name", "_spared", "deliver")

    def __init__(self, deliver: Emit, name: str) -> None:
        self.deliver = deliver
        """Take one part. Looked up for each: it is replaced when the consumer has gone."""
        # Where parts go as long as they are taken from somebody: see `_deliver_here`.
        self._keep = deliver
        self._name = name
        self._spared: int | None = None

    def emit(self, part: Part) -> None:
        """Take one part."""
        self.deliver(part)

    def refuse(self) -> None:
        """Stop the threads of tasks: what they emit raises `RunAbandoned`.

        Nothing changes for the thread that calls this.
        """
        # Whoever stops the run is cleaning up, and may emit while it does.
        self._spared = threading.get_ident()
        self.deliver = self._deliver_here

    def close(self) -> None:
        """Discard what is not refused: nobody will read it."""
        self._keep = _discard
        # Where threads are refused they stay so: they must end.
        if self._spared is None:
            self.deliver = _discard

    def _deliver_here(self, part: Part) -> None:
        if threading.get_ident() != self._spared:
            raise RunAbandoned(self._name)
        self._keep(part)


def _discard(_: Part) -> None:
    """Forget a part."""
