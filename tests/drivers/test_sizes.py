"""Ten times more than usual: many tasks, long chains, deep nesting, floods of items."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.types import Send, StreamWriter

pytestmark = pytest.mark.timeout(60)


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


def fan_out(worker: Any, count: int) -> Any:
    builder = StateGraph(State)
    builder.add_node("worker", worker)
    builder.add_conditional_edges(
        START, lambda state: [Send("worker", {"x": n}) for n in range(count)]
    )
    return builder.compile()


def test_two_thousand_sends(driver: Any) -> None:
    graph = fan_out(lambda state: {"log": [state["x"]]}, 2000)

    items = driver.stream(graph, {"x": 0}, stream_mode=["updates", "values"])

    assert items[-1] == ("values", {"x": 0, "log": list(range(2000))})
    updates = sorted(item["worker"]["log"][0] for mode, item in items if mode == "updates")
    assert updates == list(range(2000))


def test_two_thousand_async_sends() -> None:
    async def worker(state: State) -> dict[str, Any]:
        get_stream_writer()(state["x"])
        await asyncio.sleep(0)
        return {"log": [state["x"]]}

    async def run() -> list[Any]:
        stream = fan_out(worker, 2000).astream({"x": 0}, stream_mode=["custom", "values"])
        return [item async for item in stream]

    items = asyncio.run(run())

    assert [item for mode, item in items if mode == "custom"] == list(range(2000))
    assert items[-1] == ("values", {"x": 0, "log": list(range(2000))})


def test_a_chain_of_five_hundred_nodes(driver: Any) -> None:
    nodes = [(f"n{n}", lambda state: {"x": state["x"] + 1}) for n in range(500)]
    graph = StateGraph(State).add_sequence(nodes).add_edge(START, "n0").compile()

    items = driver.stream(graph, {"x": 0})

    assert items == [{f"n{n}": {"x": n + 1}} for n in range(500)]


@pytest.mark.parametrize("is_called", [False, True], ids=["as node", "called"])
def test_fifty_graphs_nested_in_each_other(driver: Any, is_called: bool) -> None:
    def leaf(state: State, writer: StreamWriter) -> dict[str, Any]:
        writer("leaf")
        return {"log": ["leaf"]}

    def level(action: Any) -> Any:
        builder = StateGraph(State)
        builder.add_node("node", action)
        return builder.add_edge(START, "node").compile()

    def call(inner: Any) -> Any:
        return lambda state: {"log": inner.invoke({"x": state["x"]})["log"]}

    graph = level(leaf)
    for _ in range(49):
        graph = level(call(graph) if is_called else graph)

    items = driver.stream(graph, {"x": 1}, stream_mode=["custom", "updates"], subgraphs=True)

    assert [(len(ns), mode) for ns, mode, _ in items] == [
        (49, "custom"),
        *((depth, "updates") for depth in range(49, -1, -1)),
    ]
    assert items[-1][2]["node"]["log"] == ["leaf"]


def test_fifty_graphs_awaited_in_each_other() -> None:
    async def leaf(state: State) -> dict[str, Any]:
        get_stream_writer()("leaf")
        return {"log": ["leaf"]}

    def level(action: Any) -> Any:
        builder = StateGraph(State)
        builder.add_node("node", action)
        return builder.add_edge(START, "node").compile()

    def call(inner: Any) -> Any:
        async def node(state: State) -> dict[str, Any]:
            return {"log": (await inner.ainvoke({"x": 1}))["log"]}

        return node

    graph = level(leaf)
    for _ in range(49):
        graph = level(call(graph))

    async def run() -> list[Any]:
        stream = graph.astream({"x": 1}, stream_mode="custom", subgraphs=True)
        return [item async for item in stream]

    items = asyncio.run(run())

    assert [(len(namespace), item) for namespace, item in items] == [(49, "leaf")]


def test_a_hundred_thousand_custom_items(driver: Any) -> None:
    def node(state: State, writer: StreamWriter) -> None:
        for number in range(100_000):
            writer(number)

    builder = StateGraph(State).add_node(node).add_edge(START, "node")

    items = driver.stream(builder.compile(), {"x": 1}, stream_mode="custom")

    assert items == list(range(100_000))


def test_a_hundred_thousand_custom_items_of_two_nodes(driver: Any) -> None:
    def talk(name: str) -> Any:
        def node(state: State, writer: StreamWriter) -> None:
            for number in range(50_000):
                writer((name, number))

        return node

    builder = StateGraph(State)
    for name in "ab":
        builder.add_node(name, talk(name))
        builder.add_edge(START, name)

    items = driver.stream(builder.compile(), {"x": 1}, stream_mode="custom")

    for name in "ab":
        assert [n for who, n in items if who == name] == list(range(50_000))


def test_ten_thousand_supersteps(driver: Any) -> None:
    def count(state: State) -> dict[str, Any]:
        return {"x": state["x"] + 1}

    builder = StateGraph(State).add_node(count).add_edge(START, "count")
    builder.add_conditional_edges("count", lambda s: "count" if s["x"] < 10_000 else "__end__")

    assert driver.invoke(builder.compile(), {"x": 0})["x"] == 10_000
