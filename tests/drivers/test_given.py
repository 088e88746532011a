"""What nodes are given besides their state: context, store, runtime, identity of the task."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from millstream.config import get_config, get_store, get_stream_writer
from millstream.graph import START, StateGraph
from millstream.runtime import Runtime, get_runtime

pytestmark = pytest.mark.timeout(20)


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


@dataclass
class Context:
    user: str
    limit: int = 3


class ContextModel(BaseModel):
    user: str
    limit: int = 3


class ContextDict(TypedDict):
    user: str


def graph_of(action: Any, *, context_schema: Any = None, **kwargs: Any) -> Any:
    """Compile a graph of one node."""
    builder = StateGraph(State, context_schema)
    builder.add_node("node", action)
    return builder.add_edge(START, "node").compile(**kwargs)


def show_context(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    return {"log": [runtime.context, get_runtime(Context).context]}


@pytest.mark.parametrize(
    ("schema", "given", "seen"),
    [
        (Context, {"user": "u"}, Context("u")),
        (Context, Context("u", 4), Context("u", 4)),
        (ContextModel, {"user": "u", "limit": "5"}, ContextModel(user="u", limit=5)),
        (ContextDict, {"user": "u"}, {"user": "u"}),
        (None, "anything", "anything"),
        (Context, None, None),
    ],
)
def test_the_context_is_made_by_its_schema(driver: Any, schema: Any, given: Any, seen: Any) -> None:
    graph = graph_of(show_context, context_schema=schema)

    assert driver.invoke(graph, {"x": 1}, context=given)["log"] == [seen, seen]


@pytest.mark.parametrize(
    ("schema", "error"), [(Context, TypeError), (ContextModel, ValidationError)]
)
def test_a_wrong_context_is_refused_before_anything_runs(
    driver: Any, schema: Any, error: Any
) -> None:
    ran: list[int] = []
    graph = graph_of(lambda state: ran.append(1), context_schema=schema)

    with pytest.raises(error):
        driver.invoke(graph, {"x": 1}, context={"nobody": "u"})

    assert ran == []


def test_a_nested_graph_inherits_context_and_store(driver: Any) -> None:
    def show(state: State) -> dict[str, Any]:
        return {"log": [get_runtime().context, get_store().get(("n",), "k").value["v"]]}

    store = InMemoryStore()
    store.put(("n",), "k", {"v": "stored"})
    child = graph_of(show)

    def call(state: State) -> dict[str, Any]:
        inherited = child.invoke({"x": 1})["log"]
        own = child.invoke({"x": 1}, context="own")["log"]
        return {"log": [*inherited, *own]}

    result = driver.invoke(graph_of(call, store=store), {"x": 1}, context="outer")

    assert result["log"] == ["outer", "stored", "own", "stored"]


def test_a_store_is_given_in_three_ways(driver: Any) -> None:
    def node(state: State, store: BaseStore, runtime: Runtime[Any]) -> dict[str, Any]:
        store.put(("memories",), "k", {"x": state["x"]})
        found = [item.value["x"] for item in get_store().search(("memories",))]
        return {"log": [found, store is runtime.store is get_store()]}

    store = InMemoryStore()

    assert driver.invoke(graph_of(node, store=store), {"x": 7})["log"] == [[7], True]
    assert store.get(("memories",), "k").value == {"x": 7}


def test_an_async_node_uses_the_store_asynchronously() -> None:
    async def node(state: State, *, store: BaseStore) -> dict[str, Any]:
        await store.aput(("m",), "k", {"x": state["x"]})
        item = await store.aget(("m",), "k")
        return {"log": [item.value]}

    graph = graph_of(node, store=InMemoryStore())

    assert asyncio.run(graph.ainvoke({"x": 7}))["log"] == [{"x": 7}]


def test_execution_info_identifies_run_thread_and_task(driver: Any) -> None:
    infos: list[Any] = []
    child = graph_of(lambda state, runtime: infos.append(runtime.execution_info))
    graph = graph_of(child, checkpointer=InMemorySaver())
    run_id = UUID("12345678-1234-1234-1234-123456789012")
    config: Any = {"configurable": {"thread_id": "t"}, "run_id": run_id}

    driver.invoke(graph, {"x": 1}, config)

    (info,) = infos
    outer, inner = info.checkpoint_ns.split("|")
    assert outer.startswith("node:")
    assert inner == f"node:{info.task_id}"
    assert (info.thread_id, info.node_attempt) == ("t", 1)
    assert info.run_id in (str(run_id), None)
    assert UUID(info.checkpoint_id).version == 6


def test_server_info_is_what_a_server_put_into_the_config(driver: Any) -> None:
    seen: list[Any] = []
    graph = graph_of(lambda state, runtime: seen.append(runtime.server_info))

    driver.invoke(graph, {"x": 1})
    driver.invoke(graph, {"x": 1}, {"configurable": {"assistant_id": "a", "graph_id": "g"}})

    assert seen[0] is None
    assert (seen[1].assistant_id, seen[1].graph_id, seen[1].user) == ("a", "g", None)


def test_the_config_parameter_is_a_plain_dict_that_can_be_changed(driver: Any) -> None:
    def first(state: State, config: RunnableConfig) -> dict[str, Any]:
        config["configurable"]["user"] = "changed"
        config["tags"] = ["changed"]
        return {"log": [type(config)]}

    def second(state: State, config: RunnableConfig) -> dict[str, Any]:
        return {"log": [config["configurable"]["user"], config.get("tags")]}

    builder = StateGraph(State).add_sequence([first, second]).add_edge(START, "first")
    caller: Any = {"configurable": {"user": "u"}}

    result = driver.invoke(builder.compile(), {"x": 1}, caller)

    assert result["log"] == [dict, "u", None]
    assert caller == {"configurable": {"user": "u"}}


def test_the_ambient_config_behaves_like_a_dict(driver: Any) -> None:
    def node(state: State) -> dict[str, Any]:
        config: Any = get_config()
        merged = {**config}
        return {
            "log": [
                isinstance(config, dict),
                merged.keys() == config.keys() == dict(config).keys() == set(config),
                len(config) == len(merged),
                config == merged,
                "metadata" in config,
                config.get("nothing", 1),
            ]
        }

    assert driver.invoke(graph_of(node), {"x": 1})["log"] == [True, True, True, True, True, 1]


@pytest.mark.parametrize("accessor", [get_config, get_stream_writer, get_store, get_runtime])
def test_accessors_raise_outside_a_run(accessor: Any) -> None:
    with pytest.raises(RuntimeError, match="Called get_config outside of a runnable context"):
        accessor()


def test_the_ambient_config_is_gone_after_the_run(driver: Any) -> None:
    driver.invoke(graph_of(lambda state: None), {"x": 1})

    with pytest.raises(RuntimeError):
        get_config()


def test_a_consumer_between_two_items_is_outside_the_run(driver: Any) -> None:
    def outside() -> bool:
        try:
            get_config()
        except RuntimeError:
            return True
        return False

    graph = graph_of(lambda state: {"log": ["done"]})
    found: list[bool] = []

    async def read() -> None:
        async for _ in graph.astream({"x": 1}, stream_mode="values"):
            found.append(outside())

    if driver.name == "async":
        asyncio.run(read())
    else:
        found += [outside() for _ in graph.stream({"x": 1}, stream_mode="values")]

    assert found == [True, True]


def test_a_consumer_inside_a_node_stays_in_that_node(driver: Any) -> None:
    child = graph_of(lambda state: {"log": ["done"]})

    def node(state: State) -> dict[str, Any]:
        names = [
            get_config()["metadata"]["langgraph_checkpoint_ns"].count("|")
            for _ in child.stream({"x": 1}, stream_mode="values")
        ]
        return {"log": names}

    assert driver.invoke(graph_of(node), {"x": 1})["log"] == [0, 0]
