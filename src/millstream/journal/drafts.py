"""From what a saver is given to the rows of a line that say it.

A draft is made from what is known of the line and changes nothing of that until it is done, so an
error in the middle, a value that cannot be stored for example, leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph.checkpoint.base import WRITES_IDX_MAP
from ormsgpack import packb

from millstream.journal.known import KnownLine, Text, digest
from millstream.journal.manifests import FEWEST, Item, Manifest, part_key
from millstream.journal.metadata import labels_of, packed_metadata
from millstream.journal.rows import Batch, CheckpointRow, LineRow, Owner, PartRow, WritesRow
from millstream.journal.sealing import Sealing
from millstream.journal.splitting import LARGE, compare, cut
from millstream.journal.states import (
    MSGPACK,
    Difference,
    Segments,
    State,
    Stored,
    encode_state,
    encode_value,
    entries_new,
    names_gone,
    with_id,
)

INLINE: Final = 128
"""Bytes up to which a value stands in the row that names it."""
_LONGEST_ALONE: Final = 1 << 14
"""Bytes up to which a value is cut without a look at what is known of its channel."""
OWN: Final = frozenset(
    (
        "v",
        "ts",
        "id",
        "channel_values",
        "channel_versions",
        "versions_seen",
        "updated_channels",
    )
)
"""Entries of a checkpoint that a state has a place for."""
_USUAL: Final = OWN - {"updated_channels"}
_MISSING: Final = object()

Typed = tuple[str, bytes]
"""What a serializer makes of a value: its format and bytes."""


@dataclass(slots=True)
class PutCall:
    """A checkpoint to be stored, as `put` is given it."""

    thread_id: str
    ns: str
    parent: str | None
    checkpoint: Mapping[str, Any]
    metadata: Mapping[str, Any]
    """With what the config adds to it."""
    new_versions: Mapping[str, Any]
    typed: Mapping[str, Typed]
    """By channel, values that have been serialized."""
    seers: Collection[str] | None = None
    """Nodes that have seen something since the parent, None if nobody says.

    If somebody does, then nothing but their entries, what is in `new_versions`, and metadata is
    another than in the parent, and nobody changes the dicts of the checkpoint any more.
    """
    packed: dict[str, bytes] | None = None
    """The metadata as it is stored, if whoever stores has made it and all of it is plain."""

    @property
    def id(self) -> str:
        """The checkpoint's id."""
        id: str = self.checkpoint["id"]
        return id


@dataclass(slots=True)
class WritesCall:
    """What a task wrote, as `put_writes` is given it, serialized."""

    thread_id: str
    ns: str
    checkpoint_id: str
    task_id: str
    path: str
    writes: Sequence[tuple[int, str, Typed]]
    """Index, channel, value."""


Call = PutCall | WritesCall


def indexed(writes: Sequence[tuple[str, Any]], dump: Callable[[Any], Typed]) -> Any:
    """Return writes serialized, with the index that tells them apart."""
    return [
        (WRITES_IDX_MAP.get(channel, index), channel, dump(value))
        for index, (channel, value) in enumerate(writes)
    ]


def _seen(
    seen: Mapping[str, Any], parent: State | None
) -> tuple[dict[str, dict[str, Any]], list[str] | None]:
    """Return copies of what nodes have seen, those of the parent where nothing is new.

    And which nodes have seen something since, unless there are fewer nodes than before.
    """
    if parent is not None:
        old = parent.seen
        new = [node for node, versions in seen.items() if old.get(node) != versions]
        merged = {**old, **{node: dict(seen[node]) for node in new}}
        if len(merged) == len(seen):
            return merged, new
    return {node: dict(versions) for node, versions in seen.items()}, None


@dataclass(slots=True)
class Draft:
    """The rows of one line that some calls make."""

    known: KnownLine
    sealing: Sealing
    batch: Batch
    states: dict[str, State] = field(default_factory=dict)
    texts: dict[str, Text] = field(default_factory=dict)
    parts: dict[bytes, int] = field(default_factory=dict)
    newest: str | None = None
    last: int = 0
    stubs: dict[str, int] = field(default_factory=dict)
    forgotten: int = 0
    """The number of a checkpoint of this draft whose id the next one takes, 0 if there is none."""

    @classmethod
    def of(cls, known: KnownLine, sealing: Sealing, at: int, owner: Owner | None) -> Draft:
        """Begin one."""
        batch = Batch(known.row, known.is_new, known.row.counter, at, owner=owner)
        draft = cls(known, sealing, batch, newest=known.newest, last=known.last)
        draft.stubs = dict(known.stubs or ())
        batch.newest = known.newest
        if not draft.stubs:
            batch.last = known.last
        return draft

    def state(self, id: str | None) -> State | None:
        """Return the state of a checkpoint, if it is known."""
        if id is None:
            return None
        return self.states.get(id) or self.known.states.get(id)

    def add_checkpoint(self, call: PutCall, former: CheckpointRow | None) -> None:
        """Add a checkpoint; `former` is the row that has its id now.

        One that only has writes is filled, so that they are next to the checkpoint.
        """
        parent = self.state(call.parent)
        is_filled = former is not None and former.body is None
        base = parent
        if parent is None or parent.number != self.last or parent.must_end or former is not None:
            base = None
        state = State(0, call.id, call.parent, 0)
        difference = self._state(call, parent, state)
        # After the numbers of its parts.
        number = former.number if former is not None and is_filled else self._next_number()
        root = number if base is None else base.root
        state.number, state.root = number, root
        if self.forgotten:
            self._move_writes(number)
        home = self.batch.line.number
        body = self.sealing.seal_row(encode_state(state, home, base, difference))
        state.note_size(len(body), base)
        row = CheckpointRow(home, number, call.id, root, home, body)
        if is_filled:
            self.batch.filled.append(row)
            self.stubs.pop(call.id, None)
        else:
            self.batch.checkpoints.append(row)
            if former is not None:
                self.batch.unnamed.append(former.number)
                self.batch.filled.append(self._without_id(former))
        self.states[call.id] = state
        self.last = max(self.last, number)
        if self.newest is None or call.id > self.newest:
            self.newest = call.id

    def forget_checkpoint(self, id: str) -> bool:
        """Take the id from a checkpoint of this draft, if it has one; its writes go with it."""
        for at, row in enumerate(self.batch.checkpoints):
            if row.id == id:
                self.batch.checkpoints[at] = self._without_id(row)
                self.stubs.pop(id, None)
                self.forgotten = row.number
                return True
        return False

    def _without_id(self, row: CheckpointRow) -> CheckpointRow:
        """Return a row that loses its id, which others go on calling their parent."""
        if row.body is None or row.id is None:
            return row._replace(id=None)
        body = self.sealing.seal_row(with_id(self.sealing.open(row.body), row.id))
        return row._replace(id=None, body=body)

    def _move_writes(self, to: int) -> None:
        """Let writes of this draft stand next to the checkpoint that takes the place of theirs."""
        self.batch.writes = [
            each._replace(of=to) if each.of == self.forgotten else each
            for each in self.batch.writes
        ]
        self.forgotten = 0

    def add_stub(self, id: str) -> int:
        """Add that there are writes next to a checkpoint that is not there; return its number."""
        number, home = self._next_number(), self.batch.line.number
        self.batch.checkpoints.append(CheckpointRow(home, number, id, number, home, None))
        self.stubs[id] = number
        return number

    def add_writes(self, calls: Sequence[WritesCall], of: int) -> None:
        """Add what tasks wrote next to one checkpoint."""
        home = self.batch.line.number
        said = [
            (
                call.task_id,
                call.path,
                [
                    (index, channel, encode_value(self._stored(channel, typed)[0], home))
                    for index, channel, typed in call.writes
                ],
            )
            for call in calls
        ]
        body = self.sealing.seal(packb(said))
        self.batch.writes.append(WritesRow(home, of, self._next_number(), home, body))

    def move_writes(self, rows: Sequence[WritesRow], of: int) -> None:
        """Add writes that stand next to a checkpoint that is stored again."""
        for row in rows:
            self.batch.writes.append(row._replace(of=of, number=self._next_number()))

    def finish(self) -> Batch:
        """Let what the draft says be known, and return what is to be written."""
        known, batch = self.known, self.batch
        for id, state in self.states.items():
            known.states[id] = state
        if self.texts:
            known.texts.update(self.texts)
        for key, number in self.parts.items():
            known.parts[key] = number
        if batch.labels:
            known.labels.update(batch.labels)
        known.newest, known.last, known.is_new = self.newest, self.last, False
        if known.stubs is not None or self.stubs:
            known.stubs = self.stubs
        row = known.row
        known.row = LineRow(row.number, row.thread_id, row.ns, batch.counter)
        return batch

    def _next_number(self) -> int:
        self.batch.counter += 1
        return self.batch.counter

    def _state(self, call: PutCall, parent: State | None, state: State) -> Difference:
        """Fill in what a checkpoint says; return how it differs from its parent."""
        checkpoint = call.checkpoint
        state.v, state.ts = checkpoint.get("v"), checkpoint.get("ts")
        state.updated = checkpoint.get("updated_channels", False)
        if not checkpoint.keys() >= _USUAL:
            state.lacks = sorted(_USUAL - checkpoint.keys())
        difference: Difference | None = None
        if parent is not None and call.seers is not None and state.lacks is None:
            difference = self._follow(call, parent, state, call.seers)
        if difference is None:
            difference = self._compare(call, parent, state)
        dump = self.sealing.serde.dumps_typed
        before = {} if parent is None else parent.metadata
        state.metadata, odd = packed_metadata(call.metadata)
        if odd:
            state.odd = dump(odd)
        if not checkpoint.keys() <= OWN:
            extra = {name: value for name, value in checkpoint.items() if name not in OWN}
            state.extra = dump(extra)
        if self.sealing.cipher is None:
            for label in labels_of(state.metadata, call.metadata, before):
                if label not in self.known.labels:
                    self.batch.labels.append(label)
        return difference

    def _follow(
        self, call: PutCall, parent: State, state: State, seers: Collection[str]
    ) -> Difference | None:
        """Take over what the parent has, but for what is said to be new.

        None if that is not all: a channel that is stored from time to time, for example.
        """
        values = call.checkpoint["channel_values"]
        stored = state.values = parent.values.copy()
        difference = Difference(call.new_versions, seers)
        for name in call.new_versions:
            if name not in values:
                if stored.pop(name, None) is not None:
                    difference.lost_values.append(name)
                continue
            stored[name], change = self._stored(
                name, call.typed[name], stored.get(name), is_text=True
            )
            difference.values.append(name)
            if change is not None:
                difference.changes[name] = change
        if stored.keys() != values.keys():
            return None
        state.versions = call.checkpoint["channel_versions"]
        state.seen = call.checkpoint["versions_seen"]
        return difference

    def _compare(self, call: PutCall, parent: State | None, state: State) -> Difference:
        """Find out what is another than in the parent."""
        checkpoint, dump = call.checkpoint, self.sealing.serde.dumps_typed
        state.versions, state.values = dict(checkpoint.get("channel_versions", ())), {}
        state.seen, seers = _seen(checkpoint.get("versions_seen", {}), parent)
        known = {} if parent is None else parent.values
        versions: Mapping[str, Any] = {} if parent is None else parent.versions
        difference = Difference(call.new_versions, seers)
        if {**versions, **call.new_versions} != state.versions:
            difference.versions = entries_new(state.versions, versions)
            difference.lost_versions = names_gone(state.versions, versions)
        for name, value in checkpoint.get("channel_values", {}).items():
            old = known.get(name)
            if old is not None and name not in call.new_versions:
                version = state.versions.get(name, _MISSING)
                if versions.get(name) == version:
                    state.values[name] = old
                    continue
            typed = call.typed.get(name)
            if typed is None:
                typed = dump(value)
            state.values[name], change = self._stored(name, typed, old, is_text=True)
            difference.values.append(name)
            if change is not None:
                difference.changes[name] = change
        difference.lost_values = names_gone(state.values, known)
        return difference

    def _stored(
        self, channel: str, typed: Typed, old: Stored | None = None, *, is_text: bool = False
    ) -> tuple[Stored, Segments | None]:
        """Return how a value is stored, and its difference to an old one if that is known."""
        kind, data = typed[0], bytes(typed[1])  # a bytearray is its own serialization
        if len(data) <= INLINE:
            return Stored(kind, [data]), None
        text = self.texts.get(channel) or self.known.texts.get(channel)
        # What a task wrote is cut as by itself if that is no work: so its pieces are those that the
        # channel has afterwards.
        is_cut_alone = not is_text and len(data) < _LONGEST_ALONE
        if text is None or kind != MSGPACK or is_cut_alone:
            ends = cut(data) if kind == MSGPACK and len(data) >= LARGE else [len(data)]
            items = self._items(data, ends)
            change = None
        else:
            items, ends, change = self._compared(data, text)
        stored = Stored(kind, items)
        if is_text and kind == MSGPACK:
            self.texts[channel] = Text(stored, data, ends)
        if text is None or old is not text.stored or old.kind != kind:
            change = None
        return stored, change

    def _compared(self, data: bytes, text: Text) -> tuple[Manifest, list[int], Segments]:
        """Return the items and ends of a value that has pieces of an earlier one."""
        items: Manifest = []
        ends: list[int] = []
        change: list[tuple[int, int, list[Item]]] = []
        old, here = text.ends, 0
        new: list[int] = []
        for first, last, is_kept in compare(data, text.data, old):
            if not is_kept:
                new.append(last)
                continue
            if new:
                here = self._add_new(data, here, new, items, ends, change)
            shift = here - (old[first - 1] if first else 0)
            kept = old[first:last]
            ends += [end + shift for end in kept] if shift else kept
            items += text.stored.items[first:last]
            change.append((first, last - first, []))
            here = ends[-1]
            new = []
        if new:
            self._add_new(data, here, new, items, ends, change)
        return items, ends, change

    def _add_new(
        self,
        data: bytes,
        here: int,
        new: list[int],
        items: Manifest,
        ends: list[int],
        change: list[tuple[int, int, list[Item]]],
    ) -> int:
        """Add pieces that the earlier value does not have; return where they end."""
        added = self._items(data, new, here)
        items += added
        ends += new
        if change:
            change[-1][2].extend(added)
        else:
            change.append((0, 0, added))
        return new[-1]

    def _items(self, data: bytes, ends: Sequence[int], start: int = 0) -> list[Item]:
        """Return pieces as items; those that are not known are stored."""
        if len(ends) > 8:
            self.known.digest_texts()
        items: list[Item] = []
        for end in ends:
            piece = data[start:end]
            items.append(piece if end - start < FEWEST else self._part(piece))
            start = end
        return items

    def _part(self, piece: bytes) -> int:
        name = digest(piece)
        key = self.parts.get(name) or self.known.parts.get(name)
        if key is None:
            line, number = self.batch.line.number, self._next_number()
            self.batch.parts.append(PartRow(line, number, self.sealing.seal(piece)))
            key = self.parts[name] = part_key(line, number)
        return key
