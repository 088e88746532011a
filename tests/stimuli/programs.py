"""Small programs whose runs decide many kinds of things; each returns the graphs that ran."""

from __future__ import annotations

import math
import operator
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.channels import DeltaChannel
from millstream.errors import (
    GraphDrained,
    GraphRecursionError,
    InvalidUpdateError,
    UnknownInterruptError,
)
from millstream.func import entrypoint, task
from millstream.graph import START, MessagesState, StateGraph
from millstream.runtime import RunControl
from millstream.types import CachePolicy, Command, Overwrite, RetryPolicy, Send, interrupt

THREAD: Any = {"configurable": {"thread_id": "1"}}
AT_ONCE: Final = RetryPolicy(initial_interval=0, jitter=False)


class State(TypedDict, total=False):
    n: int
    log: Annotated[list[Any], operator.add]


def extend(before: list[Any], writes: list[list[Any]]) -> list[Any]:
    """Reduce a delta channel."""
    return [*before, *(item for items in writes for item in items)]


class Deltas(TypedDict):
    log: Annotated[list[Any], DeltaChannel(extend, snapshot_frequency=2)]


@dataclass
class Point:
    """A class that no saver knows."""

    x: int


def writing(*items: Any) -> Callable[[State], State]:
    """Return a node that writes to the log."""
    return lambda state: {"log": [*items]}


def at_once(nodes: Mapping[str, Any], **options: Any) -> Any:
    """Return a graph that runs all nodes in its first superstep, and `last` after them."""
    builder = StateGraph(State).add_node("last", writing("last"))
    for name, node in nodes.items():
        builder.add_node(name, node).add_edge(START, name)
    return builder.add_edge(list(nodes), "last").compile(**options)


def one(node: Any, name: str = "LangGraph", saver: Any = None, **options: Any) -> Any:
    """Return a graph of one node."""
    builder = StateGraph(State).add_node("node", node, **options).add_edge(START, "node")
    return builder.compile(saver, name=name)


def fan_out(driver: Any) -> list[Any]:
    """Several tasks in one superstep, and one that waits for all of them."""
    graph = at_once({name: writing(name) for name in "cab"})
    driver.invoke(graph, {"n": 1})
    return [graph]


def sends(driver: Any) -> list[Any]:
    """Tasks with an input of their own, one of them with limits of its own."""

    def each(state: State) -> list[Send]:
        return [Send("work", {"n": n}) for n in range(3)] + [Send("work", {"n": 9}, timeout=60)]

    async def awork(state: State) -> State:
        return {"log": [state["n"]]}

    builder = StateGraph(State).add_conditional_edges(START, each, ["work"])
    graph = builder.add_node("work", awork).compile()
    if driver.name == "sync":
        builder = StateGraph(State).add_conditional_edges(
            START, lambda state: each(state)[:3], ["work"]
        )
        graph = builder.add_node("work", lambda state: {"log": [state["n"]]}).compile()
    driver.invoke(graph, {"n": 1})
    return [graph]


def retries_and_handlers(driver: Any) -> list[Any]:
    """A node that succeeds when it is tried again, and one whose failure is handled."""
    attempts: list[int] = []

    def fail_once(state: State) -> State:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("once")
        return {"log": ["tried again"]}

    def fail(state: State) -> State:
        raise ValueError("always")

    builder = StateGraph(State)
    builder.add_node("tried", fail_once, retry_policy=AT_ONCE).add_edge(START, "tried")
    builder.add_node("failed", fail, error_handler=writing("handled")).add_edge(START, "failed")
    graph = builder.compile()
    assert driver.invoke(graph, {})["log"] == ["handled", "tried again"]
    return [graph]


def questions(driver: Any) -> list[Any]:
    """Two tasks that ask at once and are answered by id, and a question after a question."""

    def ask(state: State) -> State:
        return {"log": [interrupt("first"), interrupt("second")]}

    graph = at_once(
        {"a": lambda state: {"log": [interrupt("a")]}, "b": ask, "c": writing("c")},
        checkpointer=InMemorySaver(),
    )
    asked = driver.invoke(graph, {}, THREAD)["__interrupt__"]
    with suppress(UnknownInterruptError):
        driver.invoke(graph, Command(resume={asked[0].id: 1, "0" * 32: 2}), THREAD)
    driver.invoke(graph, Command(resume={i.id: i.value for i in asked}), THREAD)
    result = driver.invoke(graph, Command(resume=[3], update={"n": 2}), THREAD)
    assert result["log"] == ["a", "first", [3], "c", "last"]
    return [graph]


def nested(driver: Any) -> list[Any]:
    """Graphs in graphs that ask; one is a node, one is called by a function."""
    called = one(lambda state: {"log": [interrupt("called")]}, "called")
    inner = one(lambda state: {"log": called.invoke({"n": 1})["log"]}, "inner")

    async def acall(state: State) -> State:
        return {"log": (await called.ainvoke({"n": 1}))["log"]}

    if driver.name == "async":
        inner = one(acall, "inner")
    graph = one(inner, "outer", InMemorySaver())
    driver.invoke(graph, {"n": 1}, THREAD)
    assert driver.invoke(graph, Command(resume="yes"), THREAD)["log"] == ["yes"]
    return [graph, called]


def task_calls(driver: Any) -> list[Any]:
    """A function that calls tasks, asks, and is run again with their results."""

    @task(cache_policy=CachePolicy())
    def double(n: int) -> int:
        return 2 * n

    @task
    def fail() -> None:
        raise ValueError("no")

    @entrypoint(InMemorySaver(), cache=InMemoryCache())
    def work(n: int) -> list[Any]:
        results = [future.result() for future in [double(n), double(n + 1)]]
        with suppress(ValueError):
            fail().result()
        return [*results, interrupt("more?")]

    @entrypoint(InMemorySaver(), cache=InMemoryCache())
    async def awork(n: int) -> list[Any]:
        results = [await double(n), await double(n + 1)]
        with suppress(ValueError):
            await fail()
        return [*results, interrupt("more?")]

    graph = work if driver.name == "sync" else awork
    driver.invoke(graph, 1, THREAD)
    assert driver.invoke(graph, Command(resume="no"), THREAD) == [2, 4, "no"]
    driver.invoke(graph, 1, {"configurable": {"thread_id": "2"}})
    return [graph]


def commands(driver: Any) -> list[Any]:
    """Commands that go to nodes, and some that leave their graph at once."""

    def leave(name: str) -> Callable[[State], Command[Any]]:
        return lambda state: Command(graph=Command.PARENT, update={"log": [name]}, goto="end")

    builder = StateGraph(State)
    for name in "ab":
        builder.add_node(name, leave(name)).add_edge(START, name)
    inner = builder.compile(name="inner")
    builder = StateGraph(State).add_node("end", writing("end"))
    builder.add_node("inner", inner, destinations=("end",))
    builder.add_node("go", lambda state: Command(goto=["inner", Send("end", {})], update={"n": 2}))
    graph = builder.add_edge(START, "go").compile(name="outer")
    assert driver.invoke(graph, {})["log"] == ["a", "b", "end", "end"]
    return [graph]


def errors(driver: Any) -> list[Any]:
    """Runs that fail: in a node, in a channel, without an end."""

    def fail(state: State) -> State:
        raise KeyError("missing")

    failing = at_once({"a": fail, "b": writing("b")}, checkpointer=InMemorySaver())
    for input in ({"n": 1}, None):
        with suppress(KeyError):
            driver.invoke(failing, input, THREAD)
    refusing = at_once({name: lambda state: {"n": 1} for name in "ab"})
    with suppress(InvalidUpdateError):
        driver.invoke(refusing, {})
    builder = StateGraph(State).add_node("again", writing("again")).add_edge(START, "again")
    endless = builder.add_edge("again", "again").compile()
    with suppress(GraphRecursionError):
        driver.invoke(endless, {}, {"recursion_limit": 3})
    return [failing, refusing, endless]


def stops(driver: Any) -> list[Any]:
    """Runs that stop at breakpoints, and one that somebody asks to stop."""
    control = RunControl()

    def drain(state: State) -> State:
        control.request_drain()
        return {"log": ["drained"]}

    builder = StateGraph(State).add_sequence(
        [("a", writing("a")), ("b", drain), ("c", writing("c"))]
    )
    graph = builder.add_edge(START, "a").compile(InMemorySaver(), interrupt_after=["a"])
    driver.invoke(graph, {}, THREAD)
    with suppress(GraphDrained):
        driver.invoke(graph, None, THREAD, control=control)
    driver.invoke(graph, None, THREAD, interrupt_before="*")
    driver.invoke(graph, None, THREAD)
    return [graph]


def time_travel(driver: Any) -> list[Any]:
    """A thread that is changed, and gone back in."""
    graph = at_once({name: writing(name) for name in "ab"}, checkpointer=InMemorySaver())
    driver.invoke(graph, {"n": 1}, THREAD)
    past = [*graph.get_state_history(THREAD)][1].config
    driver.invoke(graph, None, past)
    changed = graph.update_state(past, {"log": ["changed"]}, as_node="a")
    driver.invoke(graph, None, changed, durability="exit")
    driver.invoke(graph, {"n": 2}, THREAD)
    return [graph]


def deltas(driver: Any) -> list[Any]:
    """Channels of which only the writes are stored."""

    def ask(state: Deltas) -> Any:
        interrupt("?")
        return {"log": Overwrite(["anew"])}

    builder = StateGraph(Deltas).add_sequence([("a", writing("a")), ("b", ask)])
    graph = builder.add_edge(START, "a").compile(InMemorySaver())
    driver.invoke(graph, {"log": ["in"]}, THREAD)
    driver.invoke(graph, Command(resume=1), THREAD)
    assert driver.invoke(graph, {"log": ["more"]}, THREAD)["log"] == ["anew", "more", "a"]
    return [graph]


def caches(driver: Any) -> list[Any]:
    """A node whose result is known the second time, and one that waits until nothing is left."""
    builder = StateGraph(State).add_node("a", writing("a"), cache_policy=CachePolicy())
    builder.add_node("late", writing("late"), defer=True)
    builder.add_edge(START, "a").add_edge(START, "late").add_edge("a", "late")
    graph = builder.compile(cache=InMemoryCache())
    for _ in range(2):
        assert driver.invoke(graph, {})["log"] == ["a", "late"]
    return [graph]


def messages(driver: Any) -> list[Any]:
    """Messages, whose reducer draws ids and finds them again."""
    builder = StateGraph(MessagesState)
    builder.add_node("say", lambda state: {"messages": [*state["messages"], ("ai", "hello")]})
    graph = builder.add_edge(START, "say").compile(InMemorySaver())
    driver.invoke(graph, {"messages": "hi"}, THREAD)
    result = driver.invoke(graph, {"messages": "hi"}, THREAD)
    assert [message.type for message in result["messages"]] == ["human", "ai"] * 2
    return [graph]


def values(driver: Any) -> list[Any]:
    """Values that JSON does not have, that no saver has, and that are inside themselves."""
    endless: list[Any] = []
    endless.append(endless)
    odd = [(1, {2}), {3: math.nan}, {"$set": b"4"}, uuid.uuid4(), Point(5), lambda: 6, endless]
    graph = at_once({"a": writing(*odd), "b": writing(ValueError("7"), frozenset("89"))})
    driver.invoke(graph, {"n": 1, "log": [Point(0)]})
    return [graph]


Program: TypeAlias = Callable[[Any], list[Any]]

PROGRAMS: Final[tuple[Program, ...]] = (
    fan_out,
    sends,
    retries_and_handlers,
    questions,
    nested,
    task_calls,
    commands,
    errors,
    stops,
    time_travel,
    deltas,
    caches,
    messages,
    values,
)
