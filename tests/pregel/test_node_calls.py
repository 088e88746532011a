"""One node of a compiled graph can be called, and copied, by itself."""

from __future__ import annotations

import asyncio
import copy
import operator
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from millstream.channels import LastValue
from millstream.graph import START, StateGraph
from millstream.pregel import NodeBuilder, Pregel
from millstream.runtime import Runtime
from millstream.types import Command, RetryPolicy, StreamWriter
from millstream.warnings import GraphWarning

pytestmark = pytest.mark.timeout(20)


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def add(state: State, config: RunnableConfig) -> Any:
    configurable = config.get("configurable", {})
    return {
        "x": state["x"] + 1,
        "log": [sorted(config["tags"]), config["metadata"], configurable.get("k")],
    }


async def aadd(state: State) -> Any:
    return {"x": state["x"] + 1}


def route(state: State) -> Command[Any]:
    return Command(update={"x": 2}, goto="add")


def parts(state: State) -> Any:
    yield {"x": state["x"]}
    yield {"x": state["x"] + 1}


def quiet(state: State, writer: StreamWriter, runtime: Runtime[Any]) -> Any:
    writer("nobody hears this")
    runtime.stream_writer("nor this")
    return {"log": [runtime.context, runtime.store]}


def graph() -> Any:
    builder = StateGraph(State)
    builder.add_node("add", add, metadata={"m": 1}, retry_policy=RetryPolicy(max_attempts=3))
    for action in (aadd, route, parts, quiet):
        builder.add_node(action.__name__, action)
    nested = StateGraph(State).add_node("aadd", aadd).add_edge(START, "aadd").compile()
    builder.add_node("nested", nested)
    return builder.add_edge(START, "add").add_edge("add", "aadd").compile()


with warnings.catch_warnings():
    # Most nodes are only called by themselves.
    warnings.simplefilter("ignore", GraphWarning)
    NODES = graph().nodes


def called(node: Any, way: str, *args: Any) -> Any:
    """Call the node in one of the ways, and return the last thing it gives."""
    if way == "invoke":
        return node.invoke(*args)
    if way == "stream":
        return list(node.stream(*args))[-1]
    if way == "batch":
        return node.batch([args[0]], *args[1:])[-1]

    async def run() -> Any:
        if way == "ainvoke":
            return await node.ainvoke(*args)
        if way == "abatch":
            return (await node.abatch([args[0]], *args[1:]))[-1]
        return [item async for item in node.astream(*args)][-1]

    return asyncio.run(run())


SYNC = ("invoke", "stream", "batch")
ASYNC = ("ainvoke", "astream", "abatch")


@pytest.mark.parametrize("way", SYNC + ASYNC)
def test_a_node_returns_what_its_function_returns(way: str) -> None:
    plain = called(NODES["add"], way, {"x": 1})
    config = {"tags": ["t"], "metadata": {"z": 2}, "configurable": {"k": 3}}
    with_config = called(NODES["add"], way, {"x": 1}, config)

    assert plain == {"x": 2, "log": [[], {"m": 1}, None]}
    assert with_config["log"][::2] == [["t"], 3]
    assert with_config["log"][1].items() >= {"m": 1, "z": 2}.items()
    assert called(NODES["route"], way, {"x": 1}) == Command(update={"x": 2}, goto="add")


@pytest.mark.parametrize("way", ASYNC)
def test_an_async_node_is_awaited(way: str) -> None:
    assert called(NODES["aadd"], way, {"x": 1}) == {"x": 2}
    assert called(NODES["nested"], "ainvoke", {"x": 1}) == {"x": 2, "log": []}


def test_an_async_node_cannot_be_called() -> None:
    with pytest.raises(TypeError, match='No synchronous function provided to "aadd"'):
        NODES["aadd"].invoke({"x": 1})


def test_a_generator_gives_its_parts() -> None:
    assert list(NODES["parts"].stream({"x": 1})) == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize("way", SYNC + ASYNC)
def test_what_is_injected_is_there_and_quiet(way: str) -> None:
    assert called(NODES["quiet"], way, {"x": 1}) == {"log": [None, None]}


def test_a_batch_keeps_the_order_and_each_its_config() -> None:
    configs: Any = [{"configurable": {"k": n}} for n in (1, 2)]
    results = NODES["add"].batch([{"x": 1}, {"x": 5}], configs)

    assert [(result["x"], result["log"][2]) for result in results] == [(2, 1), (6, 2)]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda node: node.copy(), lambda node: node.copy({})]
)
def test_a_copy_does_the_same(copied: Callable[[Any], Any]) -> None:
    node = copied(NODES["add"])

    assert node is not NODES["add"]
    assert node.invoke({"x": 1}) == NODES["add"].invoke({"x": 1})
    assert (node.triggers, node.retry_policy) == (["branch:to:add"], NODES["add"].retry_policy)


def test_a_copy_may_differ() -> None:
    node = NODES["add"].copy(update={"tags": ["u"], "bound": NODES["route"].bound})

    assert node.invoke({"x": 1}) == Command(update={"x": 2}, goto="add")
    assert NODES["add"].tags is None
    assert (node.tags, node.metadata) == (["u"], {"m": 1})


def test_a_node_of_a_raw_graph_can_be_called() -> None:
    node = NodeBuilder().subscribe_only("in").do(lambda text: text * 2).write_to("out").build()
    graph = Pregel(
        nodes={"double": node},
        channels={"in": LastValue(str), "out": LastValue(str)},
        input_channels="in",
        output_channels="out",
    )

    assert graph.nodes["double"].invoke("ab") == "abab"
