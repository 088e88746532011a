"""Two runs that overlap on one thread: what docs/durability.md says of them, and no more."""

from __future__ import annotations

import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import END, START, StateGraph

THREAD: Any = {"configurable": {"thread_id": "shared"}}


class State(TypedDict):
    items: Annotated[list[str], operator.add]


class LoadedByTwo(InMemorySaver):
    """Lets nobody go on from a checkpoint before two have looked for one."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=30)
        self.waiting = [None, None]

    def get_tuple(self, config: Any) -> Any:
        """Load, and wait for the other."""
        loaded = super().get_tuple(config)
        if self.waiting:
            self.waiting.pop()
            self.both.wait()
        return loaded

    async def aget_tuple(self, config: Any) -> Any:
        """Load, and wait for the other; each run has a loop of its own."""
        return self.get_tuple(config)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_runs_that_overlap_each_keep_a_branch_and_the_state_has_one_of_them(
    driver: Any, durability: Any
) -> None:
    def add(state: State) -> State:
        return {"items": [f"{state['items'][-1]}, added"]}

    builder = StateGraph(State)
    builder.add_node("add", add)
    builder.add_edge(START, "add")
    builder.add_edge("add", END)
    graph = builder.compile(checkpointer=LoadedByTwo())

    def run(name: str) -> Any:
        return driver.invoke(graph, {"items": [name]}, THREAD, durability=durability)

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(run, name) for name in ("one", "other")]
        kept = [result.result()["items"] for result in results]

    assert kept == [["one", "one, added"], ["other", "other, added"]]
    assert graph.get_state(THREAD).values["items"] in kept
    ends = [state for state in graph.get_state_history(THREAD) if not state.next]
    assert sorted(end.values["items"] for end in ends) == kept
