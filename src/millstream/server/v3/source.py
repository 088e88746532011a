"""The protocol events of a thread: what is stored, then what its runs say, in one order.

What is not read yet stays where it is, in the logs of runs or in the database. So a reader costs
nothing, however slow it is, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from millstream.server.errors import not_found
from millstream.server.log.event_ids import START
from millstream.server.log.run_log import Entry, RunLog
from millstream.server.log.signal import Signal
from millstream.server.storage import events
from millstream.server.storage.runs import has_thread
from millstream.server.v3.protocol import EventFilter, Place, invalid

if TYPE_CHECKING:
    from millstream.server.api.routing import Call
    from millstream.server.log.event_ids import EventId
    from millstream.server.log.hub import Logs
    from millstream.server.storage.database import Database

PAGE: Final = 256
"""How many events are read together."""

MaySee = Callable[[], Awaitable[bool]]


class ProtocolSource:
    """One reader of a thread; it does not end by itself."""

    def __init__(
        self,
        db: Database,
        logs: Logs,
        thread_id: str,
        wanted: EventFilter,
        place: Place,
        may_see: MaySee | None = None,
        signal: Signal | None = None,
        replica: str | None = None,
    ) -> None:
        """Read what passes a filter after a place.

        `may_see` is asked before the first event is shown: the thread may not exist before.
        `signal` is what is rung, where one task reads several sources, `replica` the one that
        reads, where there are several.
        """
        self._replica = replica
        self.signal: Final = signal or Signal()
        self.is_over = False
        self._db = db
        self._logs = logs
        self.thread_id: Final = thread_id
        self._wanted = wanted
        self._place = place
        self._may_see = may_see
        self._replayed: EventId | None = place.id
        """How far stored runs have been read, None if that is done."""
        self._passed: EventId = START
        """The last one of those."""
        self._lives: list[_Live] = []
        self._attached: dict[str, int] = {}
        """Runs that are read from their logs -> after which place."""
        logs.watch(thread_id, self)

    def attach(self, log: RunLog, after: int) -> None:
        """Read the log of a run too, from a place on."""
        if self._replayed is not None:
            self._attached[log.run_id] = after
        self._lives.append(_Live(log, self.signal, after))

    def end(self) -> None:
        """Come to an end: the server stops."""
        self.is_over = True
        self.signal.ring()

    async def take(self) -> bytes:
        """Return frames that are there now, as server-sent events."""
        return b"".join(await self.take_frames())

    async def take_frames(self) -> list[bytes]:
        """Return frames that are there now, nothing if there are none."""
        while (entries := await self._next()) is not None:
            frames = self._passing(entries)
            if frames and self._may_see is not None:
                if not await self._may_see():
                    # Somebody else's: as if nothing had been said.
                    continue
                self._may_see = None
            if frames:
                return frames
        return []

    def close(self) -> None:
        """Stop reading."""
        self.is_over = True
        self._logs.unwatch(self.thread_id, self)
        for live in self._lives:
            live.log.unsubscribe(live)

    async def _next(self) -> Iterable[Entry] | None:
        """Return the events that come next, None if there are none now."""
        if self._replayed is not None:
            return await self._next_stored(self._replayed)
        live = self._next_live()
        if live is None:
            return None
        entries = live.log.after(live.seq, PAGE)
        if entries is None and live.log.is_resumable:
            stored = await self._db.read(events.read_from, live.log.run_id, live.seq, PAGE)
            entries = [entry for entry in stored if entry.seq <= live.log.readable]
        if entries:
            live.seq = entries[-1].seq
            return [entry for entry in entries if entry.id > self._passed]
        # What is gone, of a run that is not stored.
        live.seq = max(live.seq, live.log.base)
        return ()

    async def _next_stored(self, after: EventId) -> Iterable[Entry]:
        stored = await self._db.read(
            events.read_protocol, self.thread_id, after, PAGE, self._replica
        )
        attached = self._attached
        found = [entry for run_id, entry in stored if entry.seq <= attached.get(run_id, entry.seq)]
        if len(stored) == PAGE:
            self._replayed = stored[-1][1].id
        else:
            self._replayed = None
            attached.clear()
        if found and self._replica is not None:
            # The log of a run elsewhere may come later, with all that it has said.
            self._passed = found[-1].id
        return found

    def _next_live(self) -> _Live | None:
        """Return the log that has something; one that has ended comes before its successors."""
        for live in [live for live in self._lives if live.is_over]:
            live.log.unsubscribe(live)
            self._lives.remove(live)
        unread = [live for live in self._lives if live.log.readable > live.seq]
        return min(unread, key=lambda live: not live.log.is_closed, default=None)

    def _passing(self, entries: Iterable[Entry]) -> list[bytes]:
        wanted, place = self._wanted, self._place
        return [
            entry.frame
            for entry in entries
            if entry.mode in wanted and place.is_before((entry.ms, entry.seq), entry.frame)
        ]


class _Live:
    """The place of a reader in the log of a run."""

    __slots__ = ("log", "seq", "signal")

    def __init__(self, log: RunLog, signal: Signal, after: int) -> None:
        self.log = log
        self.signal = signal
        self.seq = after
        log.subscribe(self)

    @property
    def is_over(self) -> bool:
        """Whether there will be nothing more."""
        return self.log.is_closed and self.seq >= self.log.readable


async def open_source(
    call: Call,
    thread_id: str,
    params: Any,
    last_event_id: str | None = None,
    signal: Signal | None = None,
) -> ProtocolSource:
    """Return the events of a thread that a client asks for.

    `ProtocolError` for parameters that are none, `ApiError` for a thread of somebody else.
    """
    if not isinstance(params, dict):
        raise invalid("The parameters must be an object with channels")
    wanted, place = EventFilter(params), Place.of(params, last_event_id)
    service = call.service
    may_see = await admitted(call, thread_id)
    elsewhere = service.scheduler.elsewhere
    source = ProtocolSource(
        service.db, service.logs, thread_id, wanted, place, may_see, signal, elsewhere.replica
    )
    try:
        await elsewhere.threads.ready(thread_id)
    except BaseException:
        source.close()
        raise
    return source


async def admitted(call: Call, thread_id: str) -> MaySee | None:
    """Return what says whether a caller may see a thread, None for one who may see all.

    `ApiError` for a thread of somebody else. One that does not exist yet is waited for: whose it
    is is known when it does.
    """
    db, filters = call.service.db, call.filters
    if filters is None:
        return None

    async def may_see() -> bool:
        return bool(await db.read(has_thread, thread_id, filters))

    if not await may_see() and await db.read(has_thread, thread_id, None):
        raise not_found(f"Thread with ID {thread_id}")
    return may_see
