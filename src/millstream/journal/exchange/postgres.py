"""The tables of `langgraph-checkpoint-postgres`, of all its versions.

A checkpoint is JSON there, with texts, numbers and the like in it; other values are rows of their
own, by channel and version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from langgraph.checkpoint.serde.base import CipherProtocol
from ormsgpack import packb, unpackb

from millstream.journal.drafts import Typed
from millstream.journal.exchange.packing import packed_list, scalar_of
from millstream.journal.exchange.records import (
    FIELDS,
    SENDS,
    TASKS,
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
from millstream.journal.postgres_connections import checked_address, import_psycopg

_PAGE: Final = 32
_PLACE: Final = "thread_id = %s AND checkpoint_ns = %s"
_WITHOUT_ROWS: Final = "empty"
"""The kind of a value that is not there."""


class PostgresTables:
    """Threads in a database of `PostgresSaver` or `AsyncPostgresSaver`."""

    def __init__(self, address: str, cipher: CipherProtocol | None, *, is_target: bool) -> None:
        psycopg = import_psycopg()
        self._cipher = cipher
        self._error = psycopg.Error
        with using("The database", self._error, "reached"):
            self._connection = psycopg.connect(
                checked_address(address), autocommit=True, client_encoding="utf8"
            )
        self.path = f"database {self._connection.info.dbname!r}"
        self._json = psycopg.types.json.Jsonb
        try:
            if is_target:
                with using(self.path, self._error, "written"):
                    _make_tables(address)
            query = (
                "SELECT to_regclass('checkpoints') IS NOT NULL AND to_regclass('checkpoint_blobs') "
                "IS NOT NULL AND to_regclass('checkpoint_writes') IS NOT NULL"
            )
            if self._rows(query) != [(True,)]:
                raise ExchangeError(
                    f"{self.path} has no tables of LangGraph (checkpoints, checkpoint_blobs and "
                    "checkpoint_writes)"
                )
            query = (
                "SELECT 1 FROM pg_attribute WHERE attrelid = 'checkpoint_writes'::regclass "
                "AND attname = 'task_path'"
            )
            self._path = "task_path" if self._rows(query) else "''"
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]]
        with using(self.path, self._error, "read"):
            rows = self._connection.execute(query, values or None, binary=True).fetchall()
        return rows

    # -- reading ---------------------------------------------------------------------------------

    def places(self, thread_ids: Sequence[str] | None) -> Sequence[tuple[str, str]]:
        """Return threads and namespaces, of all threads if None."""
        return places_in(self._rows, "%s", thread_ids)

    def count(self, places: Sequence[tuple[str, str]]) -> int:
        """Return how many checkpoints are there."""
        query = f"SELECT count(*) FROM checkpoints WHERE {_PLACE}"
        return sum(self._rows(query, place)[0][0] for place in places)

    def records(self, thread_id: str, ns: str) -> Iterator[Record]:
        """Yield checkpoints, the oldest first, as they are when the first one is read."""
        query = (
            "SELECT checkpoint_id, parent_checkpoint_id, checkpoint, metadata FROM checkpoints "
            f'WHERE {_PLACE} ORDER BY checkpoint_id COLLATE "C"'
        )
        values: dict[tuple[str, str], Typed] = {}
        with using(self.path, self._error, "read"), self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            with self._connection.cursor(name="records") as cursor:
                cursor.itersize = _PAGE
                cursor.execute(query, (thread_id, ns))
                for id, parent, checkpoint, metadata in cursor:
                    record = Record(thread_id, ns, id, parent or None, {}, {}, {}, metadata)
                    with reading(record.name):
                        values = self._fill(record, checkpoint, values)
                        record.writes = self._writes(record)
                        check(record)
                    record.size = sum(len(data) for _, data in record.values.values())
                    yield record

    def _fill(
        self,
        record: Record,
        checkpoint: dict[str, Any],
        known: dict[tuple[str, str], Typed],
    ) -> dict[tuple[str, str], Typed]:
        """Fill in what the checkpoint has; returns its values that are rows, for the next one."""
        inline = checkpoint.get("channel_values") or {}
        versions = checkpoint.get("channel_versions") or {}
        wanted = {(name, str(version)) for name, version in versions.items()}
        rows = {key: known[key] for key in wanted & known.keys()}
        missing = sorted(wanted - known.keys())
        if missing:
            query = (
                f"SELECT channel, version, type, blob FROM checkpoint_blobs WHERE {_PLACE} AND "
                "(channel, version) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
            )
            names, texts = ([each[at] for each in missing] for at in (0, 1))
            for channel, version, kind, data in self._rows(
                query, (record.thread_id, record.ns, names, texts)
            ):
                name = f"Channel {channel!r} of {record.name}"
                if kind != _WITHOUT_ROWS:
                    rows[channel, version] = opened(kind, data, self._cipher, name)
        record.values = {name: ("msgpack", packb(value)) for name, value in inline.items()}
        record.values |= {channel: typed for (channel, _), typed in rows.items()}
        for name, value in checkpoint.items():
            if name in FIELDS and name != "channel_values":
                record.fields[name] = value
            elif name not in (*FIELDS, SENDS):
                record.extra[name] = packb(value)
        if (checkpoint.get("v") or 0) < 4:
            record.extra[SENDS] = self._sends(record)
        return rows

    def _sends(self, record: Record) -> bytes:
        """Return what formats before the fourth look for among the writes of the step before."""
        query = (
            f"SELECT type, blob FROM checkpoint_writes WHERE {_PLACE} AND checkpoint_id = %s "
            f"AND channel = %s ORDER BY {self._path}, task_id, idx"
        )
        values = (record.thread_id, record.ns, record.parent, TASKS)
        sends: list[bytes] = []
        for kind, data in self._rows(query, values):
            kind, data = opened(kind, data, self._cipher, f"What led to {record.name}")
            if kind != "msgpack":
                raise RowsError(
                    f"{record.name} was sent something as {kind!r}, which cannot be read without "
                    "running code"
                )
            sends.append(data)
        return packed_list(sends)

    def _writes(self, record: Record) -> list[Write]:
        query = (
            f"SELECT task_id, {self._path}, idx, channel, type, blob FROM checkpoint_writes "
            f"WHERE {_PLACE} AND checkpoint_id = %s ORDER BY task_id, idx"
        )
        found: list[Write] = []
        for task_id, path, index, channel, kind, data in self._rows(
            query, (record.thread_id, record.ns, record.id)
        ):
            name = f"What task {task_id!r} wrote to {channel!r} at {record.name}"
            typed = opened(kind, data, self._cipher, name)
            found.append(Write(task_id, path, index, channel, typed))
        return found

    # -- writing ---------------------------------------------------------------------------------

    def found(self, thread_id: str, ns: str, ids: Sequence[str]) -> set[str]:
        """Return which of some checkpoints are there."""
        query = f"SELECT checkpoint_id FROM checkpoints WHERE {_PLACE} AND checkpoint_id = ANY(%s)"
        return {id for (id,) in self._rows(query, (thread_id, ns, list(ids)))}

    def write(self, records: Sequence[Record], known: set[str]) -> int:
        """Store checkpoints but for those that are known, and all writes, in one transaction."""
        checkpoints: list[tuple[Any, ...]] = []
        blobs: dict[tuple[str, ...], tuple[Any, ...]] = {}
        for record in records:
            if record.id not in known:
                checkpoint = self._checkpoint(record, blobs)
                row = (record.thread_id, record.ns, record.id, record.parent)
                _check_texts(record, checkpoint)
                checkpoints.append((*row, self._json(checkpoint), self._json(record.metadata)))
        writes = [
            (record.thread_id, record.ns, record.id, each.task_id, each.path, each.index)
            + (each.channel, *sealed(each.typed, self._cipher))
            for record in records
            for each in record.writes
        ]
        with (
            using(self.path, self._error, "written"),
            self._connection.transaction(),
            self._connection.cursor() as cursor,
        ):
            cursor.executemany(_PUT_BLOB, list(blobs.values()))
            cursor.executemany(_PUT, checkpoints)
            plain = [row for row in writes if row[5] >= 0]
            special = [row for row in writes if row[5] < 0]
            count = 0
            for rows, conflict in ((plain, "NOTHING"), (special, _REPEATED)):
                if rows:
                    cursor.executemany(_PUT_WRITE + conflict, rows)
                    count += max(cursor.rowcount, 0)
        return count

    def _checkpoint(
        self, record: Record, blobs: dict[tuple[str, ...], tuple[Any, ...]]
    ) -> dict[str, Any]:
        """Return what is JSON of a checkpoint, and add what are rows."""
        versions = record.fields.get("channel_versions") or {}
        inline: dict[str, Any] = {}
        for name, typed in record.values.items():
            is_plain, value = self._inline(typed)
            if is_plain:
                inline[name] = value
                continue
            if name not in versions:
                raise RowsError(
                    f"Channel {name!r} of {record.name} has a value and no version, which does not "
                    "fit into LangGraph's tables in PostgreSQL: those in SQLite can hold it"
                )
            key = (record.thread_id, record.ns, name, str(versions[name]))
            blobs[key] = (*key, *sealed(typed, self._cipher))
        fields: dict[str, Any] = {
            name: record.fields[name] for name in FIELDS if name in record.fields
        }
        extra = {name: unpackb(data) for name, data in record.extra.items() if name != SENDS}
        return {**fields, "channel_values": inline, **extra}

    def _inline(self, typed: Typed) -> tuple[bool, Any]:
        """Return whether a value stands in the JSON, and which it is."""
        if self._cipher is not None:
            return False, None
        if typed[0] == "null":
            return True, None
        if typed[0] != "msgpack":
            return False, None
        is_scalar, value = scalar_of(typed[1])
        if isinstance(value, float):
            is_scalar = math.isfinite(value)
        if isinstance(value, str):
            is_scalar = "\0" not in value
        return is_scalar, value


def _check_texts(record: Record, checkpoint: dict[str, Any]) -> None:
    """Refuse what JSON of PostgreSQL cannot hold."""
    said = (checkpoint, record.metadata)
    try:
        json.dumps(said, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise RowsError(
            f"{record.name} does not fit into LangGraph's tables in PostgreSQL: {error}"
        ) from error
    if _has_nul(said):
        raise RowsError(
            f"{record.name} has the character NUL in a name or its metadata, which does not "
            "fit into LangGraph's tables in PostgreSQL: those in SQLite can hold it"
        )


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(name) or _has_nul(each) for name, each in value.items())
    return isinstance(value, (list, tuple)) and any(map(_has_nul, value))


_PUT_BLOB: Final = """
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_PUT: Final = """
INSERT INTO checkpoints
(thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_PUT_WRITE: Final = """
INSERT INTO checkpoint_writes AS w
(thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO
"""
# Errors, questions and answers may have been repeated since.
_REPEATED: Final = """
UPDATE SET channel = excluded.channel, type = excluded.type, blob = excluded.blob
WHERE w.type IS DISTINCT FROM excluded.type OR w.blob IS DISTINCT FROM excluded.blob
"""


def _make_tables(address: str) -> None:
    try:
        from langgraph.checkpoint.postgres import PostgresSaver
    except ImportError as error:
        raise ImportError(
            "Tables of LangGraph in PostgreSQL need its saver: pip install 'millstream[postgres]'"
        ) from error
    with PostgresSaver.from_conn_string(address) as saver:
        saver.setup()
