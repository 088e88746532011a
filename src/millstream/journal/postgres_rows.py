"""What the requests of a journal are in SQL, for PostgreSQL.

Nearly each request is one statement, and so one round trip and one transaction: what belongs
together is written by a single `WITH`, whose first part moves the line's counter, and whose others
insert nothing if that was not what the writer knew. Who comes second waits for the row of the line
and then sees the counter of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from millstream.journal import postgres_checks
from millstream.journal.manifests import PART_BITS
from millstream.journal.postgres_inserts import HIGHEST, array, insertion, texts
from millstream.journal.postgres_schema import Statement, Steps
from millstream.journal.rows import (
    Append,
    Batch,
    CheckpointRow,
    Commit,
    CopyLines,
    DropLines,
    DropParts,
    FindCheckpoint,
    FindLines,
    FindNewest,
    FindNumber,
    FindOwner,
    FindPools,
    FindSharers,
    FindStubs,
    Found,
    LineRow,
    MeasureParts,
    Owner,
    PageRows,
    ReadParts,
    ReadRows,
    ReadWrites,
    RenameLines,
    Request,
    Reserve,
    WritesRow,
)

_CHECKPOINT: Final = "SELECT line, number, id, root, home, body FROM @checkpoints"


# -- reading -------------------------------------------------------------------------------------


def _find_lines(request: FindLines) -> Steps[list[LineRow]]:
    conditions: list[str] = []
    values: list[str] = []
    for column, value in (("thread_id", request.thread_id), ("ns", request.ns)):
        if value is not None:
            conditions.append(f"{column} = %s")
            values.append(value)
    if request.untouched is not None:
        conditions.append("at <= %s::bigint")
        values.append(str(request.untouched))
    for label in request.labels:
        conditions.append("number IN (SELECT line FROM @labels WHERE name = %s AND value = %s)")
        values += label
    limit = ""
    if request.limit is not None:
        conditions.append("number > %s::bigint")
        values += (str(request.after), str(request.limit))
        limit = " LIMIT %s::bigint"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    query = f"SELECT number, thread_id, ns, counter FROM @lines{where} ORDER BY number{limit}"
    [rows] = yield [Statement(query, values)]
    return [LineRow(*row) for row in rows]


_FIND_CHECKPOINT: Final = """
WITH line AS (
    SELECT number, counter FROM @lines WHERE thread_id = %s AND ns = %s
), newest AS (
    SELECT c.id FROM line JOIN @checkpoints c ON c.line = line.number
    WHERE c.id IS NOT NULL AND c.body IS NOT NULL ORDER BY c.id DESC LIMIT 1
), last AS (
    SELECT c.number FROM line JOIN @checkpoints c ON c.line = line.number
    WHERE c.body IS NOT NULL ORDER BY c.number DESC LIMIT 1
), wanted AS (
    SELECT c.line, c.number, c.root FROM line JOIN @checkpoints c ON c.line = line.number
    WHERE c.id = coalesce(%s::text, (SELECT id FROM newest)) AND c.body IS NOT NULL
)
SELECT 0, counter, number, (SELECT id FROM newest), (SELECT number FROM last), NULL FROM line
UNION ALL
SELECT 1, c.number, c.home, c.id, c.root, c.body
FROM wanted JOIN @checkpoints c ON c.line = wanted.line
AND c.number BETWEEN wanted.root AND wanted.number
UNION ALL
SELECT 2, w.number, w.home, NULL, w.checkpoint, w.body
FROM wanted JOIN @writes w ON w.line = wanted.line AND w.checkpoint = wanted.number
ORDER BY 1, 2
"""


def _find_checkpoint(request: FindCheckpoint) -> Steps[Found | None]:
    values = (request.thread_id, request.ns, request.id)
    [rows] = yield [Statement(_FIND_CHECKPOINT, values)]
    if not rows:
        return None
    _, counter, line, newest, last, _ = rows[0]
    found = Found(LineRow(line, request.thread_id, request.ns, counter), newest, last or 0)
    for kind, number, home, id, other, body in rows[1:]:
        if kind == 1:
            found.rows.append(CheckpointRow(line, number, id, other, home, body))
        else:
            found.writes.append(WritesRow(line, other, number, home, body))
    return found


def _find_number(request: FindNumber) -> Steps[CheckpointRow | None]:
    query = f"{_CHECKPOINT} WHERE line = %s::bigint AND id = %s::text"
    [rows] = yield [Statement(query, (str(request.line), request.id))]
    return CheckpointRow(*rows[0]) if rows else None


def _find_stubs(request: FindStubs) -> Steps[dict[str, int]]:
    query = (
        "SELECT id, number FROM @checkpoints "
        "WHERE line = %s::bigint AND body IS NULL AND id IS NOT NULL"
    )
    [rows] = yield [Statement(query, (str(request.line),))]
    return dict(rows)


def _find_newest(request: FindNewest) -> Steps[dict[int, str]]:
    before, last = _less_than(request.before)
    query = (
        "SELECT wanted.line, newest.id FROM unnest(%s::bigint[]) AS wanted (line) "
        "CROSS JOIN LATERAL (SELECT c.id FROM @checkpoints c WHERE c.line = wanted.line "
        f"AND c.id IS NOT NULL AND c.body IS NOT NULL{before} ORDER BY c.id DESC LIMIT 1) newest"
    )
    [rows] = yield [Statement(query, (array(request.lines), *last))]
    return dict(rows)


def _less_than(before: str | None) -> tuple[str, list[str]]:
    """Return a condition for ids, and its values."""
    if before is None:
        return "", []
    # No text has this character here, so what is less than it and what follows is not greater.
    greatest, nul, _ = before.partition("\0")
    return f" AND id {'<=' if nul else '<'} %s::text", [greatest]


def _page_rows(request: PageRows) -> Steps[list[CheckpointRow]]:
    before, last = _less_than(request.before)
    query = (
        f"{_CHECKPOINT} WHERE line = %s::bigint AND id IS NOT NULL AND body IS NOT NULL"
        f"{before} ORDER BY id DESC LIMIT %s::bigint"
    )
    [rows] = yield [Statement(query, (str(request.line), *last, str(request.limit)))]
    return [CheckpointRow(*row) for row in rows]


def _read_rows(request: ReadRows) -> Steps[list[CheckpointRow]]:
    query = (
        f"{_CHECKPOINT} WHERE line = %s::bigint AND number BETWEEN %s::integer AND %s::integer "
        "ORDER BY number"
    )
    values = (str(request.line), str(request.first), str(min(request.last, HIGHEST)))
    [rows] = yield [Statement(query, values)]
    return [CheckpointRow(*row) for row in rows]


def _read_writes(request: ReadWrites) -> Steps[list[WritesRow]]:
    query = (
        "SELECT line, checkpoint, number, home, body FROM @writes WHERE line = %s::bigint"
        "{} ORDER BY number"
    )
    values, chosen = [str(request.line)], ""
    if request.of is not None:
        values.append(array(request.of))
        chosen = " AND checkpoint = ANY(%s::integer[])"
    [rows] = yield [Statement(query.format(chosen), values)]
    return [WritesRow(*row) for row in rows]


def _read_parts(request: ReadParts) -> Steps[dict[int, bytes]]:
    return _of_parts("p.body", request)


def _measure_parts(request: MeasureParts) -> Steps[dict[int, int]]:
    return _of_parts("octet_length(p.body)", request)


def _of_parts(what: str, request: ReadParts | MeasureParts) -> Steps[dict[int, Any]]:
    query = (
        f"SELECT p.line << {PART_BITS} | p.number, {what} "
        "FROM unnest(%s::bigint[], %s::integer[], %s::integer[]) AS wanted (line, first, last) "
        "JOIN @parts p ON p.line = wanted.line AND p.number BETWEEN wanted.first AND wanted.last"
    )
    values = [array(numbers) for numbers in zip(*request.ranges, strict=True)]
    [rows] = yield [Statement(query, values or ("{}",) * 3)]
    return dict(rows)


def _find_pools(request: FindPools) -> Steps[list[int]]:
    query = "SELECT pool FROM @shares WHERE line = %s::bigint"
    [rows] = yield [Statement(query, (str(request.line),))]
    return [request.line, *(pool for (pool,) in rows)]


def _find_sharers(request: FindSharers) -> Steps[list[int]]:
    query = (
        "SELECT number FROM @lines WHERE number = %s::bigint "
        "UNION SELECT line FROM @shares WHERE pool = %s::bigint"
    )
    [rows] = yield [Statement(query, (str(request.line),) * 2)]
    return [line for (line,) in rows]


def _find_owner(request: FindOwner) -> Steps[bool]:
    [rows] = yield [_owner(request.owner)]
    return bool(rows)


def _owner(owner: Owner) -> Statement:
    return Statement(owner.query, owner.values)


# -- writing -------------------------------------------------------------------------------------


def _reserve(request: Reserve) -> Steps[int]:
    query = "UPDATE @numbers SET value = value + %s::bigint WHERE name = 'lines' RETURNING value"
    [[(last,)]] = yield [Statement(query, (str(request.count),))]
    return int(last) - request.count + 1


_UNNAME: Final = """
WITH line AS (
    SELECT number FROM @lines WHERE number = %s::bigint AND counter = %s::integer FOR UPDATE
)
UPDATE @checkpoints c SET id = NULL FROM line
WHERE c.line = line.number AND c.number = ANY(%s::integer[])
"""
_FILL: Final = """
UPDATE @checkpoints c SET root = new.root, home = new.home, body = new.body
FROM unnest(%s::integer[], %s::integer[], %s::bigint[], %s::bytea[])
    AS new (number, root, home, body)
WHERE c.line = %s::bigint AND c.number = new.number
"""
_DROP: Final = """
WITH writes AS (
    DELETE FROM @writes WHERE line = %s::bigint AND checkpoint = ANY(%s::integer[])
)
DELETE FROM @checkpoints WHERE line = %s::bigint AND number = ANY(%s::integer[])
"""


def _is_odd(batch: Batch) -> bool:
    """Say whether a batch takes more than one statement."""
    return bool(batch.unnamed or batch.filled or batch.dropped)


def is_long(request: Request) -> bool:
    """Say whether a request takes a transaction of several statements."""
    if isinstance(request, CopyLines):
        return True
    return isinstance(request, Commit) and (
        len(request.batches) != 1 or _is_odd(request.batches[0])
    )


def _commit(request: Commit) -> Steps[list[bool]]:
    batches = request.batches
    # Everybody takes lines in one order, so that nobody waits for each other.
    order = sorted(
        range(len(batches)), key=lambda at: (batches[at].line.thread_id, batches[at].line.ns)
    )
    written = [False] * len(batches)
    if any(map(_is_odd, batches)):
        for at in order:
            written[at] = yield from _write(batches[at])
        return written
    answers = yield [insertion(batches[at]) for at in order]
    for at, rows in zip(order, answers, strict=True):
        written[at] = bool(rows)
    return written


def _write(batch: Batch) -> Steps[bool]:
    """Write a batch that changes rows that were there."""
    line = str(batch.line.number)
    if batch.owner is not None:
        # Nobody takes over before the end of the transaction, so it is all or nothing as ever.
        [rows] = yield [_owner(batch.owner)]
        if not rows:
            return False
    if batch.unnamed:
        unnamed = (line, str(batch.line.counter), array(batch.unnamed))
        yield [Statement(_UNNAME, unnamed, has_rows=False)]
    [rows] = yield [insertion(batch)]
    if not rows:
        return False
    if batch.filled:
        filled = (
            array(row.number for row in batch.filled),
            array(row.root for row in batch.filled),
            array(row.home for row in batch.filled),
            [row.body for row in batch.filled],
            line,
        )
        yield [Statement(_FILL, filled, has_rows=False)]
    if batch.dropped:
        yield [Statement(_DROP, (line, array(batch.dropped)) * 2, has_rows=False)]
    return True


_COPY_LINES: Final = """
WITH new AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS new (source, number, ns)
), line AS (
    INSERT INTO @lines (number, thread_id, ns, counter, at)
    SELECT new.number, %s::text, new.ns, l.counter, %s::bigint
    FROM new JOIN @lines l ON l.number = new.source
    WHERE NOT EXISTS (SELECT 1 FROM @lines WHERE thread_id = %s::text)
    ON CONFLICT DO NOTHING RETURNING number
), copied AS (
    SELECT new.source, new.number FROM new JOIN line ON line.number = new.number
), checkpoints AS (
    INSERT INTO @checkpoints (line, number, id, root, home, body)
    SELECT copied.number, c.number, c.id, c.root, c.home, c.body
    FROM copied JOIN @checkpoints c ON c.line = copied.source
), writes AS (
    INSERT INTO @writes (line, checkpoint, number, home, body)
    SELECT copied.number, w.checkpoint, w.number, w.home, w.body
    FROM copied JOIN @writes w ON w.line = copied.source
), labels AS (
    INSERT INTO @labels (name, value, line)
    SELECT l.name, l.value, copied.number FROM copied JOIN @labels l ON l.line = copied.source
), shares AS (
    INSERT INTO @shares (pool, line)
    SELECT s.pool, copied.number FROM copied JOIN @shares s ON s.line = copied.source
    UNION SELECT source, number FROM copied
)
SELECT number FROM line
"""


def _copy_lines(request: CopyLines) -> Steps[bool]:
    targets = [target for _, target in request.pairs]
    thread_id = targets[0].thread_id
    values = (
        array(source for source, _ in request.pairs),
        array(target.number for target in targets),
        texts(target.ns for target in targets),
        thread_id,
        str(request.at),
        thread_id,
    )
    [copied] = yield [Statement(_COPY_LINES, values)]
    if len(copied) == len(targets):
        return True
    if copied:
        # Somebody has made a line of that thread meanwhile, or has deleted one of the other.
        yield from _drop_lines(DropLines([number for (number,) in copied]))
    return False


_RENAME_LINES: Final = """
UPDATE @lines SET thread_id = %s::text WHERE number = ANY(%s::bigint[])
AND NOT EXISTS (SELECT 1 FROM @lines WHERE thread_id = %s::text) RETURNING number
"""


def _rename_lines(request: RenameLines) -> Steps[bool]:
    name = request.thread_id
    [renamed] = yield [Statement(_RENAME_LINES, (name, array(request.lines), name))]
    return len(renamed) == len(request.lines)


_DROP_LINES: Final = """
WITH gone AS (SELECT unnest(%s::bigint[]) AS number),
lines AS (DELETE FROM @lines l USING gone WHERE l.number = gone.number),
checkpoints AS (DELETE FROM @checkpoints USING gone WHERE line = gone.number),
writes AS (DELETE FROM @writes USING gone WHERE line = gone.number),
labels AS (DELETE FROM @labels USING gone WHERE line = gone.number)
DELETE FROM @shares USING gone WHERE line = gone.number
"""


def _drop_lines(request: DropLines) -> Steps[None]:
    yield [Statement(_DROP_LINES, (array(sorted(request.lines)),), has_rows=False)]


def _drop_parts(request: DropParts) -> Steps[int]:
    firsts: list[int] = []
    lasts: list[int] = []
    first = 0
    for kept_first, kept_last in (*request.kept, (HIGHEST + 1, 0)):
        if kept_first > first:
            firsts.append(first)
            lasts.append(kept_first - 1)
        first = kept_last + 1
    query = (
        "WITH gone AS ("
        "DELETE FROM @parts p USING unnest(%s::integer[], %s::integer[]) AS b (first, last) "
        "WHERE p.line = %s::bigint AND p.number BETWEEN b.first AND b.last RETURNING 1"
        ") SELECT count(*) FROM gone"
    )
    values = (array(firsts), array(lasts), str(request.line))
    [[(count,)]] = yield [Statement(query, values)]
    return int(count)


STEPS: Final[dict[type[Request], Callable[[Any], Steps[Any]]]] = {
    Reserve: _reserve,
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
    Commit: _commit,
    Append: lambda request: _commit(request.as_commit()),
    FindOwner: _find_owner,
    CopyLines: _copy_lines,
    RenameLines: _rename_lines,
    DropLines: _drop_lines,
    FindPools: _find_pools,
    FindSharers: _find_sharers,
    DropParts: _drop_parts,
    **postgres_checks.STEPS,
}
ONCE: Final = frozenset((CopyLines, RenameLines))
"""Requests whose answer is another one when they are carried out again.

The others may be sent again when nobody knows whether they were carried out: a commit that was is
refused then, and whoever asked for it sees that what he wanted to store is there.
"""
