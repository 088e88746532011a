"""What a journal that is checked asks for, in SQL, for PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from millstream.journal.manifests import PART_BITS
from millstream.journal.postgres_schema import Statement, Steps
from millstream.journal.rows import (
    CheckTables,
    CountParts,
    FindStrays,
    RebuildIndexes,
    Request,
    Strays,
)

_HIGHEST: Final = (1 << PART_BITS) - 1

_STRAY_ROWS: Final = """
SELECT line FROM (
    SELECT line FROM @checkpoints UNION SELECT line FROM @writes
    UNION SELECT line FROM @labels UNION SELECT line FROM @shares
) AS found WHERE line NOT IN (SELECT number FROM @lines) ORDER BY line
"""
_STRAY_PARTS: Final = """
WITH RECURSIVE pools (line) AS (
    SELECT min(line) FROM @parts
    UNION ALL
    SELECT (SELECT min(p.line) FROM @parts p WHERE p.line > pools.line)
    FROM pools WHERE line IS NOT NULL
)
SELECT line FROM pools WHERE line IS NOT NULL
AND line NOT IN (SELECT number FROM @lines UNION SELECT pool FROM @shares)
"""


def _count_parts(request: CountParts) -> Steps[int]:
    firsts: list[int] = []
    lasts: list[int] = []
    first = 0
    for kept_first, kept_last in (*request.kept, (_HIGHEST + 1, 0)):
        if kept_first > first:
            firsts.append(first)
            lasts.append(kept_first - 1)
        first = kept_last + 1
    query = (
        "SELECT count(*) FROM unnest(%s::integer[], %s::integer[]) AS b (first, last) "
        "JOIN @parts p ON p.line = %s::bigint AND p.number BETWEEN b.first AND b.last"
    )
    arrays = ("{" + ",".join(map(str, numbers)) + "}" for numbers in (firsts, lasts))
    [[(count,)]] = yield [Statement(query, (*arrays, str(request.line)))]
    return int(count)


def _find_strays(request: FindStrays) -> Steps[Strays]:
    rows, parts = yield [Statement(_STRAY_ROWS), Statement(_STRAY_PARTS)]
    return Strays([line for (line,) in rows], [line for (line,) in parts])


def _check_tables(request: CheckTables) -> Steps[list[str]]:
    yield []
    return []


def _rebuild_indexes(request: RebuildIndexes) -> Steps[None]:
    yield []


STEPS: Final[dict[type[Request], Callable[[Any], Steps[Any]]]] = {
    CountParts: _count_parts,
    FindStrays: _find_strays,
    CheckTables: _check_tables,
    RebuildIndexes: _rebuild_indexes,
}
