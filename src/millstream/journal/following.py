"""Usual supersteps: each a checkpoint on top of the newest one, next to which its tasks wrote.

Whoever says what is new in one, see `PutCall.seers`, has nothing compared, and as long as nothing
of it has parts of its own there is nothing to ask of the storage. So its rows are made in one go.
They are those that a `Draft` makes of the same calls, which is left all that is not usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ormsgpack import packb

from millstream.journal.drafts import INLINE, OWN, Call, PutCall, WritesCall
from millstream.journal.known import KnownLine
from millstream.journal.metadata import labels_of, packed_metadata
from millstream.journal.rows import Batch, CheckpointRow, LineRow, WritesRow
from millstream.journal.sealing import Sealing
from millstream.journal.states import Difference, State, Stored, encode_state, encode_value


def follow(known: KnownLine, calls: Sequence[Call], sealing: Sealing, at: int) -> Batch | None:
    """Return what is written to a line, and let it be known; None if these are no usual steps."""
    line, newest = known.row, known.states.get(known.newest or "")
    if newest is None or newest.number != known.last or known.is_new or known.stubs != {}:
        return None
    batch = Batch(line, False, line.counter, at, known.newest, known.last)
    states = [newest]
    writes: list[WritesCall] = []
    for call in calls:
        if call.ns != line.ns or call.thread_id != line.thread_id:
            return None
        if type(call) is WritesCall:
            writes.append(call)
            continue
        if writes and not _add_writes(batch, writes, states[-1], sealing):
            return None
        writes = []
        state = _add_checkpoint(batch, call, states[-1], known, sealing)  # type: ignore[arg-type]
        if state is None:
            return None
        states.append(state)
    if writes and not _add_writes(batch, writes, states[-1], sealing):
        return None
    for state in states[1:]:
        known.states[state.id] = state
    known.labels.update(batch.labels)
    known.newest, known.last = states[-1].id, states[-1].number
    known.row = LineRow(line.number, line.thread_id, line.ns, batch.counter)
    return batch


def _add_checkpoint(
    batch: Batch, put: PutCall, parent: State, known: KnownLine, sealing: Sealing
) -> State | None:
    """Add a checkpoint and return its state; None if it is not the usual one after its parent."""
    checkpoint = put.checkpoint
    if (
        put.seers is None
        or put.parent != parent.id
        or put.id <= parent.id
        or checkpoint.keys() != OWN
    ):
        return None
    difference = Difference(put.new_versions, put.seers)
    values = _values(put, parent, difference)
    metadata, odd = packed_metadata(put.metadata)
    if values is None or odd:
        return None
    base = None if parent.must_end else parent
    home = batch.line.number
    batch.counter += 1
    state = State(
        batch.counter,
        put.id,
        parent.id,
        batch.counter if base is None else base.root,
        v=checkpoint["v"],
        ts=checkpoint["ts"],
        updated=checkpoint["updated_channels"],
        versions=checkpoint["channel_versions"],
        seen=checkpoint["versions_seen"],
        values=values,
        metadata=metadata,
    )
    body = sealing.seal_row(encode_state(state, home, base, difference))
    state.note_size(len(body), base)
    row = CheckpointRow(home, state.number, state.id, state.root, home, body)
    batch.checkpoints.append(row)
    if sealing.cipher is None:
        for label in labels_of(metadata, put.metadata, parent.metadata):
            if label not in known.labels:
                batch.labels.append(label)
    return state


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


def _add_writes(batch: Batch, calls: Sequence[WritesCall], parent: State, sealing: Sealing) -> bool:
    """Add what tasks wrote; say whether it was all next to the parent, and without parts."""
    home, said = batch.line.number, []
    for call in calls:
        if call.checkpoint_id != parent.id:
            return False
        written = []
        for index, channel, (kind, data) in call.writes:
            if len(data) > INLINE:
                return False
            written.append((index, channel, encode_value(Stored(kind, [bytes(data)]), home)))
        said.append((call.task_id, call.path, written))
    batch.counter += 1
    body = sealing.seal(packb(said))
    batch.writes.append(WritesRow(home, parent.number, batch.counter, home, body))
    return True
