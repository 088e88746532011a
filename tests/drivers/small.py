"""Graphs of one node, and what handles its failures."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

from typing_extensions import TypedDict

from millstream.graph import START, StateGraph


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


def graph_of(action: Any, *, compile_with: Any = None, **options: Any) -> Any:
    """Compile a graph of one node."""
    builder = StateGraph(State)
    builder.add_node("node", action, **options)
    return builder.add_edge(START, "node").compile(**(compile_with or {}))


def say(state: State) -> dict[str, Any]:
    return {"log": ["said"]}


def fail(state: State) -> None:
    raise ValueError("boom")


def with_handler(
    builder: StateGraph[Any], action: Any, handle: Any, *, is_default: bool, **options: Any
) -> Any:
    """Compile a graph of one node, and what handles its failures."""
    if is_default:
        builder.set_node_defaults(error_handler=handle)
        builder.add_node("node", action)
    else:
        builder.add_node("node", action, error_handler=handle)
    return builder.add_edge(START, "node").compile(**options)


def astream(graph: Any, *args: Any, **kwargs: Any) -> list[Any]:
    async def run() -> list[Any]:
        return [item async for item in graph.astream(*args, **kwargs)]

    return asyncio.run(run())
