"""From a journal into LangGraph's tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

from millstream.journal.access import answer, ask
from millstream.journal.catalog import lines_of
from millstream.journal.damage import DamagedRow
from millstream.journal.exchange.packing import entries
from millstream.journal.exchange.places import tables_at
from millstream.journal.exchange.records import (
    ExchangeError,
    LeftOutError,
    Record,
    Report,
    RowsError,
    Write,
    with_text_versions,
)
from millstream.journal.reading import (
    Requests,
    Writes,
    decode_writes,
    joined,
    metadata_of,
    read_parts,
    read_states,
    sorted_writes,
)
from millstream.journal.rows import CheckpointRow, LineRow, PageRows, ReadWrites
from millstream.journal.saver import Journal
from millstream.journal.sealing import Sealing
from millstream.journal.states import MSGPACK, State, names_of

_PAGE: Final = 32
"""Checkpoints that are read and written at once, unless those before were large."""
_BYTES: Final = 16 << 20


def export_threads(
    journal: Journal,
    target: str,
    thread_ids: Sequence[str] | None = None,
    *,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Write threads into the tables of LangGraph's saver for SQLite or PostgreSQL.

    `target` is the path of a file or a `postgresql://` URL; its tables are made by the saver if
    they are not there. All is kept, but versions of channels are texts there. What is there already
    is left as it is, so an export that broke off may be done again. `told` is called with how much
    of how much is done.

    Raises:
        LeftOutError: Some threads do not fit into those tables, of which these have the newer
            part at most; all others have been exported.
        ExchangeError: There are no such threads, or the database cannot be written.
    """
    report = Report()
    lines = _lines(journal, thread_ids)
    report.threads = len({line.thread_id for line in lines})
    total = sum(line.counter for line in lines)
    done = 0
    left_out: dict[str, str] = {}
    with closing(tables_at(target, journal, is_target=True)) as tables:
        for line in lines:
            try:
                for records, left in _pages(journal, line):
                    ids = [record.id for record in records]
                    known = tables.found(line.thread_id, line.ns, ids)
                    report.writes += tables.write(records, known)
                    report.present += len(known)
                    report.checkpoints += len(ids) - len(known)
                    told(done + line.counter - left, total)
            except RowsError as error:
                left_out.setdefault(line.thread_id, str(error))
            except DamagedRow as error:
                text = f"thread {line.thread_id!r} of the journal is damaged: {error}"
                left_out.setdefault(line.thread_id, text)
            done += line.counter
    if left_out:
        report.threads -= len(left_out)
        raise LeftOutError(report, left_out)
    return report


def _lines(journal: Journal, thread_ids: Sequence[str] | None) -> list[LineRow]:
    if thread_ids is None:
        return list(lines_of(journal))
    found: list[LineRow] = []
    for thread_id in dict.fromkeys(thread_ids):
        lines = list(lines_of(journal, thread_id))
        if not lines:
            raise ExchangeError(f"there is no thread {thread_id!r} in the journal")
        found += lines
    return found


def _pages(journal: Journal, line: LineRow) -> Iterator[tuple[list[Record], int]]:
    """Yield checkpoints, the newest first, and the number of the last of them.

    An export that breaks off has the newest ones, which a thread is gone on with.
    """
    before: str | None = None
    count = 1
    while True:
        rows: list[CheckpointRow] = answer(journal, PageRows(line.number, before, _PAGE))
        if not rows:
            return
        before = rows[-1].id
        states = ask(journal, partial(read_states, line.number, rows))
        writes = ask(journal, partial(_read_writes, line.number, [row.number for row in rows]))
        while rows:
            some, rows = [states[row.number] for row in rows[:count]], rows[count:]
            records = ask(journal, partial(_records, line, some, writes))
            yield records, some[-1].number
            size = sum(record.size for record in records)
            count = max(1, min(_PAGE, _BYTES * len(some) // max(1, size)))


def _read_writes(line: int, of: Sequence[int], sealing: Sealing) -> Requests[dict[int, Writes]]:
    rows = yield ReadWrites(line, of)
    return decode_writes(rows, sealing)


def _records(
    line: LineRow, states: Sequence[State], writes: Mapping[int, Writes], sealing: Sealing
) -> Requests[list[Record]]:
    stored = [value for state in states for value in state.values.values()]
    stored += [write.stored for state in states for write in writes.get(state.number, {}).values()]
    parts = yield from read_parts(names_of(stored), sealing)
    return [_record(line, state, writes.get(state.number, {}), parts, sealing) for state in states]


def _record(
    line: LineRow, state: State, writes: Writes, parts: Mapping[int, bytes], sealing: Sealing
) -> Record:
    record = Record(line.thread_id, line.ns, state.id, state.parent, _fields(state), {}, {}, {})
    for name, value in state.values.items():
        record.values[name] = (value.kind, joined(value, parts))
    for (task_id, index), written in sorted_writes(writes):
        typed = (written.stored.kind, joined(written.stored, parts))
        record.writes.append(Write(task_id, written.path, index, written.channel, typed))
    if state.extra is not None:
        kind, data = state.extra
        if kind != MSGPACK:
            raise RowsError(f"{record.name} has entries as {kind!r}, which LangGraph has not")
        record.extra = dict(entries(data))
    record.metadata = metadata_of(state, sealing)
    try:
        json.dumps(record.metadata)
    except (TypeError, ValueError) as error:
        raise RowsError(
            f"The metadata of {record.name} does not fit into LangGraph's tables: {error}"
        ) from error
    record.size = sum(len(data) for _, data in record.values.values())
    return with_text_versions(record)


def _fields(state: State) -> dict[str, Any]:
    fields = {
        "v": state.v,
        "ts": state.ts,
        "id": state.id,
        "channel_versions": state.versions,
        "versions_seen": state.seen,
    }
    if state.updated is not False:
        fields["updated_channels"] = state.updated
    return {name: value for name, value in fields.items() if name not in (state.lacks or ())}
