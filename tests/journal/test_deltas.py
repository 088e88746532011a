"""Delta channels: what is replayed is what walking from parent to parent would find."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from typing_extensions import TypedDict

from journal.journals import SyncCalls
from millstream.channels.delta import DeltaChannel
from millstream.graph import START, StateGraph

CONFIG: Any = {"configurable": {"thread_id": "thread"}}


def concat(value: list[int], writes: list[list[int]]) -> list[int]:
    """Add all writes."""
    return sum(writes, value)


class State(TypedDict, total=False):
    n: int
    log: Annotated[list[int], DeltaChannel(concat, snapshot_frequency=7)]


def counting(journal: Any) -> Any:
    """Return a graph that writes to a delta channel."""
    builder = StateGraph(State)
    for name in ("a", "b"):
        builder.add_node(name, lambda state: {"log": [state.get("n", 0)]})
        builder.add_edge(START, name)
    return builder.compile(checkpointer=journal)


def test_histories_are_those_that_parents_tell(calls: SyncCalls) -> None:
    """For every checkpoint of a thread with a branch."""
    journal = calls.open()
    graph = counting(journal)
    for n in range(12):
        graph.invoke({"n": n, "log": [n]}, CONFIG)
    old = list(graph.get_state_history(CONFIG))[20]
    graph.invoke({"n": 99, "log": [99]}, old.config)
    plain = BaseCheckpointSaver.get_delta_channel_history
    for saved in journal.list(CONFIG):
        expected = plain(journal, config=saved.config, channels=["log", "none"])
        found = calls.call(
            journal.get_delta_channel_history, config=saved.config, channels=["log", "none"]
        )
        assert found == expected


@pytest.mark.parametrize("strategy", ["keep_latest", "runs"])
def test_what_a_value_is_rebuilt_from_is_not_thrown_away(calls: SyncCalls, strategy: str) -> None:
    """The newest checkpoint keeps those that its channel's writes stand next to."""
    journal = calls.open()
    graph = counting(journal)
    for n in range(12):
        graph.invoke({"n": n, "log": [n]}, {**CONFIG, "metadata": {"run_id": f"run{n}"}})
    state = graph.get_state(CONFIG)
    count = len(list(journal.list(CONFIG)))
    if strategy == "keep_latest":
        calls.call(journal.prune, ["thread"])
    else:
        calls.call(journal.delete_for_runs, [f"run{n}" for n in range(11)])
    assert graph.get_state(CONFIG).values == state.values
    assert 1 < len(list(journal.list(CONFIG))) < count
