"""What the requests of a journal are in SQL, for SQLite; each function answers one request."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from millstream.journal import sqlite_checks, sqlite_ids
from millstream.journal.rows import (
    CheckpointRow,
    Commit,
    CopyLines,
    DropLines,
    DropParts,
    FindCheckpoint,
    FindLines,
    FindNewest,
    FindNumber,
    FindPools,
    FindSharers,
    FindStubs,
    Found,
    LineRow,
    MeasureParts,
    PageRows,
    ReadParts,
    ReadRows,
    ReadWrites,
    RenameLines,
    Request,
    Reserve,
    WritesRow,
)
from millstream.journal.sqlite_commits import commit
from millstream.journal.sqlite_packs import (
    Bodies,
    copy_packs,
    drop_packed,
    drop_packs,
    read_packed,
    windows_of,
)
from millstream.journal.sqlite_schema import BITS, MASK, Execute

_MOST_AT_ONCE: Final = 500
"""Values in one list of a statement: SQLite has a limit."""
_OF_LINE: Final = (
    f"FROM journal_checkpoints WHERE key BETWEEN number << {BITS} AND number << {BITS} | {MASK} "
    "ORDER BY key DESC LIMIT 1"
)
_LINE: Final = f"""
SELECT number, thread_id, ns, max(counter, coalesce((SELECT key & {MASK} {_OF_LINE}), 0))
FROM journal_lines
"""


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
        conditions.append(f"at <= ? AND coalesce((SELECT at {_OF_LINE}), 0) <= ?")
        values += (request.untouched, request.untouched)
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
    query = f"{_LINE}{where} ORDER BY number{limit}"
    return [LineRow(*row) for row in execute(query, values)]


def _find_checkpoint(execute: Execute, request: FindCheckpoint) -> Found | None:
    line = execute(f"{_LINE} WHERE thread_id = ? AND ns = ?", (request.thread_id, request.ns))
    row = line.fetchone()
    if row is None:
        return None
    number = row[0]
    newest = wanted = sqlite_ids.find_newest(execute, number)
    last = execute(
        "SELECT key FROM journal_checkpoints WHERE key BETWEEN ? AND ? AND body IS NOT NULL "
        "ORDER BY key DESC LIMIT 1",
        (number << BITS, number << BITS | MASK),
    ).fetchone()
    found = Found(LineRow(*row), None if newest is None else newest.id, 0)
    if last is not None:
        found.last = last[0] & MASK
    if request.id not in (None, found.newest):
        wanted = sqlite_ids.find(execute, number, request.id or "")
    if wanted is None or wanted.body is None:
        return found
    if wanted.root == wanted.number:
        found.rows = [wanted]
    else:
        found.rows = _read_rows(execute, ReadRows(number, wanted.root, wanted.number))
    found.writes = _read_writes(execute, ReadWrites(number, (wanted.number,)))
    return found


def _find_number(execute: Execute, request: FindNumber) -> CheckpointRow | None:
    return sqlite_ids.find(execute, request.line, request.id)


def _find_stubs(execute: Execute, request: FindStubs) -> dict[str, int]:
    query = (
        "SELECT id, key FROM journal_checkpoints INDEXED BY journal_stubs "
        "WHERE late = ? AND body IS NULL AND id IS NOT NULL"
    )
    return {id: key & MASK for id, key in execute(query, (request.line,))}


def _find_newest(execute: Execute, request: FindNewest) -> dict[int, str]:
    newest: dict[int, str] = {}
    for line in request.lines:
        for row in sqlite_ids.page(execute, line, request.before, 1):
            newest[line] = row.id or ""
    return newest


def _page_rows(execute: Execute, request: PageRows) -> list[CheckpointRow]:
    return sqlite_ids.page(execute, request.line, request.before, request.limit)


def _read_rows(execute: Execute, request: ReadRows) -> list[CheckpointRow]:
    base = request.line << BITS
    query = f"{sqlite_ids.SELECT} WHERE key BETWEEN ? AND ? ORDER BY key"
    rows = execute(query, (base | request.first, base | min(request.last, MASK))).fetchall()
    return sqlite_ids.checkpoints_of(execute, rows)


def _read_writes(execute: Execute, request: ReadWrites) -> list[WritesRow]:
    line, base = request.line, request.line << BITS
    query = (
        "SELECT line, checkpoint, number, home, body FROM journal_writes WHERE line = ?"
        "{} ORDER BY number"
    )
    own = "SELECT key, of, home, writes FROM journal_checkpoints WHERE "
    bodies = Bodies(execute)

    def written(key: int, of: int, home: int, writes: bytes) -> WritesRow:
        return WritesRow(line, of, key & MASK, home, bodies.writes(key, writes) or b"")

    if request.of is None:
        rows = [WritesRow(*row) for row in execute(query.format(""), (line,))]
        every = f"{own}key BETWEEN ? AND ? AND writes IS NOT NULL"
        rows += [written(*row) for row in execute(every, (base, base | MASK)).fetchall()]
        return sorted(rows, key=_number)
    rows = []
    for first in range(0, len(request.of), _MOST_AT_ONCE):
        some = request.of[first : first + _MOST_AT_ONCE]
        chosen = f" AND checkpoint IN ({', '.join('?' * len(some))})"
        found = execute(query.format(chosen), (line, *some))
        rows += [WritesRow(*row) for row in found]
    after = f"{own}key > ? AND key <= ? AND body IS NOT NULL ORDER BY key LIMIT 1"
    for of in request.of:
        row = execute(after, (base | of, base | MASK)).fetchone()
        if row is not None and row[1] == of:
            rows.append(written(*row))
    return sorted(rows, key=_number)


def _read_parts(execute: Execute, request: ReadParts) -> dict[int, bytes]:
    return _of_parts(execute, "body", request, *read_packed(execute, request.ranges))


def _measure_parts(execute: Execute, request: MeasureParts) -> dict[int, int]:
    packed, packs = read_packed(execute, request.ranges)
    sizes = {key: len(body) for key, body in packed.items()}
    # It is in front of each row: what is behind it is not read.
    return _of_parts(execute, "length(body)", request, sizes, packs)


def _of_parts(
    execute: Execute,
    what: str,
    request: ReadParts | MeasureParts,
    parts: dict[int, Any],
    packs: set[int],
) -> dict[int, Any]:
    query = f"SELECT key, {what} FROM journal_parts WHERE key BETWEEN ? AND ?"
    for line, first, last in request.ranges:
        base = line << BITS
        if packs.issuperset(windows_of(base | first, base | last)):
            continue
        # There may be thousands, and their keys are what manifests call them.
        parts.update(execute(query, (base | first, base | last)))
    return parts


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
        "SELECT key + ?, id, CASE WHEN late IS NOT NULL THEN ? END, "
        "root, home, NULL, body, of, writes "
        "FROM journal_checkpoints WHERE key BETWEEN ? AND ?",
        (shift, target.number, source << BITS, source << BITS | MASK),
    )
    copy_packs(execute, source, target.number)
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


def _rename_lines(execute: Execute, request: RenameLines) -> bool:
    there = "SELECT 1 FROM journal_lines WHERE thread_id = ?"
    if execute(there, (request.thread_id,)).fetchone() is not None:
        return False
    for line in request.lines:
        query = "UPDATE journal_lines SET thread_id = ? WHERE number = ?"
        execute(query, (request.thread_id, line))
    return True


def _drop_lines(execute: Execute, request: DropLines) -> None:
    for line in request.lines:
        between = (line << BITS, line << BITS | MASK)
        execute("DELETE FROM journal_checkpoints WHERE key BETWEEN ? AND ?", between)
        drop_packs(execute, line)
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
    for kept_first, kept_last in (*request.kept, (MASK + 1, 0)):
        if kept_first > first:
            query = "DELETE FROM journal_parts WHERE key BETWEEN ? AND ?"
            count += execute(query, (base | first, base | (kept_first - 1))).rowcount
        first = kept_last + 1
    return count + drop_packed(execute, request.line, request.kept)


_number: Final = attrgetter("number")


READING: Final[dict[type[Request], Callable[[Execute, Any], Any]]] = {
    FindLines: _find_lines,
    FindCheckpoint: _find_checkpoint,
    FindNumber: _find_number,
    FindStubs: _find_stubs,
    FindNewest: _find_newest,
    PageRows: _page_rows,
    ReadRows: _read_rows,
    ReadWrites: _read_writes,
    ReadParts: _read_parts,
    MeasureParts: _measure_parts,
    FindPools: _find_pools,
    FindSharers: _find_sharers,
    **sqlite_checks.READING,
}
WRITING: Final[dict[type[Request], Callable[[Execute, Any], Any]]] = {
    Reserve: _reserve,
    Commit: commit,
    CopyLines: _copy_lines,
    RenameLines: _rename_lines,
    DropLines: _drop_lines,
    DropParts: _drop_parts,
    **sqlite_checks.WRITING,
}
FREEING: Final = frozenset((DropLines, DropParts))
"""Requests after which pages of the file are free."""
