"""Events reach the consumer while nodes run, and a consumer decides when it takes them.

A node that waits for the consumer to have seen its event can only end if events are live.
"""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.types import Send, StreamWriter

pytestmark = pytest.mark.timeout(20)

PATIENCE = 5.0


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


def at_once(**nodes: Any) -> Any:
    """Compile a graph that runs all these nodes at once."""
    builder = StateGraph(State)
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(START, name)
    return builder.compile()


def watch(driver: Any, graph: Any, see: Callable[[Any], None], **kwargs: Any) -> list[Any]:
    """Stream a run, calling `see` with each item before asking for the next one."""
    items: list[Any] = []

    def take(item: Any) -> None:
        items.append(item)
        see(item)

    async def read() -> None:
        async for item in graph.astream({"x": 1}, **kwargs):
            take(item)

    if driver.name == "async":
        asyncio.run(read())
    else:
        for item in graph.stream({"x": 1}, **kwargs):
            take(item)
    return items


def test_a_custom_item_arrives_while_its_node_runs(driver: Any) -> None:
    seen = threading.Event()

    def node(state: State, writer: StreamWriter) -> dict[str, Any]:
        writer("progress")
        return {"log": [seen.wait(PATIENCE)]}

    def see(item: Any) -> None:
        if item == ("custom", "progress"):
            seen.set()

    items = watch(driver, at_once(node=node), see, stream_mode=["custom", "updates"])

    assert items == [("custom", "progress"), ("updates", {"node": {"log": [True]}})]


def test_custom_items_of_an_async_node_arrive_while_it_runs() -> None:
    async def run() -> list[Any]:
        seen = [asyncio.Event() for _ in range(3)]
        items = []

        async def node(state: State) -> None:
            for number, event in enumerate(seen):
                get_stream_writer()(number)
                await asyncio.wait_for(event.wait(), PATIENCE)

        async for item in at_once(node=node).astream({"x": 1}, stream_mode="custom"):
            items.append(item)
            seen[item].set()
        return items

    assert asyncio.run(run()) == [0, 1, 2]


def test_custom_items_of_parallel_nodes_arrive_while_all_run(driver: Any) -> None:
    seen = {name: threading.Event() for name in "abc"}

    def talk(name: str) -> Any:
        def node(state: State, writer: StreamWriter) -> dict[str, Any]:
            writer(name)
            return {"log": [all(event.wait(PATIENCE) for event in seen.values())]}

        return node

    graph = at_once(**{name: talk(name) for name in seen})

    items = watch(driver, graph, lambda item: seen[item].set(), stream_mode="custom")

    assert sorted(items) == ["a", "b", "c"]


@pytest.mark.parametrize("mode", ["updates", "tasks", "debug"])
def test_the_result_of_a_fast_sibling_arrives_before_the_slow_one_ends(
    driver: Any, mode: str
) -> None:
    seen = threading.Event()
    graph = at_once(
        fast=lambda state: {"log": ["fast"]},
        slow=lambda state: {"log": [seen.wait(PATIENCE)]},
    )

    def see(item: Any) -> None:
        payload = item.get("payload", item)
        if "fast" in item or (payload.get("name") == "fast" and "result" in payload):
            seen.set()

    watch(driver, graph, see, stream_mode=mode)

    assert seen.is_set()
    assert driver.invoke(graph, {"x": 1}) == {"x": 1, "log": ["fast", True]}


def test_results_of_sends_arrive_as_they_finish(driver: Any) -> None:
    turns = [threading.Event() for _ in range(5)]
    turns[4].set()

    def worker(state: State) -> dict[str, Any]:
        return {"log": [(state["x"], turns[state["x"]].wait(PATIENCE))]}

    builder = StateGraph(State).add_node(worker)
    builder.add_conditional_edges(START, lambda state: [Send("worker", {"x": n}) for n in range(5)])

    def see(item: Any) -> None:
        number = item["worker"]["log"][0][0]
        if number:
            turns[number - 1].set()

    items = watch(driver, builder.compile(), see, stream_mode="updates")

    assert [item["worker"]["log"][0] for item in items] == [(n, True) for n in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("is_called", [False, True], ids=["as node", "called"])
def test_events_of_a_nested_graph_arrive_while_it_runs(driver: Any, is_called: bool) -> None:
    seen = threading.Event()
    builder = StateGraph(State)
    builder.add_node("first", lambda state: {"log": ["first"]})
    builder.add_node("second", lambda state: {"log": [seen.wait(PATIENCE)]})
    child = builder.add_edge(START, "first").add_edge("first", "second").compile()

    def call(state: State) -> Any:
        return {"log": child.invoke({"x": 1})["log"]}

    graph = at_once(sub=call if is_called else child)

    def see(item: Any) -> None:
        if "first" in item[1]:
            seen.set()

    items = watch(driver, graph, see, stream_mode="updates", subgraphs=True)

    assert [(len(namespace), update) for namespace, update in items] == [
        (1, {"first": {"log": ["first"]}}),
        (1, {"second": {"log": [True]}}),
        (0, {"sub": {"log": ["first", True], **({} if is_called else {"x": 1})}}),
    ]


def test_values_arrive_after_each_superstep(driver: Any) -> None:
    seen: list[int] = []
    builder = StateGraph(State)
    builder.add_node("count", lambda state: {"x": state["x"] + 1, "log": [len(seen)]})
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if state["x"] < 5 else "__end__")

    items = watch(driver, builder.compile(), lambda item: seen.append(1), stream_mode="values")

    assert items[-1] == {"x": 5, "log": [1, 2, 3, 4]}


def test_nothing_runs_before_the_first_item_is_requested(driver: Any) -> None:
    ran: list[int] = []
    graph = at_once(node=lambda state: ran.append(1))

    stream = graph.stream({"x": 1}) if driver.name == "sync" else graph.astream({"x": 1})

    assert ran == []
    del stream


@pytest.mark.usefixtures("fake_clock")
def test_a_slow_reader_holds_up_nobody_and_misses_nothing() -> None:
    async def run() -> tuple[list[Any], list[Any]]:
        taken_at_end, items = list[Any](), list[Any]()

        async def node(state: State) -> None:
            for number in range(20):
                get_stream_writer()(number)
                await asyncio.sleep(0)
            taken_at_end.append(len(items))

        async for item in at_once(node=node).astream({"x": 1}, stream_mode="custom"):
            await asyncio.sleep(0.01)
            items.append(item)
        return items, taken_at_end

    items, taken_at_end = asyncio.run(run())

    assert items == list(range(20))
    assert taken_at_end[0] < 10


def test_a_reader_that_blocks_its_thread_misses_nothing(driver: Any) -> None:
    def node(state: State, writer: StreamWriter) -> None:
        for number in range(50):
            writer(number)

    graph = at_once(a=node, b=node)
    pause = threading.Event()

    items = watch(driver, graph, lambda item: pause.wait(0.001), stream_mode="custom")

    assert sorted(items) == sorted([*range(50), *range(50)])


def test_one_node_emits_in_order_also_from_its_own_threads(driver: Any) -> None:
    def node(state: State, writer: StreamWriter) -> None:
        for number in range(20):
            worker = threading.Thread(target=writer, args=(number,))
            worker.start()
            worker.join()

    assert driver.stream(at_once(a=node), {"x": 1}, stream_mode="custom") == list(range(20))


def test_the_event_loop_gets_its_turns_while_a_graph_of_quick_nodes_runs() -> None:
    async def run() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def count(state: State) -> dict[str, Any]:
            return {"x": state["x"] + 1}

        builder = StateGraph(State).add_node(count).add_edge(START, "count")
        builder.add_conditional_edges("count", lambda s: "count" if s["x"] < 200 else "__end__")
        task = asyncio.create_task(other())
        await builder.compile().ainvoke({"x": 0})
        task.cancel()
        return turns

    assert asyncio.run(run()) >= 200
