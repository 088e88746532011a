"""Writing what a journal has made of a superstep, in SQL, for SQLite.

As a rule that is one row at the end of one table: a checkpoint, together with what the tasks wrote
next to the one before it. The number of the last such row is the counter of its line, so nothing
else has to be changed, and one statement both compares the counter and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from millstream.journal.rows import Append, Batch, CheckpointRow, Commit, WritesRow
from millstream.journal.sqlite_packs import Bodies, pack, tidy
from millstream.journal.sqlite_schema import BITS, MASK, Execute

_INSERT: Final = "INSERT INTO journal_checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
APPEND: Final = """
INSERT INTO journal_checkpoints SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?
WHERE (SELECT counter FROM journal_lines WHERE number = ?) <= ?
AND NOT EXISTS (SELECT 1 FROM journal_checkpoints WHERE key > ? AND key < ?)
"""
_MOVE: Final = """
UPDATE journal_lines SET counter = ?, at = coalesce(?, max(at, coalesce((
    SELECT at FROM journal_checkpoints WHERE key > ? AND key < ? ORDER BY key DESC LIMIT 1
), 0)))
WHERE number = ? AND counter <= ?
AND NOT EXISTS (SELECT 1 FROM journal_checkpoints WHERE key > ? AND key < ?)
"""


def appended(request: Commit) -> tuple[Any, ...] | None:
    """Return the values for `APPEND`, if that is all there is to do: it needs no transaction."""
    if len(request.batches) != 1:
        return None
    [batch] = request.batches
    if len(batch.checkpoints) != 1 or batch.parts or batch.labels or not _is_appended(batch):
        return None
    [row], line, of, written = batch.checkpoints, batch.line, None, None
    # Its id is as a rule the greatest; if it is not, or that is not known, there is more to say.
    if row.id is None or row.body is None or batch.newest is None or row.id <= batch.newest:
        return None
    if batch.writes:
        if not _fits(batch.writes, batch.last, row):
            return None
        of, written = batch.writes[0].of, batch.writes[0].body
    base = line.number << BITS
    own = (base | row.number, row.id, None, row.root, row.home, batch.at, row.body, of, written)
    return (*own, line.number, line.counter, base | line.counter, base + MASK + 1)


def values_of(request: Append) -> tuple[Any, ...]:
    """Return the values for `APPEND`."""
    line, at, _, last, number, id, root, body, writes, _ = request
    home, _, _, counter = line
    base = home << BITS
    of = None if writes is None else last
    own = (base | number, id, None, root, home, at, body, of, writes)
    return (*own, home, counter, base | counter, base + MASK + 1)


def commit(execute: Execute, request: Commit) -> list[bool]:
    """Write batches; say of each whether its line was as the writer knows it."""
    return [_write(execute, batch) for batch in request.batches]


def _is_appended(batch: Batch) -> bool:
    """Say whether a batch does nothing but to add rows, of which the last has its counter."""
    return (
        not (batch.is_new or batch.unnamed or batch.filled or batch.dropped)
        and bool(batch.checkpoints)
        and batch.checkpoints[-1].number == batch.counter
        and batch.at is not None
        and batch.counter <= MASK
    )


def _fits(writes: Sequence[WritesRow], last: int, row: CheckpointRow) -> bool:
    """Say whether writes are one row, next to the checkpoint before that one."""
    [first, *more] = writes
    return not more and first.of == last and first.home == row.home and row.body is not None


def _write(execute: Execute, batch: Batch) -> bool:
    line, number = batch.line, batch.line.number
    if batch.counter > MASK:
        raise OverflowError(
            f"Thread {line.thread_id!r} has no numbers left: copy it, or prune it and export it"
        )
    base, end = number << BITS, (number + 1) << BITS
    fence = (number, line.counter, base | line.counter, end)
    rows, writes = _rows_of(batch)
    if _is_appended(batch):
        done = execute(APPEND, (*rows.pop(0), *fence))
    elif batch.is_new:
        done = execute(
            "INSERT INTO journal_lines VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, line.thread_id, line.ns, batch.counter, batch.at),
        )
    else:
        done = execute(_MOVE, (batch.counter, batch.at, base, end, *fence))
    if done.rowcount != 1:
        return False
    for each in batch.unnamed:
        query = "UPDATE journal_checkpoints SET id = NULL, late = NULL WHERE key = ?"
        execute(query, (base | each,))
    for part in batch.parts:
        execute("INSERT INTO journal_parts VALUES (?, ?)", (base | part.number, part.body))
    for written in writes:
        execute(
            "INSERT INTO journal_writes VALUES (?, ?, ?, ?, ?)",
            (number, written.of, written.number, written.home, written.body),
        )
    for row in rows:
        execute(_INSERT, row)
    for label in batch.labels:
        query = "INSERT INTO journal_labels VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        execute(query, (*label, number))
    _change(execute, batch)
    if batch.parts:
        pack(execute, number, batch.counter)
    return True


def _rows_of(batch: Batch) -> tuple[list[tuple[Any, ...]], list[WritesRow]]:
    """Return the rows of checkpoints, and the writes that have to have rows of their own."""
    base, line = batch.line.number << BITS, batch.line.number
    newest, last = batch.newest, batch.last
    is_known = batch.is_new or newest is not None
    rows: list[tuple[Any, ...]] = []
    writes = list(batch.writes)
    for row in batch.checkpoints:
        late: int | None = line
        # What has no body yet may get it when others have a greater id.
        if row.id is not None and row.body is not None:
            if is_known and (newest is None or row.id > newest):
                late, newest = None, row.id
        elif row.id is None:
            late = None
        of = body = None
        fitting = [each for each in writes if each.of == last and each.number < row.number]
        if last and fitting and _fits(fitting, last, row):
            [written] = fitting
            writes.remove(written)
            of, body = written.of, written.body
        # Rows in between that get their body later would be taken for the next ones.
        last = row.number if row.body is not None and (last or batch.is_new) else 0
        key = base | row.number
        rows.append((key, row.id, late, row.root, row.home, batch.at, row.body, of, body))
    return rows, writes


def _change(execute: Execute, batch: Batch) -> None:
    """Change rows that were there, and remove some."""
    number, base = batch.line.number, batch.line.number << BITS
    bodies = Bodies(execute)
    for row in batch.filled:
        key = base | row.number
        bodies.take_out(key)
        # Writes are of the home that the row has had.
        _move_out(execute, "key = ? AND home != ?", (key, row.home))
        query = "UPDATE journal_checkpoints SET root = ?, home = ?, body = ? WHERE key = ?"
        execute(query, (row.root, row.home, row.body, key))
    for each in batch.dropped:
        execute(
            "UPDATE journal_checkpoints SET of = NULL, writes = NULL WHERE key = ("
            "SELECT key FROM journal_checkpoints WHERE key > ? AND key < ? AND body IS NOT NULL "
            "ORDER BY key LIMIT 1) AND of = ?",
            (base | each, base + MASK + 1, each),
        )
    for each in batch.dropped:
        bodies.take_out(base | each)
        _move_out(execute, "key = ?", (base | each,))
    for each in batch.dropped:
        execute("DELETE FROM journal_checkpoints WHERE key = ?", (base | each,))
        execute("DELETE FROM journal_writes WHERE line = ? AND checkpoint = ?", (number, each))
    if batch.dropped:
        tidy(execute, number, batch.dropped)


def _move_out(execute: Execute, which: str, values: tuple[Any, ...]) -> None:
    """Give writes that are in the row of a checkpoint rows of their own."""
    moved = execute(
        f"INSERT INTO journal_writes SELECT key >> {BITS}, of, key & {MASK}, home, writes "
        f"FROM journal_checkpoints WHERE writes IS NOT NULL AND {which}",
        values,
    )
    if moved.rowcount:
        query = "UPDATE journal_checkpoints SET of = NULL, writes = NULL "
        execute(f"{query}WHERE {which}", values)
