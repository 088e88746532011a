"""Ringing at other replicas, and hearing them.

A notification takes a lock of the whole database server when its transaction is committed, and
keeps it as long as that takes. So no transaction of a run has one: a replica rings, in a
transaction of its own, for all that it has committed in a few milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import uuid4

import psycopg
from sqlalchemy.exc import DBAPIError

from millstream._base.cancellation import within
from millstream.journal.postgres_connections import checked_address, letting_go
from millstream.server.doorbell.listening import Ear
from millstream.server.doorbell.news import News, read
from millstream.server.doorbell.pauses import Pauses
from millstream.server.doorbell.relay import Relay
from millstream.server.log.signal import Signal

logger = logging.getLogger("millstream.server")

REST: Final = 0.003
"""Seconds after a ring in which what comes is rung for together."""
PATIENCE: Final = 10.0
"""Seconds in which a replica has to hear its own ring, to know that it hears others."""
LAST_MOMENT: Final = 1.0
"""Seconds for the last ring at the end."""
_PROBE: Final = "probe"
_LOST: Final = (psycopg.Error, OSError, DBAPIError)
"""What is raised where the server is away: also by who greets, through the tables."""


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
        redis: str | None = None,
        is_alone: Callable[[], bool] = lambda: False,
        channel: str = "millstream",
    ) -> None:
        """Take the address of the database, and of the server itself if the other is a pooler's.

        With the address of a `redis` server rings go by that, and by the database where it is away.
        `heard` is called in the event loop with what is new: everything after each time that rings
        may have been missed. `greet` gets each connection that is going to listen, before it does.
        While it `is_alone` and has never heard anybody, nobody is rung for: whoever begins to
        listen rings, and looks at everything.
        """
        self._address = checked_address(address)
        self._listen_address = checked_address(listen_address or address)
        self._heard = heard
        self._greet = greet
        self._is_alone = is_alone
        self._has_heard = False
        """Others have rung at some time."""
        self._channel = channel
        self._name = uuid4().hex[:12]
        """Who has rung: a replica does not hear itself."""
        self._lock = threading.Lock()
        self._news = News()
        self._signal: Signal | None = None
        self._is_closing = False
        self._tasks: list[asyncio.Task[None]] = []
        self._probed: tuple[str, asyncio.Future[None]] | None = None
        self._hears_database = False
        self._relay = Relay(redis, channel, self._take, self._say_all) if redis else None
        self.sent = self.received = 0
        """Notifications."""

    @property
    def is_listening(self) -> bool:
        """Whether it hears others at the moment, in whatever way they ring."""
        return self._hears_database and (self._relay is None or self._relay.is_listening)

    async def start(self) -> None:
        """Begin to ring and to listen; waits for no connection."""
        if self._relay is not None:
            self._relay.start()
        self._signal = Signal()
        self._tasks = [
            asyncio.create_task(self._tell(), name="millstream-doorbell"),
            asyncio.create_task(self._listen(), name="millstream-listener"),
        ]

    def ring(self, kind: str, id: str | None = None) -> None:
        """Have others told that something is new, which is committed; from any thread."""
        if kind != _PROBE and not self._has_heard and self._is_alone():
            return
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
        if self._relay is not None:
            await self._relay.close()

    # -- ringing ---------------------------------------------------------------------------------

    async def _tell(self) -> None:
        signal = self._signal
        assert signal is not None, "it was started"
        pauses = Pauses()
        while not self._is_closing or self._news:
            await self._tell_while_connected(signal, pauses)

    async def _tell_while_connected(self, signal: Signal, pauses: Pauses) -> None:
        try:
            async with await _connect(self._address) as connection:
                pauses.begin_anew()
                await self._tell_through(connection, signal)
        except Exception as error:  # nobody else would begin anew
            _note(error, pauses, "no ring gets out")
            await pauses.wait()

    async def _tell_through(self, connection: Any, signal: Signal) -> None:
        while True:
            signal.clear()
            with self._lock:
                news, self._news = self._news, News()
            if news:
                try:
                    await self._send(connection, news)
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

    async def _send(self, connection: Any, news: News) -> None:
        payload = news.payload(self._name)
        # A probe has to go the way that it proves.
        if self._relay is None or news.concerns(_PROBE) or not await self._relay.publish(payload):
            values = (self._channel, payload)
            await connection.execute("SELECT pg_notify(%s, %s)", values)

    # -- listening -------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pauses = Pauses()
        while True:
            try:
                async with await _connect(self._listen_address) as connection:
                    if not await _is_direct(connection):
                        raise _PooledError
                    if self._greet is not None:
                        await self._greet(connection)
                    ear = Ear(connection, self._take)
                    try:
                        await ear.listen(self._channel)
                        await self._probe()
                        pauses.begin_anew()
                        self._hears_database = True
                        self._say_all()
                        await ear.lost
                    finally:
                        self._hears_database = False
                        ear.stop()
                logger.warning("the connection that hears other replicas was lost")
            except asyncio.TimeoutError:  # another class on Python 3.10
                logger.error(
                    "a ring of this replica did not come back to it in %.0f s, so it may not hear "
                    "others: are --database and --listen-database the same database of the same "
                    "server?",
                    PATIENCE,
                )
            except _PooledError:
                logger.error(
                    "other replicas are not heard, and see late that this one is gone: the "
                    "database is behind a pooler such as PgBouncer; give the address of the server "
                    "itself with --listen-database, or in MILLSTREAM_LISTEN_DATABASE"
                )
                await asyncio.sleep(PATIENCE)
            except Exception as error:  # nobody else would begin anew
                _note(error, pauses, "other replicas are not heard")
            await pauses.wait()

    async def _probe(self) -> None:
        """Return when the ring of this replica has come back to it: a pooler loses them."""
        name = uuid4().hex
        came_back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._probed = name, came_back
        try:
            self.ring(_PROBE, name)
            await within(PATIENCE, came_back)
        finally:
            self._probed = None

    def _take(self, payloads: Sequence[str]) -> None:
        together = News()
        for payload in payloads:
            self.received += 1
            sender, news = read(payload)
            if sender != self._name:
                self._has_heard = True
                news.discard(_PROBE)
                together.merge(news)
            elif self._probed is not None:
                name, came_back = self._probed
                if news.concerns(_PROBE, name) and not came_back.done():
                    came_back.set_result(None)
        if together:
            self._say(together)

    def _say_all(self) -> None:
        """Say that everything may be new: something may have been missed."""
        self._say(News(is_everything=True))

    def _say(self, news: News) -> None:
        try:
            self._heard(news)
        except Exception:
            logger.exception("what another replica has rung for is not looked at")


class _PooledError(Exception):
    """A pooler is in between, which loses what others ring for."""


def _note(error: Exception, pauses: Pauses, what: str) -> None:
    """Tell that something is tried again; with its place if it is no lost connection."""
    trace = None if isinstance(error, _LOST) else error
    logger.log(pauses.level, "%s, it is tried again: %s", what, error, exc_info=trace)


async def _is_direct(connection: Any) -> bool:
    """Say whether a connection is to the server itself: a pooler shows a process of its own."""
    cursor = await connection.execute("SELECT pg_backend_pid()")
    [process] = await cursor.fetchone()
    return bool(process == connection.info.backend_pid)


async def _connect(address: str) -> Any:
    # Through a pooler the next transaction may be on another connection of the server.
    options: dict[str, Any] = {"autocommit": True, "prepare_threshold": None}
    with letting_go():
        return await psycopg.AsyncConnection.connect(address, **options)
