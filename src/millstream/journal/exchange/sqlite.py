"""The tables of `langgraph-checkpoint-sqlite`, of all its versions.

A checkpoint is one value there, with the values of all channels in it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.serde.base import CipherProtocol
from ormsgpack import packb, unpackb

from millstream.journal.drafts import Typed
from millstream.journal.exchange.packing import NIL, entries, packed_dict
from millstream.journal.exchange.records import (
    FIELDS,
    ExchangeError,
    Record,
    RowsError,
    Write,
    check,
    opened,
    places_in,
    reading,
    sealed,
    using,
)

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite import SqliteSaver

_PAGE: Final = 32
"""Checkpoints that are read at once, unless they are large."""
_BYTES: Final = 8 << 20
_COLUMNS: Final = "thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value"
# Errors, questions and answers may have been repeated since.
_REPEATED: Final = (
    "UPDATE SET channel = excluded.channel, type = excluded.type, value = excluded.value "
    "WHERE type IS NOT excluded.type OR value IS NOT excluded.value"
)


class SqliteTables:
    """Threads in a file of `SqliteSaver` or `AsyncSqliteSaver`."""

    def __init__(self, path: str, cipher: CipherProtocol | None, *, is_target: bool) -> None:
        self.path = repr(path)
        self._cipher = cipher
        if not is_target and not os.path.isfile(path):
            raise ExchangeError(f"there is no file {path!r}")
        saver = _import_saver() if is_target else None
        address = f"{Path(path).absolute().as_uri()}?mode={'rwc' if is_target else 'ro'}"
        with using(self.path, sqlite3.Error, "opened"):
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None)
        try:
            if saver is not None:
                with using(self.path, sqlite3.Error, "written"):
                    saver(self._connection).setup()
            columns = self._rows("SELECT name FROM pragma_table_info('writes')")
            self._has_paths = ("task_path",) in columns
            if not columns or not self._rows("SELECT 1 FROM pragma_table_info('checkpoints')"):
                raise ExchangeError(f"{path!r} has no tables of LangGraph (checkpoints and writes)")
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with using(self.path, sqlite3.Error, "read"):
            return self._connection.execute(query, values).fetchall()

    # -- reading ---------------------------------------------------------------------------------

    def places(self, thread_ids: Sequence[str] | None) -> Sequence[tuple[str, str]]:
        """Return threads and namespaces, of all threads if None."""
        return places_in(self._rows, "?", thread_ids)

    def count(self, places: Sequence[tuple[str, str]]) -> int:
        """Return how many checkpoints are there."""
        query = "SELECT count(*) FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ?"
        return sum(self._rows(query, place)[0][0] for place in places)

    def records(self, thread_id: str, ns: str) -> Iterator[Record]:
        """Yield checkpoints, the oldest first."""
        after = ""
        while True:
            page = self._page(thread_id, ns, after)
            if not page:
                return
            writes = self._writes(thread_id, ns, page[0][0], page[-1][0])
            for row in page:
                record = self._record(thread_id, ns, row)
                record.writes = writes.get(record.id, [])
                yield record
            after = page[-1][0]

    def _page(self, thread_id: str, ns: str, after: str) -> list[tuple[Any, ...]]:
        query = (
            "SELECT checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata "
            "FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id > ? "
            f"ORDER BY checkpoint_id LIMIT {_PAGE}"
        )
        page: list[tuple[Any, ...]] = []
        size = 0
        with (
            using(self.path, sqlite3.Error, "read"),
            closing(self._connection.execute(query, (thread_id, ns, after))) as cursor,
        ):
            for row in cursor:
                page.append(row)
                size += len(row[3]) if isinstance(row[3], bytes) else 0
                if size > _BYTES:
                    break
        return page

    def _writes(self, thread_id: str, ns: str, first: str, last: str) -> dict[str, list[Write]]:
        path = "task_path" if self._has_paths else "''"
        query = (
            f"SELECT checkpoint_id, task_id, {path}, idx, channel, type, value FROM writes "
            "WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id BETWEEN ? AND ? "
            "ORDER BY checkpoint_id, task_id, idx"
        )
        found: dict[str, list[Write]] = {}
        for id, task_id, path, index, channel, kind, data in self._rows(
            query, (thread_id, ns, first, last)
        ):
            name = f"What task {task_id!r} of thread {thread_id!r} wrote to {channel!r}"
            typed = opened(kind, data, self._cipher, name)
            found.setdefault(id, []).append(Write(task_id, path, index, channel, typed))
        return found

    def _record(self, thread_id: str, ns: str, row: tuple[Any, ...]) -> Record:
        id, parent, kind, data, metadata = row
        record = Record(thread_id, ns, id, parent or None, {}, {}, {}, {})
        with reading(record.name):
            kind, data = opened(kind, data, self._cipher, record.name)
            record.size = len(data)
            if kind == "msgpack":
                _take_apart(record, data)
            elif kind == "json":
                _take_json_apart(record, json.loads(data))
            else:
                raise RowsError(
                    f"{record.name} is stored as {kind!r}, which cannot be read without running "
                    "code: store it again with a serializer that does not need that"
                )
            record.metadata = {} if metadata is None else json.loads(metadata)
            check(record)
        return record

    # -- writing ---------------------------------------------------------------------------------

    def found(self, thread_id: str, ns: str, ids: Sequence[str]) -> set[str]:
        """Return which of some checkpoints are there."""
        query = (
            "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ? "
            f"AND checkpoint_id IN ({', '.join('?' * len(ids))})"
        )
        return {id for (id,) in self._rows(query, (thread_id, ns, *ids))}

    def write(self, records: Sequence[Record], known: set[str]) -> int:
        """Store checkpoints but for those that are known, and all writes, in one transaction."""
        checkpoints = [self._checkpoint_row(each) for each in records if each.id not in known]
        connection = self._connection
        with using(self.path, sqlite3.Error, "written"), self._transaction():
            connection.executemany(
                "INSERT OR IGNORE INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, "
                "parent_checkpoint_id, type, checkpoint, metadata) VALUES (?, ?, ?, ?, ?, ?, ?)",
                checkpoints,
            )
            count = sum(self._write(record, each) for record in records for each in record.writes)
        return count

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _write(self, record: Record, write: Write) -> int:
        """Store a write; return 1 if it was not there."""
        columns, marks = _COLUMNS, "?, ?, ?, ?, ?, ?, ?, ?"
        place = (record.thread_id, record.ns, record.id, write.task_id, write.index)
        values: tuple[Any, ...] = (*place, write.channel, *sealed(write.typed, self._cipher))
        if self._has_paths:
            columns, marks, values = f"{columns}, task_path", f"{marks}, ?", (*values, write.path)
        conflict = "NOTHING" if write.index >= 0 else _REPEATED
        query = (
            f"INSERT INTO writes ({columns}) VALUES ({marks}) "
            "ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) "
            f"DO {conflict}"
        )
        return self._connection.execute(query, values).rowcount

    def _checkpoint_row(self, record: Record) -> tuple[Any, ...]:
        kind, data = sealed(put_together(record), self._cipher)
        metadata = json.dumps(record.metadata, ensure_ascii=False).encode("utf-8", "ignore")
        return record.thread_id, record.ns, record.id, record.parent, kind, data, metadata


def _import_saver() -> type[SqliteSaver]:
    """Return what makes the tables, before any file is made."""
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ImportError as error:
        raise ImportError(
            "Tables of LangGraph in SQLite need its saver: pip install 'millstream[sqlite]'"
        ) from error
    return SqliteSaver


def _take_apart(record: Record, data: bytes) -> None:
    for name, value in entries(data):
        if name == "channel_values":
            record.values = {channel: ("msgpack", each) for channel, each in entries(value)}
        elif name in FIELDS:
            record.fields[name] = unpackb(value)
        else:
            record.extra[name] = value


def _take_json_apart(record: Record, checkpoint: dict[str, Any]) -> None:
    for name, value in checkpoint.items():
        if name == "channel_values":
            record.values = {channel: _json(each) for channel, each in value.items()}
        elif name in FIELDS:
            record.fields[name] = value
        else:
            record.extra[name] = packb(value)


def _json(value: Any) -> Typed:
    return "json", json.dumps(value, ensure_ascii=False).encode()


def put_together(record: Record) -> Typed:
    """Return the one value that a checkpoint is."""
    if any(kind == "json" for kind, _ in record.values.values()):
        return _json(_as_json(record))
    values = packed_dict(
        (name, _as_msgpack(typed, name, record)) for name, typed in record.values.items()
    )
    items = [
        (name, values if name == "channel_values" else packb(record.fields[name]))
        for name in FIELDS
        if name in record.fields or name == "channel_values"
    ]
    return "msgpack", packed_dict([*items, *record.extra.items()])


def _as_msgpack(typed: Typed, channel: str, record: Record) -> bytes:
    kind, data = typed
    if kind == "msgpack":
        return data
    if kind == "null":
        return NIL
    if kind in ("bytes", "bytearray"):
        return packb(bytes(data))
    raise RowsError(
        f"Channel {channel!r} of {record.name} is stored as {kind!r}, which does not fit into "
        "LangGraph's tables in SQLite: those in PostgreSQL can hold it"
    )


def _as_json(record: Record) -> dict[str, Any]:
    """Return a checkpoint of old times, whose values are JSON, as it was."""
    try:
        values = {
            name: json.loads(typed[1])
            if typed[0] == "json"
            else unpackb(_as_msgpack(typed, name, record))
            for name, typed in record.values.items()
        }
    except ExchangeError:
        raise
    except ValueError as error:
        raise RowsError(
            f"{record.name} has some values as JSON and others not ({error}): LangGraph's tables "
            "in SQLite take them only all in one way; those in PostgreSQL can hold both"
        ) from error
    fields: dict[str, Any] = {name: record.fields[name] for name in FIELDS if name in record.fields}
    extra = {name: unpackb(data) for name, data in record.extra.items()}
    return {**fields, "channel_values": values, **extra}
