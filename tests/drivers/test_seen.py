"""What a reader has seen of a thread is in the thread, also when the reader leaves after it."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.errors import InvalidUpdateError
from millstream.graph import START, StateGraph
from millstream.types import interrupt

THREAD: Any = {"configurable": {"thread_id": "1"}}
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


class Log(TypedDict):
    """A log."""

    log: Annotated[list[str], operator.add]


class Plain(InMemorySaver):
    """A saver of which nobody knows that it stores at once, so that runs do not wait for it."""

    def put(self, *args: Any) -> Any:
        return super().put(*args)


def graph_of(*edges: str, saver: Any, **actions: Callable[..., Any]) -> Any:
    """Return a graph of nodes that log their names, with edges such as "ab"."""
    builder = StateGraph(Log)
    for name in dict.fromkeys("".join(edges).replace("^", "")):
        builder.add_node(name, actions.get(name) or (lambda state, name=name: {"log": [name]}))
    for start, end in edges:
        builder.add_edge(START if start == "^" else start, end)
    return builder.compile(checkpointer=saver)


def leave(driver: Any, graph: Any, is_enough: Callable[[Any], bool], **options: Any) -> Any:
    """Read a new run until enough was seen; return what the thread has right after that."""

    def read() -> Any:
        for item in graph.stream({"log": []}, THREAD, **options):
            if is_enough(item):
                break
        return graph.get_state(THREAD)

    async def aread() -> Any:
        stream = graph.astream({"log": []}, THREAD, **options)
        async for item in stream:
            if is_enough(item):
                break
        await stream.aclose()
        return await graph.aget_state(THREAD)

    return read() if driver.name == "sync" else asyncio.run(aread())


def has_update_of(name: str) -> Callable[[Any], bool]:
    """Return what says whether an item, of whatever mode, has what the node wrote."""

    def look(item: Any) -> bool:
        if isinstance(item, tuple):
            return look(item[1])
        if "payload" in item:
            return look(item["payload"])
        if "result" in item:
            return bool(item["name"] == name)
        if "values" in item:
            return look(item["values"])
        return name in item or name in item.get("log", ())

    return look


@DURABILITIES
@pytest.mark.parametrize("saver", [InMemorySaver, Plain])
@pytest.mark.parametrize("mode", ["updates", "values", "tasks", "debug", "checkpoints", ["custom"]])
@pytest.mark.parametrize("edges", [("^a", "ab", "bc"), ("^a", "^b", "ac")], ids=["one", "several"])
def test_a_superstep_that_was_seen_is_in_the_thread(
    driver: Any, durability: Any, saver: Any, mode: Any, edges: Any
) -> None:
    graph = graph_of(*edges, saver=saver())
    if mode == ["custom"]:
        mode = ["custom", "updates"]
    seen: list[Any] = []

    def is_enough(item: Any) -> bool:
        # Nodes that run side by side are shown in the order in which they end.
        seen.append(item)
        return all(any(map(has_update_of(name), seen)) for name in "ab")

    left = leave(driver, graph, is_enough, stream_mode=mode, durability=durability)

    assert left.values == {"log": ["a", "b"]}
    assert left.next == ("c",)
    later = driver.invoke(graph, {"log": ["again"]}, THREAD)
    assert later["log"][:3] == ["a", "b", "again"]


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_what_was_seen_is_in_the_thread_before_a_stream_is_closed(durability: Any) -> None:
    """A `break` alone closes an async stream some turns of the event loop later."""
    graph = graph_of("^a", "ab", saver=InMemorySaver())

    async def read() -> Any:
        stream = graph.astream({"log": []}, THREAD, durability=durability, stream_mode="updates")
        async for _ in stream:
            return (await graph.aget_state(THREAD)).next
        return None

    assert asyncio.run(read()) == ("b",)


@DURABILITIES
def test_what_one_of_several_tasks_wrote_is_kept_when_the_others_are_stopped(
    driver: Any, durability: Any
) -> None:
    is_async = driver.name == "async"
    has_begun, is_seen = threading.Event(), threading.Event()

    async def aslow(state: Log) -> Log:
        await asyncio.sleep(3600)
        return {"log": ["b"]}

    def slow(state: Log) -> Log:
        has_begun.set()
        assert is_seen.wait(20)
        return {"log": ["b"]}

    def is_enough(item: Any) -> bool:
        assert is_async or has_begun.wait(20)
        is_seen.set()
        return True

    graph = graph_of("^a", "^b", "ac", saver=InMemorySaver(), b=aslow if is_async else slow)
    left = leave(driver, graph, is_enough, durability=durability, stream_mode="updates")

    assert left.values["log"] == (["a"] if is_async else ["a", "b"])
    assert left.next == (("b",) if is_async else ("c",))


@DURABILITIES
@pytest.mark.parametrize("is_keyed", [False, True], ids=["list", "key"])
def test_new_input_keeps_what_was_seen_of_a_superstep_that_was_left(
    durability: Any, is_keyed: bool
) -> None:
    """Nothing that the finished task led to runs, and what was stopped does not either."""
    ran: list[str] = []

    class State(TypedDict, total=False):
        log: Annotated[list[str], operator.add]
        last: str

    def node(name: str) -> Callable[..., Any]:
        async def act(state: State) -> Any:
            ran.append(name)
            if name == "slow" and not state["log"]:
                await asyncio.sleep(3600)
            return {"log": [name], **({"last": name} if is_keyed and name == "quick" else {})}

        return act

    builder = StateGraph(State)
    for name in ("quick", "slow", "after", "both"):
        builder.add_node(name, node(name))
    builder.add_edge(START, "quick").add_edge(START, "slow").add_edge("quick", "after")
    builder.add_edge(["quick", "slow"], "both")
    graph = builder.compile(checkpointer=InMemorySaver())

    async def run() -> Any:
        stream = graph.astream({"log": []}, THREAD, stream_mode="updates", durability=durability)
        async for item in stream:
            assert list(item) == ["quick"]
            break
        await stream.aclose()
        seen = (await graph.aget_state(THREAD)).values
        assert seen["log"] == ["quick"]
        ran.clear()
        items = graph.astream({"log": ["new"]}, THREAD, stream_mode="values")
        return [item["log"] async for item in items]

    shown = asyncio.run(run())

    assert shown[0] == ["quick", "new"]
    assert [sorted(ran[:2]), sorted(ran[2:])] == [["quick", "slow"], ["after", "both"]]


def test_new_input_drops_a_superstep_in_which_a_task_asks_or_has_failed(driver: Any) -> None:
    def bad(state: Log) -> Log:
        raise ValueError("boom")

    def ask(state: Log) -> Log:
        return {"log": [interrupt("?")]}

    for other in (bad, ask):
        graph = graph_of("^a", "^b", saver=InMemorySaver(), b=other)
        with suppress(ValueError):
            driver.invoke(graph, {"log": []}, THREAD)
        with suppress(ValueError):
            driver.invoke(graph, {"log": ["new"]}, THREAD)
        newest = next(graph.get_state_history(THREAD))
        assert (newest.values["log"], newest.next) == (["new"], ("a", "b"))


def test_a_superstep_is_stored_before_it_is_shown(driver: Any) -> None:
    saver = InMemorySaver()
    graph = graph_of("^a", "ab", "bc", saver=saver)
    stored: list[Any] = []

    def look(_: Any) -> bool:
        stored.append(graph.get_state(THREAD).values["log"])
        return False

    leave(driver, graph, look, durability="sync", stream_mode="updates")

    assert stored == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_nested_supersteps_that_were_seen_are_in_the_thread(driver: Any) -> None:
    is_seen = threading.Event()

    async def ay(state: Log) -> Log:
        await asyncio.sleep(3600)
        return {"log": ["y"]}

    def y(state: Log) -> Log:
        assert is_seen.wait(20)
        return {"log": ["y"]}

    def is_enough(item: Any) -> bool:
        is_seen.set()
        return True

    inner = graph_of("^x", "xy", saver=None, y=y if driver.name == "sync" else ay)
    builder = StateGraph(Log).add_node("inner", inner).add_edge(START, "inner")
    graph = builder.compile(checkpointer=InMemorySaver())

    leave(driver, graph, is_enough, stream_mode="updates", subgraphs=True)

    left = graph.get_state(THREAD, subgraphs=True).tasks[0].state
    # A node that runs in a thread is waited for.
    assert (left.values, left.next) in [
        ({"log": ["x"]}, ("y",)),
        ({"log": ["x", "y"]}, ()),
    ]


def test_leaving_does_not_fail_when_a_channel_refuses_what_was_seen(driver: Any) -> None:
    class Single(TypedDict):
        """A key that takes one write."""

        n: int

    builder = StateGraph(Single)
    for name in "ab":
        builder.add_node(name, lambda state: {"n": 1}).add_edge(START, name)
    graph = builder.compile(checkpointer=InMemorySaver())
    seen: list[Any] = []

    def is_enough(item: Any) -> bool:
        seen.append(item)
        return len(seen) == 2

    def read() -> None:
        for item in graph.stream({"n": 0}, THREAD, stream_mode=["updates", "custom"]):
            if is_enough(item):
                break

    async def aread() -> None:
        stream = graph.astream({"n": 0}, THREAD, stream_mode=["updates", "custom"])
        async for item in stream:
            if is_enough(item):
                break
        await stream.aclose()

    read() if driver.name == "sync" else asyncio.run(aread())

    assert len(seen) == 2
    # As after a run that was read to its end.
    assert graph.get_state(THREAD).next == ("a", "b")
    with pytest.raises(InvalidUpdateError):
        graph.invoke(None, THREAD)
