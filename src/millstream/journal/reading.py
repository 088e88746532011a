"""Reading checkpoints: which rows are asked for, and what they say together."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from langgraph.checkpoint.base import CheckpointTuple
from ormsgpack import unpackb

from millstream._base.collecting import no_collecting
from millstream.journal.again import LEAST, Again, again
from millstream.journal.damage import DamagedRow
from millstream.journal.known import KnownLine, Text, ranges_of, text_of
from millstream.journal.listing import PAGE, Listing, next_rows
from millstream.journal.manifests import PART_BITS
from millstream.journal.metadata import label_of, matches
from millstream.journal.rows import (
    CheckpointRow,
    FindCheckpoint,
    FindLines,
    Found,
    LineRow,
    ReadParts,
    ReadRows,
    ReadWrites,
    Request,
    WritesRow,
)
from millstream.journal.sealing import PLAIN, Sealing
from millstream.journal.states import MSGPACK, State, Stored, decode_state, decode_value, names_of

ResultT = TypeVar("ResultT")
Requests: TypeAlias = Generator[Request, Any, ResultT]
"""What yields requests, is sent the answers, and has a result."""

_OFTEN: Final = 3
"""So many checkpoints that are read at once have much in common."""
_MUCH: Final = 1 << 16
"""Bytes of values that are so many objects that none of them is garbage."""
_GAP: Final = 6
"""Numbers that nobody asked for and that are read with others: less work than to ask twice."""


@dataclass(slots=True, frozen=True)
class Written:
    """One write of a task."""

    channel: str
    path: str
    stored: Stored


Writes: TypeAlias = "dict[tuple[str, int], Written]"
"""By task and index."""


def chain_states(rows: Iterable[CheckpointRow], sealing: Sealing) -> Iterator[State]:
    """Yield the states of rows by number; those that only have writes are passed over."""
    states: dict[int, State] = {}
    for row in rows:
        if row.body is not None:
            state = states[row.number] = decode_state(row, states, sealing.open)
            yield state


def last_state(found: Found, sealing: Sealing) -> State:
    """Return the state of the checkpoint that was found."""
    return list(chain_states(found.rows, sealing))[-1]


def read_parts(keys: Iterable[int], sealing: Sealing) -> Requests[dict[int, bytes]]:
    """Return parts by key; one that is not there is an error."""
    wanted = set(keys)
    if not wanted:
        return {}
    rows = yield ReadParts(ranges_of(wanted, PART_BITS, _GAP))
    open = sealing.open
    # A call for each of them would take as long as all else.
    parts = {
        key: body[1:] if body[:1] == PLAIN else open(body)
        for key, body in rows.items()
        if key in wanted
    }
    if len(parts) < len(wanted):
        number = min(wanted - parts.keys()) & ((1 << PART_BITS) - 1)
        raise DamagedRow(f"part {number} is not there")
    return parts


@dataclass(slots=True, frozen=True)
class Read:
    """A checkpoint, and what was read for it."""

    found: Found
    state: State
    made: CheckpointTuple
    texts: dict[str, Text]
    """By channel, values of some size."""
    again: dict[str, Again | None]
    """By channel, how those are made."""


def read_checkpoint(
    thread_id: str, ns: str, id: str | None, sealing: Sealing, known: KnownLine | None = None
) -> Requests[Read | None]:
    """Return a checkpoint, the newest one if it is not named; what is known of it is not read."""
    found: Found | None = yield FindCheckpoint(thread_id, ns, id)
    if found is None or not found.rows:
        return None
    before = {} if known is None else known.again
    if known is not None and known.row != found.line:
        known = None
    try:
        state = None if known is None else known.states.get(found.rows[-1].id or "")
        if state is None or state.number != found.rows[-1].number:
            state = last_state(found, sealing)
        writes = decode_writes(found.writes, sealing).get(state.number, {})
        texts: dict[str, Text] = {}
        missing: list[Stored] = [write.stored for write in writes.values()]
        for name, value in state.values.items():
            text = None if known is None else known.texts.get(name)
            if text is not None and text.stored is value:
                texts[name] = text
            else:
                missing.append(value)
        parts = yield from read_parts(names_of(missing), sealing)
        for name, value in state.values.items():
            if name not in texts and value.kind == MSGPACK and len(value.items) > 1:
                texts[name] = text_of(value, parts)
        known_bytes = {name: text.data for name, text in texts.items()}
        with no_collecting() if sum(map(len, known_bytes.values())) > _MUCH else nullcontext():
            made_again = _made_again(known_bytes, before, sealing)
            made = _as_tuple(found.line, state, writes, parts, known_bytes, made_again, sealing)
        return Read(found, state, made, texts, made_again)
    except DamagedRow as error:
        raise _named(error, found.line, found.rows[-1].id) from error


def _made_again(
    values: Mapping[str, bytes], before: Mapping[str, Again | None], sealing: Sealing
) -> dict[str, Again | None]:
    """Return how values are made that were read before, None for those that were not."""
    if not sealing.is_usual:
        return {}
    load = sealing.serde.loads_typed
    return {
        name: again(load, data, before[name]) if name in before else None
        for name, data in values.items()
        if len(data) >= LEAST
    }


def _named(error: DamagedRow, line: LineRow, id: str | None, last: str | None = None) -> DamagedRow:
    """Return an error that says which checkpoint is damaged, or between which it is."""
    ns = f", namespace {line.ns!r}" if line.ns else ""
    which = f"Checkpoint {id!r}"
    if last not in (None, id):
        which = f"A checkpoint from {id!r} to {last!r}"
    return DamagedRow(f"{which} of thread {line.thread_id!r}{ns} is damaged: {error}")


def decode_writes(rows: Iterable[WritesRow], sealing: Sealing) -> dict[int, Writes]:
    """Return by number of the checkpoint what tasks wrote.

    What a task has written is kept, but for errors, questions and answers, which may be repeated.
    """
    found: dict[int, Writes] = {}
    for row in rows:
        writes = found.setdefault(row.of, {})
        try:
            for task_id, path, said in unpackb(sealing.open(row.body)):
                is_special = all(index < 0 for index, _, _ in said)
                for index, channel, entry in said:
                    key = (task_id, index)
                    if is_special or key not in writes:
                        writes[key] = Written(channel, path, decode_value(entry, row.home))
        except DamagedRow:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise DamagedRow(f"its writes cannot be read: {error}") from error
    return found


def _as_tuple(
    line: LineRow,
    state: State,
    writes: Writes,
    parts: Mapping[int, bytes],
    values: Mapping[str, bytes],
    made_again: Mapping[str, Again | None],
    sealing: Sealing,
) -> CheckpointTuple:
    load = sealing.serde.loads_typed
    channel_values = {}
    for name, value in state.values.items():
        data = values[name] if name in values else joined(value, parts)
        made = made_again.get(name)
        if made is not None and made.data and made.data is data:
            channel_values[name] = made.value()
        else:
            channel_values[name] = load((value.kind, data))
    checkpoint: Any = {
        "v": state.v,
        "ts": state.ts,
        "id": state.id,
        "channel_values": channel_values,
        "channel_versions": dict(state.versions),
        "versions_seen": {node: dict(seen) for node, seen in state.seen.items()},
    }
    if state.updated is not False:
        checkpoint["updated_channels"] = state.updated
    for name in state.lacks or ():
        checkpoint.pop(name, None)
    if state.extra is not None:
        checkpoint |= load(state.extra)
    pending = [
        (task_id, write.channel, load((write.stored.kind, joined(write.stored, parts))))
        for (task_id, _), write in sorted_writes(writes)
    ]
    return CheckpointTuple(
        _config(line, state.id),
        checkpoint,
        metadata_of(state, sealing),  # type: ignore[arg-type]  # whatever was stored
        None if state.parent is None else _config(line, state.parent),
        pending,
    )


def metadata_of(state: State, sealing: Sealing) -> dict[str, Any]:
    """Return the metadata of a checkpoint."""
    metadata = {name: unpackb(value) for name, value in state.metadata.items()}
    if state.odd is not None:
        metadata |= sealing.serde.loads_typed(state.odd)
    return metadata


def sorted_writes(writes: Writes) -> list[tuple[tuple[str, int], Written]]:
    """Return writes in the order in which a superstep applies them."""
    return sorted(writes.items(), key=lambda each: (each[1].path, *each[0]))


def joined(stored: Stored, parts: Mapping[int, bytes]) -> bytes:
    """Return the bytes of a value."""
    items = stored.items
    if len(items) == 1 and isinstance(items[0], bytes):
        return items[0]
    return b"".join([item if isinstance(item, bytes) else parts[item] for item in items])


def _config(line: LineRow, id: str) -> Any:
    return {
        "configurable": {
            "thread_id": line.thread_id,
            "checkpoint_ns": line.ns,
            "checkpoint_id": id,
        }
    }


def read_page(listing: Listing, sealing: Sealing) -> Requests[list[CheckpointTuple]]:
    """Return the checkpoints that are next, the newest first; none is not the end."""
    if listing.lines is None:
        labels = [
            label for name, value in listing.filter.items() if (label := label_of(name, value))
        ]
        if sealing.cipher is not None:
            labels = []
        listing.lines = yield FindLines(listing.thread_id, listing.ns, labels)
    limit = PAGE if listing.left is None else min(PAGE, listing.left)
    if listing.filter:
        limit = PAGE
    # A page is read again where rows are thrown away meanwhile: nothing changes before it is there.
    if limit <= 0 or not listing.lines:
        listing.ended = True
        return []
    if listing.id is not None:
        return (yield from _read_named(listing, sealing))
    found, feeds = yield from next_rows(listing, listing.lines, limit)
    made = yield from _read_found(found, listing, sealing)
    listing.feeds, listing.ended = feeds, not feeds
    if found:
        listing.before = found[-1][0]
    if listing.left is not None:
        listing.left -= len(made)
    return made


def _read_named(listing: Listing, sealing: Sealing) -> Requests[list[CheckpointTuple]]:
    made = []
    for line in listing.lines or ():
        read = yield from read_checkpoint(line.thread_id, line.ns, listing.id, sealing)
        if read is None:
            continue
        is_before = listing.before is None or str(listing.id) < listing.before
        if is_before and matches(read.made.metadata, listing.filter):
            made.append(read.made)
    listing.ended = True
    return made[: listing.left]


def _read_found(
    found: Sequence[tuple[str, LineRow, CheckpointRow]], listing: Listing, sealing: Sealing
) -> Requests[list[CheckpointTuple]]:
    by_line: dict[LineRow, list[CheckpointRow]] = {}
    for _, line, row in found:
        by_line.setdefault(line, []).append(row)
    states: dict[tuple[int, int], State] = {}
    for line, rows in by_line.items():
        try:
            of_line = yield from read_states(line.number, rows, sealing)
        except DamagedRow as error:
            raise _named(error, line, rows[-1].id, rows[0].id) from error
        for state in of_line.values():
            states[line.number, state.number] = state
    kept: list[tuple[LineRow, State]] = []
    for _, line, row in found:
        if (line.number, row.number) not in states:
            raise _named(DamagedRow("its row is not there"), line, row.id)
        state = states[line.number, row.number]
        if matches(metadata_of(state, sealing), listing.filter):
            kept.append((line, state))
    if listing.left is not None:
        del kept[listing.left :]
    return (yield from _read_values(kept, sealing))


def read_states(
    line: int, rows: Sequence[CheckpointRow], sealing: Sealing
) -> Requests[dict[int, State]]:
    """Return by number the states of some rows of a line, and of those that they build on."""
    have = {row.number: row for row in rows}
    wanted: list[list[int]] = []
    for row in sorted(rows, key=lambda row: row.number):
        first, last = row.root, row.number
        while wanted and first <= wanted[-1][1] + 1:
            # A row may have its number before one that it builds on has a body.
            former = wanted.pop()
            first, last = min(first, former[0]), max(last, former[1])
        wanted.append([first, last])
    states: dict[int, State] = {}
    for first, last in wanted:
        chain = [have[first]] if first == last else (yield ReadRows(line, first, last))
        for state in chain_states(chain, sealing):
            states[state.number] = state
    return states


def _read_values(
    kept: Sequence[tuple[LineRow, State]], sealing: Sealing
) -> Requests[list[CheckpointTuple]]:
    of: dict[int, list[int]] = {}
    for line, state in kept:
        of.setdefault(line.number, []).append(state.number)
    writes: dict[tuple[int, int], Writes] = {}
    try:
        for number, numbers in of.items():
            rows = yield ReadWrites(number, numbers)
            for each, written in decode_writes(rows, sealing).items():
                writes[number, each] = written
        # Most values are those of the checkpoint before.
        stored = {id(value): value for _, state in kept for value in state.values.values()}
        named = names_of(stored.values())
        for beside in writes.values():
            named |= names_of(write.stored for write in beside.values())
        parts = yield from read_parts(named, sealing)
    except DamagedRow as error:
        if len(of) != 1:
            raise
        raise _named(error, kept[0][0], kept[-1][1].id, kept[0][1].id) from error
    if len(kept) < _OFTEN:
        return _as_tuples(kept, writes, parts, sealing)
    with no_collecting():
        return _as_tuples(kept, writes, parts, sealing)


def _as_tuples(
    kept: Sequence[tuple[LineRow, State]],
    writes: Mapping[tuple[int, int], Writes],
    parts: Mapping[int, bytes],
    sealing: Sealing,
) -> list[CheckpointTuple]:
    made = []
    last: dict[str, Stored] = {}
    whole: dict[str, bytes] = {}
    made_again: dict[str, Again | None] = {}
    is_often = len(kept) >= _OFTEN
    for line, state in kept:
        new: dict[str, bytes] = {}
        for name, value in state.values.items():
            if last.get(name) is not value:
                last[name], whole[name] = value, joined(value, parts)
                if value.kind == MSGPACK and is_often:
                    new[name] = whole[name]
        if new:
            before = {name: made_again.get(name) for name in new}
            made_again |= _made_again(new, before, sealing)
        beside = writes.get((line.number, state.number), {})
        made.append(_as_tuple(line, state, beside, parts, whole, made_again, sealing))
    return made


def remember(known: KnownLine, read: Read) -> None:
    """Keep what was read, so that what follows can be compared with it."""
    known.again |= read.again
    if known.row.counter != read.found.line.counter or read.state.id in known.states:
        return
    known.states[read.state.id] = read.state
    for name, text in read.texts.items():
        known.texts.setdefault(name, text)
