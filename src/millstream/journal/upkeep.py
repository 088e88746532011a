"""Throwing away and copying: threads, old checkpoints, and the parts that nobody names any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from millstream.errors import ThreadBusyError
from millstream.journal.known import ranges_of
from millstream.journal.manifests import PART_BITS, changes
from millstream.journal.metadata import label_of
from millstream.journal.reading import Requests, chain_states, decode_writes, metadata_of
from millstream.journal.rows import (
    Batch,
    CheckpointRow,
    Commit,
    CopyLines,
    DropLines,
    DropParts,
    FindLines,
    FindPools,
    FindSharers,
    LineRow,
    ReadRows,
    ReadWrites,
    RenameLines,
    Reserve,
)
from millstream.journal.sealing import Sealing
from millstream.journal.states import Segments, State, difference_of, encode_state, names_of
from millstream.journal.writing import Memory

COUNTERS: Final = "counters_since_delta_snapshot"
_LAST: Final = 1 << 62
_HIGHEST: Final = (1 << PART_BITS) - 1
_TRIES: Final = 20

Keep = Callable[[Sequence[State], Sealing], set[int]]
"""Says which checkpoints of a line are kept, by number."""


def delete_thread(memory: Memory, thread_id: str, sealing: Sealing) -> Requests[None]:
    """Remove all lines of a thread."""
    lines = yield FindLines(thread_id)
    yield from drop_lines(memory, lines, sealing)


def drop_lines(memory: Memory, lines: Sequence[LineRow], sealing: Sealing) -> Requests[None]:
    """Remove lines, and the parts that only they had."""
    pools: set[int] = set()
    for line in lines:
        pools.update((yield FindPools(line.number)))
        memory.lines.pop((line.thread_id, line.ns), None)
        memory.given.pop((line.thread_id, line.ns), None)
    if lines:
        yield DropLines([line.number for line in lines])
    yield from sweep(pools, sealing)


def sweep(
    pools: Iterable[int], sealing: Sealing, counters: Mapping[int, int] | None = None
) -> Requests[int]:
    """Remove parts of these lines that nobody names; return how many.

    Other processes may store meanwhile what names new parts. Those have greater numbers than the
    rows that are read, or than the counter of a line where the caller knows it.
    """
    count = 0
    for pool in pools:
        kept = yield from kept_parts(pool, sealing, (counters or {}).get(pool, 0))
        count += yield DropParts(pool, kept)
    return count


def kept_parts(pool: int, sealing: Sealing, counter: int = 0) -> Requests[list[tuple[int, int]]]:
    """Return the numbers of parts of a line that somebody names, or may name soon, as ranges."""
    named: set[int] = set()
    until = _HIGHEST
    for sharer in (yield FindSharers(pool)):
        more, last = yield from _named_parts(sharer, sealing)
        named |= more
        if sharer == pool:
            until = max(last, counter)
    own = [key for key in named if key >> PART_BITS == pool]
    kept = [(first, last) for _, first, last in ranges_of(own, PART_BITS) if first <= until]
    kept.append((until + 1, _HIGHEST))
    if len(kept) > 1 and kept[-2][1] > until:
        kept[-2] = (kept[-2][0], until)
    return kept


def _named_parts(line: int, sealing: Sealing) -> Requests[tuple[set[int], int]]:
    """Return the parts that a line names, and the greatest number of its rows."""
    named: set[int] = set()
    rows = yield ReadRows(line, 0, _LAST)
    last = rows[-1].number if rows else 0
    before: dict[str, Any] = {}
    for state in chain_states(rows, sealing):
        # Most values are those of the checkpoint before.
        named |= names_of(v for name, v in state.values.items() if before.get(name) is not v)
        before = state.values
    rows = yield ReadWrites(line, None)
    for writes in decode_writes(rows, sealing).values():
        named |= names_of(write.stored for write in writes.values())
    return named, last


def copy_thread(memory: Memory, source: str, target: str, at: int) -> Requests[None]:
    """Give another thread all that one has, or nothing of it."""
    for _ in range(_TRIES):
        lines: Sequence[LineRow] = yield FindLines(source)
        if not lines:
            return
        if (yield FindLines(target)):
            raise ValueError(
                f"Thread {target!r} exists already: copy to another one, or delete it first"
            )
        first = yield Reserve(len(lines))
        pairs = [
            (line.number, LineRow(number, target, line.ns, line.counter))
            for number, line in enumerate(lines, first)
        ]
        if (yield CopyLines(pairs, at)):
            for line in lines:
                memory.lines.pop((target, line.ns), None)
            return
    raise ThreadBusyError(source, "", None, None)


def rename_thread(memory: Memory, source: str, target: str) -> Requests[bool]:
    """Give a thread another name, unless there is one of that name: then say False."""
    lines: Sequence[LineRow] = yield FindLines(source)
    if not lines:
        return True
    renamed: bool = yield RenameLines([line.number for line in lines], target)
    for line in lines:
        for thread_id in (source, target):
            memory.lines.pop((thread_id, line.ns), None)
            memory.given.pop((thread_id, line.ns), None)
    return renamed


def prune_threads(
    memory: Memory, thread_ids: Sequence[str], keep: Keep, sealing: Sealing
) -> Requests[None]:
    """Keep of some threads only those checkpoints that `keep` says."""
    for thread_id in thread_ids:
        for line in (yield FindLines(thread_id)):
            yield from prune_line(memory, line, keep, sealing)


def prune_line(memory: Memory, line: LineRow, keep: Keep, sealing: Sealing) -> Requests[None]:
    """Keep of a line only those checkpoints that `keep` says, and free what no other needs."""
    key = (line.thread_id, line.ns)
    for _ in range(_TRIES):
        rows: Sequence[CheckpointRow] = yield ReadRows(line.number, 0, _LAST)
        states = list(chain_states(rows, sealing))
        named = {row.number for row in rows if row.id is not None}
        kept = keep([state for state in states if state.number in named], sealing)
        if kept:
            kept = kept | _in_flight(rows)
        if kept >= {row.number for row in rows}:
            return
        memory.lines.pop(key, None)
        if not kept:
            yield from drop_lines(memory, [line], sealing)
            return
        batch = Batch(line, False, line.counter + 1, None)
        batch.dropped = [row.number for row in rows if row.number not in kept]
        batch.filled = _rewritten(line, rows, states, kept, sealing)
        [is_written] = yield Commit([batch])
        if is_written:
            pools = yield FindPools(line.number)
            yield from sweep(pools, sealing, {line.number: batch.counter})
            return
        found = [each for each in (yield FindLines(*key)) if each.number == line.number]
        if not found:
            return
        line = found[0]
    raise ThreadBusyError(*key, None, None)


def _rewritten(
    line: LineRow,
    rows: Sequence[CheckpointRow],
    states: Sequence[State],
    kept: set[int],
    sealing: Sealing,
) -> list[CheckpointRow]:
    """Return the kept rows that have to change because one that they are differences to goes.

    That is the first one after a gap. Those that build on it only get another root, if that is what
    has gone: so less is stored than before, whatever is kept.
    """
    by_number = {row.number: row for row in rows}
    changed: list[CheckpointRow] = []
    roots: dict[int, int] = {}
    """Those that kept rows have from now on."""
    last: State | None = None
    for state in states:
        number = state.number
        if number not in kept:
            continue
        row, base = by_number[number], last
        if state.base in roots or not state.base:
            roots[number] = roots.get(state.base, number)
            if roots[number] != row.root:
                changed.append(row._replace(root=roots[number]))
        else:
            if base is not None and base.root != state.root:
                base = None
            roots[number] = number if base is None else roots[base.number]
            difference = None if base is None else difference_of(state, base, _changes(state, base))
            body = sealing.seal_row(encode_state(state, line.number, base, difference))
            changed.append(row._replace(root=roots[number], home=line.number, body=body))
        last = state
    return changed


def _changes(state: State, base: State) -> dict[str, Segments]:
    """Return what is different of the values that both have."""
    old = base.values
    return {
        name: changes(old[name].items, stored.items)
        for name, stored in state.values.items()
        if name in old and old[name] is not stored and old[name].kind == stored.kind
    }


def _in_flight(rows: Sequence[CheckpointRow]) -> set[int]:
    """Return what only has writes and is newer than all checkpoints: the one of it is coming."""
    newest = max((row.id for row in rows if row.id and row.body is not None), default="")
    return {row.number for row in rows if row.body is None and row.id and row.id > newest}


def keep_nothing(states: Sequence[State], sealing: Sealing) -> set[int]:
    """Keep none."""
    return set()


def keep_latest(states: Sequence[State], sealing: Sealing) -> set[int]:
    """Keep the newest checkpoint, and those that its delta channels are rebuilt from."""
    if not states:
        return set()
    newest = max(states, key=lambda state: state.id)
    return with_ancestors(states, [newest], sealing)


def keep_since(ts: str) -> Keep:
    """Return what keeps checkpoints that are not older than that, and the newest in any case."""

    def keep(states: Sequence[State], sealing: Sealing) -> set[int]:
        young = [state for state in states if isinstance(state.ts, str) and state.ts >= ts]
        return with_ancestors(states, young, sealing) | keep_latest(states, sealing)

    return keep


def keep_other_runs(run_ids: Sequence[str]) -> Keep:
    """Return what keeps checkpoints of other runs than these."""
    gone = set(run_ids)

    def keep(states: Sequence[State], sealing: Sealing) -> set[int]:
        others = [s for s in states if metadata_of(s, sealing).get("run_id") not in gone]
        return with_ancestors(states, others, sealing)

    return keep


def with_ancestors(states: Sequence[State], kept: Iterable[State], sealing: Sealing) -> set[int]:
    """Return the numbers of checkpoints and of those that their delta channels need."""
    by_id = {state.id: state for state in states}
    numbers: set[int] = set()
    for state in kept:
        numbers.add(state.number)
        counted = metadata_of(state, sealing).get(COUNTERS) or {}
        missing = set(counted) - state.values.keys()
        above: State | None = state
        while missing and above is not None:
            above = by_id.get(above.parent or "")
            if above is not None:
                numbers.add(above.number)
                missing -= above.values.keys()
    return numbers


def delete_for_runs(memory: Memory, run_ids: Sequence[str], sealing: Sealing) -> Requests[None]:
    """Remove the checkpoints of some runs."""
    keep = keep_other_runs(run_ids)
    lines: dict[int, LineRow] = {}
    if sealing.cipher is not None:
        lines = {line.number: line for line in (yield FindLines(None))}
    else:
        for run_id in run_ids:
            label = label_of("run_id", run_id)
            found = yield FindLines(None, None, [label] if label else [])
            lines |= {line.number: line for line in found}
    for line in lines.values():
        yield from prune_line(memory, line, keep, sealing)


def delete_untouched(memory: Memory, until: int, sealing: Sealing) -> Requests[None]:
    """Remove threads that nobody has written to since that second."""
    for thread_id in {line.thread_id for line in (yield FindLines(None, untouched=until))}:
        lines = yield FindLines(thread_id)
        idle = yield FindLines(thread_id, untouched=until)
        if len(idle) == len(lines):
            yield from drop_lines(memory, lines, sealing)
