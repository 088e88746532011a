"""Where checkpoints and the store are: beside the database, or where code of the user says."""

from __future__ import annotations

import inspect
import sqlite3
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    closing,
)
from typing import Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.store.base import BaseStore

from millstream._base.texts import safe_str
from millstream.journal import Guard, PostgresJournal, SqliteJournal
from millstream.journal.rows import Owner
from millstream.journal.saver import Journal
from millstream.server.config import ServerConfig
from millstream.server.encryption.journal import (
    SealedJournal,
    SealedPostgresJournal,
    aes_serializer,
)
from millstream.server.encryption.sealer import Sealer
from millstream.server.encryption.store import SealedStore
from millstream.server.errors import ConfigError
from millstream.server.graph_files import import_target, prepare_imports
from millstream.server.runs.active import attempt_here, change_here
from millstream.server.shared_store import MAX_KEY_IN_POSTGRES, SharedStore
from millstream.server.storage.postgres_engine import SCHEMA, Address, within_lease
from millstream.server.storage.postgres_turn import in_turn

_STORE_CONNECTIONS: Final = 4
_GOES_ON: Final = "run_id = %s::text AND attempt = %s::integer AND status = 'running'"
"""The condition that an attempt at a run goes on, in PostgreSQL."""
_IS_CHANGED: Final = "thread_id = %s::text AND holder = %s::text"
"""The condition that a replica still does what it does with a thread beside its runs."""
_PATIENCE: Final = 60.0
"""Seconds for which runs wait for a PostgreSQL that cannot be reached."""
_SERDE: Final = ("allowed_json_modules", "allowed_msgpack_modules", "pickle_fallback")


async def open_saver(
    config: ServerConfig,
    stack: AsyncExitStack,
    sealer: Sealer | None = None,
    threads: Executor | None = None,
) -> Any:
    """Open what keeps checkpoints; in the loop that graphs run in.

    `threads` are those in which that waits for what is stored, None for the loop's own.
    """
    given = config.checkpointer
    if given.path is not None:
        return await _open_theirs(
            config, stack, "checkpointer.path", given.path, BaseCheckpointSaver
        )
    options: dict[str, Any] = {
        "serde": aes_serializer(serializer_of(given.serde)),
        "on_conflict": "fork",
        "threads": threads,
    }
    journal = _journal(
        config, sealer if sealer is not None and sealer.seals_blobs else None, options
    )
    stack.push_async_callback(journal.aclose)
    return journal


def _journal(config: ServerConfig, sealer: Sealer | None, options: Mapping[str, Any]) -> Journal:
    if config.postgres is not None:
        options = {**options, "patience": _PATIENCE, "guard": _Guard()}
        address = within_lease(config.postgres, config.lease_seconds)
        if sealer is not None:
            return SealedPostgresJournal(address, sealer, **options)
        return PostgresJournal(address, **options)
    path = config.file_beside("threads")
    if sealer is not None:
        return SealedJournal(path, sealer, **options)
    return SqliteJournal(path, **options)


class _Guard(Guard):
    """Lets runs store, and changes of threads, as long as no other replica has taken them over."""

    def __init__(self) -> None:
        super().__init__(f"{SCHEMA}.runs", _GOES_ON, attempt_here)
        self._of_changes = Guard(f"{SCHEMA}.thread_changes", _IS_CHANGED, change_here)

    def owner(self) -> Owner | None:
        """Return whoever stores here and now, None if it needs no row."""
        return super().owner() or self._of_changes.owner()


def serializer_of(given: Mapping[str, Any] | None) -> JsonPlusSerializer | None:
    """Return the serializer that `checkpointer.serde` describes."""
    if not given:
        return None
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _SERDE:
            raise ConfigError(f"checkpointer.serde has no key {name!r}; it has {', '.join(_SERDE)}")
        if isinstance(value, list):
            # Modules and classes, each as a list of names.
            value = [tuple(one) if isinstance(one, list) else one for one in value]
        elif value is not None and not isinstance(value, bool):
            raise ConfigError(f"checkpointer.serde.{name} is a list or true, not {value!r}")
        options[name] = value
    return JsonPlusSerializer(**options)


async def open_store(
    config: ServerConfig, stack: AsyncExitStack, sealer: Sealer | None = None
) -> BaseStore:
    """Open the store; its task belongs to the loop that it is made in: that of the graphs."""
    store = await _open_store(config, stack)
    return SealedStore(store, sealer) if sealer is not None and sealer.seals_json else store


async def _open_store(config: ServerConfig, stack: AsyncExitStack) -> BaseStore:
    given, ttl = config.store, config.store.ttl
    if given.path is not None:
        theirs: BaseStore = await _open_theirs(config, stack, "store.path", given.path, BaseStore)
        return theirs
    options: dict[str, Any] = {}
    if given.index is not None:
        if config.postgres is None:
            check_extensions(sqlite3.Connection)
        options["index"] = {**given.index, "embed": embedding_of(config, given.index.get("embed"))}
    if ttl is not None:
        options["ttl"] = {
            "default_ttl": ttl.default_ttl,
            "refresh_on_read": ttl.refresh_on_read,
            "sweep_interval_minutes": max(1, round(ttl.sweep_interval_minutes)),
        }
    store: Any = await stack.enter_async_context(_known_store(config, options))
    async with AsyncExitStack() as alone:
        if config.postgres is not None:
            # It makes its tables step by step, and trips over another one that does.
            ours = in_turn(Address(config.postgres), "millstream.store")
            await alone.enter_async_context(ours)
        await store.setup()
    if ttl is not None:
        stack.push_async_callback(store.stop_ttl_sweeper)
        await store.start_ttl_sweeper()
    return SharedStore(store, MAX_KEY_IN_POSTGRES if config.postgres else None)


def _known_store(config: ServerConfig, options: Mapping[str, Any]) -> Any:
    """Return what opens a store of the ecosystem, beside the database."""
    if config.postgres is None:
        from langgraph.store.sqlite import AsyncSqliteStore

        path = str(config.file_beside("store"))
        _let_readers_be(path)
        return AsyncSqliteStore.from_conn_string(path, **options)
    from langgraph.store.postgres import AsyncPostgresStore
    from psycopg_pool import AsyncConnectionPool

    address = within_lease(config.postgres, config.lease_seconds)
    # A pool, because a connection that is lost has to be replaced; without statements that are
    # prepared, because a pooler may be in between.
    pool: Any = {
        "min_size": 1,
        "max_size": _STORE_CONNECTIONS,
        "check": AsyncConnectionPool.check_connection,
        "kwargs": {"prepare_threshold": None},
    }
    return AsyncPostgresStore.from_conn_string(address, pool_config=pool, **options)


def _let_readers_be(path: str) -> None:
    """Have nobody who writes wait for who reads, as whoever makes a backup does for long."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def check_extensions(connection: type) -> None:
    """Refuse an index where SQLite cannot load what compares vectors."""
    if not hasattr(connection, "enable_load_extension"):
        raise ConfigError(
            "store.index is set, and this Python's sqlite3 cannot load extensions, which searching "
            "by meaning needs: use a Python that was built with --enable-loadable-sqlite-extensions"
        )


def embedding_of(config: ServerConfig, named: Any) -> Any:
    """Return what embeds texts: what a file has, or the name of a model."""
    # `./embeddings.py:embed`; what is no file's is the name of a model.
    is_file = isinstance(named, str) and ".py:" in named
    return import_target(named, config.directory) if is_file else named


async def _open_theirs(
    config: ServerConfig, stack: AsyncExitStack, key: str, target: str, kind: type[Any]
) -> Any:
    prepare_imports(config)
    try:
        made = import_target(target, config.directory)
        if not isinstance(made, kind):
            made = await _made(made, stack)
    except Exception as error:
        raise ConfigError(
            f"{key} is {target!r}, which cannot be opened: "
            f"{type(error).__name__}: {safe_str(error)}"
        ) from error
    if not isinstance(made, kind):
        raise ConfigError(f"{key} is {target!r}, which gives no {kind.__name__} but {made!r}")
    return made


async def _made(make: Callable[[], Any], stack: AsyncExitStack) -> Any:
    """Return what a function makes, or enters, and have it left at the end."""
    made = make()
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, (BaseCheckpointSaver, BaseStore)):
        return made
    if isinstance(made, AbstractAsyncContextManager):
        return await stack.enter_async_context(made)
    if isinstance(made, AbstractContextManager):
        return stack.enter_context(made)
    return made


async def copy_thread(saver: BaseCheckpointSaver[Any], source: str, target: str) -> None:
    """Copy a thread's checkpoints, one by one where the saver knows nothing better."""
    try:
        await saver.acopy_thread(source, target)
        return
    except NotImplementedError:
        found = [one async for one in saver.alist({"configurable": {"thread_id": source}})]
    for one in reversed(found):
        place = {**one.config["configurable"], "thread_id": target}
        parent = (one.parent_config or {}).get("configurable", {}).get("checkpoint_id")
        before = {"thread_id": target, "checkpoint_ns": place.get("checkpoint_ns", "")}
        if parent is not None:
            before["checkpoint_id"] = parent
        versions = one.checkpoint["channel_versions"]
        await saver.aput({"configurable": before}, one.checkpoint, one.metadata, versions)
        by_task: dict[str, list[tuple[str, Any]]] = {}
        for task_id, channel, value in one.pending_writes or ():
            by_task.setdefault(task_id, []).append((channel, value))
        for task_id, writes in by_task.items():
            await saver.aput_writes({"configurable": place}, writes, task_id)


def is_storage_error(error: Exception) -> bool:
    """Say whether an error is about where things are kept, and not about what was asked."""
    # Whoever has not imported it has no error of it.
    psycopg = sys.modules.get("psycopg")
    is_of_postgres = psycopg is not None and isinstance(error, psycopg.Error)
    return is_of_postgres or isinstance(error, (sqlite3.Error, OSError))
