"""The graph that is served where many replicas are measured."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class Speech(TypedDict, total=False):
    """How many events are said in the first superstep, after how long each, and the supersteps."""

    count: int
    delay: float
    size: int
    steps: int
    done: int


async def say(state: Speech) -> dict[str, Any]:
    """Say something; others get a turn after each event."""
    write = get_stream_writer()
    done = state.get("done", 0)
    for index in range(0 if done else state.get("count", 0)):
        await asyncio.sleep(state.get("delay", 0))
        write({"i": index, "text": "x" * state.get("size", 0)})
    return {"done": done + 1}


def where_to(state: Speech) -> str:
    """Go on until there were enough supersteps."""
    return "say" if state["done"] < state.get("steps", 1) else END


speak = (
    StateGraph(Speech)
    .add_node("say", say)
    .add_edge(START, "say")
    .add_conditional_edges("say", where_to, ["say", END])
    .compile()
)
