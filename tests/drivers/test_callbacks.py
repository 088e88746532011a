"""What callbacks cost and promise beyond what the differential programs compare."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langchain_core.tracers.base import BaseTracer
from typing_extensions import TypedDict

from millstream._types.tool_writer import tool_call_writer
from millstream.graph import END, START, StateGraph
from millstream.prebuilt import ToolRuntime
from millstream.types import TracePolicy


class State(TypedDict, total=False):
    """Any value."""

    x: Any


def one_node(node: Any, **options: Any) -> Any:
    """Return a graph of one node."""
    builder = StateGraph(State)
    builder.add_node("n", node, **options)
    builder.add_edge(START, "n")
    builder.add_edge("n", END)
    return builder.compile()


def test_leaving_astream_events_stops_the_nodes() -> None:
    stopped: list[str] = []

    async def waits(state: State) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("n")

    async def leave() -> None:
        events = one_node(waits).astream_events({"x": 1}, version="v2")
        async for event in events:
            if event["name"] == "n":
                await asyncio.sleep(0)  # the node starts to wait
                break
        await events.aclose()

    asyncio.run(leave())

    assert stopped == ["n"]


def test_the_manager_is_that_of_the_driver(driver: Any) -> None:
    """Packages ask which kind it is, also where nobody listens."""
    managers: list[type] = []

    def node(state: State, config: RunnableConfig) -> None:
        managers.append(type(config["callbacks"]))

    driver.invoke(one_node(node), {"x": 1})
    driver.invoke(one_node(node), {"x": 1}, {"callbacks": [BaseCallbackHandler()]})

    expected = AsyncCallbackManager if driver.name == "async" else CallbackManager
    assert managers == [expected, expected]


def test_nobody_listens_to_the_writer_when_tools_are_not_asked_for(driver: Any) -> None:
    writers: list[Any] = []

    @tool
    def look(x: int) -> int:
        """Look."""
        writers.append(tool_call_writer.get())
        return x

    graph = one_node(lambda state: {"x": look.invoke({"x": 1})})
    driver.stream(graph, {"x": 1}, stream_mode=["updates", "messages", "custom"])

    assert writers == [None]


def test_output_emitted_after_an_inner_tool_belongs_to_the_outer_one() -> None:
    @tool
    async def inner(x: int) -> int:
        """Emit and end."""
        emit("inner")
        return x

    @tool
    async def outer(x: int) -> int:
        """Call the other one."""
        await inner.ainvoke({"type": "tool_call", "name": "inner", "args": {"x": 1}, "id": "in"})
        emit("outer")
        return x

    async def node(state: State) -> State:
        call = {"type": "tool_call", "name": "outer", "args": {"x": 1}, "id": "out"}
        await outer.ainvoke(call)
        emit("nobody")
        return {"x": 2}

    def emit(delta: str) -> None:
        runtime = ToolRuntime(
            state={}, context=None, config={}, stream_writer=print, tool_call_id=None, store=None
        )
        runtime.emit_output_delta(delta)

    async def collect() -> list[Any]:
        stream = one_node(node).astream({"x": 1}, stream_mode="tools")
        return [(item["tool_call_id"], item.get("delta")) async for item in stream]

    assert asyncio.run(collect()) == [
        ("out", None),
        ("in", None),
        ("in", "inner"),
        ("in", None),
        ("out", "outer"),
        ("out", None),
    ]


def test_a_trace_policy_that_fails_is_logged(driver: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Tracer(BaseTracer):
        def _persist_run(self, run: Any) -> None:
            shown.extend(child.inputs for child in run.child_runs)

    def refuse(value: Any) -> Any:
        raise ValueError("refused")

    shown: list[Any] = []
    graph = one_node(lambda state: {"x": 2}, trace_policy=TracePolicy(process_inputs=refuse))
    driver.invoke(graph, {"x": 1}, {"callbacks": [Tracer()]})

    assert shown == [{"x": 1}]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
