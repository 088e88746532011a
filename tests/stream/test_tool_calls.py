"""`run.tool_calls`: one handle for each call of a tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool

from millstream.graph import START, StateGraph
from millstream.graph.message import MessagesState
from millstream.prebuilt import ToolCallTransformer, ToolNode, ToolRuntime
from millstream.stream import StreamMux
from millstream.types import interrupt


@tool
def look(query: str, runtime: ToolRuntime) -> str:
    """Look something up."""
    for number in range(2):
        runtime.emit_output_delta({"found": number})
    return f"{query}!"


@tool
def fail(query: str) -> str:
    """Fail."""
    raise ValueError(f"no {query}")


@tool
def ask(query: str) -> str:
    """Ask a person."""
    return str(interrupt(query))


def graph_of(handle_tool_errors: bool = True) -> Any:
    """Compile a graph that does the tool calls it is given."""
    node = ToolNode([look, fail, ask], handle_tool_errors=handle_tool_errors)
    return StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools").compile()


def asking_for(*names: str) -> Any:
    calls = [{"name": name, "args": {"query": name}, "id": f"c-{name}"} for name in names]
    return {"messages": [AIMessage("", tool_calls=calls)]}


def calls_of(driver: Any, graph: Any, input: Any) -> list[Any]:
    """Return the tool calls of a run, each with what it emitted; at the end an error, if any."""
    seen: list[Any] = []
    given = {"version": "v3", "transformers": [ToolCallTransformer]}

    def read() -> None:
        for call in graph.stream_events(input, **given).tool_calls:
            seen.append((call, list(call)))

    async def aread() -> None:
        async for call in (await graph.astream_events(input, **given)).tool_calls:
            seen.append((call, [delta async for delta in call]))

    try:
        read() if driver.name == "sync" else asyncio.run(aread())
    except ValueError as error:
        seen.append(error)
    return seen


def test_a_call_shows_what_the_tool_is_given_emits_and_returns(driver: Any) -> None:
    ((call, deltas),) = calls_of(driver, graph_of(), asking_for("look"))

    assert (call.tool_call_id, call.tool_name, call.input) == ("c-look", "look", {"query": "look"})
    assert deltas == [{"found": 0}, {"found": 1}]
    assert (call.output, call.error, call.completed) == ("look!", None, True)
    assert repr(call) == (
        "ToolCallStream(tool_call_id='c-look', tool_name='look', status=completed)"
    )


def test_a_call_that_fails_has_its_error_though_the_run_goes_on(driver: Any) -> None:
    ((call, deltas),) = calls_of(driver, graph_of(), asking_for("fail"))

    assert (deltas, call.output, call.error, call.completed) == ([], None, "no fail", True)
    assert repr(call).endswith("status=failed)")


def test_a_failure_of_the_run_comes_after_its_calls(driver: Any) -> None:
    graph = graph_of(handle_tool_errors=False)

    (call, _), error = calls_of(driver, graph, asking_for("fail"))

    assert call.error == "no fail"
    assert str(error) == "no fail"


def test_a_call_that_asks_a_person_is_over_with_the_run(driver: Any) -> None:
    ((call, deltas),) = calls_of(driver, graph_of(), asking_for("ask"))

    assert (deltas, call.output, call.error, call.completed) == ([], None, None, True)


def test_parallel_calls_have_a_handle_each(driver: Any) -> None:
    calls = calls_of(driver, graph_of(), asking_for("look", "fail"))

    assert sorted(call.tool_call_id for call, _ in calls) == ["c-fail", "c-look"]


SERIALIZED_OTHER = {"lc": 1, "type": "constructor", "id": ["x", "Other"], "kwargs": {}}
STARTED = {"event": "tool-started", "tool_call_id": "c", "tool_name": "t", "input": {"a": 1}}


def mux_of() -> tuple[StreamMux, Any]:
    """Return a mux for tool calls, and a subscribed reader of them."""
    mux = StreamMux(factories=[ToolCallTransformer])
    return mux, iter(mux.extensions["tool_calls"])


def tell(mux: StreamMux, payload: Any, namespace: tuple[str, ...] = ()) -> None:
    mux.push(
        {
            "type": "event",
            "method": "tools",
            "params": {"namespace": list(namespace), "timestamp": 0, "data": payload},
        }
    )


@pytest.mark.parametrize(
    ("output", "plain"),
    [
        (ToolMessage("text", tool_call_id="c"), "text"),
        ({"a": 1}, {"a": 1}),
        (None, None),
        (
            {
                "lc": 1,
                "type": "constructor",
                "id": ["langchain", "schema", "messages", "ToolMessage"],
                "kwargs": {"content": "text", "tool_call_id": "c"},
            },
            "text",
        ),
        (SERIALIZED_OTHER, SERIALIZED_OTHER),
    ],
)
def test_of_a_tool_message_the_content_is_the_output(output: Any, plain: Any) -> None:
    mux, reader = mux_of()

    tell(mux, STARTED)
    tell(mux, {"event": "tool-finished", "tool_call_id": "c", "output": output})

    assert next(reader).output == plain


def test_calls_that_are_open_at_the_end_of_the_run_are_over() -> None:
    mux, reader = mux_of()
    tell(mux, STARTED)
    call = next(reader)
    assert not call.completed
    assert repr(call).endswith("status=running)")

    mux.close()

    assert (call.completed, call.output, call.error) == (True, None, None)


def test_calls_that_are_open_when_the_run_fails_have_its_error() -> None:
    mux, reader = mux_of()
    tell(mux, STARTED)
    call = next(reader)
    deltas = iter(call)

    mux.fail(KeyError("gone"))

    assert (call.completed, call.output, call.error) == (True, None, "'gone'")
    assert list(deltas) == []


def test_what_belongs_to_no_call_of_the_graph_is_ignored() -> None:
    mux, reader = mux_of()

    tell(mux, STARTED, namespace=("n:1",))
    tell(mux, {"event": "tool-output-delta", "tool_call_id": "x", "delta": 1})
    tell(mux, {"event": "tool-finished", "tool_call_id": "x", "output": 1})
    tell(mux, {"event": "tool-error", "tool_call_id": "x", "message": "m"})
    tell(mux, {"event": "tool-paused", "tool_call_id": "c"})
    mux.close()

    assert list(reader) == []


def test_a_call_that_began_before_its_reader_came_is_left_out() -> None:
    mux = StreamMux(factories=[ToolCallTransformer])
    tell(mux, STARTED)

    reader = iter(mux.extensions["tool_calls"])
    tell(mux, {"event": "tool-finished", "tool_call_id": "c", "output": 1})
    mux.close()

    assert list(reader) == []
