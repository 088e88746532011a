"""A usual superstep is stored in one go, in the rows that it would have been given otherwise."""

from __future__ import annotations

import copy
import operator
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from journal.states import States
from millstream._base.clock import given
from millstream.graph import START, StateGraph
from millstream.journal import MemoryJournal, SqliteJournal, saver, writing
from millstream.testing.clock import FakeClock
from millstream.types import Command, Send, interrupt


class State(TypedDict, total=False):
    turn: int
    one: Any
    other: Any
    many: Annotated[list[Any], operator.add]


class Watched(MemoryJournal):
    """Keeps what a run hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[tuple[Any, Any]] = []

    def put_together(self, calls: Any, *, expects: Any = None, by: Any = None) -> None:
        self.handed.append((*copy.deepcopy((calls, expects)), copy.copy(by)))
        super().put_together(calls, expects=expects, by=by)


def built(seed: int, journal: Any) -> Any:
    """Return a graph that writes random values: alone, in parallel, asking, and not at all."""
    states = States(seed)
    random = states.random

    def write(state: State) -> Any:
        names = random.sample(("one", "other", "many"), random.randrange(3))
        return {
            name: [states.leaf()]
            if name == "many"
            else states.value()
            if random.random() < 0.1
            else states.leaf()
            for name in names
        } | {"turn": state["turn"] + 1}

    def side(state: State) -> Any:
        return {"many": [states.leaf()]}

    def ask(state: State) -> Any:
        return {"one": interrupt("?")}

    def on(state: State) -> Any:
        if state["turn"] % 40 == 39:
            return []
        where = random.choices(("write", "ask", "both"), (8, 1, 1))[0]
        return [Send("side", state), "write"] if where == "both" else where

    builder = StateGraph(State).add_node(write).add_node(side).add_node(ask)
    builder.add_edge(START, "write").add_edge("ask", "write")
    builder.add_conditional_edges("write", on)
    return builder.compile(checkpointer=journal)


def rows(journal: Any) -> Any:
    """Return all that is stored."""
    storage: Any = journal._storage
    if isinstance(journal, MemoryJournal):
        return storage._lines, storage._parts
    connection = storage._writing(may_wait=True)
    tables = ("lines", "checkpoints", "writes", "parts", "labels")
    return {
        name: sorted(connection.execute(f"SELECT * FROM journal_{name}").fetchall(), key=repr)
        for name in tables
    }


def made(kind: str) -> Any:
    """Return a journal that has nothing."""
    return MemoryJournal() if kind == "memory" else SqliteJournal(":memory:")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("seed", range(3))
def test_all_ways_make_the_same_rows(seed: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A superstep by itself, what is stored together, and what is told in calls of a saver."""
    told = Watched()
    config: Any = {"configurable": {"thread_id": "thread"}, "recursion_limit": 1000}
    graph = built(seed, told)
    for turn in range(2):
        input: Any = {"turn": turn * 40}
        with_turn = {**config, "metadata": {"turn": turn}}
        while "__interrupt__" in graph.invoke(input, with_turn, durability="sync"):
            input = Command(resume="yes")
    ways: list[Any] = []
    taken: list[tuple[str, bool]] = []
    here, followed = saver.store_here, writing.follow

    def stored_here(*arguments: Any, **options: Any) -> bool:
        taken.append(("here", here(*arguments, **options)))
        return taken[-1][1]

    def stored_together(*arguments: Any) -> Any:
        batch = followed(*arguments)
        taken.append(("together", batch is not None))
        return batch

    def no(*arguments: Any, **options: Any) -> None:
        return None

    for way, other in ((stored_here, stored_together), (no, stored_together), (no, no)):
        monkeypatch.setattr(saver, "store_here", way)
        monkeypatch.setattr(writing, "follow", other)
        with given(FakeClock()):
            journal = made(kind)
            for calls, expects, by in told.handed:
                journal.put_together(calls, expects=expects, by=by if other is not no else None)
        ways.append(rows(journal))
        journal.close()

    assert ways[0] == ways[2]
    assert ways[1] == ways[2]
    for each in ("here", "together"):
        assert taken.count((each, True)) > 15
        assert taken.count((each, False)) > 5
