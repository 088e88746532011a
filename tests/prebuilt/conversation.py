"""A conversation in which a model has just asked for tools, and a graph that runs them."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.messages import AIMessage, ToolCall
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.graph.message import add_messages
from millstream.prebuilt import ToolNode


class State(TypedDict):
    """Messages and one more key."""

    messages: Annotated[list[Any], add_messages]
    topic: str


def tool_call(name: str, args: dict[str, Any] | None = None, id: str = "c1") -> ToolCall:
    """Return a call as models make it."""
    return {"name": name, "args": args or {}, "id": id, "type": "tool_call"}


def asking(*calls: ToolCall) -> dict[str, Any]:
    """Return the state of a conversation that ends with these calls."""
    return {"messages": [AIMessage("", tool_calls=list(calls), id="ai")], "topic": "tea"}


def tools_graph(*tools: Any, schema: Any = State, **options: Any) -> Any:
    """Compile a graph of one `ToolNode`."""
    builder = StateGraph(schema).add_node("tools", ToolNode(tools, **options))
    return builder.add_edge(START, "tools").compile()


def contents(result: dict[str, Any]) -> list[Any]:
    """Return what the tools said."""
    return [message.content for message in result["messages"] if message.type == "tool"]
