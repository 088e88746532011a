"""Every kind of saver under each driver, behind one way to call a graph."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

from typing_extensions import Self

from differential.engines import Engine
from millstream.journal import MemoryJournal, PostgresJournal, SqliteJournal

_CLASSES: Final = {
    ("sqlite", "sync"): ("checkpoint.sqlite", "SqliteSaver"),
    ("sqlite", "async"): ("checkpoint.sqlite.aio", "AsyncSqliteSaver"),
    ("postgres", "sync"): ("checkpoint.postgres", "PostgresSaver"),
    ("postgres", "async"): ("checkpoint.postgres.aio", "AsyncPostgresSaver"),
}
_IN_MEMORY: Final[dict[str, MemoryJournal]] = {}
"""By address: whoever opens one again has what it had."""


def new_thread(**configurable: Any) -> dict[str, Any]:
    """Return the config of a thread that no other test uses."""
    return {"configurable": {"thread_id": uuid.uuid4().hex, **configurable}}


class SyncRuns:
    """Call graphs through their sync methods, with a sync saver that is open meanwhile.

    `address` is the path of a SQLite file or the address of a PostgreSQL database.
    """

    driver = "sync"
    prefix = ""

    def __init__(self, engine: Engine, kind: str, address: str) -> None:
        self.engine = engine
        self.kind = kind
        self.address = address
        self.saver: Any = engine.saver() if kind == "memory" else None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Connect; a memory saver is always the same one."""
        self._stack = contextlib.ExitStack()
        if self.kind != "memory":
            self.saver = self._stack.enter_context(self._connect())

    def close(self) -> None:
        """Disconnect."""
        self._stack.close()

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a method of this driver returns."""
        return method(*args, **kwargs)

    def collect(
        self,
        method: Callable[..., Any],
        *args: Any,
        see: Callable[[Any], object] = lambda item: None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return all items of an iterator; `see` is given each before the next is requested."""
        items = []
        iterator = method(*args, **kwargs)
        try:
            for item in iterator:
                items.append(item)
                see(item)
        finally:
            iterator.close()
        return items

    def invoke(self, graph: Any, input: Any, config: Any, **kwargs: Any) -> Any:
        """Return the result of one run."""
        return self.call(self._of(graph, "invoke"), input, config, **kwargs)

    def stream(self, graph: Any, input: Any, config: Any, **kwargs: Any) -> list[Any]:
        """Return every item of one run."""
        return self.collect(self._of(graph, "stream"), input, config, **kwargs)

    def get_state(self, graph: Any, config: Any, **kwargs: Any) -> Any:
        """Return the snapshot of a thread."""
        return self.call(self._of(graph, "get_state"), config, **kwargs)

    def history(self, graph: Any, config: Any, **kwargs: Any) -> list[Any]:
        """Return all snapshots of a thread, newest first."""
        return self.collect(self._of(graph, "get_state_history"), config, **kwargs)

    def update_state(self, graph: Any, config: Any, values: Any, **kwargs: Any) -> Any:
        """Return the config of the checkpoint that an update made."""
        return self.call(self._of(graph, "update_state"), config, values, **kwargs)

    def bulk_update_state(self, graph: Any, config: Any, supersteps: Any) -> Any:
        """Return the config of the checkpoint that several updates made."""
        return self.call(self._of(graph, "bulk_update_state"), config, supersteps)

    def stored(self, config: Any) -> list[Any]:
        """Return what the saver has of a thread, newest first."""
        return self.collect(self._of(self.saver, "list"), config)

    def watch(self, names: Iterable[str], told: Callable[..., object]) -> None:
        """Call `told(name, *arguments)` before each call of these methods of the saver."""
        # In a subclass, not on the object: an engine may work with a copy or a view of it.
        self._plain = cls = type(self.saver)
        methods = {
            self.prefix + name: self._watched(self._of(cls, name), name, told) for name in names
        }
        self.saver.__class__ = type(cls.__name__, (cls,), methods)

    def unwatch(self) -> None:
        """Leave the saver as it was."""
        self.saver.__class__ = self._plain

    def _watched(
        self, method: Callable[..., Any], name: str, told: Callable[..., object]
    ) -> Callable[..., Any]:
        # The reference looks at the signature to see what a saver takes.
        @functools.wraps(method)
        def call(saver: Any, *args: Any, **kwargs: Any) -> Any:
            told(name, *args)
            return method(saver, *args, **kwargs)

        return call

    def _of(self, owner: Any, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(owner, self.prefix + name)
        return method

    def _connect(self) -> Any:
        if self.kind == "journal":
            return SqliteJournal(self.address)
        if self.kind == "journal-postgres":
            return PostgresJournal(self.address)
        if self.kind == "journal-memory":
            return _IN_MEMORY.setdefault(self.address, MemoryJournal())
        module, name = _CLASSES[self.kind, self.driver]
        return getattr(self.engine.module(module), name).from_conn_string(self.address)


class AsyncRuns(SyncRuns):
    """Call graphs through their async methods, in one event loop, with an async saver."""

    driver = "async"
    prefix = "a"

    def open(self) -> None:
        """Connect, in a new event loop."""
        self._loop = asyncio.new_event_loop()
        self._astack = contextlib.AsyncExitStack()
        if self.kind != "memory":
            entering = self._astack.enter_async_context(self._connect())
            self.saver = self._loop.run_until_complete(entering)

    def close(self) -> None:
        """Disconnect and close the event loop."""
        self._loop.run_until_complete(self._astack.aclose())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a method of this driver returns."""
        return self._loop.run_until_complete(method(*args, **kwargs))

    def collect(
        self,
        method: Callable[..., Any],
        *args: Any,
        see: Callable[[Any], object] = lambda item: None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return all items of an iterator; `see` is given each before the next is requested."""

        async def items() -> list[Any]:
            items = []
            iterator = method(*args, **kwargs)
            try:
                async for item in iterator:
                    items.append(item)
                    see(item)
            finally:
                await iterator.aclose()
            return items

        return self._loop.run_until_complete(items())

    def _watched(
        self, method: Callable[..., Any], name: str, told: Callable[..., object]
    ) -> Callable[..., Any]:
        @functools.wraps(method)
        async def call(saver: Any, *args: Any, **kwargs: Any) -> Any:
            told(name, *args)
            return await method(saver, *args, **kwargs)

        return call


DRIVERS: Final = {"sync": SyncRuns, "async": AsyncRuns}
