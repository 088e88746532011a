"""The usual superstep: a checkpoint on top of the newest one, next to which its tasks wrote.

Whoever says what is new in it, see `PutCall.seers`, has nothing compared, and as long as nothing of
it has parts of its own there is nothing to ask of the storage. So its rows are made in one go. They
are those that a `Draft` makes of the same calls, which is left all that is not usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ormsgpack import packb

from millstream.journal.drafts import INLINE, OWN, Call, PutCall, Typed, WritesCall
from millstream.journal.known import KnownLine
from millstream.journal.metadata import labels_of, packed_metadata
from millstream.journal.rows import Batch, CheckpointRow, LineRow, WritesRow
from millstream.journal.sealing import Sealing
from millstream.journal.states import Difference, State, Stored, encode_state, encode_value


def follow(known: KnownLine, calls: Sequence[Call], sealing: Sealing, at: int) -> Batch | None:
    """Return what is written to a line, and let it be known; None if it is not the usual step."""
    *writes, put = calls
    if type(put) is not PutCall or put.seers is None or known.is_new or known.stubs != {}:
        return None
    parent, checkpoint = known.states.get(known.newest or ""), put.checkpoint
    if (
        parent is None
        or parent.id != put.parent
        or parent.number != known.last
        or parent.must_end
        or put.id <= parent.id
        or checkpoint.keys() != OWN
    ):
        return None
    difference = Difference(put.new_versions, put.seers)
    values = _values(put, parent, difference)
    metadata, odd = packed_metadata(put.metadata)
    if values is None or odd:
        return None
    line = known.row
    batch = Batch(line, False, line.counter, at, known.newest, known.last)
    if writes and not _add_writes(batch, writes, put, parent, sealing):
        return None
    batch.counter += 1
    state = State(
        batch.counter,
        put.id,
        parent.id,
        parent.root,
        depth=parent.depth + 1,
        whole=parent.whole,
        v=checkpoint["v"],
        ts=checkpoint["ts"],
        updated=checkpoint["updated_channels"],
        versions=checkpoint["channel_versions"],
        seen=checkpoint["versions_seen"],
        values=values,
        metadata=metadata,
    )
    body = sealing.seal_row(encode_state(state, line.number, parent, difference))
    state.chain = parent.chain + len(body)
    row = CheckpointRow(line.number, state.number, state.id, state.root, line.number, body)
    batch.checkpoints.append(row)
    if sealing.cipher is None:
        for label in labels_of(metadata, put.metadata, parent.metadata):
            if label not in known.labels:
                batch.labels.append(label)
                known.labels.add(label)
    known.states[state.id] = state
    known.newest, known.last = state.id, state.number
    known.row = LineRow(line.number, line.thread_id, line.ns, batch.counter)
    return batch


def _values(put: PutCall, parent: State, difference: Difference) -> dict[str, Stored] | None:
    """Return what is stored of channels; None if some of it has parts, or is not said to be new."""
    values: Mapping[str, object] = put.checkpoint["channel_values"]
    stored = parent.values.copy()
    for name in put.new_versions:
        if name in values:
            kind, data = put.typed[name]
            if len(data) > INLINE:
                return None
            stored[name] = Stored(kind, [bytes(data)])
            difference.values.append(name)
        elif stored.pop(name, None) is not None:
            difference.lost_values.append(name)
    return stored if stored.keys() == values.keys() else None


def _add_writes(
    batch: Batch, calls: Sequence[Call], put: PutCall, parent: State, sealing: Sealing
) -> bool:
    """Add what tasks wrote; say whether it was all next to the parent, and without parts."""
    home, said = batch.line.number, []
    for call in calls:
        if (
            type(call) is not WritesCall
            or call.checkpoint_id != parent.id
            or call.ns != put.ns
            or call.thread_id != put.thread_id
        ):
            return False
        written = []
        for index, channel, typed in call.writes:
            entry = _inline(typed, home)
            if entry is None:
                return False
            written.append((index, channel, entry))
        said.append((call.task_id, call.path, written))
    batch.counter += 1
    body = sealing.seal(packb(said))
    batch.writes.append(WritesRow(home, parent.number, batch.counter, home, body))
    return True


def _inline(typed: Typed, home: int) -> object | None:
    kind, data = typed
    return encode_value(Stored(kind, [bytes(data)]), home) if len(data) <= INLINE else None
