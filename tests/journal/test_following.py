"""A usual superstep is stored in one go, in the rows that it would have been given otherwise."""

from __future__ import annotations

import copy
import operator
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from faketime import FakeClock
from journal.states import States
from millstream._base.clock import given
from millstream.graph import START, StateGraph
from millstream.journal import MemoryJournal, writing
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


def rows(journal: MemoryJournal) -> Any:
    """Return all that is stored."""
    storage: Any = journal._storage
    return storage._lines, storage._parts


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_make_the_same_rows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Watched()
    config: Any = {"configurable": {"thread_id": "thread"}, "recursion_limit": 1000}
    graph = built(seed, made)
    for turn in range(2):
        input: Any = {"turn": turn * 40}
        told = {**config, "metadata": {"turn": turn}}
        while "__interrupt__" in graph.invoke(input, told, durability="sync"):
            input = Command(resume="yes")
    ways: list[Any] = []
    followed: list[bool] = []
    plain = writing.follow

    def counted(*arguments: Any) -> Any:
        batch = plain(*arguments)
        followed.append(batch is not None)
        return batch

    for way in (counted, lambda *arguments: None):
        monkeypatch.setattr(writing, "follow", way)
        with given(FakeClock()):
            journal = MemoryJournal()
            for calls, expects, by in made.handed:
                is_direct = way is counted
                journal.put_together(calls, expects=expects, by=by if is_direct else None)
        ways.append(rows(journal))

    assert ways[0] == ways[1]
    assert followed.count(True) > 20
    assert followed.count(False) > 5
