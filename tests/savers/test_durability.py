"""What each durability has stored, and when."""

from __future__ import annotations

from typing import Any

import pytest

from differential.kit import Log, wire
from savers.backends import SyncRuns, new_thread


def recorded(runs: SyncRuns, happened: list[Any]) -> Any:
    """Return the chain a, b, c; calls of nodes, and steps as they are stored, are noted."""

    def node(name: str) -> Any:
        def run(state: Any) -> dict[str, Any]:
            happened.append(name)
            return {"log": [name]}

        return run

    def told(name: str, config: Any, checkpoint: Any, metadata: Any, *rest: Any) -> None:
        happened.append(metadata["step"])

    builder = wire(runs.engine, Log, "START a b c END", a=node("a"), b=node("b"), c=node("c"))
    runs.watch(["put"], told)
    return builder.compile(checkpointer=runs.saver)


def test_sync_stores_each_superstep_before_the_next(runs: SyncRuns) -> None:
    happened: list[Any] = []
    graph = recorded(runs, happened)

    runs.invoke(graph, {"x": 1}, new_thread(), durability="sync")

    assert happened == [-1, 0, "a", 1, "b", 2, "c", 3]


def test_async_has_stored_everything_in_order_when_the_run_ends(runs: SyncRuns) -> None:
    happened: list[Any] = []
    graph = recorded(runs, happened)
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread, durability="async")

    assert [entry for entry in happened if isinstance(entry, int)] == [-1, 0, 1, 2, 3]
    assert [found.metadata["step"] for found in runs.stored(thread)] == [3, 2, 1, 0, -1]


def test_exit_stores_one_checkpoint_after_the_last_node(runs: SyncRuns) -> None:
    happened: list[Any] = []
    graph = recorded(runs, happened)
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread, durability="exit")

    assert happened == ["a", "b", "c", 3]
    assert [found.metadata["step"] for found in runs.stored(thread)] == [3]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_checkpoint_knows_its_parent(runs: SyncRuns, durability: str) -> None:
    graph = recorded(runs, [])
    thread = new_thread()

    for x in (1, 2):
        runs.invoke(graph, {"x": x}, thread, durability=durability)

    found = runs.stored(thread)
    ids = [saved.checkpoint["id"] for saved in found]
    parents = [
        saved.parent_config and saved.parent_config["configurable"]["checkpoint_id"]
        for saved in found
    ]
    assert len(ids) == (2 if durability == "exit" else 10)
    assert ids == sorted(ids, reverse=True)
    assert parents == ids[1:] + [None]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_failed_run_has_stored_what_was_done(runs: SyncRuns, durability: str) -> None:
    def bad(state: Any) -> None:
        raise ValueError("broken")

    graph = wire(runs.engine, Log, "START a b bad END", a=..., b=..., bad=bad)
    graph = graph.compile(checkpointer=runs.saver)
    thread = new_thread()

    with pytest.raises(ValueError, match="broken"):
        runs.invoke(graph, {"x": 1}, thread, durability=durability)

    found = runs.stored(thread)
    assert [saved.metadata["step"] for saved in found] == (
        [2] if durability == "exit" else [2, 1, 0, -1]
    )
    assert found[0].checkpoint["channel_values"]["log"] == ["a", "b"]
    assert [channel for _, channel, _ in found[0].pending_writes] == ["__error__"]
