"""The direct way of a superstep to its rows.

A run stores one superstep after the other: what its tasks wrote, and a checkpoint on top of the
newest one. It says what is new in each, see `PutCall.seers`, so nothing is compared; and as long as
nothing of it has parts of its own there is nothing to ask of the storage. A `Follower` knows what
is the same in all of them, and makes their rows in one go.

They are those that a `Draft` makes of the same calls, which is left all that is not usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langgraph.checkpoint.base import WRITES_IDX_MAP, get_checkpoint_metadata
from ormsgpack import packb

from millstream.journal.calls import Dump, put_call, target_of, writes_call
from millstream.journal.drafts import INLINE, OWN, Call, PutCall, Typed, WritesCall
from millstream.journal.known import KnownLine
from millstream.journal.metadata import labels_of, packed_metadata
from millstream.journal.rows import Batch, CheckpointRow, LineRow, WritesRow
from millstream.journal.sealing import Sealing
from millstream.journal.states import (
    MSGPACK,
    State,
    Stored,
    encode_state,
    encode_step,
    encode_value,
)

_USUAL: Final = frozenset(("source", "step", "parents"))
"""What a run says of each checkpoint."""


class Follower:
    """What is the same in all that one run stores in a line."""

    __slots__ = ("_extras", "_ns", "_packed", "_said", "_thread_id")

    def __init__(self, config: Any) -> None:
        """Take the config of the run; those that it stores with only have other checkpoints."""
        self._thread_id, self._ns, _ = target_of(config)
        usual: Any = dict.fromkeys(_USUAL)
        whole = get_checkpoint_metadata(config, usual)
        self._extras = {name: value for name, value in whole.items() if name not in _USUAL}
        """What the config adds to metadata."""
        self._said: tuple[Any, Any] = (None, None)
        """The source and parents of the checkpoint before."""
        self._packed: dict[str, bytes] = {}
        """Its metadata."""

    def calls(self, operations: Sequence[tuple[str, Any]], dump: Dump) -> list[Call]:
        """Return what the run stores, serialized: each object once, as all of them are there."""
        made: dict[int, Typed] = {}
        return [
            self._put_call(arguments, dump, made)
            if name == "put"
            else self._writes_call(arguments, dump, made)
            for name, arguments in operations
        ]

    def _writes_call(self, arguments: Any, dump: Dump, made: dict[int, Typed]) -> WritesCall:
        config, writes, task_id, path = arguments
        named, thread_id, ns = config["configurable"], self._thread_id, self._ns
        if named["thread_id"] != thread_id or named.get("checkpoint_ns") != ns:
            return writes_call(dump, *arguments)
        said, index = [], 0
        for channel, value in writes:
            typed = made.get(id(value))
            if typed is None:
                typed = made[id(value)] = dump(value)
            said.append((WRITES_IDX_MAP.get(channel, index), channel, typed))
            index += 1  # noqa: SIM113  # `enumerate` would make a tuple more of each
        return WritesCall(thread_id, ns, named["checkpoint_id"], task_id, path, said)

    def _put_call(self, arguments: Any, dump: Dump, made: dict[int, Typed]) -> PutCall:
        config, checkpoint, metadata, new_versions, seers = arguments
        if metadata.keys() != _USUAL:
            return put_call(dump, *arguments)
        typed: dict[str, Typed] = {}
        values = checkpoint["channel_values"]
        for name in new_versions:
            if name in values:
                value = values[name]
                known = made.get(id(value))
                if known is None:
                    known = made[id(value)] = dump(value)
                typed[name] = known
        whole = {**metadata, **self._extras}
        said = (metadata["source"], metadata["parents"])
        packed: dict[str, bytes] | None
        if said == self._said:
            packed = self._packed.copy()
            packed["step"] = packb(metadata["step"])
        else:
            packed, odd = packed_metadata(whole)
            if odd:
                packed = None
            else:
                self._said, self._packed = said, packed
        parent = config["configurable"]["checkpoint_id"] or None
        thread_id, ns = self._thread_id, self._ns
        return PutCall(thread_id, ns, parent, checkpoint, whole, new_versions, typed, seers, packed)


def follow(known: KnownLine, calls: Sequence[Call], sealing: Sealing, at: int) -> Batch | None:
    """Return what is written to a line, and let it be known; None if these are no usual steps."""
    line, state = known.row, known.states.get(known.newest or "")
    if state is None or state.number != known.last or known.is_new or known.stubs != {}:
        return None
    number, ns, thread_id = line.number, line.ns, line.thread_id
    batch = Batch(line, False, line.counter, at, known.newest, known.last)
    states: list[State] = []
    said: list[Any] = []
    for call in calls:
        if call.ns != ns or call.thread_id != thread_id:
            return None
        if type(call) is WritesCall:
            written = _written(call.writes)
            if written is None or call.checkpoint_id != state.id:
                return None
            said.append((call.task_id, call.path, written))
            continue
        if said:
            _add_writes(batch, state, sealing.seal(packb(said)))
            said = []
        following = _add_checkpoint(batch, call, state, known, sealing)  # type: ignore[arg-type]  # no other kind
        if following is None:
            return None
        state = following
        states.append(state)
    if said:
        _add_writes(batch, state, sealing.seal(packb(said)))
    for state in states:
        known.states[state.id] = state
    if batch.labels:
        known.labels.update(batch.labels)
    known.newest, known.last = state.id, state.number
    known.row = LineRow(number, thread_id, ns, batch.counter)
    return batch


def _written(writes: Sequence[tuple[int, str, Typed]]) -> list[Any] | None:
    """Return what a row says of a task's writes; None if some of it has parts."""
    written: list[Any] = []
    for index, channel, (kind, data) in writes:
        if len(data) > INLINE:
            return None
        written.append((index, channel, _plain(kind, data)))
    return written


def _plain(kind: str, data: bytes) -> Any:
    """Return what a row says of a value without parts."""
    return bytes(data) if kind == MSGPACK else encode_value(Stored(kind, [bytes(data)]), 0)


def _add_writes(batch: Batch, state: State, body: bytes) -> None:
    """Add what tasks wrote next to a checkpoint."""
    line = batch.line.number
    batch.counter += 1
    batch.writes.append(WritesRow(line, state.number, batch.counter, line, body))


def _values(
    put: PutCall, parent: State
) -> tuple[dict[str, Stored], dict[str, Any], list[str]] | None:
    """Return what is stored of channels, how a row says what is new of it, and which have none now.

    None if some of it has parts, or is new and not said to be.
    """
    values: Mapping[str, Any] = put.checkpoint["channel_values"]
    stored, encoded, lost = parent.values.copy(), {}, []
    for name in put.new_versions:
        if name in values:
            kind, data = put.typed[name]
            if len(data) > INLINE:
                return None
            stored[name] = Stored(kind, [bytes(data)])
            encoded[name] = _plain(kind, data)
        elif stored.pop(name, None) is not None:
            lost.append(name)
    return (stored, encoded, lost) if stored.keys() == values.keys() else None


def _add_checkpoint(
    batch: Batch, put: PutCall, parent: State, known: KnownLine, sealing: Sealing
) -> State | None:
    """Add a checkpoint and return its state; None if it is not the usual one after its parent."""
    checkpoint, seers, before = put.checkpoint, put.seers, parent.metadata
    id: str = checkpoint["id"]
    if seers is None or put.parent != parent.id or id <= parent.id or checkpoint.keys() != OWN:
        return None
    metadata = put.packed
    if metadata is None:
        metadata, odd = packed_metadata(put.metadata)
        if odd:
            return None
    values = _values(put, parent)
    if values is None:
        return None
    stored, encoded, lost = values
    line = batch.line.number
    batch.counter += 1
    number, root = batch.counter, parent.root
    base: State | None = parent
    if parent.must_end:
        root, base = number, None
    state = State(
        number,
        id,
        parent.id,
        root,
        v=checkpoint["v"],
        ts=checkpoint["ts"],
        updated=checkpoint["updated_channels"],
        versions=checkpoint["channel_versions"],
        seen=checkpoint["versions_seen"],
        values=stored,
        metadata=metadata,
    )
    if base is None:
        body = encode_state(state, line)
    else:
        body = encode_step(state, base, put.new_versions, seers, encoded, lost)
    body = sealing.seal_row(body)
    state.note_size(len(body), base)
    batch.checkpoints.append(CheckpointRow(line, number, id, root, line, body))
    # As a rule the step alone is another, which is no label.
    if sealing.cipher is None and {**before, "step": metadata.get("step")} != metadata:
        for label in labels_of(metadata, put.metadata, before):
            if label not in known.labels:
                batch.labels.append(label)
    return state
