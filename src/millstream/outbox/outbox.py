"""Where everything goes that a run says, until its reader takes it.

There are two ways in. What the engine tells (`Outbox.emit`) always gets there: it is told under
locks and comes to an end by itself, and must not fail a task that has done its work. Tokens, items
of the writer, messages that are pushed, what tools emit: all that code of tasks emits takes the
other (`Outbox.emit_from_task`). It may have to wait for a slow reader (see `backpressure`), and is
refused when nobody reads any more. For then a coroutine is cancelled, but nothing stops a thread.
What it emits next raises: so a node ends in the middle of its loop, or its model's answer, instead
of talking on to nobody. Code in the reader's own thread is spared, because it is cancelled or is
the reader.

A reader that waits for parts is woken when one comes. Who that is, is said when the outbox is made,
by the driver whose reader it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from millstream.modes.parts import format_part
from millstream.outbox.abandoned import RunAbandoned
from millstream.outbox.backpressure import BufferLimit

if TYPE_CHECKING:
    from collections import deque

    from millstream.modes.event_listener import EventListener
    from millstream.modes.parts import Emit, Encode, Part
    from millstream.modes.subscription import Subscription

NO_ITEM: Final = object()
"""Stands for a part of which the consumer gets no item."""


class Reader(Protocol):
    """Who takes the parts, and may wait for them."""

    wants_waking: bool
    """It waits, and no wake-up is on its way: asked for each part, so it is no call."""

    def wake(self) -> None:
        """Wake it, from any thread."""


class NoReader:
    """A reader that waits for nothing but the run itself, or has gone."""

    wants_waking = False

    def wake(self) -> None:
        """Do nothing: nobody waits."""


NO_READER: Final[Reader] = NoReader()


class Outbox:
    """The parts of one run that its consumer has not taken yet, and the ways in and out."""

    __slots__ = (
        "_deliver",
        "_keep",
        "_listening",
        "_name",
        "_outlet",
        "_reader",
        "_spared",
        "_subscription",
        "_tell",
        "limit",
        "parts",
    )

    def __init__(
        self,
        name: str,
        subscription: Subscription,
        parts: deque[Part],
        reader: Reader = NO_READER,
        max_buffered: int | None = None,
        soon: Callable[[Callable[[], None]], bool] | None = None,
        outlet: Callable[[Any], object] | None = None,
    ) -> None:
        """Make one for a reader, or for an `outlet`, which gets each item as soon as it is told."""
        self.parts = parts
        self.limit = None if max_buffered is None else BufferLimit(max_buffered, parts, soon)
        self._name = name
        self._subscription = subscription
        self._reader = reader if outlet is None else NO_READER
        self._outlet = outlet
        self._tell: Emit = parts.append if outlet is None else self._give
        self._deliver: Emit = self._tell
        """Take what code of a task emits: another function when the consumer has gone, so that a
        token costs no question."""
        self._keep = self._deliver
        self._spared: int | None = None
        self._listening: tuple[Outbox, Outbox] | None = None
        """What takes a listener's events, and its chunks."""

    @property
    def emit(self) -> Emit:
        """Where the engine tells."""
        return self._tell if self._reader is NO_READER else self._put

    @property
    def emit_from_task(self) -> Emit:
        """Where code of tasks emits."""
        emit = self._put_from_task
        return emit if self.limit is None else self.limit.limited(emit)

    def _put(self, part: Part) -> None:
        # First the part and then a look at the reader, who does it the other way round.
        self.parts.append(part)
        if self._reader.wants_waking:
            self._reader.wake()

    def _put_from_task(self, part: Part) -> None:
        self._deliver(part)
        if self._reader.wants_waking:
            self._reader.wake()

    def take_part(self) -> Callable[[], Part]:
        """Return the function that takes the oldest part the consumer has not received yet."""
        return self.parts.popleft if self.limit is None else self.limit.take

    def encoder(self) -> Encode:
        """Return what turns a part into the consumer's item, or into `NO_ITEM`."""
        return self._print if self._subscription.printed else self._subscription.encode

    def _give(self, part: Part) -> None:
        item = self.encoder()(part)
        if item is not NO_ITEM:
            assert self._outlet is not None
            self._outlet(item)

    def _print(self, part: Part) -> Any:
        subscription = self._subscription
        if part[1] in subscription.printed:
            has_subgraphs, is_plain = subscription.has_subgraphs, bool(os.environ.get("NO_COLOR"))
            print(format_part(part, has_subgraphs=has_subgraphs, is_plain=is_plain))  # noqa: T201
        return subscription.encode(part) if part[1] in subscription.yielded else NO_ITEM

    def take(self) -> Iterator[Any]:
        """Hand out what the consumer has not received yet."""
        take, encode = self.take_part(), self.encoder()
        for _ in range(len(self.parts)):
            item = encode(take())
            if item is not NO_ITEM:
                yield item

    def listen_to(self, listener: EventListener) -> None:
        """Take the events of a listener, whatever becomes of the run, until `ignore`."""
        rest = self._name, self._subscription, self.parts, self._reader, None, None, self._outlet
        events, chunks = self._listening = Outbox(*rest), Outbox(*rest)
        listener.connect(events.emit_from_task, chunks.emit_from_task)

    def ignore(self, *, is_stopping: bool) -> None:
        """Have nothing kept of what the listener is told from now on.

        A thread may still begin and end things. Where the run `is_stopping`, it is stopped when it
        emits chunks.
        """
        assert self._listening is not None
        events, chunks = self._listening
        if is_stopping:
            chunks.refuse()
        events.close()
        chunks.close()

    def refuse(self) -> None:
        """Stop the threads of tasks, whether or not they wait: what they emit is refused.

        Nothing changes for the thread that calls this.
        """
        # Whoever stops the run is cleaning up, and may emit while it does.
        self._spared = threading.get_ident()
        self._deliver = self._deliver_here
        if self.limit is not None:
            self.limit.close()

    def close(self) -> None:
        """Discard what is not refused: nobody will read it, or has to be woken for it."""
        self._keep = _discard
        # Where threads are refused they stay so: they must end.
        if self._spared is None:
            self._deliver = _discard
        if self.limit is not None:
            self.limit.close()
        self._reader = NO_READER

    def _deliver_here(self, part: Part) -> None:
        if threading.get_ident() != self._spared:
            raise RunAbandoned(self._name)
        self._keep(part)


def _discard(_: Part) -> None:
    """Forget a part."""
