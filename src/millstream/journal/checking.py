"""Whether a journal has all that its rows name, and what can be put in order again.

Rows are read as whoever reads a thread would, so what is found here is what they would meet. A row
that is gone or changed when a fault is found in it is left out: somebody threw it away meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

from ormsgpack import unpackb

from millstream._base import clock
from millstream.journal.access import answer, ask, change
from millstream.journal.catalog import lines_of
from millstream.journal.damage import DamagedRow
from millstream.journal.known import ranges_of
from millstream.journal.manifests import PART_BITS
from millstream.journal.metadata import label_of
from millstream.journal.reading import Requests, Writes, decode_writes, read_states
from millstream.journal.rows import (
    Batch,
    CheckpointRow,
    CheckTables,
    Commit,
    CountParts,
    DropLines,
    DropParts,
    FindLines,
    FindPools,
    FindStrays,
    LineRow,
    ReadParts,
    ReadRows,
    ReadWrites,
    RebuildIndexes,
)
from millstream.journal.saver import Journal
from millstream.journal.sealing import Sealing
from millstream.journal.states import State, Stored, names_of
from millstream.journal.upkeep import kept_parts, sweep
from millstream.journal.writing import Memory

RowT = TypeVar("RowT")
ResultT = TypeVar("ResultT")

_WINDOW: Final = 512
"""Numbers whose rows are read at once."""
_MOST_PARTS: Final = 1024
_MOST_LABELS: Final = 32
_LAST: Final = 1 << 62
_MASK: Final = (1 << PART_BITS) - 1


@dataclass(slots=True, frozen=True)
class Fault:
    """Something that is not as it has to be."""

    text: str
    thread_id: str | None = None
    ns: str = ""
    checkpoint_id: str | None = None
    is_repaired: bool = False


@dataclass(slots=True)
class _Line:
    """What is found out about a line."""

    journal: Journal
    row: LineRow
    top: int = 0
    """The greatest number that something of it has."""
    sound: set[int] = field(default_factory=set)
    """Keys of parts that are there."""
    broken: dict[int, str] = field(default_factory=dict)
    """By key, what is wrong with others."""
    labels: set[tuple[str, str]] = field(default_factory=set)
    metadata: set[tuple[str, bytes]] = field(default_factory=set)
    """What labels were made of."""
    pools: set[int] = field(default_factory=set)
    """Lines whose parts are named."""
    is_damaged: bool = False

    def fault(self, text: str, id: str | None = None) -> Fault:
        """Return a fault of it."""
        return Fault(text, self.row.thread_id, self.row.ns, id)


def check(
    journal: Journal,
    thread_ids: Sequence[str] | None = None,
    *,
    repair: bool = False,
    told: Callable[[LineRow], object] = lambda line: None,
) -> Iterator[Fault]:
    """Yield what is wrong with some threads, or with all and with the database.

    With `repair`, indexes are made anew, and what belongs to nobody is removed; what is lost stays
    lost. `told` is called with each line that was checked.
    """
    if thread_ids is None:
        yield from _check_tables(journal, repair=repair)
        yield from _check_strays(journal, repair=repair)
    for thread_id in (None,) if thread_ids is None else thread_ids:
        for row in lines_of(journal, thread_id):
            line = _Line(journal, row)
            yield from _check_rows(line)
            yield from _check_numbers(line, repair=repair)
            yield from _check_pools(line, repair=repair)
            told(row)


def _check_tables(journal: Journal, *, repair: bool) -> Iterator[Fault]:
    found = answer(journal, CheckTables())
    left = found
    if found and repair:
        change(journal, _rebuild)
        left = answer(journal, CheckTables())
    for text in found:
        yield Fault(f"the database says: {text}", is_repaired=repair and text not in left)


def _rebuild(memory: Memory, sealing: Sealing) -> Requests[None]:
    yield RebuildIndexes()


def _check_strays(journal: Journal, *, repair: bool) -> Iterator[Fault]:
    strays = answer(journal, FindStrays())
    if repair and (strays.rows or strays.parts):
        change(journal, lambda memory, sealing: _drop(strays.rows, strays.parts))
    if strays.rows:
        text = f"{len(strays.rows)} threads or namespaces that are not there have left rows"
        yield Fault(text, is_repaired=repair)
    if strays.parts:
        text = f"{len(strays.parts)} threads or namespaces that are not there have left parts"
        yield Fault(text, is_repaired=repair)


def _drop(rows: Sequence[int], parts: Sequence[int]) -> Requests[None]:
    if rows:
        yield DropLines(rows)
    for line in parts:
        yield DropParts(line, [])


# -- rows and parts ------------------------------------------------------------------------------


def _check_rows(line: _Line) -> Iterator[Fault]:
    number, end = line.row.number, line.row.counter
    for first in range(0, end + 1, _WINDOW):
        last = min(first + _WINDOW - 1, end)
        yield from _check_window(line, answer(line.journal, ReadRows(number, first, last)))
    yield from _check_window(line, answer(line.journal, ReadRows(number, end + 1, _LAST)))


def _check_window(line: _Line, rows: Sequence[CheckpointRow]) -> Iterator[Fault]:
    if not rows:
        return
    line.top = max(line.top, rows[-1].number)
    number = line.row.number
    faults: list[tuple[CheckpointRow, str]] = []
    states: dict[int, State] = {}
    for part in _by_halves(
        [row for row in rows if row.body is not None],
        lambda some: ask(line.journal, lambda sealing: read_states(number, some, sealing)),
        faults,
    ):
        states |= part
    writes: dict[int, Writes] = {}
    for read in _by_halves(rows, lambda some: _writes(line, some), faults):
        writes |= read
    _look_for_parts(line, _values_of(states.values(), writes.values()))
    for row in rows:
        state = states.get(row.number)
        if state is not None:
            _note_labels(line, state)
        names = {} if state is None else {f"channel {n!r}": v for n, v in state.values.items()}
        for (task_id, _), written in writes.get(row.number, {}).items():
            names[f"what task {task_id!r} wrote to {written.channel!r}"] = written.stored
        faults += [(row, text) for text in _lost(line, names)]
    for row, text in faults:
        if answer(line.journal, ReadRows(number, row.number, row.number)) == [row]:
            line.is_damaged = True
            yield line.fault(text if row.id else f"a row that others build on: {text}", row.id)


def _by_halves(
    rows: Sequence[RowT],
    read: Callable[[Sequence[RowT]], ResultT],
    faults: list[tuple[RowT, str]],
) -> Iterator[ResultT]:
    """Yield what can be read, and note which rows cannot be, and why."""
    if not rows:
        return
    try:
        yield read(rows)
    except (DamagedRow, ValueError) as error:
        if len(rows) == 1:
            faults.append((rows[0], str(error)))
            return
        middle = len(rows) // 2
        yield from _by_halves(rows[:middle], read, faults)
        yield from _by_halves(rows[middle:], read, faults)


def _writes(line: _Line, rows: Sequence[CheckpointRow]) -> dict[int, Writes]:
    found = answer(line.journal, ReadWrites(line.row.number, [row.number for row in rows]))
    line.top = max([line.top, *(row.number for row in found)])
    return ask(line.journal, lambda sealing: _decoded(found, sealing))


def _decoded(rows: Any, sealing: Sealing) -> Requests[dict[int, Writes]]:
    yield from ()
    return decode_writes(rows, sealing)


def _values_of(states: Iterable[State], writes: Iterable[Writes]) -> Iterator[Stored]:
    before: dict[str, Stored] = {}
    for state in states:
        # Most values are those of the checkpoint before.
        yield from (value for name, value in state.values.items() if before.get(name) is not value)
        before = state.values
    for each in writes:
        yield from (written.stored for written in each.values())


def _look_for_parts(line: _Line, values: Iterable[Stored]) -> None:
    """Find out which parts are there, and can be opened."""
    keys = sorted(names_of(values) - line.sound - line.broken.keys())
    line.pools.update(key >> PART_BITS for key in keys)
    for first in range(0, len(keys), _MOST_PARTS):
        some = keys[first : first + _MOST_PARTS]
        rows = answer(line.journal, ReadParts(ranges_of(some, PART_BITS)))
        sound, broken = ask(line.journal, partial(_opened, rows))
        missing = set(some) - sound - broken.keys()
        line.sound |= sound
        line.broken |= broken
        line.broken |= {key: f"part {key & _MASK} is not there" for key in missing}
        own = [key & _MASK for key in sound if key >> PART_BITS == line.row.number]
        line.top = max([line.top, *own])


def _opened(rows: Any, sealing: Sealing) -> Requests[tuple[set[int], dict[int, str]]]:
    yield from ()
    sound: set[int] = set()
    broken: dict[int, str] = {}
    for key, body in rows.items():
        number = key & _MASK
        try:
            sealing.open(body)
            sound.add(key)
        except ValueError as error:
            broken[key] = f"part {number} cannot be read: {error}"
    return sound, broken


def _lost(line: _Line, names: dict[str, Stored]) -> Iterator[str]:
    if not line.broken:
        return
    for name, stored in names.items():
        lost = sorted(line.broken.keys() & names_of([stored]))
        if lost:
            more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
            yield f"{name}: {line.broken[lost[0]]}{more}"


# -- what lines are numbered and found by --------------------------------------------------------


def _note_labels(line: _Line, state: State) -> None:
    new = {item for item in state.metadata.items() if item not in line.metadata}
    line.metadata |= new
    labels = (label_of(name, unpackb(data)) for name, data in new)
    line.labels.update(label for label in labels if label is not None)


def _check_numbers(line: _Line, *, repair: bool) -> Iterator[Fault]:
    """Check the counter, and that the line is found by what its metadata says."""
    faults: list[Fault] = []
    found = answer(line.journal, FindLines(line.row.thread_id, line.row.ns))
    now = [each for each in found if each.number == line.row.number]
    if not now:
        return  # deleted meanwhile
    if line.top > now[0].counter:
        text = f"it has rows up to number {line.top}, and counts up to {now[0].counter}"
        faults.append(line.fault(text))
    lost = sorted(_lost_labels(line)) if line.journal._sealing().cipher is None else []
    if lost:
        some = ", ".join(f"{name}={value[1:]!r}" for name, value in lost[:3])
        faults.append(line.fault(f"{len(lost)} entries of metadata do not lead to it: {some}"))
    is_repaired = False
    if faults and repair:
        counter = max(line.top, now[0].counter) + 1
        batch = Batch(now[0], False, counter, int(clock.current().timestamp()))
        batch.labels = lost
        is_repaired = change(line.journal, lambda memory, sealing: _write(memory, batch))
    for fault in faults:
        yield replace(fault, is_repaired=is_repaired)


def _lost_labels(line: _Line) -> Iterator[tuple[str, str]]:
    def is_found(labels: Sequence[tuple[str, str]]) -> bool:
        found = answer(line.journal, FindLines(line.row.thread_id, line.row.ns, labels))
        return any(each.number == line.row.number for each in found)

    labels = sorted(line.labels)
    for first in range(0, len(labels), _MOST_LABELS):
        some = labels[first : first + _MOST_LABELS]
        if not is_found(some):
            yield from (label for label in some if not is_found([label]))


def _write(memory: Memory, batch: Batch) -> Requests[bool]:
    memory.lines.pop((batch.line.thread_id, batch.line.ns), None)
    [is_written] = yield Commit([batch])
    return bool(is_written)


# -- parts that nobody names ---------------------------------------------------------------------


def _check_pools(line: _Line, *, repair: bool) -> Iterator[Fault]:
    pools = set(answer(line.journal, FindPools(line.row.number)))
    unnoted = sorted(line.pools - pools)
    if unnoted:
        yield line.fault(
            f"it has parts in common with {len(unnoted)} threads and is not noted with them: "
            "pruning or deleting those would damage it"
        )
    if line.is_damaged:
        return  # what its rows name is not known
    try:
        count = ask(line.journal, lambda sealing: _count(line.row.number, sealing))
    except DamagedRow:
        return  # a copy of it is damaged, and said so itself
    if count and repair:
        change(line.journal, lambda memory, sealing: sweep([line.row.number], sealing))
    if count:
        yield replace(line.fault(f"nobody names {count} parts"), is_repaired=repair)


def _count(pool: int, sealing: Sealing) -> Requests[int]:
    kept = yield from kept_parts(pool, sealing)
    count: int = yield CountParts(pool, kept)
    return count
