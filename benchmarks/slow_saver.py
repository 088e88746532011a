"""One run that is faster than its saver: `-m benchmarks.slow_saver PEER DRIVER DURABILITY N`.

It takes N supersteps and prints the peak of the process's resident memory in megabytes. A process
of its own, because a peak cannot be undone; it imports the one library it measures.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any, Final

from typing_extensions import TypedDict

from benchmarks.memory import peak
from benchmarks.null_saver import NullSaver

LAG: Final = 0.005
"""Seconds the saver takes to store a checkpoint."""
PAYLOAD: Final = 20_000
"""Bytes that every superstep makes anew: a run that held 1,000 of them would need 20 MB."""


class State(TypedDict):
    """A count, and something that takes memory."""

    n: int
    payload: bytes


def run(root: str, driver: str, durability: str, supersteps: int) -> None:
    """Run a loop of so many supersteps."""
    is_async = driver == "async"

    def work(state: State) -> dict[str, Any]:
        return {"n": state["n"] + 1, "payload": b"x" * PAYLOAD}

    async def awork(state: State) -> dict[str, Any]:
        return work(state)

    def route(state: State) -> str:
        return "work" if state["n"] < supersteps else "__end__"

    builder = importlib.import_module(f"{root}.graph").StateGraph(State)
    builder.add_node("work", awork if is_async else work)
    builder.set_entry_point("work")
    builder.add_conditional_edges("work", route, ["work", "__end__"])
    graph = builder.compile(checkpointer=NullSaver(LAG))
    config = {"recursion_limit": supersteps + 10, "configurable": {"thread_id": "1"}}
    start = {"n": 0, "payload": b""}
    if is_async:
        result = asyncio.run(graph.ainvoke(start, config, durability=durability))
    else:
        result = graph.invoke(start, config, durability=durability)
    assert result["n"] == supersteps


if __name__ == "__main__":
    root, driver, durability, supersteps = sys.argv[1:]
    run(root, driver, durability, int(supersteps))
    print(peak())
