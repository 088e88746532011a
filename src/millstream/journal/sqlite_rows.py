"""What the requests of a journal are in SQL, for SQLite; each function answers one request."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from millstream.journal import sqlite_checks
from millstream.journal.rows import (
    Batch,
    CheckpointRow,
    Commit,
    CopyLines,
    DropLines,
    DropParts,
    FindCheckpoint,
    FindLines,
    FindNumber,
    FindPools,
    FindSharers,
    FindStubs,
    Found,
    LineRow,
    PageRows,
    PartRow,
    ReadParts,
    ReadRows,
    ReadWrites,
    Request,
    Reserve,
    WritesRow,
)
from millstream.journal.sqlite_schema import BITS

_MASK: Final = (1 << BITS) - 1
_MOST_AT_ONCE: Final = 500
"""Values in one list of a statement: SQLite has a limit."""
_CHECKPOINT: Final = "SELECT key, id, root, home, body FROM journal_checkpoints"

Execute = Callable[..., sqlite3.Cursor]


def _reserve(execute: Execute, request: Reserve) -> int:
    query = "UPDATE journal_numbers SET value = value + ? WHERE name = 'lines'"
    execute(query, (request.count,))
    [(last,)] = execute("SELECT value FROM journal_numbers WHERE name = 'lines'").fetchall()
    return int(last) - request.count + 1


def _find_lines(execute: Execute, request: FindLines) -> list[LineRow]:
    conditions: list[str] = []
    values: list[Any] = []
    for column, value in (("thread_id", request.thread_id), ("ns", request.ns)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if request.untouched is not None:
        conditions.append("at <= ?")
        values.append(request.untouched)
    for label in request.labels:
        conditions.append(
            "number IN (SELECT line FROM journal_labels WHERE name = ? AND value = ?)"
        )
        values += label
    limit = ""
    if request.limit is not None:
        conditions.append("number > ?")
        values += (request.after, request.limit)
        limit = " LIMIT ?"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    query = (
        f"SELECT number, thread_id, ns, counter FROM journal_lines{where} ORDER BY number{limit}"
    )
    return [LineRow(*row) for row in execute(query, values)]


def _find_checkpoint(execute: Execute, request: FindCheckpoint) -> Found | None:
    line = execute(
        "SELECT number, thread_id, ns, counter FROM journal_lines WHERE thread_id = ? AND ns = ?",
        (request.thread_id, request.ns),
    ).fetchone()
    if line is None:
        return None
    number = line[0]
    newest = execute(
        f"{_CHECKPOINT} WHERE line = ? AND id IS NOT NULL AND body IS NOT NULL "
        "ORDER BY id DESC LIMIT 1",
        (number,),
    ).fetchone()
    last = execute(
        "SELECT key FROM journal_checkpoints WHERE key BETWEEN ? AND ? AND body IS NOT NULL "
        "ORDER BY key DESC LIMIT 1",
        (number << BITS, number << BITS | _MASK),
    ).fetchone()
    found = Found(LineRow(*line), None if newest is None else newest[1], 0)
    if last is not None:
        found.last = last[0] & _MASK
    wanted = newest
    if request.id is not None:
        query = f"{_CHECKPOINT} WHERE line = ? AND id = ? AND body IS NOT NULL"
        wanted = execute(query, (number, request.id)).fetchone()
    if wanted is None:
        return found
    row = _checkpoint(wanted)
    if row.root == row.number:
        found.rows = [row]
    else:
        found.rows = _read_rows(execute, ReadRows(number, row.root, row.number))
    found.writes = _read_writes(execute, ReadWrites(number, (row.number,)))
    return found


def _find_number(execute: Execute, request: FindNumber) -> CheckpointRow | None:
    query = f"{_CHECKPOINT} WHERE line = ? AND id = ?"
    row = execute(query, (request.line, request.id)).fetchone()
    return None if row is None else _checkpoint(row)


def _find_stubs(execute: Execute, request: FindStubs) -> dict[str, int]:
    query = (
        "SELECT id, key FROM journal_checkpoints INDEXED BY journal_stubs "
        "WHERE line = ? AND body IS NULL AND id IS NOT NULL"
    )
    return {id: key & _MASK for id, key in execute(query, (request.line,))}


def _page_rows(execute: Execute, request: PageRows) -> list[CheckpointRow]:
    before, values = "", (request.line, request.limit)
    if request.before is not None:
        before, values = "AND id < ? ", (request.line, request.before, request.limit)  # type: ignore[assignment]
    query = (
        f"{_CHECKPOINT} WHERE line = ? AND id IS NOT NULL AND body IS NOT NULL {before}"
        "ORDER BY id DESC LIMIT ?"
    )
    return [_checkpoint(row) for row in execute(query, values)]


def _read_rows(execute: Execute, request: ReadRows) -> list[CheckpointRow]:
    base = request.line << BITS
    query = f"{_CHECKPOINT} WHERE key BETWEEN ? AND ? ORDER BY key"
    rows = execute(query, (base | request.first, base | min(request.last, _MASK)))
    return [_checkpoint(row) for row in rows]


def _read_writes(execute: Execute, request: ReadWrites) -> list[WritesRow]:
    query = (
        "SELECT line, checkpoint, number, home, body FROM journal_writes WHERE line = ?"
        "{} ORDER BY number"
    )
    if request.of is None:
        return [WritesRow(*row) for row in execute(query.format(""), (request.line,))]
    rows: list[WritesRow] = []
    for first in range(0, len(request.of), _MOST_AT_ONCE):
        some = request.of[first : first + _MOST_AT_ONCE]
        chosen = f" AND checkpoint IN ({', '.join('?' * len(some))})"
        found = execute(query.format(chosen), (request.line, *some))
        rows += [WritesRow(*row) for row in found]
    return rows


def _read_parts(execute: Execute, request: ReadParts) -> list[PartRow]:
    query = "SELECT key, body FROM journal_parts WHERE key BETWEEN ? AND ?"
    rows: list[PartRow] = []
    for line, first, last in request.ranges:
        base = line << BITS
        found = execute(query, (base | first, base | last))
        rows += [PartRow(key >> BITS, key & _MASK, body) for key, body in found]
    return rows


def _commit(execute: Execute, request: Commit) -> list[bool]:
    return [_write(execute, batch) for batch in request.batches]


def _write(execute: Execute, batch: Batch) -> bool:
    line, number = batch.line, batch.line.number
    if batch.counter > _MASK:
        raise OverflowError(
            f"Thread {line.thread_id!r} has no numbers left: copy it, or prune it and export it"
        )
    if batch.is_new:
        done = execute(
            "INSERT INTO journal_lines VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, line.thread_id, line.ns, batch.counter, batch.at),
        )
    else:
        done = execute(
            "UPDATE journal_lines SET counter = ?, at = coalesce(?, at) "
            "WHERE number = ? AND counter = ?",
            (batch.counter, batch.at, number, line.counter),
        )
    if done.rowcount != 1:
        return False
    base = number << BITS
    for each in batch.unnamed:
        execute("UPDATE journal_checkpoints SET id = NULL WHERE key = ?", (base | each,))
    for part in batch.parts:
        execute("INSERT INTO journal_parts VALUES (?, ?)", (base | part.number, part.body))
    for row in batch.writes:
        values = (number, row.of, row.number, row.home, row.body)
        execute("INSERT INTO journal_writes VALUES (?, ?, ?, ?, ?)", values)
    for saved in batch.checkpoints:
        own = (base | saved.number, number, saved.id, saved.root, saved.home, saved.body)
        execute("INSERT INTO journal_checkpoints VALUES (?, ?, ?, ?, ?, ?)", own)
    for label in batch.labels:
        query = "INSERT INTO journal_labels VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        execute(query, (*label, number))
    for saved in batch.filled:
        query = "UPDATE journal_checkpoints SET root = ?, home = ?, body = ? WHERE key = ?"
        execute(query, (saved.root, saved.home, saved.body, base | saved.number))
    for each in batch.dropped:
        execute("DELETE FROM journal_checkpoints WHERE key = ?", (base | each,))
        execute("DELETE FROM journal_writes WHERE line = ? AND checkpoint = ?", (number, each))
    return True


def _copy_lines(execute: Execute, request: CopyLines) -> bool:
    for source, target in request.pairs:
        there = (
            "SELECT EXISTS (SELECT 1 FROM journal_lines WHERE number = ?) AND NOT EXISTS "
            "(SELECT 1 FROM journal_lines WHERE thread_id = ?)"
        )
        if execute(there, (source, target.thread_id)).fetchone() != (1,):
            return False
    for source, target in request.pairs:
        _copy_line(execute, source, target, request.at)
    return True


def _copy_line(execute: Execute, source: int, target: LineRow, at: int) -> None:
    execute(
        "INSERT INTO journal_lines SELECT ?, ?, ?, counter, ? FROM journal_lines WHERE number = ?",
        (target.number, target.thread_id, target.ns, at, source),
    )
    shift = (target.number - source) << BITS
    execute(
        "INSERT INTO journal_checkpoints "
        "SELECT key + ?, ?, id, root, home, body FROM journal_checkpoints "
        "WHERE key BETWEEN ? AND ?",
        (shift, target.number, source << BITS, source << BITS | _MASK),
    )
    execute(
        "INSERT INTO journal_writes "
        "SELECT ?, checkpoint, number, home, body FROM journal_writes WHERE line = ?",
        (target.number, source),
    )
    execute(
        "INSERT INTO journal_labels SELECT name, value, ? FROM journal_labels WHERE line = ?",
        (target.number, source),
    )
    execute(
        "INSERT INTO journal_shares SELECT pool, ? FROM journal_shares WHERE line = ? "
        "UNION SELECT ?, ?",
        (target.number, source, source, target.number),
    )


def _drop_lines(execute: Execute, request: DropLines) -> None:
    for line in request.lines:
        between = (line << BITS, line << BITS | _MASK)
        execute("DELETE FROM journal_checkpoints WHERE key BETWEEN ? AND ?", between)
        for table in ("writes", "labels", "shares"):
            execute(f"DELETE FROM journal_{table} WHERE line = ?", (line,))
        execute("DELETE FROM journal_lines WHERE number = ?", (line,))


def _find_pools(execute: Execute, request: FindPools) -> list[int]:
    query = "SELECT pool FROM journal_shares WHERE line = ?"
    return [request.line, *(pool for (pool,) in execute(query, (request.line,)))]


def _find_sharers(execute: Execute, request: FindSharers) -> list[int]:
    query = (
        "SELECT number FROM journal_lines WHERE number = ? "
        "UNION SELECT line FROM journal_shares WHERE pool = ?"
    )
    return [line for (line,) in execute(query, (request.line, request.line))]


def _drop_parts(execute: Execute, request: DropParts) -> int:
    base, count, first = request.line << BITS, 0, 0
    for kept_first, kept_last in (*request.kept, (_MASK + 1, 0)):
        if kept_first > first:
            query = "DELETE FROM journal_parts WHERE key BETWEEN ? AND ?"
            count += execute(query, (base | first, base | (kept_first - 1))).rowcount
        first = kept_last + 1
    return count


def _checkpoint(row: tuple[Any, ...]) -> CheckpointRow:
    key, id, root, home, body = row
    return CheckpointRow(key >> BITS, key & _MASK, id, root, home, body)


READING: Final[dict[type[Request], Callable[[Execute, Any], Any]]] = {
    FindLines: _find_lines,
    FindCheckpoint: _find_checkpoint,
    FindNumber: _find_number,
    FindStubs: _find_stubs,
    PageRows: _page_rows,
    ReadRows: _read_rows,
    ReadWrites: _read_writes,
    ReadParts: _read_parts,
    FindPools: _find_pools,
    FindSharers: _find_sharers,
    **sqlite_checks.READING,
}
WRITING: Final[dict[type[Request], Callable[[Execute, Any], Any]]] = {
    Reserve: _reserve,
    Commit: _commit,
    CopyLines: _copy_lines,
    DropLines: _drop_lines,
    DropParts: _drop_parts,
    **sqlite_checks.WRITING,
}
FREEING: Final = frozenset((DropLines, DropParts))
"""Requests after which pages of the file are free."""
