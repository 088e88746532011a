"""Graphs that nodes call are found by the names under which the nodes see them."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream._base.runnable import RunnableCallable
from millstream.graph import START, StateGraph
from millstream.types import interrupt

pytestmark = pytest.mark.timeout(20)


class State(TypedDict):
    x: int


def ask(state: State) -> Any:
    return {"x": interrupt("how much?")}


CHILD = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
ONE: Any = types.SimpleNamespace(graph=CHILD, deep=types.SimpleNamespace(graph=CHILD))
MODULE: Any = types.ModuleType("module_of_graphs")
MODULE.graph = CHILD


class Slotted:
    __slots__ = ("empty", "graph")

    def __init__(self) -> None:
        self.graph = CHILD


class Team:
    shared = CHILD

    def __init__(self) -> None:
        self.graph = CHILD

    def node(self, state: State) -> Any:
        return self.graph.invoke(state)

    def __call__(self, state: State) -> Any:
        return self.graph.invoke(state)


SLOTTED = Slotted()


def attribute(state: State) -> Any:
    return ONE.graph.invoke(state)


def deep_attribute(state: State) -> Any:
    return ONE.deep.graph.invoke(state)


def module_attribute(state: State) -> Any:
    return MODULE.graph.invoke(state)


def slot(state: State) -> Any:
    return SLOTTED.graph.invoke(state)


def class_attribute(state: State) -> Any:
    return Team.shared.invoke(state)


def inner_function(state: State) -> Any:
    def run() -> Any:
        return ONE.graph.invoke(state)

    return run()


def default(state: State, graph: Any = CHILD) -> Any:
    return graph.invoke(state)


def handed_on(state: State, graph: Any = CHILD) -> Any:
    return given(graph, state)


def in_a_loop(state: State, graph: Any = CHILD) -> Any:
    return [graph.invoke(state) for _ in "1"].pop()


def keyword_default(state: State, *, team: Any = ONE) -> Any:
    return team.graph.invoke(state)


def given(graph: Any, state: State) -> Any:
    return graph.invoke(state)


def enclosing() -> Any:
    team = Team()

    def node(state: State) -> Any:
        return team.graph.invoke(state)

    return node


NODES: list[Any] = [
    attribute,
    deep_attribute,
    module_attribute,
    slot,
    class_attribute,
    inner_function,
    default,
    handed_on,
    in_a_loop,
    keyword_default,
    functools.partial(attribute),
    functools.partial(given, CHILD),
    functools.partial(default, graph=CHILD),
    enclosing(),
    Team().node,
    Team(),
    RunnableLambda(attribute),
]


def graph_of(node: Any, **options: Any) -> Any:
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile(**options)


@pytest.mark.parametrize("node", NODES)
def test_a_graph_is_found_by_the_name_it_is_called_by(
    driver: Any, node: Callable[..., Any]
) -> None:
    graph = graph_of(node, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    driver.invoke(graph, {"x": 1}, config)

    assert list(graph.get_subgraphs()) == [("node", CHILD)]
    (task,) = graph.get_state(config, subgraphs=True).tasks
    assert task.state.values == {"x": 1}
    assert task.state.next == ("ask",)


class Guarded:
    """Looks at nothing, and would not stand being looked at."""

    graph_of_another = CHILD

    @property
    def graph(self) -> Any:
        raise AssertionError("nobody asked for it")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("nobody asked for it")


GUARDED = Guarded()


def asks_a_property(state: State) -> Any:
    return GUARDED.graph.invoke(state)


def mentions_both(state: State) -> Any:
    """Use a `graph`, and `ONE`, but not the graph of `ONE`."""
    return MODULE.__name__, ONE.deep, GUARDED.graph


def has_an_attribute_named_like_a_graph(state: State) -> Any:
    """Use an attribute `CHILD`, and not the graph of that name."""
    return GUARDED.CHILD, [item.CHILD for item in state]


def has_a_variable_named_like_an_object(ONE: Any) -> Any:
    """Use the graph of what it is given, whatever else is called so."""
    return ONE.graph, GUARDED.ONE


LOOKING_ELSEWHERE: list[Any] = [
    asks_a_property,
    mentions_both,
    has_an_attribute_named_like_a_graph,
    has_a_variable_named_like_an_object,
]


@pytest.mark.parametrize("node", LOOKING_ELSEWHERE)
def test_looking_for_graphs_runs_no_code_and_guesses_nothing(node: Any) -> None:
    assert list(graph_of(node).get_subgraphs()) == []


class Itself(RunnableCallable):
    """A runnable whose function is a method of its own."""

    def __init__(self) -> None:
        super().__init__(self.run)

    def run(self, state: State) -> Any:
        return self.invoke if state is None else {"x": len(str(self))}


def test_a_runnable_that_calls_itself_is_looked_at_once() -> None:
    assert list(graph_of(Itself()).get_subgraphs()) == []


class Slotted:
    """A class whose attribute is there for its instances alone."""

    __slots__ = ("graph",)

    def invoke(self) -> None:
        """Be looked at as a method."""


class Proxy:
    """An object that stands for another one, which is not there yet."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]  # what such libraries do
        """Ask for what is behind it."""
        raise RuntimeError("working outside of its context")


PROXY, EMPTY = Proxy(), Slotted()


def mentions_what_cannot_be_looked_into(state: State) -> Any:
    """Use attributes of a class, of an object without them, and of a proxy."""
    return Slotted.graph, EMPTY.graph, PROXY, [item.graph for item in state]


def test_what_cannot_be_looked_into_is_no_graph() -> None:
    assert list(graph_of(mentions_what_cannot_be_looked_into).get_subgraphs()) == []
