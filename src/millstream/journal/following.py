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

from langgraph.checkpoint.base import get_checkpoint_metadata
from ormsgpack import packb

from millstream.journal.calls import Dump, Handover, once, put_call, target_of, writes_call
from millstream.journal.drafts import INLINE, OWN, Call, PutCall, WritesCall, indexed
from millstream.journal.known import KnownLine, KnownLines
from millstream.journal.metadata import labels_of, packed_metadata
from millstream.journal.rows import Append, Batch, CheckpointRow, Commit, LineRow, Owner, WritesRow
from millstream.journal.sealing import Sealing
from millstream.journal.states import (
    MSGPACK,
    State,
    Stored,
    encode_state,
    encode_step,
    encode_value,
)
from millstream.journal.storage import Lane, Storage, WouldWait

_USUAL: Final = frozenset(("source", "step", "parents"))
"""What a run says of each checkpoint."""
_NULL: Final = Stored("null", [b""])
"""None, which the edges of a graph write in each superstep."""
_SAID_OF_NULL: Final = encode_value(_NULL, 0)


class Follower:
    """What is the same in all that one run stores in a line."""

    __slots__ = ("_extras", "_ns", "_packed", "_said", "_thread_id", "owner")

    def __init__(self, config: Any, owner: Owner | None = None) -> None:
        """Take the config of the run; those that it stores with only have other checkpoints."""
        self.owner: Final = owner
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
        dump = once(dump)
        return [
            self._put_call(arguments, dump) if name == "put" else self._writes_call(arguments, dump)
            for name, arguments in operations
        ]

    def _writes_call(self, arguments: Any, dump: Dump) -> WritesCall:
        config, writes, task_id, path = arguments
        named, thread_id, ns = config["configurable"], self._thread_id, self._ns
        if named["thread_id"] != thread_id or named.get("checkpoint_ns") != ns:
            return writes_call(dump, *arguments)
        said = indexed(writes, dump)
        return WritesCall(thread_id, ns, named["checkpoint_id"], task_id, path, said)

    def _put_call(self, arguments: Any, dump: Dump) -> PutCall:
        config, checkpoint, metadata, new_versions, seers = arguments
        if metadata.keys() != _USUAL:
            return put_call(dump, *arguments)
        values = checkpoint["channel_values"]
        typed = {name: dump(values[name]) for name in new_versions if name in values}
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


def store_here(
    handover: Handover, lines: KnownLines, lane: Lane, storage: Storage, *, may_wait: bool = True
) -> bool:
    """Store one usual superstep in this thread; say whether it is one, and nobody else writes.

    If it is not, nothing was done.
    """
    *others, put = handover.calls
    if len(others) > 1 and type(others[1]) is PutCall:
        return False  # several, of which each has what one task wrote
    if type(put) is not PutCall or not lane.begin(may_wait=may_wait):
        return False
    expects = handover.expects
    key = (put.thread_id, put.ns)
    try:
        known = lines.get(key)
        # No branch, and nobody has stored a newer one as far as is known here.
        if known is None or expects != (put.ns, known.newest):
            return False
        step = _step(known, others, put, handover)
        if step is None:
            return False
        request, state = step
        try:
            [is_stored] = storage.carry_out(request, may_wait=may_wait)
        except WouldWait:
            return False
        except BaseException:
            lines.pop(key, None)
            raise
        if not is_stored:
            lines.pop(key, None)
            return False
        _advance(known, state, request.number)
        return True
    finally:
        lane.end()


async def store_awaiting(
    handover: Handover, lines: KnownLines, lane: Lane, storage: Storage
) -> bool:
    """Store usual supersteps while the event loop waits; say whether that was done.

    If it was not, it may be asked for again.
    """
    put, expects = handover.calls[-1], handover.expects
    if not storage.is_awaitable() or not lane.begin():
        return False
    key = (put.thread_id, put.ns)
    try:
        known = lines.get(key)
        if known is None or expects != (put.ns, known.newest):
            return False
        batch = follow(known, handover)
        if batch is None:
            return False
        # Nobody in this process goes on from it before it is written. Who wants to write to the
        # line meanwhile reads it; who comes second is refused by the storage.
        lines.pop(key, None)
    finally:
        lane.end()
    if await storage.await_commit(Commit([batch])) != [True]:
        return False
    # Who has read the line meanwhile knows what was there before.
    other = lines.get(key)
    if other is None or other.row.counter < known.row.counter:
        lines[key] = known
    return True


def _step(
    known: KnownLine, others: Sequence[Call], put: PutCall, handover: Handover
) -> tuple[Append, State] | None:
    """Return what adds a superstep to a line, and its state; None if it is not the usual one."""
    line, parent, sealing = known.row, _newest(known), handover.sealing
    if parent is None:
        return None
    said: list[Any] = []
    for call in others:
        written = _written(call, line, parent) if type(call) is WritesCall else None
        if written is None:
            return None
        said.append(written)
    number = line.counter + (2 if said else 1)
    following = _following(put, parent, number, line.number, sealing)
    if following is None or _labels(put, parent, following[0], known, sealing):
        return None
    state, body = following
    writes = sealing.seal(packb(said)) if said else None
    last = parent.number
    own = (state.id, state.root, body, writes, handover.owner)
    made = (line, handover.at, parent.id, last, number, *own)
    return tuple.__new__(Append, made), state  # same


def follow(known: KnownLine, handover: Handover) -> Batch | None:
    """Return what several supersteps write to a line, and let it be known; None if not usual."""
    line, state = known.row, _newest(known)
    if state is None:
        return None
    sealing, owner = handover.sealing, handover.owner
    batch = Batch(line, False, line.counter, handover.at, known.newest, known.last, owner)
    states: list[State] = []
    said: list[Any] = []
    for call in handover.calls:
        if type(call) is WritesCall:
            written = _written(call, line, state)
            if written is None:
                return None
            said.append(written)
            continue
        if said:
            _add_writes(batch, state, sealing.seal(packb(said)))
            said = []
        batch.counter += 1
        put: PutCall = call  # type: ignore[assignment]  # there is no other kind
        if put.ns != line.ns or put.thread_id != line.thread_id:
            return None
        following = _following(put, state, batch.counter, line.number, sealing)
        if following is None:
            return None
        batch.labels += _labels(put, state, following[0], known, sealing)
        state, body = following
        row = CheckpointRow(line.number, state.number, state.id, state.root, line.number, body)
        batch.checkpoints.append(row)
        states.append(state)
    if said:
        _add_writes(batch, state, sealing.seal(packb(said)))
    for each in states:
        known.states[each.id] = each
    known.labels.update(batch.labels)
    _advance(known, state, batch.counter)
    return batch


def _newest(known: KnownLine) -> State | None:
    """Return the state of the newest checkpoint, if it is the last row that is known of a line."""
    state = known.states.get(known.newest or "")
    if state is None or state.number != known.last or known.is_new or known.stubs != {}:
        return None
    return state


def _advance(known: KnownLine, state: State, counter: int) -> None:
    """Let a checkpoint be known that is on top of the newest one."""
    known.states[state.id] = state
    known.newest, known.last = state.id, state.number
    number, thread_id, ns, _ = known.row
    # In C, which the class itself is not.
    known.row = tuple.__new__(LineRow, (number, thread_id, ns, counter))


def _written(call: WritesCall, line: LineRow, parent: State) -> tuple[str, str, list[Any]] | None:
    """Return what a row says of a task; None if it has parts, or is of another checkpoint."""
    if call.checkpoint_id != parent.id or call.ns != line.ns or call.thread_id != line.thread_id:
        return None
    written: list[Any] = []
    for index, channel, (kind, data) in call.writes:
        if len(data) > INLINE:
            return None
        said = data if type(data) is bytes and kind == MSGPACK else _plain(kind, data)[1]
        written.append((index, channel, said))
    return call.task_id, call.path, written


def _plain(kind: str, data: bytes) -> tuple[Stored, Any]:
    """Return a value without parts as it is stored, and what a row says of it."""
    if kind == MSGPACK:
        data = bytes(data)  # a bytearray is its own serialization
        return Stored(kind, [data]), data
    if kind == _NULL.kind and not data:
        return _NULL, _SAID_OF_NULL
    stored = Stored(kind, [bytes(data)])
    return stored, encode_value(stored, 0)


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
            stored[name], encoded[name] = _plain(kind, data)
        elif stored.pop(name, None) is not None:
            lost.append(name)
    return (stored, encoded, lost) if stored.keys() == values.keys() else None


def _following(
    put: PutCall, parent: State, number: int, line: int, sealing: Sealing
) -> tuple[State, bytes] | None:
    """Return a state and its row's body; None if it is not the usual one after its parent."""
    checkpoint, seers = put.checkpoint, put.seers
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
    is_whole = parent.must_end
    state = State(
        number,
        id,
        parent.id,
        number if is_whole else parent.root,
        v=checkpoint["v"],
        ts=checkpoint["ts"],
        updated=checkpoint["updated_channels"],
        versions=checkpoint["channel_versions"],
        seen=checkpoint["versions_seen"],
        values=stored,
        metadata=metadata,
    )
    if is_whole:
        body = encode_state(state, line)
    else:
        body = encode_step(state, parent, put.new_versions, seers, encoded, lost)
    body = sealing.seal_row(body)
    state.note_size(len(body), None if is_whole else parent)
    return state, body


def _labels(
    put: PutCall, parent: State, state: State, known: KnownLine, sealing: Sealing
) -> list[tuple[str, str]]:
    """Return names and values of metadata that the line did not have."""
    new, before = state.metadata, parent.metadata
    # As a rule the step alone is another, which is no label.
    if sealing.cipher is not None or {**before, "step": new.get("step")} == new:
        return []
    labels = labels_of(new, put.metadata, before)
    return [label for label in labels if label not in known.labels]
