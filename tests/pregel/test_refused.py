"""What is refused before anything runs, with a text that names what is wrong."""

from __future__ import annotations

import asyncio
import importlib
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from typing_extensions import TypedDict

from millstream.checkpoint.memory import InMemorySaver
from millstream.errors import InvalidUpdateError
from millstream.func import task
from millstream.graph import END, START, StateGraph
from millstream.types import Command, StateUpdate, interrupt

BOTH = pytest.mark.parametrize("root", ["millstream", "langgraph"])
THREAD = {"configurable": {"thread_id": "1"}}


def raw(root: str, change: Callable[[Any, Any], dict[str, Any]]) -> Any:
    """Make a graph of one node by hand, with something changed."""
    pregel = importlib.import_module(f"{root}.pregel")
    value = importlib.import_module(f"{root}.channels").LastValue
    node = pregel.NodeBuilder().subscribe_only("a").do(lambda given: given).write_to("b").build()
    parts: dict[str, Any] = {
        "nodes": {"one": node},
        "channels": {"a": value(str), "b": value(str)},
        "input_channels": "a",
        "output_channels": "b",
    }
    return pregel.Pregel(**{**parts, **change(node, value)})


KNOWN = r"not in known channels: '\['__pregel_tasks', 'a', 'b'\]'"


@BOTH
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda node, value: {"channels": {"a": value(str), "__error__": value(str)}},
            "Channel name '__error__' is reserved",
        ),
        (
            lambda node, value: {"nodes": {"__interrupt__": node}},
            "Node name '__interrupt__' is reserved",
        ),
        (lambda node, value: {"channels": {"b": value(str)}}, "Node one reads channel 'a' not in"),
        (lambda node, value: {"input_channels": "c"}, f"Input channel 'c' {KNOWN}"),
        (
            lambda node, value: {"input_channels": "b"},
            "Input channel b is not subscribed to by any node",
        ),
        (
            lambda node, value: {"input_channels": ["b"]},
            r"None of the input channels \['b'\] are subscribed to by any node",
        ),
        (lambda node, value: {"output_channels": "c"}, f"Output channel 'c' {KNOWN}"),
        (lambda node, value: {"stream_channels": ["b", "c"]}, f"Output channel 'c' {KNOWN}"),
        (lambda node, value: {"interrupt_before_nodes": ["two"]}, "Node two not in nodes"),
        (lambda node, value: {"interrupt_after_nodes": ["two"]}, "Node two not in nodes"),
    ],
    ids=[
        "reserved channel",
        "reserved node",
        "read",
        "input",
        "unread input",
        "unread inputs",
        "output",
        "stream",
        "before",
        "after",
    ],
)
def test_a_graph_whose_parts_do_not_fit_is_refused_by_the_part(
    root: str, change: Any, text: str
) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        raw(root, change)


def called(driver: Any, graph: Any, method: str, *arguments: Any) -> Any:
    """Call a method of a graph, the async one with the async driver."""
    if driver.name == "sync":
        return getattr(graph, method)(*arguments)
    return asyncio.run(getattr(graph, f"a{method}")(*arguments))


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def saved() -> Any:
    """Compile two nodes with a saver."""
    builder = StateGraph(State)
    for name in ("a", "b"):
        builder.add_node(name, lambda state: {"log": ["ran"]})
    return builder.add_edge(START, "a").add_edge("a", "b").compile(checkpointer=InMemorySaver())


ONE = StateUpdate({"log": ["x"]}, "a")


@pytest.mark.parametrize(
    ("supersteps", "error", "text"),
    [
        ([], ValueError, "No supersteps provided"),
        ([[ONE], []], ValueError, "No updates provided"),
        (
            [[StateUpdate(None, END), ONE]],
            InvalidUpdateError,
            "Cannot apply multiple updates when clearing state",
        ),
        (
            [[StateUpdate({"log": []}, "__input__"), ONE]],
            InvalidUpdateError,
            "Cannot apply multiple updates when updating as input",
        ),
        (
            [[StateUpdate(None, "__copy__"), ONE]],
            InvalidUpdateError,
            "Cannot copy checkpoint with multiple updates",
        ),
        (
            [[StateUpdate({"log": []}), ONE]],
            InvalidUpdateError,
            "as_node is required when applying multiple updates",
        ),
        ([[StateUpdate({"log": []}, "c")]], InvalidUpdateError, "Node c does not exist"),
        (
            [[StateUpdate(None, "__copy__")]],
            InvalidUpdateError,
            "Cannot copy a non-existent checkpoint",
        ),
        (
            [[StateUpdate([{"log": []}], "__copy__")]],
            InvalidUpdateError,
            r"Invalid update item: \{'log': \[\]\} when copying checkpoint",
        ),
        (
            [[StateUpdate([({"log": []}, "c")], "__copy__")]],
            InvalidUpdateError,
            "Node c does not exist",
        ),
        (
            [[StateUpdate(None, "__input__")]],
            InvalidUpdateError,
            "Received no input writes for",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_update_that_can_never_be_right_is_refused_and_stores_nothing(
    driver: Any, supersteps: Any, error: type[Exception], text: str
) -> None:
    graph = saved()

    with pytest.raises(error, match=f"^{text}"):
        called(driver, graph, "bulk_update_state", THREAD, supersteps)

    assert list(graph.get_state_history(THREAD)) == []


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_recursion_limit_that_allows_nothing_is_refused(driver: Any, limit: Any) -> None:
    with pytest.raises(ValueError, match=r"^recursion_limit must be at least 1$"):
        driver.invoke(saved(), {"log": []}, {**THREAD, "recursion_limit": limit})


@pytest.mark.parametrize("keys", ["other", ["log", "other"]])
def test_an_output_key_that_is_no_channel_is_refused(driver: Any, keys: Any) -> None:
    with pytest.raises(ValueError, match=r"^Key other not in channels$"):
        driver.invoke(saved(), {"log": []}, THREAD, output_keys=keys)


def test_a_command_for_a_parent_is_refused_where_there_is_none(driver: Any) -> None:
    with pytest.raises(InvalidUpdateError, match=r"^There is no parent graph$"):
        driver.invoke(saved(), Command(goto="a", graph=Command.PARENT), THREAD)


def test_an_answer_is_refused_where_nothing_is_saved(driver: Any) -> None:
    graph = StateGraph(State).add_node("a", lambda state: {}).add_edge(START, "a").compile()

    with pytest.raises(RuntimeError, match=r"^Cannot use Command\(resume=\.\.\.\) without check"):
        driver.invoke(graph, Command(resume=1))


def test_an_update_of_a_graph_that_is_not_there_is_refused(driver: Any) -> None:
    inside = {"configurable": {"thread_id": "1", "checkpoint_ns": "nowhere"}}

    with pytest.raises(ValueError, match=r"^Subgraph nowhere not found$"):
        called(driver, saved(), "update_state", inside, {"log": ["x"]})

    # To look for it is no mistake.
    assert called(driver, saved(), "get_state", inside).values == {}


class Hearing(BaseCallbackHandler):
    def __init__(self) -> None:
        self.heard = 0

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.heard += 1


@pytest.mark.parametrize("is_bound_by_manager", [False, True])
@pytest.mark.parametrize("is_called_with_manager", [False, True])
def test_handlers_of_the_graph_and_of_the_call_hear_each_run_once(
    driver: Any, is_bound_by_manager: bool, is_called_with_manager: bool
) -> None:
    """However the two are given."""

    def given(handlers: list[Any], *, by_manager: bool) -> Any:
        return CallbackManager(handlers, list(handlers)) if by_manager else handlers

    bound, called, both = Hearing(), Hearing(), Hearing()
    graph = saved().with_config(callbacks=given([bound, both], by_manager=is_bound_by_manager))
    callbacks = given([called, both], by_manager=is_called_with_manager)

    driver.invoke(graph, {"log": []}, {**THREAD, "callbacks": callbacks})

    # The run, and its two nodes.
    assert [each.heard for each in (bound, called, both)] == [3, 3, 3]


class Count(TypedDict):
    n: int


def refused(path: Callable[[Any], Any], *, is_async: bool = False) -> Any:
    """Return what update_state raises where a path function is asked; nothing has changed."""
    builder = StateGraph(Count).add_node("a", lambda state: {"n": 1}).add_node("b", lambda s: s)
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda state: END if state["n"] == 1 else path(state))
    graph = builder.compile(InMemorySaver())
    graph.invoke({"n": 0}, THREAD)
    before = list(graph.get_state_history(THREAD))

    def update() -> Any:
        if is_async:
            return asyncio.run(graph.aupdate_state(THREAD, {"n": 2}, as_node="a"))
        return graph.update_state(THREAD, {"n": 2}, as_node="a")

    with pytest.raises((RuntimeError, InvalidUpdateError)) as raised:
        update()

    assert list(graph.get_state_history(THREAD)) == before
    return raised.value


def test_edges_that_an_update_asks_call_no_tasks(driver: Any) -> None:
    @task
    def choose(n: int) -> str:
        return "b"

    error = refused(lambda state: choose(state["n"]).result(), is_async=driver.name == "async")

    assert type(error) is RuntimeError
    assert str(error).startswith("Task 'choose' is called by a conditional edge of node 'a'")


@pytest.mark.parametrize("is_nested", [False, True])
def test_edges_that_an_update_asks_ask_nobody(driver: Any, is_nested: bool) -> None:
    asking = StateGraph(Count).add_node("ask", lambda state: {"n": interrupt("where?")})
    inner = asking.add_edge(START, "ask").compile()

    path = inner.invoke if is_nested else lambda state: interrupt("where?")
    error = refused(path, is_async=driver.name == "async")

    assert type(error) is InvalidUpdateError
    assert str(error).startswith("A conditional edge of node 'a' asks 'where?', and while the")


def test_a_question_of_an_update_is_none_of_the_node_that_makes_it(driver: Any) -> None:
    def update(state: Any) -> Any:
        error = refused(lambda _: interrupt("where?"))
        return {"n": 5 if isinstance(error, InvalidUpdateError) else 0}

    builder = StateGraph(Count).add_node("update", update).add_edge(START, "update")
    graph = builder.compile(InMemorySaver())

    assert driver.invoke(graph, {"n": 0}, THREAD) == {"n": 5}
