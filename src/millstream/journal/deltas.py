"""The writes from which values of delta channels are rebuilt."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

from millstream.journal.reading import (
    Requests,
    Written,
    decode_writes,
    joined,
    read_parts,
    read_states,
    sorted_writes,
)
from millstream.journal.rows import FindCheckpoint, Found, PageRows, ReadWrites, Request
from millstream.journal.sealing import Sealing
from millstream.journal.states import State, Stored, names_of

if TYPE_CHECKING:
    from langgraph.checkpoint.base import DeltaChannelHistory

_PAGE: Final = 64
"""Ancestors that are read at once."""


class Ancestors:
    """Walks from a checkpoint to its parents; most of them are next to each other."""

    def __init__(self, line: int, sealing: Sealing) -> None:
        self._line = line
        self._sealing = sealing
        self._known: dict[str, State] = {}
        self._lowest: str | None = None

    def add(self, states: Sequence[State]) -> None:
        """Know states that have been read."""
        for state in states:
            self._known[state.id] = state

    def find(self, id: str | None) -> Generator[Request, Any, State | None]:
        """Return a state, None if there is none of that id."""
        if id is None:
            return None
        before = f"{id}\0"  # the smallest text that is greater
        while id not in self._known:
            if self._lowest is not None and id < self._lowest:
                before = self._lowest
            rows = yield PageRows(self._line, before, _PAGE)
            if not rows or rows[0].id < id:
                return None
            states = yield from read_states(self._line, rows, self._sealing)
            self.add(list(states.values()))
            if rows[-1].id <= id and id not in self._known:
                return None
            before = self._lowest = rows[-1].id
        return self._known[id]


def read_history(
    target: tuple[str, str, str | None], channels: Sequence[str], sealing: Sealing
) -> Requests[dict[str, DeltaChannelHistory]]:
    """Return by channel the value that is stored nearest to a checkpoint, and what came after."""
    history: dict[str, DeltaChannelHistory] = {name: {"writes": []} for name in channels}
    found: Found | None = None
    if channels:
        found = yield FindCheckpoint(*target)
    if found is None or not found.rows:
        return history
    line = found.line.number
    ancestors = Ancestors(line, sealing)
    last = found.rows[-1]
    states = yield from read_states(line, [last], sealing)
    state: State | None = states[last.number]
    open = set(channels)
    seeds: dict[str, Stored] = {}
    path: list[tuple[State, frozenset[str]]] = []
    while state is not None and open:
        state = yield from ancestors.find(state.parent)
        if state is not None:
            path.append((state, frozenset(open)))
            for name in open & state.values.keys():
                seeds[name] = state.values[name]
                open.remove(name)
    written = yield from _read_written(line, path, sealing)
    keys = names_of([*seeds.values(), *(each.stored for _, each in written)])
    parts = yield from read_parts(keys, sealing)
    load = sealing.serde.loads_typed
    for name, stored in seeds.items():
        history[name]["seed"] = load((stored.kind, joined(stored, parts)))
    for task_id, each in written:
        value = load((each.stored.kind, joined(each.stored, parts)))
        history[each.channel]["writes"].append((task_id, each.channel, value))
    return history


def _read_written(
    line: int, path: Sequence[tuple[State, frozenset[str]]], sealing: Sealing
) -> Requests[list[tuple[str, Written]]]:
    """Return what was written to channels on a path, the oldest first."""
    if not path:
        return []
    rows = yield ReadWrites(line, [state.number for state, _ in path])
    decoded = decode_writes(rows, sealing)
    found: list[tuple[str, Written]] = []
    for state, names in reversed(path):
        for (task_id, _), each in sorted_writes(decoded.get(state.number, {})):
            if each.channel in names:
                found.append((task_id, each))
    return found
