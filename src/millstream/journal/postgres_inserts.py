"""The statement that writes what is new of a batch, for PostgreSQL.

It is made for the batch's shape: it has no words for what there is none of, and a table that gets
one row is given values instead of arrays. A superstep as most are, one checkpoint and what its
tasks wrote, takes the server half the time that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from millstream.journal.manifests import PART_BITS
from millstream.journal.postgres_schema import Statement
from millstream.journal.rows import Batch, Owner

HIGHEST: Final = (1 << PART_BITS) - 1
"""The highest number that a line can have."""


# Arrays are written here: psycopg looks at each element, which takes longer than all the rest.
def array(numbers: Iterable[int]) -> str:
    """Return numbers as an array is written."""
    return "{" + ",".join(map(str, numbers)) + "}"


def texts(texts: Iterable[str | None]) -> str:
    """Return texts as an array is written."""
    return "{" + ",".join(map(_quoted, texts)) + "}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bodies(bodies: Sequence[bytes | None]) -> tuple[bytes, str, str]:
    """Return all of them as one, where each starts and its size."""
    starts: list[str] = []
    sizes: list[str] = []
    start = 1
    for body in bodies:
        starts.append(str(start))
        sizes.append("NULL" if body is None else str(len(body)))
        start += len(body or b"")
    joined = b"".join([body for body in bodies if body is not None])
    return joined, "{" + ",".join(starts) + "}", "{" + ",".join(sizes) + "}"


class _Table(NamedTuple):
    """Where rows go that have a body."""

    name: str
    columns: tuple[str, ...]
    """But for the line and the body."""
    types: tuple[str, ...]

    def insertion(self, *, is_one: bool) -> str:
        """Return the words that insert one row, or several that are given as arrays."""
        columns = (
            f"{self.name} AS (INSERT INTO @{self.name} (line, {', '.join(self.columns)}, body)"
        )
        if is_one:
            values = ", ".join(f"%s::{kind}" for kind in self.types)
            return f"{columns} SELECT line.number, {values}, %s::bytea FROM line)"
        chosen = ", ".join(f"new.{column}" for column in self.columns)
        arrays = ", ".join(f"%s::{kind}[]" for kind in self.types)
        return (
            f"{columns} SELECT line.number, {chosen}, substring(%s::bytea FROM start FOR size) "
            f"FROM line, unnest(%s::integer[], %s::integer[], {arrays}) "
            f"AS new (start, size, {', '.join(self.columns)}))"
        )

    def formats(self, *, is_one: bool) -> list[int]:
        """Return how values are given, in their order."""
        if is_one:
            return [_FORMATS[kind] for kind in (*self.types, "bytea")]
        return [_BINARY, *[_TEXT] * (2 + len(self.types))]


_TEXT: Final = 0
_BINARY: Final = 1
# A text ends where it ends: in the other format at the first NUL, whatever follows.
_FORMATS: Final = {"integer": _TEXT, "bigint": _TEXT, "text": _BINARY, "bytea": _BINARY}
_CHECKPOINTS: Final = _Table(
    "checkpoints", ("number", "id", "root", "home"), ("integer", "text", "integer", "bigint")
)
_WRITES: Final = _Table(
    "writes", ("checkpoint", "number", "home"), ("integer", "integer", "bigint")
)
_PARTS: Final = _Table("parts", ("number",), ("integer",))
_LABELS: Final = (
    "labels AS (INSERT INTO @labels (name, value, line) "
    "SELECT new.*, line.number FROM line, unnest(%s::text[], %s::text[]) AS new "
    "ON CONFLICT DO NOTHING)"
)
_MAKE_LINE: Final = (
    "line AS (INSERT INTO @lines (number, thread_id, ns, counter, at) "
    "SELECT %s::bigint, %s::text, %s::text, %s::integer, %s::bigint{where} "
    "ON CONFLICT DO NOTHING RETURNING number)"
)
_MOVE_LINE: Final = (
    "line AS (UPDATE @lines SET counter = %s::integer, at = coalesce(%s::bigint, at) "
    "WHERE number = %s::bigint AND counter = %s::integer{and} RETURNING number)"
)
# Looked at and locked before the line is: what a `WITH` locks is never made a part of the rest.
_OWNED: Final = "EXISTS (SELECT 1 FROM owner)"
_MANY: Final = 2
"""Rows from which on it makes no difference how many there are."""


@lru_cache(maxsize=128)
def _statement(
    is_new: bool, checkpoints: int, writes: int, parts: int, has_labels: bool, owner: Owner | None
) -> tuple[str, tuple[int, ...]]:
    """Return the text for a shape, and the formats of its values."""
    words: list[str] = []
    formats: list[int] = []
    conditions = {"where": "", "and": ""}
    if owner is not None:
        words.append(f"owner AS ({owner.query})")
        formats += [_TEXT] * len(owner.values)
        conditions = {"where": f" WHERE {_OWNED}", "and": f" AND {_OWNED}"}
    words.append((_MAKE_LINE if is_new else _MOVE_LINE).format_map(conditions))
    formats += [_TEXT, _BINARY, _BINARY, _TEXT, _TEXT] if is_new else [_TEXT] * 4
    for table, count in ((_CHECKPOINTS, checkpoints), (_WRITES, writes), (_PARTS, parts)):
        if count:
            words.append(table.insertion(is_one=count == 1))
            formats += table.formats(is_one=count == 1)
    if has_labels:
        words.append(_LABELS)
        formats += [_TEXT, _TEXT]
    return f"WITH {', '.join(words)} SELECT 1 FROM line", tuple(formats)


def insertion(batch: Batch) -> Statement:
    """Return the statement that moves the line, and inserts rows if it could."""
    line, checkpoints, writes, parts = batch.line, batch.checkpoints, batch.writes, batch.parts
    if batch.counter > HIGHEST:
        raise OverflowError(
            f"Thread {line.thread_id!r} has no numbers left: copy it, or prune it and export it"
        )
    counts = (len(checkpoints), len(writes), len(parts))
    owner = batch.owner
    # For the shape it does not matter which values they are.
    anybody = None if owner is None else owner._replace(values=("",) * len(owner.values))
    shape = [min(count, _MANY) for count in counts]
    text, formats = _statement(batch.is_new, *shape, bool(batch.labels), anybody)
    counter, number = str(batch.counter), str(line.number)
    at = None if batch.at is None else str(batch.at)
    values: list[Any] = [] if owner is None else [*owner.values]
    if batch.is_new:
        values += (number, line.thread_id, line.ns, counter, at)
    else:
        values += (counter, at, number, str(line.counter))
    if len(checkpoints) == 1:
        [row] = checkpoints
        values += (str(row.number), row.id, str(row.root), str(row.home), row.body)
    elif checkpoints:
        values += _bodies([row.body for row in checkpoints])
        values.append(array(row.number for row in checkpoints))
        values.append(texts(row.id for row in checkpoints))
        values.append(array(row.root for row in checkpoints))
        values.append(array(row.home for row in checkpoints))
    if len(writes) == 1:
        [written] = writes
        values += (str(written.of), str(written.number), str(written.home), written.body)
    elif writes:
        values += _bodies([written.body for written in writes])
        values.append(array(written.of for written in writes))
        values.append(array(written.number for written in writes))
        values.append(array(written.home for written in writes))
    if len(parts) == 1:
        [part] = parts
        values += (str(part.number), part.body)
    elif parts:
        values += _bodies([part.body for part in parts])
        values.append(array(part.number for part in parts))
    if batch.labels:
        values.append(texts(name for name, _ in batch.labels))
        values.append(texts(value for _, value in batch.labels))
    return Statement(text, values, formats=formats)
