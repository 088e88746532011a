"""Ringing at other replicas, and hearing them.

A notification takes a lock of the whole database server when its transaction is committed, and
keeps it as long as that takes. So no transaction of a run has one: a replica rings, in a
transaction of its own, for all that it has committed in a few milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import uuid4

import psycopg

from millstream.journal.postgres_connections import checked_address
from millstream.server.doorbell.listening import Ear
from millstream.server.doorbell.news import News, read
from millstream.server.log.signal import Signal

logger = logging.getLogger("millstream.server")

REST: Final = 0.003
"""Seconds after a ring in which what comes is rung for together."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
"""Seconds before it is tried again to connect; each time twice as many."""
PATIENCE: Final = 10.0
"""Seconds in which a replica has to hear its own ring, to know that it hears others."""
LAST_MOMENT: Final = 1.0
"""Seconds for the last ring at the end."""
_PROBE: Final = "probe"
_LOST: Final = (psycopg.Error, OSError)


class Doorbell:
    """Rings at the other replicas, and says when they do. Used in one event loop, but for `ring`.

    Rings may be lost, with a connection or with a replica: whoever relies on them looks now and
    then by itself.
    """

    def __init__(
        self,
        address: str,
        heard: Callable[[News], None],
        *,
        listen_address: str | None = None,
        greet: Callable[[Any], Awaitable[object]] | None = None,
        channel: str = "millstream",
    ) -> None:
        """Take the address of the database, and of the server itself if the other is a pooler's.

        `heard` is called in the event loop with what is new: everything after each time that rings
        may have been missed. `greet` gets each connection that is going to listen, before it does.
        """
        self._address = checked_address(address)
        self._listen_address = checked_address(listen_address or address)
        self._heard = heard
        self._greet = greet
        self._channel = channel
        self._name = uuid4().hex[:12]
        """Who has rung: a replica does not hear itself."""
        self._lock = threading.Lock()
        self._news = News()
        self._signal: Signal | None = None
        self._is_closing = False
        self._tasks: list[asyncio.Task[None]] = []
        self._probed: tuple[str, asyncio.Future[None]] | None = None
        self.is_listening = False
        """Whether it hears others at the moment."""
        self.sent = self.received = 0
        """Notifications."""

    async def start(self) -> None:
        """Begin to ring and to listen; waits for no connection."""
        self._signal = Signal()
        self._tasks = [
            asyncio.create_task(self._tell(), name="millstream-doorbell"),
            asyncio.create_task(self._listen(), name="millstream-listener"),
        ]

    def ring(self, kind: str, id: str | None = None) -> None:
        """Have others told that something is new, which is committed; from any thread."""
        with self._lock:
            self._news.add(kind, id)
        if self._signal is not None:
            self._signal.ring()

    async def close(self) -> None:
        """Ring for what is left, if that takes no time, and let go of the connections."""
        if not self._tasks:
            return
        self._is_closing = True
        telling, listening = self._tasks
        self._tasks = []
        listening.cancel()
        if self._signal is not None:
            self._signal.ring()
        await asyncio.wait([telling], timeout=LAST_MOMENT)
        telling.cancel()
        await asyncio.gather(telling, listening, return_exceptions=True)

    # -- ringing ---------------------------------------------------------------------------------

    async def _tell(self) -> None:
        signal = self._signal
        assert signal is not None, "it was started"
        pauses = _Pauses()
        while not self._is_closing or self._news:
            await self._tell_while_connected(signal, pauses)

    async def _tell_while_connected(self, signal: Signal, pauses: _Pauses) -> None:
        try:
            async with await _connect(self._address) as connection:
                pauses.begin_anew()
                await self._tell_through(connection, signal)
        except _LOST as error:
            logger.log(pauses.level, "no ring gets out, it is tried again: %s", error)
            await pauses.wait()

    async def _tell_through(self, connection: Any, signal: Signal) -> None:
        while True:
            signal.clear()
            with self._lock:
                news, self._news = self._news, News()
            if news:
                try:
                    values = (self._channel, news.payload(self._name))
                    await connection.execute("SELECT pg_notify(%s, %s)", values)
                except BaseException:
                    # Perhaps nobody has heard it.
                    with self._lock:
                        self._news.merge(news)
                    raise
                self.sent += 1
            if self._is_closing:
                return
            if news:
                await asyncio.sleep(REST)
            await signal.wait()

    # -- listening -------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pauses = _Pauses()
        while True:
            try:
                async with await _connect(self._listen_address) as connection:
                    if self._greet is not None:
                        await self._greet(connection)
                    ear = Ear(connection, self._take)
                    try:
                        await ear.listen(self._channel)
                        await self._probe()
                        pauses.begin_anew()
                        self.is_listening = True
                        self._say(News(is_everything=True))
                        await ear.lost
                    finally:
                        self.is_listening = False
                        ear.stop()
                logger.warning("the connection that hears other replicas was lost")
            except asyncio.TimeoutError:  # another class on Python 3.10
                logger.error(
                    "a ring of this replica did not come back to it in %.0f s, so it may not hear "
                    "others: if the database is behind a pooler such as PgBouncer, give the "
                    "address of the server itself for listening",
                    PATIENCE,
                )
            except _LOST as error:
                logger.log(
                    pauses.level, "other replicas are not heard, it is tried again: %s", error
                )
            await pauses.wait()

    async def _probe(self) -> None:
        """Return when the ring of this replica has come back to it: a pooler loses them."""
        name = uuid4().hex
        came_back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._probed = name, came_back
        try:
            self.ring(_PROBE, name)
            await asyncio.wait_for(came_back, PATIENCE)
        finally:
            self._probed = None

    def _take(self, payloads: Sequence[str]) -> None:
        together = News()
        for payload in payloads:
            self.received += 1
            sender, news = read(payload)
            if sender != self._name:
                news.discard(_PROBE)
                together.merge(news)
            elif self._probed is not None:
                name, came_back = self._probed
                if news.concerns(_PROBE, name) and not came_back.done():
                    came_back.set_result(None)
        if together:
            self._say(together)

    def _say(self, news: News) -> None:
        try:
            self._heard(news)
        except Exception:
            logger.exception("what another replica has rung for is not looked at")


class _Pauses:
    """How long it is waited before something is tried again."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    @property
    def level(self) -> int:
        """How loudly it is told that it is tried again: once, and then for who looks for it."""
        return logging.WARNING if self._next == FIRST_PAUSE else logging.DEBUG

    def begin_anew(self) -> None:
        """Wait little the next time: it has gone well."""
        self._next = FIRST_PAUSE

    async def wait(self) -> None:
        """Wait, twice as long each time; not all replicas at once."""
        pause, self._next = self._next, min(2 * self._next, LONGEST_PAUSE)
        await asyncio.sleep(pause * (0.5 + random.random() / 2))


async def _connect(address: str) -> Any:
    # Through a pooler the next transaction may be on another connection of the server.
    return await psycopg.AsyncConnection.connect(address, autocommit=True, prepare_threshold=None)
