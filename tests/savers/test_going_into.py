"""Going on from a checkpoint inside a nested graph, on a branch of the thread."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from differential.kit import Log, wire
from millstream.channels import DeltaChannel
from savers.backends import SyncRuns, new_thread

DURABILITIES = pytest.mark.parametrize("durability", ["sync", "exit"])
KEPT = pytest.mark.parametrize("kept", [None, True], ids=["called", "kept"])


def extend(value: list[Any], writes: Sequence[Any]) -> list[Any]:
    """Return the list with all that was written, in order."""
    return [*value, *(item for write in writes for item in write)]


class Delta(TypedDict, total=False):
    """A list of which checkpoints hold only what is new."""

    x: int
    log: Annotated[list[Any], DeltaChannel(extend)]


def noting(ran: list[str], name: str) -> Callable[[Any], Any]:
    """Return a node that notes that it ran, and logs it."""

    def node(state: Any) -> Any:
        ran.append(name)
        return {"log": [name]}

    return node


def chain(runs: SyncRuns, schema: Any, ran: list[str], names: str, **nodes: Any) -> Any:
    """Return a builder of nodes that run one after the other."""
    made = {name: nodes.get(name) or noting(ran, name) for name in names.split()}
    return wire(runs.engine, schema, f"START {names} END", **made)


def inside(runs: SyncRuns, thread: Any, waiting: str, graph: Any, *, depth: int = 1) -> Any:
    """Return the checkpoint inside a nested graph at which a node waits, as the saver names it."""
    for saved in runs.stored(thread):
        ns = saved.config["configurable"]["checkpoint_ns"]
        if ns.count("|") + 1 == depth and ns:
            state = runs.get_state(graph, saved.config)
            if state.next == (waiting,):
                return state.config
    raise AssertionError(waiting)


def plain(config: Any) -> Any:
    """Return a config without the checkpoints of the enclosing graphs."""
    named = {k: v for k, v in config["configurable"].items() if k != "checkpoint_map"}
    return {"configurable": named}


@KEPT
@pytest.mark.parametrize("schema", [Log, Delta], ids=["plain", "delta"])
@pytest.mark.parametrize("shape", [dict, plain], ids=["mapped", "bare"])
def test_only_what_comes_after_it_runs_again(
    runs: SyncRuns, shape: Callable[[Any], Any], schema: Any, kept: bool | None
) -> None:
    ran: list[str] = []
    child = chain(runs, schema, ran, "i j k").compile(checkpointer=kept)
    graph = chain(runs, Log, ran, "a sub z", sub=child).compile(checkpointer=runs.saver)
    thread = new_thread()
    first = runs.invoke(graph, {"x": 1}, thread)
    before = runs.history(graph, thread)
    ran.clear()

    result = runs.invoke(graph, None, shape(inside(runs, thread, "k", graph)))

    assert ran == ["k", "z"]
    assert result == first
    assert runs.get_state(graph, thread).values == first
    # The thread got a branch; what it had before is as it was.
    assert runs.history(graph, thread)[-len(before) :] == before


@KEPT
@DURABILITIES
def test_a_branch_that_asks_can_be_answered(
    runs: SyncRuns, durability: str, kept: bool | None
) -> None:
    ran: list[str] = []

    def ask(state: Any) -> Any:
        ran.append("ask")
        return {"log": [runs.engine.types.interrupt("?")]}

    child = chain(runs, Delta, ran, "i ask k", ask=ask).compile(checkpointer=kept)
    graph = chain(runs, Log, ran, "a sub z", sub=child).compile(checkpointer=runs.saver)
    thread, answer = new_thread(), runs.engine.types.Command
    runs.invoke(graph, {"x": 1}, thread)
    asked = inside(runs, thread, "ask", graph)
    runs.invoke(graph, answer(resume="one"), thread)
    ran.clear()

    runs.invoke(graph, None, asked, durability=durability)
    state = runs.get_state(graph, thread, subgraphs=True)
    result = runs.invoke(graph, answer(resume="two"), thread, durability=durability)

    assert state.tasks[0].state.values["log"] == ["a", "i"]
    assert ran == ["ask", "ask", "k", "z"]
    assert result["log"] == ["a", "a", "i", "two", "k", "z"]


@KEPT
def test_an_update_inside_is_what_the_branch_goes_on_from(
    runs: SyncRuns, kept: bool | None
) -> None:
    ran: list[str] = []
    child = chain(runs, Log, ran, "i j k").compile(checkpointer=kept)
    graph = chain(runs, Log, ran, "a sub z", sub=child).compile(checkpointer=runs.saver)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    config = inside(runs, thread, "j", graph)
    ran.clear()

    changed = runs.update_state(graph, config, {"log": ["me"]}, as_node="j")
    result = runs.invoke(graph, None, changed)

    assert ran == ["k", "z"]
    assert result["log"] == ["a", "a", "i", "me", "k", "z"]


class Numbered(TypedDict, total=False):
    """A number that the enclosing graph does not have."""

    number: int
    log: Annotated[list[Any], operator.add]


@pytest.mark.parametrize("number", [1, 2])
def test_the_one_of_several_that_was_named_goes_on(runs: SyncRuns, number: int) -> None:
    """Graphs that Sends called at once: the other one runs from its start."""
    ran: list[str] = []

    def node(name: str) -> Callable[[Any], Any]:
        return lambda state: noting(ran, f"{name}{state['number']}")(state)

    child = chain(runs, Numbered, ran, "i j", i=node("i"), j=node("j")).compile()
    builder = wire(runs.engine, Log, "sub z END", sub=child, z=...)
    send = runs.engine.types.Send
    calls = [send("sub", {"number": n, "log": []}) for n in (1, 2)]
    builder.add_conditional_edges("__start__", lambda state: calls, ["sub"])
    graph, thread = builder.compile(checkpointer=runs.saver), new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    states = [
        runs.get_state(graph, saved.config)
        for saved in runs.stored(thread)
        if saved.config["configurable"]["checkpoint_ns"]
    ]
    (config,) = (s.config for s in states if s.next == ("j",) and s.values["number"] == number)
    ran.clear()

    result = runs.invoke(graph, None, config)

    other = 3 - number
    assert sorted(ran) == sorted([f"j{number}", f"i{other}", f"j{other}"])
    assert result["log"] == ["i1", "j1", "i2", "j2", "z"]


@KEPT
def test_two_levels_down(runs: SyncRuns, kept: bool | None) -> None:
    ran: list[str] = []
    inner = chain(runs, Log, ran, "i j").compile(checkpointer=kept)
    middle = chain(runs, Log, ran, "m inner n", inner=inner).compile(checkpointer=kept)
    graph = chain(runs, Log, ran, "a middle z", middle=middle).compile(checkpointer=runs.saver)
    thread = new_thread()
    first = runs.invoke(graph, {"x": 1}, thread)
    config = inside(runs, thread, "j", graph, depth=2)
    ran.clear()

    result = runs.invoke(graph, None, config)

    assert ran == ["j", "n", "z"]
    assert result == first
