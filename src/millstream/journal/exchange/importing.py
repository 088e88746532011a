"""From LangGraph's tables into a journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby
from typing import Any, Final

from millstream.journal.access import answer, ask, change
from millstream.journal.arguments import now
from millstream.journal.calls import Handover
from millstream.journal.drafts import Call, PutCall, Typed, WritesCall
from millstream.journal.exchange.packing import packed_dict
from millstream.journal.exchange.places import tables_at
from millstream.journal.exchange.records import (
    ExchangeError,
    LeftOutError,
    Record,
    Report,
    RowsError,
    Tables,
)
from millstream.journal.reading import Requests, decode_writes, joined, read_parts
from millstream.journal.rows import FindLines, FindNumber, ReadWrites
from millstream.journal.saver import Journal
from millstream.journal.sealing import Sealing
from millstream.journal.states import names_of
from millstream.journal.upkeep import rename_thread
from millstream.journal.writing import store

_TOGETHER: Final = 64
"""Checkpoints that are stored in one transaction, unless they are large."""
_BYTES: Final = 8 << 20
ARRIVING: Final = "millstream.importing:"
"""What the name of a thread begins with until all of it is there."""


class _Verbatim:
    """A serializer that takes entries of a dict as they are that were serialized before."""

    def __init__(self, serde: Any) -> None:
        self.serde = serde

    def dumps_typed(self, value: Any) -> Typed:
        """Return the bytes of a dict of bytes; anything else is serialized."""
        if isinstance(value, dict) and all(isinstance(each, bytes) for each in value.values()):
            return "msgpack", packed_dict(value.items())
        typed: Typed = self.serde.dumps_typed(value)
        return typed


def import_threads(
    journal: Journal,
    source: str,
    thread_ids: Sequence[str] | None = None,
    *,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Take threads over from the tables of LangGraph's saver for SQLite or PostgreSQL.

    `source` is the path of a file or a `postgresql://` URL; it is only read. All is kept: ids,
    parents, metadata, namespaces, and what tasks wrote. What is there already is left as it is. A
    thread that was not there is there when all of it is: until then it has another name, under
    which the next import finds it when one has broken off. `told` is called with how many
    checkpoints of how many have been looked at.

    Raises:
        LeftOutError: Some threads cannot be read; all others have been imported.
        ExchangeError: There are no such tables or threads, or the database cannot be read.
    """
    report = Report()
    left_out: dict[str, str] = {}
    with closing(tables_at(source, journal, is_target=False)) as tables:
        places = tables.places(None if thread_ids is None else list(dict.fromkeys(thread_ids)))
        missing = set(thread_ids or ()) - {thread_id for thread_id, _ in places}
        if missing:
            raise ExchangeError(f"there is no thread {min(missing)!r} in {tables.path}")
        total = tables.count(places)
        for thread_id, group in groupby(places, lambda place: place[0]):
            namespaces = [ns for _, ns in group]
            before = report.checkpoints + report.present
            taken: Report | None = None
            try:
                while taken is None:
                    taken = _take_thread(
                        journal,
                        tables,
                        thread_id,
                        namespaces,
                        partial(lambda before, done: told(before + done, total), before),
                    )
            except RowsError as error:
                journal.delete_thread(f"{ARRIVING}{thread_id}")
                left_out[thread_id] = str(error)
            else:
                report.add(taken)
    if left_out:
        raise LeftOutError(report, left_out)
    return report


def _take_thread(
    journal: Journal,
    tables: Tables,
    thread_id: str,
    namespaces: Sequence[str],
    told: Callable[[int], object],
) -> Report | None:
    """Take a thread over; returns None if somebody has begun one of its name meanwhile."""
    name = arriving = f"{ARRIVING}{thread_id}"
    if answer(journal, FindLines(thread_id)):
        # Somebody may have begun it after an import that broke off.
        journal.delete_thread(arriving)
        name = thread_id
    taken = Report(threads=1)
    for ns in namespaces:
        importer = _Importer(journal, name, ns, taken)
        for batch in _batches(tables, thread_id, ns):
            importer.take(batch)
            told(taken.checkpoints + taken.present)
    is_there = name == thread_id or change(
        journal, lambda memory, sealing: rename_thread(memory, arriving, thread_id)
    )
    return taken if is_there else None


def _batches(tables: Tables, thread_id: str, ns: str) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in tables.records(thread_id, ns):
        batch.append(record)
        size += record.size
        if len(batch) >= _TOGETHER or size > _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Importer:
    """Takes over a namespace of a thread, under some name."""

    def __init__(self, journal: Journal, thread_id: str, ns: str, report: Report) -> None:
        self._journal = journal
        self._key = (thread_id, ns)
        self._report = report
        self._before: Record | None = None
        """What was stored last: what it has too is the same thing."""
        self._is_new = False
        """Nothing of it was there."""
        sealing = journal._sealing()
        self._sealing = Sealing(_Verbatim(sealing.serde), sealing.cipher)

    def take(self, records: Sequence[Record]) -> None:
        """Store what the journal does not have."""
        known = self._known([record.id for record in records])
        calls: list[Call] = []
        for record in records:
            is_there, writes = known.get(record.id, (False, {}))
            if is_there:
                self._report.present += 1
                self._before = None
            else:
                calls.append(self._put_call(record))
                self._before = record
                self._report.checkpoints += 1
            calls += self._writes_calls(record, writes)
        if calls:
            handover = Handover(calls, self._sealing, now(), may_fork=True)
            change(self._journal, lambda memory, sealing: store(memory, handover))

    def _known(self, ids: Sequence[str]) -> dict[str, tuple[bool, dict[tuple[str, int], Typed]]]:
        """Return by id which checkpoints are there, and what is written next to them."""
        lines = [] if self._is_new else answer(self._journal, FindLines(*self._key))
        if not lines:
            # All that it will have comes from here, and each id once.
            self._is_new = True
            return {}
        number = lines[0].number
        rows = [row for id in ids if (row := answer(self._journal, FindNumber(number, id)))]
        if not rows:
            return {}
        of = [row.number for row in rows]
        writes = ask(self._journal, lambda sealing: _read_writes(number, of, sealing))
        return {row.id: (row.body is not None, writes.get(row.number, {})) for row in rows}

    def _put_call(self, record: Record) -> PutCall:
        before = self._before
        versions = record.fields.get("channel_versions") or {}
        if before is None or before.id != record.parent:
            same: set[str] = set()
        else:
            old = before.fields.get("channel_versions") or {}
            same = {
                name
                for name, typed in record.values.items()
                if name in old
                and old[name] == versions.get(name)
                and before.values.get(name) == typed
            }
        new = {name: versions.get(name) for name in record.values if name not in same}
        checkpoint = {**record.fields, "channel_values": record.values, **record.extra}
        return PutCall(*self._key, record.parent, checkpoint, record.metadata, new, record.values)

    def _writes_calls(
        self, record: Record, known: Mapping[tuple[str, int], Typed]
    ) -> Iterator[WritesCall]:
        """Yield what tasks wrote that is not there; what may be repeated by itself."""
        calls: dict[tuple[str, str, bool], list[tuple[int, str, Typed]]] = {}
        for write in record.writes:
            stored = known.get((write.task_id, write.index))
            is_special = write.index < 0
            if stored is not None and (not is_special or stored == write.typed):
                continue
            key = (write.task_id, write.path, is_special)
            calls.setdefault(key, []).append((write.index, write.channel, write.typed))
            self._report.writes += 1
        for (task_id, path, _), writes in calls.items():
            yield WritesCall(*self._key, record.id, task_id, path, writes)


def _read_writes(
    line: int, of: Sequence[int], sealing: Sealing
) -> Requests[dict[int, dict[tuple[str, int], Typed]]]:
    """Return by number what is written next to checkpoints, without the values that never change.

    Of those it is enough that they are there.
    """
    rows = yield ReadWrites(line, of)
    found = decode_writes(rows, sealing)
    special = [
        written.stored
        for writes in found.values()
        for (_, index), written in writes.items()
        if index < 0
    ]
    parts = yield from read_parts(names_of(special), sealing)
    return {
        number: {
            key: (written.stored.kind, joined(written.stored, parts) if key[1] < 0 else b"")
            for key, written in writes.items()
        }
        for number, writes in found.items()
    }
