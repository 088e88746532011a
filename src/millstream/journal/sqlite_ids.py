"""Finding checkpoints of a line by their ids, in SQLite, without an index of all of them.

Nearly every checkpoint has a greater id than all before it, as it has a greater number: among those
an id is found by halving. The others are `late`, and only those are in an index. So a commit has
one page less to write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from millstream.journal.rows import CheckpointRow
from millstream.journal.sqlite_packs import Bodies
from millstream.journal.sqlite_schema import BITS, MASK, Execute

SELECT: Final = "SELECT key, id, root, home, body FROM journal_checkpoints"
_IN_ORDER: Final = "key >= ? AND key < ? AND id IS NOT NULL AND late IS NULL"
_KEYS: Final = f"SELECT key, id FROM journal_checkpoints WHERE {_IN_ORDER} ORDER BY key"
_FIRST: Final = f"{_KEYS} LIMIT 1"
_LAST: Final = f"{_KEYS} DESC LIMIT 1"


def checkpoints_of(execute: Execute, rows: Iterable[tuple[Any, ...]]) -> list[CheckpointRow]:
    """Return what `SELECT` has found."""
    bodies = Bodies(execute)
    return [
        CheckpointRow(key >> BITS, key & MASK, id, root, home, bodies.body(key, body))
        for key, id, root, home, body in rows
    ]


def find(execute: Execute, line: int, id: str) -> CheckpointRow | None:
    """Return the row that has an id, with or without a body."""
    found = execute(f"{SELECT} WHERE key = ? AND id = ?", (_position(execute, line, id), id))
    row = found.fetchone()
    if row is None:
        row = execute(f"{SELECT} WHERE late = ? AND id = ?", (line, id)).fetchone()
    return None if row is None else checkpoints_of(execute, [row])[0]


def find_newest(execute: Execute, line: int) -> CheckpointRow | None:
    """Return the row with the greatest id of those that have a body."""
    rows = page(execute, line, None, 1)
    return rows[0] if rows else None


def page(execute: Execute, line: int, before: str | None, limit: int) -> list[CheckpointRow]:
    """Return rows that have a body, and ids less than `before`, the greatest first."""
    begin, end = line << BITS, (line + 1) << BITS
    late, values = "", (line, limit)
    if before is not None:
        end = _position(execute, line, before)
        late, values = "AND id < ? ", (line, before, limit)  # type: ignore[assignment]
    query = f"{SELECT} WHERE {_IN_ORDER} AND body IS NOT NULL ORDER BY key DESC LIMIT ?"
    rows = execute(query, (begin, end, limit)).fetchall()
    query = f"{SELECT} WHERE late = ? AND body IS NOT NULL {late}ORDER BY id DESC LIMIT ?"
    others = execute(query, values).fetchall()
    if others:
        rows = sorted((*rows, *others), key=lambda row: row[1], reverse=True)[:limit]
    return checkpoints_of(execute, rows)


def _position(execute: Execute, line: int, id: str) -> int:
    """Return the key of the first row in order whose id is not less, or the end of the line."""
    begin, end = line << BITS, (line + 1) << BITS
    last = execute(_LAST, (begin, end)).fetchone()
    if last is None or last[1] < id:
        return end
    end = found = int(last[0])
    while begin < end:
        middle = (begin + end) // 2
        row = execute(_FIRST, (middle, end)).fetchone()
        if row is not None and row[1] < id:
            begin = row[0] + 1
            continue
        end = middle
        if row is not None:
            found = row[0]
    return found
