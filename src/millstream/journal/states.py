"""A checkpoint as its rows tell it, and how it is put into a row.

A row is a difference to the row before it in its line, or whole. What it says is msgpack of plain
values; what the serializer has made of channels stands in it as bytes or names of parts.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final

from ormsgpack import packb, unpackb

from millstream.journal.damage import DamagedRow
from millstream.journal.manifests import (
    Item,
    Manifest,
    decode,
    decode_change,
    encode,
    encode_change,
)
from millstream.journal.rows import CheckpointRow

MSGPACK: Final = "msgpack"
MOST_ITEMS: Final = 1 << 22
"""Items that one value may have: more are a damaged row."""
_SHORTEST_CHAIN: Final = 16
_LONGEST_CHAIN: Final = 200
_WHOLE, _CHANGE = 0, 1
_ENTRIES: Final = 13
"""What the body of a row has; one more where the row has lost its id."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UTC: Final = "+00:00"
_MICROSECOND: Final = timedelta(microseconds=1)

Segments = Sequence[tuple[int, int, Sequence[Item]]]
"""What is kept of a manifest and what follows it, see `manifests.encode_change`."""


@dataclass(slots=True)
class Stored:
    """A channel's value as it is stored."""

    kind: str
    """What the serializer calls its format."""
    items: Manifest


@dataclass(slots=True)
class State:
    """All that is stored of a checkpoint, but for its parts and what tasks wrote next to it."""

    number: int
    id: str
    parent: str | None
    root: int
    base: int = 0
    """The number of the row that its own is a difference to, 0 if it is whole."""
    was: str | None = None
    """The id that it had until another row was stored under it; rows name it as their parent."""
    depth: int = 0
    """How many rows it is a difference of."""
    whole: int = 0
    """Bytes of the root."""
    chain: int = 0
    """Bytes of the rows after the root, up to this one."""
    v: Any = None
    ts: Any = None
    lacks: list[str] | None = None
    """What is usual in a checkpoint and not in this one."""
    updated: Any = False
    """False if the checkpoint does not say which channels were updated."""
    versions: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, Stored] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    """By name, msgpack of plain values."""
    odd: tuple[str, bytes] | None = None
    """By the serializer: entries of the metadata that are no plain values."""
    extra: tuple[str, bytes] | None = None
    """By the serializer: what else the checkpoint has."""

    @property
    def must_end(self) -> bool:
        """Whether the next row has to be a whole one."""
        if self.depth >= _LONGEST_CHAIN:
            return True
        return self.depth >= _SHORTEST_CHAIN and self.chain >= 2 * self.whole

    def note_size(self, size: int, base: State | None) -> None:
        """Note the bytes of its row, which is a difference to that of `base` if there is one."""
        if base is None:
            self.whole = size
        else:
            self.depth, self.whole, self.chain = base.depth + 1, base.whole, base.chain + size


@dataclass(slots=True)
class Difference:
    """What is another in a checkpoint than in its parent."""

    versions: Mapping[str, Any]
    """Those that are new."""
    seers: Collection[str] | None = None
    """Nodes that have seen something; None if nobody knows, or some are to be forgotten."""
    values: list[str] = field(default_factory=list)
    """Channels that have another value."""
    changes: dict[str, Segments] = field(default_factory=dict)
    """What is known of how the items of those differ."""
    lost_versions: list[str] = field(default_factory=list)
    lost_values: list[str] = field(default_factory=list)


def difference_of(state: State, base: State, changes: dict[str, Segments]) -> Difference:
    """Find out what is another than in some state; `changes` says how items differ."""
    return Difference(
        entries_new(state.versions, base.versions),
        None,
        [name for name, stored in state.values.items() if base.values.get(name) is not stored],
        changes,
        names_gone(state.versions, base.versions),
        names_gone(state.values, base.values),
    )


def encode_state(
    state: State, home: int, base: State | None = None, difference: Difference | None = None
) -> bytes:
    """Return what a row says of a state, as a difference to its parent if that is given."""
    gone: list[list[str]] | None = None
    if base is None or difference is None:
        number, parent = 0, state.parent
        versions: Mapping[str, Any] = state.versions
        seen, metadata = state.seen, state.metadata
        values = {name: _encoded(stored, None, home) for name, stored in state.values.items()}
    else:
        number = base.number
        parent = 0 if state.parent == base.id else state.parent  # type: ignore[assignment]
        versions, changes = difference.versions, difference.changes
        seen, lost = _changed_seen(state.seen, base.seen, difference.seers)
        values = {
            name: _encoded(state.values[name], changes.get(name), home)
            for name in difference.values
        }
        metadata, lost_metadata = _changed_metadata(state.metadata, base.metadata)
        if lost or difference.lost_values or difference.lost_versions or lost_metadata:
            gone = [difference.lost_versions, lost, difference.lost_values, lost_metadata]
    return packb(
        (
            number,
            state.v,
            _encoded_time(state.ts),
            parent,
            state.updated,
            versions,
            seen,
            values,
            metadata,
            gone,
            state.odd,
            state.extra,
            state.lacks,
        )
    )


def encode_step(
    state: State,
    base: State,
    versions: Mapping[str, Any],
    seers: Collection[str],
    values: Mapping[str, Any],
    lost: list[str],
) -> bytes:
    """Return what a row says of a state, given all that is another than in its parent.

    `values` are what the row says of those that are new, `lost` the channels that have none now.
    """
    seen, unseen = _changed_seen(state.seen, base.seen, seers)
    metadata, lost_metadata = _changed_metadata(state.metadata, base.metadata)
    gone = [[], unseen, lost, lost_metadata] if lost or unseen or lost_metadata else None
    ts = _encoded_time(state.ts)
    updated = state.updated
    return packb(
        (
            base.number,
            state.v,
            ts,
            0,
            updated,
            versions,
            seen,
            values,
            metadata,
            gone,
            None,
            None,
            None,
        )
    )


def with_id(body: bytes, id: str) -> bytes:
    """Return what a row says that loses its id, so that those that name it still can."""
    return packb((*unpackb(body)[:_ENTRIES], id))


def decode_state(
    row: CheckpointRow, bases: Mapping[int, State], open: Callable[[bytes], bytes]
) -> State:
    """Return what a row says, given by number the states of rows that it may be a difference to."""
    assert row.body is not None
    try:
        said = unpackb(open(row.body))
        if not isinstance(said, list) or len(said) not in (_ENTRIES, _ENTRIES + 1):
            raise DamagedRow("its body has not the entries of one")
        base = bases.get(said[0]) if said[0] else None
        if said[0]:
            if base is None or base.root != row.root:
                raise DamagedRow(f"it is a difference to row {said[0]}, which is not there")
        elif row.root != row.number:
            raise DamagedRow("it is whole and names another row as its root")
        return _decoded(row, base, said, len(row.body))
    except DamagedRow:
        raise
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, zlib.error) as error:
        raise DamagedRow(f"its body cannot be read: {error}") from error


def _decoded(row: CheckpointRow, base: State | None, said: Sequence[Any], size: int) -> State:
    _, v, ts, parent, updated, versions, seen, values, metadata, gone, odd, extra, *rest = said
    lacks, *was = rest
    state = State(row.number, row.id or "", parent, row.root, v=v, ts=_decoded_time(ts))
    state.was = was[0] if was else None
    state.updated, state.lacks = updated, lacks
    state.note_size(size, base)
    if base is not None:
        state.base = base.number
        state.parent = (base.id or base.was) if parent == 0 else parent
        state.versions, state.seen = dict(base.versions), dict(base.seen)
        state.values, state.metadata = dict(base.values), dict(base.metadata)
        known: list[dict[str, Any]]
        known = [state.versions, state.seen, state.values, state.metadata]
        for names, of in zip(gone or (), known, strict=bool(gone)):
            for name in names:
                del of[name]
    state.versions.update(versions)
    for node, versions_seen in seen.items():
        state.seen[node] = {**state.seen.get(node, {}), **versions_seen}
    for name, entry in values.items():
        state.values[name] = _decoded_value(entry, state.values.get(name), row.home)
    state.metadata.update(metadata)
    state.odd = None if odd is None else _typed(odd)
    state.extra = None if extra is None else _typed(extra)
    return state


def encode_value(stored: Stored, home: int) -> Any:
    """Return what a row says of a value by itself."""
    return _encoded(stored, None, home)


def decode_value(entry: Any, home: int) -> Stored:
    """Return a value that a row has said by itself."""
    return _decoded_value(entry, None, home)


def _encoded(stored: Stored, change: Segments | None, home: int) -> Any:
    items = stored.items
    if change is not None:
        entry: list[Any] = [_CHANGE, encode_change(change, home)]
    elif stored.kind == MSGPACK and len(items) == 1 and isinstance(items[0], bytes):
        return items[0]
    else:
        entry = [_WHOLE, encode(items, home)]
    return entry if stored.kind == MSGPACK else [stored.kind, *entry]


def _decoded_value(entry: Any, old: Stored | None, home: int) -> Stored:
    if isinstance(entry, bytes):
        return Stored(MSGPACK, [entry])
    kind = MSGPACK
    if len(entry) == 3:
        kind, entry = entry[0], entry[1:]
    form, said = entry
    if type(kind) is not str or not isinstance(said, list):
        raise DamagedRow("a value has no format or no items")
    if form == _WHOLE:
        return Stored(kind, decode(said, home, MOST_ITEMS))
    if form != _CHANGE or old is None:
        raise DamagedRow("a value is a difference to one that is not there")
    return Stored(kind, decode_change(said, old.items, home, MOST_ITEMS))


def _typed(said: Sequence[Any]) -> tuple[str, bytes]:
    kind, data = said
    if type(kind) is not str or not isinstance(data, bytes):
        raise DamagedRow("a value has no format or no bytes")
    return kind, data


def entries_new(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are others than before."""
    return {name: each for name, each in new.items() if name not in old or old[name] != each}


def _changed_metadata(
    new: dict[str, bytes], old: dict[str, bytes]
) -> tuple[dict[str, bytes], list[str]]:
    """Return the entries that are others than before, and those that are gone before that."""
    changed = {name: data for name, data in new.items() if old.get(name) != data}
    names, before = list(new), list(old)
    if names == before:
        return changed, []
    if changed and list({**old, **changed}) != names:
        # As whoever has stored it reads it: in its order.
        return new, before
    return changed, names_gone(new, old)


def _changed_seen(
    new: Mapping[str, dict[str, Any]],
    old: Mapping[str, dict[str, Any]],
    seers: Collection[str] | None,
) -> tuple[dict[str, Any], list[str]]:
    """Return what nodes have seen since, and which of them are to be forgotten before that."""
    changed: dict[str, Any] = {}
    lost: list[str] = []
    if seers is None:
        lost = names_gone(new, old)
        seers = [node for node, versions in new.items() if old.get(node) != versions]
    for node in seers:
        versions, before = new[node], old.get(node)
        if before is None:
            changed[node] = versions
        elif before.keys() <= versions.keys():
            changed[node] = entries_new(versions, before)
        else:
            lost.append(node)
            changed[node] = versions
    return changed, lost


def names_gone(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Return the names that are there no more."""
    if old.keys() <= new.keys():
        return []
    return [name for name in old if name not in new]


@lru_cache(maxsize=4)  # thousands of checkpoints are of one second
def _micros(second: str) -> int:
    """Return the microseconds from 1970 to a second, ISO 8601 without the zone."""
    moment = datetime.fromisoformat(second + _UTC)
    if moment.isoformat() != second + _UTC:
        raise ValueError(f"{second!r} is written in another way")
    return (moment - _EPOCH) // _MICROSECOND


def _encoded_time(ts: Any) -> Any:
    """Return the microseconds since 1970 where that says all there is to say."""
    # As runs write it; then it is what is written of the number, too.
    if type(ts) is str and len(ts) == 32 and ts[10] == "T" and ts[19] == "." and ts[26:] == _UTC:
        fraction = ts[20:26]
        if fraction.isdecimal() and fraction.isascii() and fraction != "000000":
            try:
                return _micros(ts[:19]) + int(fraction)
            except ValueError:
                return ts
    try:
        micros = (datetime.fromisoformat(ts) - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError):
        return ts
    return micros if _decoded_time(micros) == ts else ts


def _decoded_time(said: Any) -> Any:
    if type(said) is int:
        return (_EPOCH + said * _MICROSECOND).isoformat()
    return said


def names_of(values: Iterable[Stored]) -> set[int]:
    """Return the keys of all parts that values consist of."""
    return {item for stored in values for item in stored.items if type(item) is int}
