"""What streams of checkpoints, and savers, are told of where a checkpoint is."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from differential.kit import Log, say, wire
from savers.backends import SyncRuns, new_thread


def question(runs: SyncRuns) -> Any:
    """Return a graph that asks in its second node."""

    def ask(state: Any) -> Any:
        return {"log": [runs.engine.types.interrupt("why?")]}

    graph = wire(runs.engine, Log, "START a ask END", a=say("a"), ask=ask)
    return graph.compile(checkpointer=runs.saver)


def with_keys(thread: Any, **keys: Any) -> Any:
    return {"configurable": {**thread["configurable"], **keys}}


def named(item: Any) -> Any:
    """Return the `configurable` of the parent in an item of `checkpoints`."""
    return item["parent_config"]["configurable"]


def test_the_parent_of_the_checkpoint_that_a_run_goes_on_from_is_named_by_the_saver(
    runs: SyncRuns,
) -> None:
    graph, thread = question(runs), with_keys(new_thread(), mine=1)
    shown = runs.stream(graph, {"x": 1}, thread, stream_mode="checkpoints")
    command = runs.engine.types.Command(resume="so")
    later = runs.stream(graph, command, thread, stream_mode="checkpoints")

    place = {"thread_id": thread["configurable"]["thread_id"], "checkpoint_ns": ""}
    before, left = (item["config"]["configurable"]["checkpoint_id"] for item in shown[-2:])
    assert named(later[0]) == {**place, "checkpoint_id": before}
    assert named(later[1]) == {**place, "checkpoint_id": left, "mine": 1}
    assert [named(item)["mine"] for item in shown[1:]] == [1] * (len(shown) - 1)


def test_a_nested_graph_that_goes_on_shows_its_parent_with_the_graphs_around_it(
    runs: SyncRuns,
) -> None:
    def ask(state: Any) -> Any:
        return {"log": [runs.engine.types.interrupt("why?")]}

    inner = wire(runs.engine, Log, "START a ask END", a=say("a"), ask=ask).compile()
    graph = wire(runs.engine, Log, "START inner END", inner=inner)
    graph, thread = graph.compile(checkpointer=runs.saver), with_keys(new_thread(), mine=1)
    options: Any = {"stream_mode": "checkpoints", "subgraphs": True}
    shown = runs.stream(graph, {"x": 1}, thread, **options)
    later = runs.stream(graph, runs.engine.types.Command(resume="so"), thread, **options)

    ns, item = next((ns, item) for ns, item in later if ns)
    ids = [item["config"]["configurable"]["checkpoint_id"] for where, item in shown if where]
    outer = item["config"]["configurable"]["checkpoint_map"][""]
    assert named(item) == {
        "thread_id": thread["configurable"]["thread_id"],
        "checkpoint_ns": ns[0],
        "checkpoint_id": ids[-2],
        "checkpoint_map": {"": outer, ns[0]: ids[-2]},
    }


@pytest.mark.parametrize("mode", ["checkpoints", "debug"])
def test_keys_of_the_program_are_shown_whatever_they_begin_with(runs: SyncRuns, mode: str) -> None:
    graph, thread = question(runs), with_keys(new_thread(), __mine=1, __pregel_mine=2)

    items = runs.stream(graph, {"x": 1}, thread, stream_mode=mode)

    payloads = [item["payload"] if mode == "debug" else item for item in items]
    for payload in payloads:
        if "config" in payload:
            assert payload["config"]["configurable"]["__mine"] == 1
            assert "__pregel_mine" not in payload["config"]["configurable"]


def test_keys_of_the_program_reach_nested_graphs_whatever_they_begin_with(runs: SyncRuns) -> None:
    seen: list[Any] = []

    def look(state: Any, config: Any) -> Any:
        seen.append(config["configurable"].get("__mine"))
        return {}

    look.__annotations__ = {}
    inner = wire(runs.engine, Log, "START look END", look=look).compile()
    graph = wire(runs.engine, Log, "START inner END", inner=inner)

    runs.invoke(graph.compile(), {"x": 1}, {"configurable": {"__mine": 1}})

    assert seen == [1]


class Telling(InMemorySaver):
    """Keeps the metadata of the configs it is given with checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        self.told.append(dict(config["metadata"]))
        return super().put(config, checkpoint, metadata, new_versions)

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        return self.put(config, checkpoint, metadata, new_versions)


def test_savers_are_told_which_checkpoint_a_fork_is_of(runs: SyncRuns) -> None:
    saver = Telling()
    graph, thread = question(runs).copy({"checkpointer": saver}), new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    old = runs.get_state(graph, thread).config
    saver.told.clear()

    runs.update_state(graph, {**old, "metadata": {"why": "fork"}}, {"x": 2}, as_node="a")

    assert saver.told == [
        {
            "why": "fork",
            "thread_id": thread["configurable"]["thread_id"],
            "checkpoint_id": old["configurable"]["checkpoint_id"],
        }
    ]
