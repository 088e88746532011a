"""Whether all is as it must be: functions that compare, and say what is wrong in sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from chaos import streams
from chaos.ledger import Entry
from chaos.records import Told, Turn


class Calm:
    """A conversation that nothing has disturbed."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.graphs = [streams.canonical(turn.seen) for turn in told.turns]
        self.live = [streams.live(turn.seen) for turn in told.turns]
        self.statuses = [turn.status for turn in told.turns]
        self.state = streams.plain(told.state)


def of_conversation(told: Told, calm: Calm) -> Iterator[str]:
    """Yield what is wrong with a conversation, beside the same one undisturbed."""
    if told.state is None:
        yield f"it has not ended; it has come to its run {len(told.turns)}"
        return
    statuses = [turn.status for turn in told.turns]
    if statuses != calm.statuses:
        yield f"its runs have ended with {statuses}, not {calm.statuses}"
        return
    for number, turn in enumerate(told.turns):
        for fault in _of_turn(turn, calm, number):
            yield f"run {turn.run_id}: {fault}"
    state = streams.plain(told.state)
    if state != calm.state:
        yield f"the thread has come to {state[:500]}, not {calm.state[:500]}"


def _of_turn(turn: Turn, calm: Calm, number: int) -> Iterator[str]:
    yield from streams.disorders(turn.seen)
    attempts = streams.attempts(turn.seen)
    # One that has died before it had said anything is not told of.
    if not attempts or attempts != sorted(set(attempts)):
        yield f"its attempts are told as {attempts}"
    graphs, expected = streams.canonical(turn.seen), calm.graphs[number]
    for name in sorted({*graphs, *expected}):
        wrong = streams.first_difference(expected.get(name, []), graphs.get(name, []))
        if wrong:
            yield f"of graph {name or 'at the root'!r} {wrong}"
    yield from _of_live(streams.live(turn.seen), calm.live[number], max(1, len(attempts)))


def _of_live(said: Counter[str], expected: Counter[str], attempts: int) -> Iterator[str]:
    for text in sorted({*said, *expected}):
        if said[text] < expected[text]:
            yield f"{text[:200]} was said {said[text]} times, not {expected[text]}"
        if said[text] > expected[text] * attempts:
            yield (
                f"{text[:200]} was said {said[text]} times in {attempts} attempts, undisturbed "
                f"{expected[text]} times"
            )


def of_stored(told: Told, stored: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what a client has seen otherwise than it is stored, by the ids of events."""
    for turn in told.turns:
        seen = [event.id for event in turn.seen if event.id is not None]
        kept = list(stored.get(turn.run_id, ()))
        if seen != kept:
            missing = [id for id in kept if id not in set(seen)]
            more = [id for id in seen if id not in set(kept)]
            yield (
                f"run {turn.run_id}: of {len(kept)} stored events the client has not seen "
                f"{missing[:5]} ({len(missing)}), and has seen others: {more[:5]} ({len(more)})"
            )


def holes(ids: Sequence[str]) -> int:
    """Return how many numbers are left out between the stored events of a run.

    What a replica has said that lost the run before it could store it is nowhere, nobody has seen
    it, and its number is not used again where the replica itself goes on with the run.
    """
    places = [streams.parsed(id)[1] for id in ids]
    return places[-1] - len(places) if places else 0


def of_history(told: Told, history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how the stored states of a thread, the newest first, differ from what was told.

    They are one line, and the checkpoints that the client was told of are these.
    """
    for state, before in pairwise(history):
        parent = (state["parent_checkpoint"] or {}).get("checkpoint_id")
        if parent != before["checkpoint"]["checkpoint_id"]:
            yield f"checkpoint {state['checkpoint']['checkpoint_id']} has another one before it"
    stored = [state["checkpoint"]["checkpoint_id"] for state in reversed(history)]
    seen = dict.fromkeys(
        event.data["config"]["configurable"]["checkpoint_id"]
        for turn in told.turns
        for event in turn.seen
        if event.event == "checkpoints"
    )
    if list(seen) != stored:
        yield f"the client was told of {len(seen)} checkpoints, and {len(stored)} are stored"


def of_ledger(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield what was done more often than it may be, of runs with the durability `sync`.

    An attempt does each task of a superstep once, and one superstep after the other. The next
    attempt may repeat the superstep that was going on, never one before it: that was finished,
    because the next one had begun. So an attempt that was taken over begins no superstep, either.
    """
    reached: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(dict)
    done: Counter[tuple[Any, ...]] = Counter()
    for entry in entries:
        steps = reached[entry.run_id, entry.namespace].setdefault(entry.attempt, [])
        if steps and entry.step < steps[-1]:
            yield f"{_called(entry)} comes after superstep {steps[-1]} of the same attempt"
        steps.append(entry.step)
        done[(*entry.superstep, entry.task, entry.node, entry.attempt)] += 1
    for (run_id, _, step, task, node, attempt), count in done.items():
        if count > 1:
            yield (
                f"run {run_id}, superstep {step}: attempt {attempt} has done {node} {count} times "
                f"in task {task}"
            )
    for (run_id, namespace), by_attempt in reached.items():
        last, before = -(10**9), 0
        for attempt, steps in sorted(by_attempt.items()):
            if min(steps) < last:
                yield (
                    f"run {run_id}, graph {namespace or 'at the root'!r}: attempt {attempt} has "
                    f"done superstep {min(steps)} again, attempt {before} had begun {last}"
                )
            if max(steps) > last:
                last, before = max(steps), attempt


def _called(entry: Entry) -> str:
    return f"run {entry.run_id}, superstep {entry.step}, attempt {entry.attempt}: {entry.node}"


def repeated(entries: Iterable[Entry]) -> int:
    """Return how many tasks of supersteps in progress were done again."""
    done = Counter((*entry.superstep, entry.task, entry.node) for entry in entries)
    return sum(count - 1 for count in done.values())


class Census(NamedTuple):
    """What a replica holds while nothing goes on."""

    replica: str
    tasks: Mapping[str, int]
    threads: Mapping[str, int]
    files: int
    connections: int
    """To the database."""


def of_census(before: Sequence[Census], after: Sequence[Census], slack: int) -> Iterator[str]:
    """Yield what replicas hold more of than they did when they were new."""
    for kind in ("tasks", "threads", "files", "connections"):
        most = max(_count(census, kind) for census in before)
        for census in after:
            count = _count(census, kind)
            if count > most + slack:
                yield (
                    f"{census.replica} holds {count} {kind}, at the beginning {most} at most: "
                    f"{getattr(census, kind)}"
                )


def _count(census: Census, kind: str) -> int:
    found = getattr(census, kind)
    return found if isinstance(found, int) else sum(found.values())
