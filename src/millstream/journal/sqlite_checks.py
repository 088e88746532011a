"""What a journal that is checked asks for, in SQL, for SQLite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from millstream.journal.rows import (
    CheckTables,
    CountParts,
    FindStrays,
    RebuildIndexes,
    Request,
    Strays,
)
from millstream.journal.sqlite_packs import count_packed
from millstream.journal.sqlite_schema import BITS, Execute

_MASK: Final = (1 << BITS) - 1
_MOST_FAULTS: Final = 100

_STRAY_ROWS: Final = f"""
SELECT line FROM (
    SELECT key >> {BITS} AS line FROM journal_checkpoints UNION SELECT line FROM journal_writes
    UNION SELECT key >> {BITS} FROM journal_packs WHERE rows IS NOT NULL
    UNION SELECT line FROM journal_labels UNION SELECT line FROM journal_shares
) WHERE line NOT IN (SELECT number FROM journal_lines) ORDER BY line
"""
_STRAY_PARTS: Final = f"""
WITH RECURSIVE pools (line) AS (
    SELECT min(key) >> {BITS} FROM journal_parts
    UNION ALL
    SELECT (SELECT min(key) >> {BITS} FROM journal_parts WHERE key > (line << {BITS} | {_MASK}))
    FROM pools WHERE line IS NOT NULL
)
SELECT line FROM (
    SELECT line FROM pools UNION SELECT key >> {BITS} FROM journal_packs WHERE parts IS NOT NULL
) WHERE line IS NOT NULL
AND line NOT IN (SELECT number FROM journal_lines UNION SELECT pool FROM journal_shares)
"""


def _count_parts(execute: Execute, request: CountParts) -> int:
    base, count, first = request.line << BITS, 0, 0
    for kept_first, kept_last in (*request.kept, (_MASK + 1, 0)):
        if kept_first > first:
            query = "SELECT count(*) FROM journal_parts WHERE key BETWEEN ? AND ?"
            [(some,)] = execute(query, (base | first, base | (kept_first - 1))).fetchall()
            count += some
        first = kept_last + 1
    return count + count_packed(execute, request.line, request.kept)


def _find_strays(execute: Execute, request: FindStrays) -> Strays:
    rows, parts = (
        [line for (line,) in execute(query).fetchall()] for query in (_STRAY_ROWS, _STRAY_PARTS)
    )
    return Strays(rows, parts)


def _check_tables(execute: Execute, request: CheckTables) -> list[str]:
    found = [text for (text,) in execute(f"PRAGMA integrity_check({_MOST_FAULTS})").fetchall()]
    return [] if found == ["ok"] else found


def _rebuild_indexes(execute: Execute, request: RebuildIndexes) -> None:
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'journal_*'"
    for (name,) in execute(tables).fetchall():
        execute(f"REINDEX {name}")


READING: Final[dict[type[Request], Callable[[Execute, Any], Any]]] = {
    CountParts: _count_parts,
    FindStrays: _find_strays,
    CheckTables: _check_tables,
}
WRITING: Final[dict[type[Request], Callable[[Execute, Any], Any]]] = {
    RebuildIndexes: _rebuild_indexes,
}
