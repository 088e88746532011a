"""A tool that is left by a command for a parent graph has ended."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool, tool

from millstream.errors import ParentCommand
from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolCallTransformer, ToolNode
from millstream.types import Command

pytestmark = pytest.mark.timeout(20)

AWAY: Any = Command(graph=Command.PARENT, goto="end", update={"messages": [("user", "bye")]})


def leaver() -> Any:
    """Return a graph that leaves for the graph around it."""
    builder = StateGraph(MessagesState).add_node("leave", lambda state: AWAY)
    return builder.add_edge(START, "leave").compile()


@tool
def by_a_graph(q: str) -> str:
    """Call a graph that leaves."""
    leaver().invoke({"messages": []})
    return "not reached"


async def _by_a_graph(q: str) -> str:
    await leaver().ainvoke({"messages": []})
    return "not reached"


by_an_async_graph = StructuredTool.from_function(
    coroutine=_by_a_graph, name="by_a_graph", description="Call a graph that leaves."
)


@tool
def by_hand(q: str) -> str:
    """Raise what leaves."""
    raise ParentCommand(AWAY)


@tool
def around(q: str) -> Any:
    """Call another tool that leaves."""
    return by_hand.invoke({"type": "tool_call", "name": "by_hand", "args": {"q": q}, "id": "in"})


@tool
def stays(q: str) -> str:
    """Answer."""
    return "here"


@tool
def inside(q: str) -> str:
    """Call a graph of which a part leaves for another part."""
    builder = StateGraph(MessagesState).add_node("part", leaver()).add_node("end", lambda s: None)
    builder.add_edge(START, "part").compile().invoke({"messages": []})
    return "all of it"


def team(*tools: Any) -> Any:
    """Return a graph with a graph of tools in it, and somewhere to go."""
    part = StateGraph(MessagesState).add_node("tools", ToolNode(tools)).add_edge(START, "tools")
    part.add_node("end", lambda state: None)
    builder = StateGraph(MessagesState).add_node("part", part.compile())
    return builder.add_node("end", lambda state: None).add_edge(START, "part").compile()


def asked(*names: str) -> Any:
    """Return an input that calls these tools; the id of a call is the name of its tool."""
    calls: Any = [{"name": n, "args": {"q": ""}, "id": n, "type": "tool_call"} for n in names]
    return {"messages": [AIMessage("", tool_calls=calls)]}


def endings(items: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield which calls ended, and with what."""
    for item in items:
        event = item[-1] if isinstance(item, tuple) else item
        if event["event"] != "tool-started":
            output = event.get("output")
            shown = output.goto if isinstance(output, Command) else getattr(output, "content", None)
            yield event["tool_call_id"], f"{event['event']}: {shown}"


def test_a_tool_that_calls_a_graph_that_leaves_ends_with_its_command(driver: Any) -> None:
    kind = by_an_async_graph if driver.name == "async" else by_a_graph

    items = driver.stream(team(kind), asked("by_a_graph"), stream_mode="tools", subgraphs=True)

    assert list(endings(items)) == [("by_a_graph", "tool-finished: end")]


def test_a_tool_that_raises_a_command_ends_with_it(driver: Any) -> None:
    items = driver.stream(team(by_hand), asked("by_hand"), stream_mode="tools", subgraphs=True)

    assert list(endings(items)) == [("by_hand", "tool-finished: end")]


def test_a_tool_around_one_that_leaves_ends_too(driver: Any) -> None:
    items = driver.stream(team(around), asked("around"), stream_mode="tools", subgraphs=True)

    assert list(endings(items)) == [
        ("in", "tool-finished: end"),
        ("around", "tool-finished: end"),
    ]


def test_another_tool_beside_it_ends_once(driver: Any) -> None:
    graph = team(stays, by_hand)

    items = driver.stream(graph, asked("stays", "by_hand"), stream_mode="tools", subgraphs=True)

    assert sorted(endings(items)) == [
        ("by_hand", "tool-finished: end"),
        ("stays", "tool-finished: here"),
    ]


def test_a_command_that_does_not_leave_the_tool_does_not_end_it(driver: Any) -> None:
    items = driver.stream(team(inside), asked("inside"), stream_mode="tools", subgraphs=True)

    assert list(endings(items)) == [("inside", "tool-finished: all of it")]


def test_each_reader_is_told_once(driver: Any) -> None:
    """A node that streams a graph with `tools`, in a graph that is streamed with `tools`."""
    inner = team(by_hand)
    heard: list[Any] = []

    def node(state: MessagesState) -> None:
        heard.extend(inner.stream(asked("by_hand"), stream_mode="tools", subgraphs=True))

    outer = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n").compile()
    items = driver.stream(outer, {"messages": []}, stream_mode="tools", subgraphs=True)

    assert list(endings(items)) == [("by_hand", "tool-finished: end")]
    assert list(endings(heard)) == [("by_hand", "tool-finished: end")]


def test_the_handle_of_a_call_that_leaves_is_closed(driver: Any) -> None:
    graph = StateGraph(MessagesState).add_node("tools", ToolNode([by_hand]))
    graph.add_edge(START, "tools")
    around = StateGraph(MessagesState).add_node("end", lambda state: None)
    part: Any = graph.compile()

    def tools(state: MessagesState) -> Any:
        run = part.stream_events(state, version="v3", transformers=[ToolCallTransformer])
        calls: list[Any] = []
        with contextlib.suppress(ParentCommand):
            calls.extend(run.tool_calls)
        return [(call.tool_name, call.completed, call.error) for call in calls]

    found: list[Any] = []
    around.add_node("part", lambda state: found.extend(tools(state)))
    driver.invoke(around.add_edge(START, "part").compile(), asked("by_hand"))

    assert found == [("by_hand", True, None)]


def test_a_command_for_a_parent_can_be_pickled_inside_a_tool() -> None:
    seen: list[Any] = []

    @tool
    def pickled(q: str) -> str:
        """Pickle what would leave."""
        seen.append(pickle.loads(pickle.dumps(ParentCommand(AWAY))))
        return "done"

    graph = team(pickled)
    list(graph.stream(asked("pickled"), stream_mode="tools", subgraphs=True))

    assert seen[0].args == (AWAY,)


def test_a_command_leaves_a_tool_that_nobody_hears(driver: Any) -> None:
    result = driver.invoke(team(by_hand), asked("by_hand"))

    assert [message.content for message in result["messages"]] == ["", "bye"]
