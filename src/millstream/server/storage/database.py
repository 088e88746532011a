"""The database, reached from any event loop; `sqlite` and `postgres` have the two that there are.

What reads or writes is a function of a SQLAlchemy connection, and runs in a thread of the
database. It may be called again where what it did is undone, so that it changes nothing else.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from millstream.server.encryption.context import bound
from millstream.server.errors import ConfigError
from millstream.server.storage.tables import seal_with
from millstream.server.storage.times import keep_time

if TYPE_CHECKING:
    from millstream.server.clock import Clock
    from millstream.server.encryption.sealer import Sealer

P = ParamSpec("P")
T = TypeVar("T")

READERS: Final = 4


class DatabaseClosedError(RuntimeError):
    """Something was asked of a database that is closed."""


class Database(ABC):
    """Tables that several threads read and write; nobody waits for a reader."""

    writes_in_order: bool
    """Whether what is written soon is written in the order in which it was given."""

    def __init__(self, name: str, engine: Engine, sealer: Sealer | None, clock: Clock) -> None:
        """Take an engine; `name` is what errors call the database.

        `clock` tells the time where the database does not, and is told it where it does.
        """
        self.name = name
        self.engine = engine
        self.is_sealing = sealer is not None
        self.clock: Final = clock
        seal_with(engine, sealer)
        keep_time(engine, clock)
        self._lock = threading.Lock()
        self._is_closed = False
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="millstream-reader")

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **named: P.kwargs
    ) -> T:
        """Return what `function` reads; it sees one state of the database throughout."""
        if self._is_closed:
            raise self._closed()
        future = self._readers.submit(self._read, function, args, named)
        return await asyncio.wrap_future(future)

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **named: P.kwargs
    ) -> T:
        """Return what `function` returns, once what it wrote is committed.

        What it raises undoes what it wrote, and nothing else. Who is cancelled while it waits has
        written all of it or nothing.
        """
        return await asyncio.wrap_future(self.write_soon(function, *args, **named))

    def write_soon(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **named: P.kwargs
    ) -> Future[T]:
        """Have `function` write; the answer may be ignored."""
        call = (lambda connection: function(connection, *args, **named)) if named else function
        if self.is_sealing:
            call = bound(call)
        with self._lock:
            if self._is_closed:
                raise self._closed()
            return self._submit(call, () if named else args)

    def close(self) -> None:
        """Write what was given before, and end the threads."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._end_writing()
        self._readers.shutdown()
        self.engine.dispose()

    def note_sealing(self, *, was_sealing: bool) -> bool:
        """Return whether it has to be noted that values are sealed.

        `ConfigError` if what is sealed would be taken for values.
        """
        if was_sealing and not self.is_sealing:
            raise ConfigError(
                f"the database {self.name} was sealed by handlers: name them with encryption.path, "
                "or name another database"
            )
        return self.is_sealing and not was_sealing

    @abstractmethod
    def may_pass(self, error: Exception) -> bool:
        """Say whether an error is about the database, and may be gone when one tries again."""

    def _closed(self) -> DatabaseClosedError:
        return DatabaseClosedError(f"The database {self.name} is closed")

    @abstractmethod
    def _read(self, function: Callable[..., T], args: tuple[Any, ...], named: dict[str, Any]) -> T:
        """Return what a function reads; in a thread that reads."""

    @abstractmethod
    def _submit(self, function: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        """Have a function write; under the lock."""

    @abstractmethod
    def _end_writing(self) -> None:
        """Write what was given before, and end the threads that write."""
