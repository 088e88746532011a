"""Storing checkpoints and writes: what is asked of a storage, and who may go on with a thread.

The generators yield requests and are sent the answers, so sync and async journals share them. Who
sends them sees to it that no two of them work on one line at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from millstream._base.bounded import BoundedDict
from millstream.core.checkpoints import UNKNOWN
from millstream.errors import FencedError, ThreadBusyError
from millstream.journal.calls import Handover
from millstream.journal.drafts import INLINE, Call, Draft, PutCall, WritesCall
from millstream.journal.following import follow
from millstream.journal.heads import Heads, Readers
from millstream.journal.known import KnownLine, KnownLines, text_of
from millstream.journal.reading import Read, Requests, last_state, read_parts, remember
from millstream.journal.rows import (
    Batch,
    CheckpointRow,
    Commit,
    FindCheckpoint,
    FindNumber,
    FindOwner,
    FindStubs,
    Found,
    LineRow,
    ReadWrites,
    Reserve,
)
from millstream.journal.sealing import Sealing
from millstream.journal.states import MSGPACK, State, Stored, names_of

_TRIES: Final = 200
"""How often it is tried again when others write to the same line all the time."""
_LINES_AT_ONCE: Final = 64


class _Given(BoundedDict[str, bool]):
    """Whether checkpoints were asked for by their id, or given as the newest, by id."""

    size = 32


class _GivenByLine(BoundedDict[tuple[str, str], _Given]):
    """For the threads and namespaces that were read last."""

    size = 1024


@dataclass(slots=True)
class Memory:
    """What a journal keeps in mind between calls."""

    lines: KnownLines = field(default_factory=KnownLines)
    reserved: range = range(0)
    """Numbers of lines that this process may use."""
    given: _GivenByLine = field(default_factory=_GivenByLine)
    readers: Readers = field(default_factory=Readers)

    def note_given(self, thread_id: str, ns: str, id: str | None, *, is_named: bool) -> None:
        """Note how a checkpoint was asked for, to tell a branch from a race later."""
        self.readers.note(thread_id, ns, id, is_named=is_named)
        if id is None:
            return
        key = (thread_id, ns)
        given = self.given.get(key)
        if given is None:
            given = self.given[key] = _Given()
        if is_named or id not in given:
            given[id] = is_named

    def is_on_purpose(self, call: PutCall, heads: Heads) -> bool:
        """Say whether a checkpoint that does not follow the newest one is a branch."""
        # So is a copy of a checkpoint: it stands beside it, on what is before both.
        if call.metadata.get("source") == "fork":
            return True
        head = self.readers.head(heads, call.thread_id, call.ns, call.parent)
        if head is not None:
            return head.is_named
        # Whoever stores has read it in another context, or not at all.
        given = self.given.get((call.thread_id, call.ns))
        return call.parent is None or given is None or given.get(call.parent, True)


def store(memory: Memory, handover: Handover) -> Requests[None]:
    """Store calls in one transaction; yields a `Commit`, which may be sent with those of others."""
    for _ in range(_TRIES):
        lines, batches = _follow(memory, handover)
        if not batches:
            drafts: dict[tuple[str, str], Draft] = {}
            # Where this raises, numbers were given out for what will not be stored, and that is
            # all.
            try:
                for calls in _by_target(handover.calls):
                    yield from _draft(memory, handover, calls, drafts)
            except ThreadBusyError:
                # Whoever has taken its run over is the one who went on with the thread.
                yield from _require_owner(handover)
                raise
            batches = [draft.finish() for draft in drafts.values()]
            lines = {key: draft.known for key, draft in drafts.items()}
            for draft in drafts.values():
                if draft.texts:
                    added = sum([len(text.data) for text in draft.texts.values()])
                    memory.lines.note_use(draft.known, added)
        try:
            written = yield Commit(batches)
        except BaseException:
            _forget(memory, lines)
            raise
        if all(written):
            _advance(memory, handover)
            return
        _forget(memory, lines)
        yield from _require_owner(handover)
    call = handover.calls[0]
    raise ThreadBusyError(call.thread_id, call.ns, None, None)


def _require_owner(handover: Handover) -> Requests[None]:
    """Raise an error if whoever stores has been replaced."""
    owner = handover.owner
    if owner is not None and not (yield FindOwner(owner)):
        call = handover.calls[0]
        raise FencedError(call.thread_id, call.ns)


def _follow(
    memory: Memory, handover: Handover
) -> tuple[Mapping[tuple[str, str], KnownLine], list[Batch]]:
    """Return a line and what is written to it, if that is the usual step."""
    call = handover.calls[-1] if handover.calls else None
    key = ("", "") if call is None else (call.thread_id, call.ns)
    known = memory.lines.get(key)
    if call is None or known is None or not handover.is_next(call.ns, known.newest):
        return {}, []
    batch = follow(known, handover)
    return ({}, []) if batch is None else ({key: known}, [batch])


def _advance(memory: Memory, handover: Handover) -> None:
    """Let whoever has stored checkpoints go on from those."""
    if not handover.heads:
        return
    for call in handover.calls:
        if isinstance(call, PutCall):
            head = memory.readers.head(handover.heads, call.thread_id, call.ns, call.parent)
            if head is not None:
                head.advance(call.id)


def _forget(memory: Memory, lines: Mapping[tuple[str, str], KnownLine]) -> None:
    for key, known in lines.items():
        # Unless somebody who was refused too has read it again already.
        if memory.lines.get(key) is known:
            del memory.lines[key]


def _by_target(calls: Sequence[Call]) -> list[list[Call]]:
    """Return calls in their order, writes next to the same checkpoint together."""
    groups: list[list[Call]] = []
    for call in calls:
        last = groups[-1][-1] if groups else None
        if (
            isinstance(call, WritesCall)
            and isinstance(last, WritesCall)
            and (last.thread_id, last.ns, last.checkpoint_id)
            == (call.thread_id, call.ns, call.checkpoint_id)
        ):
            groups[-1].append(call)
        else:
            groups.append([call])
    return groups


def _draft(
    memory: Memory,
    handover: Handover,
    calls: list[Call],
    drafts: dict[tuple[str, str], Draft],
) -> Requests[None]:
    call = calls[0]
    key = (call.thread_id, call.ns)
    draft = drafts.get(key)
    if draft is None:
        known = memory.lines.get(key)
        if known is None or _is_refused(memory, handover, call, known.newest):
            # Who reads while somebody writes may leave behind what was true before: nobody is
            # refused for what only this process says.
            known = yield from _load(memory, handover.sealing, *key)
        if not handover.is_next(call.ns, known.newest):
            raise ThreadBusyError(*key, handover.expects[1], known.newest)
        if known.stubs is None:
            yield from _read_stubs(known)
        draft = drafts[key] = Draft.of(known, handover.sealing, handover.at, handover.owner)
    if isinstance(call, PutCall):
        yield from _draft_checkpoint(memory, handover, call, draft)
        return
    state = draft.state(call.checkpoint_id)
    number = state.number if state else (yield from _number_of(draft, call.checkpoint_id))
    if number is None:
        number = draft.add_stub(call.checkpoint_id)
    draft.add_writes(calls, number)  # type: ignore[arg-type]  # all of one kind


def _is_refused(memory: Memory, handover: Handover, call: Call, newest: str | None) -> bool:
    """Say whether somebody else has gone on with a thread whose newest checkpoint this is."""
    if handover.expects is not UNKNOWN:
        return not handover.is_next(call.ns, newest)
    if handover.may_fork or not isinstance(call, PutCall):
        return False
    is_next = newest in (None, call.parent, call.id)
    return not (is_next or memory.is_on_purpose(call, handover.heads))


def _draft_checkpoint(
    memory: Memory, handover: Handover, call: PutCall, draft: Draft
) -> Requests[None]:
    newest = draft.newest
    if _is_refused(memory, handover, call, newest):
        raise ThreadBusyError(call.thread_id, call.ns, call.parent, newest)
    parent = draft.state(call.parent)
    if parent is None and call.parent is not None and newest is not None:
        found = yield FindCheckpoint(call.thread_id, call.ns, call.parent)
        if found is not None and found.rows:
            parent = last_state(found, handover.sealing)
            draft.states[parent.id] = parent
    if parent is not None and any(len(data) > INLINE for _, data in call.typed.values()):
        yield from _read_texts(draft, call, parent)
    former: CheckpointRow | None = None
    if draft.stubs or (newest is not None and call.id <= newest):
        former = yield from _former(draft, call.id)
    draft.add_checkpoint(call, former)
    if former is not None and former.body is not None:
        rows = yield ReadWrites(draft.batch.line.number, [former.number])
        draft.move_writes(rows, draft.last)


def _former(draft: Draft, id: str) -> Requests[CheckpointRow | None]:
    """Return the row that has the id of a checkpoint before that is stored."""
    if draft.forget_checkpoint(id):
        return None
    line = draft.batch.line.number
    if id in draft.stubs:
        return CheckpointRow(line, draft.stubs[id], id, 0, line, None)
    if draft.newest is None or id > draft.newest:
        return None
    found: CheckpointRow | None = yield FindNumber(line, id)
    return found


def _read_stubs(known: KnownLine) -> Requests[None]:
    """Find out which checkpoints have writes and are not there yet.

    LangGraph stores both at once, and so in any order.
    """
    known.stubs = {} if known.is_new else (yield FindStubs(known.row.number))


def _read_texts(draft: Draft, call: PutCall, parent: State) -> Requests[None]:
    """Read the values that are going to be replaced, to see what is new of those that come."""
    missing: dict[str, Stored] = {}
    for name in call.typed:
        old = parent.values.get(name)
        if old is None or name in draft.texts or len(call.typed[name][1]) <= INLINE:
            continue
        if old.kind != MSGPACK:
            continue  # one piece, and nothing to compare
        text = draft.known.texts.get(name)
        if text is not None and text.stored is old:
            continue
        if text is not None and text.stored.items == old.items:
            draft.texts[name] = replace(text, stored=old)
        elif any(type(item) is int for item in old.items):
            missing[name] = old
    if missing:
        parts = yield from read_parts(names_of(missing.values()), draft.sealing)
        for name, old in missing.items():
            draft.texts[name] = text_of(old, parts)


def _number_of(draft: Draft, id: str) -> Requests[int | None]:
    """Return the number of the row of a checkpoint whose state is not known, None if none."""
    if id in draft.stubs:
        # Perhaps it is not stored yet: the commit that does so may be the one of this draft too.
        return draft.stubs[id]
    for row in draft.batch.checkpoints:
        if row.id == id:
            return row.number
    if draft.batch.is_new:
        return None
    row = yield FindNumber(draft.batch.line.number, id)
    return None if row is None else row.number


def _load(memory: Memory, sealing: Sealing, thread_id: str, ns: str) -> Requests[KnownLine]:
    """Find a line, or take a number for a new one."""
    found: Found | None = yield FindCheckpoint(thread_id, ns)
    if found is not None:
        known = note_line(memory, found)
        if found.rows:
            state = last_state(found, sealing)
            known.states.setdefault(state.id, state)
        return known
    if not memory.reserved:
        first = yield Reserve(_LINES_AT_ONCE)
        memory.reserved = range(first, first + _LINES_AT_ONCE)
    number, memory.reserved = memory.reserved[0], memory.reserved[1:]
    known = KnownLine(LineRow(number, thread_id, ns, 0), None, is_new=True)
    memory.lines[thread_id, ns] = known
    return known


def note_read(memory: Memory, read: Read) -> None:
    """Keep in mind what was read, so that what follows can be compared with it."""
    known = note_line(memory, read.found)
    remember(known, read)
    memory.lines.note_use(known, sum([len(text.data) for text in read.texts.values()]))


def note_line(memory: Memory, found: Found) -> KnownLine:
    """Keep in mind a line that was read, unless more is known of it."""
    line = found.line
    known = memory.lines.get((line.thread_id, line.ns))
    if known is None or known.row.number != line.number or known.row.counter < line.counter:
        made_again = {} if known is None else known.again
        known = KnownLine(line, found.newest, last=found.last, again=made_again)
        memory.lines[line.thread_id, line.ns] = known
    return known
