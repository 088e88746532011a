"""How much a thread takes in a journal: its rows and parts as they are stored, each of them once.

Rows are read, and no values: of these only the parts are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from millstream.journal.access import answer, ask
from millstream.journal.catalog import lines_of
from millstream.journal.known import ranges_of
from millstream.journal.manifests import PART_BITS
from millstream.journal.reading import Requests, Writes, chain_states, decode_writes
from millstream.journal.rows import CheckpointRow, MeasureParts, ReadRows, ReadWrites, WritesRow
from millstream.journal.saver import Journal
from millstream.journal.sealing import Sealing
from millstream.journal.states import State

_LAST = 1 << 62
_MOST_RANGES = 512
"""Ranges of parts that are asked for at once."""


@dataclass(slots=True)
class Usage:
    """What a thread takes."""

    checkpoints: int = 0
    checkpoint_bytes: int = 0
    """Of their rows, without values."""
    channels: dict[str, ChannelUsage] = field(default_factory=dict)
    writes: int = 0
    write_bytes: int = 0
    """Of what tasks wrote, but for what became values of channels."""


@dataclass(slots=True)
class ChannelUsage:
    """What the values of a channel take, in all namespaces."""

    versions: int = 0
    bytes: int = 0
    """What versions have in common counts once."""


def usage(journal: Journal, thread_id: str) -> Usage:
    """Return how much a thread takes; nothing if there is none."""
    found = Usage()
    owners: dict[int, str | None] = {}
    for line in lines_of(journal, thread_id):
        rows: Sequence[CheckpointRow] = answer(journal, ReadRows(line.number, 0, _LAST))
        written: Sequence[WritesRow] = answer(journal, ReadWrites(line.number, None))
        states, writes = ask(journal, lambda sealing: _decoded(rows, written, sealing))  # noqa: B023  # called at once
        found.checkpoints += sum(1 for state in states if state.id)
        found.checkpoint_bytes += sum(len(row.body) for row in rows if row.body is not None)
        found.write_bytes += sum(len(row.body) for row in written)
        _note_values(found, states, owners)
        for by_index in writes.values():
            found.writes += len(by_index)
            for write in by_index.values():
                for item in write.stored.items:
                    if isinstance(item, int):
                        owners.setdefault(item, None)
    for key, size in _sizes(journal, owners).items():
        owner = owners.get(key)
        if owner is None:
            found.write_bytes += size
        else:
            found.channels[owner].bytes += size
    return found


def _decoded(
    rows: Sequence[CheckpointRow], written: Sequence[WritesRow], sealing: Sealing
) -> Requests[tuple[list[State], dict[int, Writes]]]:
    yield from ()
    return list(chain_states(rows, sealing)), decode_writes(written, sealing)


def _note_values(found: Usage, states: Sequence[State], owners: dict[int, str | None]) -> None:
    """Count versions, and the bytes of values that stand in the rows themselves."""
    seen: set[tuple[str, object]] = set()
    known: set[int] = set()
    for state in states:
        for name, version in state.versions.items():
            if (name, version) in seen:
                continue
            seen.add((name, version))
            channel = found.channels.setdefault(name, ChannelUsage())
            channel.versions += 1
            size = 0
            for item in state.values[name].items if name in state.values else ():
                if isinstance(item, int):
                    owners.setdefault(item, name)
                elif id(item) not in known:  # a version keeps what it has in common with another
                    known.add(id(item))
                    size += len(item)
            channel.bytes += size
            found.checkpoint_bytes = max(0, found.checkpoint_bytes - size)


def _sizes(journal: Journal, keys: dict[int, str | None]) -> dict[int, int]:
    ranges = ranges_of(keys, PART_BITS)
    found: dict[int, int] = {}
    for first in range(0, len(ranges), _MOST_RANGES):
        found |= answer(journal, MeasureParts(ranges[first : first + _MOST_RANGES]))
    return found
