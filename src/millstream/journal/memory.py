"""Rows in this process, for tests and for programs that forget."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from langgraph.checkpoint.serde.base import SerializerProtocol

from millstream.journal.lanes import SharedLane
from millstream.journal.manifests import part_key
from millstream.journal.rows import (
    Append,
    Batch,
    CheckpointRow,
    CheckTables,
    Commit,
    CopyLines,
    CountParts,
    DropLines,
    DropParts,
    FindCheckpoint,
    FindLines,
    FindNewest,
    FindNumber,
    FindPools,
    FindSharers,
    FindStrays,
    FindStubs,
    Found,
    LineRow,
    MeasureParts,
    PageRows,
    PartRow,
    ReadParts,
    ReadRows,
    ReadWrites,
    RebuildIndexes,
    RenameLines,
    Request,
    Reserve,
    Strays,
    WritesRow,
)
from millstream.journal.saver import Journal
from millstream.journal.storage import Lane
from millstream.journal.ttl import TTL


@dataclass(slots=True)
class _Line:
    row: LineRow
    at: int
    rows: dict[int, CheckpointRow] = field(default_factory=dict)
    """By number, in that order."""
    ids: dict[str, int] = field(default_factory=dict)
    writes: dict[int, list[WritesRow]] = field(default_factory=dict)
    labels: set[tuple[str, str]] = field(default_factory=set)

    def named(self) -> list[str]:
        """Return the ids of checkpoints that have a body, in their order."""
        return sorted(id for id, number in self.ids.items() if self.rows[number].body is not None)


class MemoryStorage:
    """Keeps rows in dicts; nothing of it survives the process."""

    is_closed = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[int, _Line] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._parts: dict[int, dict[int, PartRow]] = {}
        """By the line that made them and their number."""
        self._sharers: dict[int, set[int]] = {}
        self._reserved = 0

    def carry_out(self, request: Request, *, may_wait: bool = True) -> Any:
        """Return the answer."""
        answer = getattr(self, "_" + type(request).__name__)
        with self._lock:
            return answer(request)

    async def acarry_out(self, request: Request) -> Any:
        """Return the answer."""
        return self.carry_out(request)

    def is_awaitable(self) -> bool:
        """Say no: it is carried out at once."""
        return False

    async def await_commit(self, request: Commit) -> list[bool] | None:
        """Do nothing."""

    def is_general(self, error: Exception) -> bool:
        """Say that each has errors of its own."""
        return False

    def make_lane(self) -> Lane:
        """Return one lane for all."""
        return SharedLane(self)

    def close(self) -> None:
        """Keep everything: there is nothing to let go of."""

    async def aclose(self) -> None:
        """Keep everything: there is nothing to let go of."""

    def _Reserve(self, request: Reserve) -> int:
        first = self._reserved + 1
        self._reserved += request.count
        return first

    def _FindLines(self, request: FindLines) -> list[LineRow]:
        found = (
            line.row
            for number, line in sorted(self._lines.items())
            if request.thread_id in (None, line.row.thread_id)
            and request.ns in (None, line.row.ns)
            and line.labels.issuperset(request.labels)
            and (request.untouched is None or line.at <= request.untouched)
            and (request.limit is None or number > request.after)
        )
        return list(islice(found, request.limit))

    def _FindCheckpoint(self, request: FindCheckpoint) -> Found | None:
        number = self._numbers.get((request.thread_id, request.ns))
        if number is None:
            return None
        line = self._lines[number]
        named = line.named()
        newest = named[-1] if named else None
        with_body = [each for each, row in line.rows.items() if row.body is not None]
        found = Found(line.row, newest, max(with_body, default=0))
        wanted = line.ids.get(request.id or newest or "")
        if wanted is not None and line.rows[wanted].body is not None:
            row = line.rows[wanted]
            found.rows = self._ReadRows(ReadRows(number, row.root, wanted))
            found.writes = list(line.writes.get(wanted, ()))
        return found

    def _FindNumber(self, request: FindNumber) -> CheckpointRow | None:
        line = self._lines.get(request.line)
        number = None if line is None else line.ids.get(request.id)
        return None if line is None or number is None else line.rows[number]

    def _FindStubs(self, request: FindStubs) -> dict[str, int]:
        line = self._lines.get(request.line)
        if line is None:
            return {}
        return {id: number for id, number in line.ids.items() if line.rows[number].body is None}

    def _FindNewest(self, request: FindNewest) -> dict[int, str]:
        newest: dict[int, str] = {}
        for number in request.lines:
            for row in self._PageRows(PageRows(number, request.before, 1)):
                newest[number] = row.id or ""
        return newest

    def _PageRows(self, request: PageRows) -> list[CheckpointRow]:
        line = self._lines.get(request.line)
        if line is None:
            return []
        ids = line.named()
        if request.before is not None:
            del ids[bisect_left(ids, request.before) :]
        return [line.rows[line.ids[id]] for id in ids[: -request.limit - 1 : -1]]

    def _ReadRows(self, request: ReadRows) -> list[CheckpointRow]:
        rows = self._lines[request.line].rows if request.line in self._lines else {}
        numbers = list(rows)
        first, last = bisect_left(numbers, request.first), bisect_right(numbers, request.last)
        return [rows[number] for number in numbers[first:last]]

    def _ReadWrites(self, request: ReadWrites) -> list[WritesRow]:
        writes = self._lines[request.line].writes if request.line in self._lines else {}
        wanted = writes if request.of is None else request.of
        found = [row for number in wanted for row in writes.get(number, ())]
        return sorted(found, key=lambda row: row.number)

    def _ReadParts(self, request: ReadParts) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for line, first, last in request.ranges:
            parts = self._parts.get(line, {})
            for number in range(first, last + 1):
                if number in parts:
                    found[part_key(line, number)] = parts[number].body
        return found

    def _MeasureParts(self, request: MeasureParts) -> dict[int, int]:
        parts = self._ReadParts(ReadParts(request.ranges))
        return {key: len(body) for key, body in parts.items()}

    def _Append(self, request: Append) -> list[bool]:
        return self._Commit(request.as_commit())

    def _Commit(self, request: Commit) -> list[bool]:
        return [self._write(batch) for batch in request.batches]

    def _write(self, batch: Batch) -> bool:
        key, number = (batch.line.thread_id, batch.line.ns), batch.line.number
        line = self._lines.get(number)
        if batch.is_new:
            if key in self._numbers:
                return False
            self._numbers[key] = number
            line = self._lines[number] = _Line(batch.line, batch.at or 0)
            self._sharers[number] = {number}
        elif line is None or line.row.counter != batch.line.counter:
            return False
        assert line is not None
        line.row = line.row._replace(counter=batch.counter)
        line.at = line.at if batch.at is None else batch.at
        for each in batch.unnamed:
            row = line.rows[each]
            if row.id is not None:
                del line.ids[row.id]
            line.rows[each] = row._replace(id=None)
        for row in (*batch.checkpoints, *batch.filled):
            line.rows[row.number] = row
            if row.id is not None:
                line.ids[row.id] = row.number
        for each in batch.dropped:
            row = line.rows.pop(each)
            line.writes.pop(each, None)
            if row.id is not None:
                del line.ids[row.id]
        for written in batch.writes:
            line.writes.setdefault(written.of, []).append(written)
        parts = self._parts.setdefault(number, {})
        for part in batch.parts:
            parts[part.number] = part
        line.labels.update(batch.labels)
        return True

    def _CopyLines(self, request: CopyLines) -> bool:
        threads = {target.thread_id for _, target in request.pairs}
        if any(thread_id in threads for thread_id, _ in self._numbers):
            return False
        if not all(source in self._lines for source, _ in request.pairs):
            return False
        for source, target in request.pairs:
            self._copy(source, target, request.at)
        return True

    def _copy(self, number: int, target: LineRow, at: int) -> None:
        source, new = self._lines[number], target.number
        row = target._replace(counter=source.row.counter)
        line = self._lines[new] = _Line(row, at, labels=set(source.labels))
        self._numbers[target.thread_id, target.ns] = new
        line.rows = {each: row._replace(line=new) for each, row in source.rows.items()}
        line.ids = dict(source.ids)
        line.writes = {
            of: [row._replace(line=new) for row in rows] for of, rows in source.writes.items()
        }
        self._sharers[new] = {new}
        for sharers in self._sharers.values():
            if number in sharers:
                sharers.add(new)

    def _RenameLines(self, request: RenameLines) -> bool:
        if any(thread_id == request.thread_id for thread_id, _ in self._numbers):
            return False
        for number in request.lines:
            line = self._lines[number]
            del self._numbers[line.row.thread_id, line.row.ns]
            line.row = line.row._replace(thread_id=request.thread_id)
            self._numbers[request.thread_id, line.row.ns] = number
        return True

    def _DropLines(self, request: DropLines) -> None:
        for number in request.lines:
            line = self._lines.pop(number, None)
            if line is not None:
                del self._numbers[line.row.thread_id, line.row.ns]
            for sharers in self._sharers.values():
                sharers.discard(number)
        # The parts of those that nobody shares any more go with them.

    def _FindPools(self, request: FindPools) -> list[int]:
        return [pool for pool, sharers in self._sharers.items() if request.line in sharers]

    def _FindSharers(self, request: FindSharers) -> list[int]:
        return sorted(self._sharers.get(request.line, ()))

    def _DropParts(self, request: DropParts) -> int:
        gone = self._beside(request)
        for number in gone:
            del self._parts[request.line][number]
        return len(gone)

    def _CountParts(self, request: CountParts) -> int:
        return len(self._beside(request))

    def _beside(self, request: DropParts | CountParts) -> list[int]:
        """Return the numbers of parts that are not kept."""
        return [
            number
            for number in self._parts.get(request.line, {})
            if not any(first <= number <= last for first, last in request.kept)
        ]

    def _FindStrays(self, request: FindStrays) -> Strays:
        return Strays(
            [], [line for line, parts in self._parts.items() if parts and not self._sharers[line]]
        )

    def _CheckTables(self, request: CheckTables) -> list[str]:
        return []

    def _RebuildIndexes(self, request: RebuildIndexes) -> None:
        """Do nothing: there are none."""


class MemoryJournal(Journal):
    """A journal in this process, for tests: as `SqliteJournal`, without a file."""

    def __init__(
        self,
        *,
        serde: SerializerProtocol | None = None,
        on_conflict: Literal["error", "fork"] = "error",
        ttl: TTL | None = None,
    ) -> None:
        super().__init__(MemoryStorage(), serde=serde, on_conflict=on_conflict, ttl=ttl)
