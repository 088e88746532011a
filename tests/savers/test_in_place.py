"""Nodes that change their state in place do not change what is stored."""

from __future__ import annotations

import pytest
from typing_extensions import TypedDict

from differential.kit import wire
from savers.backends import SyncRuns, new_thread


class Items(TypedDict):
    """A list without a reducer."""

    items: list[str]


def add(state: Items) -> Items:
    """Append to the state in place, and return it."""
    state["items"].append("x")
    return state


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_each_checkpoint_keeps_its_own_value(runs: SyncRuns, durability: str) -> None:
    builder = wire(runs.engine, Items, "START a b c d END", **dict.fromkeys("abcd", add))
    graph = builder.compile(checkpointer=runs.saver)
    thread = new_thread()

    runs.invoke(graph, {"items": []}, thread, durability=durability)

    sizes = [len(old.values.get("items", ())) for old in runs.history(graph, thread)]
    assert sizes == ([4] if durability == "exit" else [4, 3, 2, 1, 0, 0])


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_node_that_changes_the_state_before_it_fails_is_not_seen_in_it(
    runs: SyncRuns, durability: str
) -> None:
    def fail(state: Items) -> Items:
        add(state)
        raise ValueError("broken")

    builder = wire(runs.engine, Items, "START a fail END", a=add, fail=fail)
    graph = builder.compile(checkpointer=runs.saver)
    thread = new_thread()

    with pytest.raises(ValueError, match="broken"):
        runs.invoke(graph, {"items": []}, thread, durability=durability)

    assert runs.get_state(graph, thread).values == {"items": ["x"]}
