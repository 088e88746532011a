"""After a failure only what had not finished runs again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from differential.kit import Log, add_nodes, wire
from savers.backends import SyncRuns, new_thread

Durability = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


class Attempts:
    """Nodes that count their calls, and one that fails until it is repaired.

    Of tasks that run side by side, each of `order` waits until the reader has seen the update of
    the one before it, and the failing one waits for all, so what had finished by then is certain.
    """

    def __init__(self, *order: str) -> None:
        self.calls: Counter[str] = Counter()
        self.order = order
        self.seen = {name: threading.Event() for name in order}
        self.is_broken = True

    def node(self, name: str) -> Any:
        """Return a node that logs its name, and for a Send the value it was sent."""

        def run(state: Any) -> dict[str, Any]:
            told = name if "x" not in state or "log" in state else f"{name}{state['x']}"
            self.calls[told] += 1
            if told in self.order:
                self._wait_for(self.order[: self.order.index(told)])
            return {"log": [told]}

        return run

    def bad(self, state: Any) -> dict[str, Any]:
        """Fail once everything awaited has been seen; succeed when repaired."""
        self.calls["bad"] += 1
        if self.is_broken:
            self._wait_for(self.order)
            raise ValueError("broken")
        return {"log": ["bad"]}

    def see(self, item: dict[str, Any]) -> None:
        """Take note of an `updates` item."""
        for update in item.values():
            name = update["log"][-1]
            if name in self.seen:
                self.seen[name].set()

    def _wait_for(self, names: Sequence[str]) -> None:
        for name in names:
            assert self.seen[name].wait(20)


def fail(runs: SyncRuns, graph: Any, attempts: Attempts, thread: Any, **options: Any) -> None:
    with pytest.raises(ValueError, match="broken"):
        runs.stream(graph, {"x": 1}, thread, stream_mode="updates", see=attempts.see, **options)
    attempts.is_broken = False


@Durability
def test_finished_siblings_of_a_failed_task_are_not_run_again(
    runs: SyncRuns, durability: str
) -> None:
    attempts = Attempts("good", "fine")
    nodes = {name: attempts.node(name) for name in ("a", "good", "fine", "z")}
    graph = wire(
        runs.engine,
        Log,
        "START a good z END",
        "a fine z",
        "a bad z",
        **nodes,
        bad=attempts.bad,
    ).compile(checkpointer=runs.saver)
    thread = new_thread()

    fail(runs, graph, attempts, thread, durability=durability)
    result = runs.invoke(graph, None, thread, durability=durability)

    assert attempts.calls == {"a": 1, "good": 1, "fine": 1, "bad": 2, "z": 1}
    assert result == {"x": 1, "log": ["a", "bad", "fine", "good", "z"]}


@Durability
def test_finished_sends_are_not_run_again(runs: SyncRuns, durability: str) -> None:
    attempts = Attempts("w1", "w2")
    send = runs.engine.types.Send
    builder = runs.engine.graph.StateGraph(Log)
    add_nodes(builder, a=attempts.node("a"), w=attempts.node("w"), bad=attempts.bad)
    builder.add_edge("__start__", "a")
    builder.add_conditional_edges(
        "a", lambda state: [send("w", {"x": 1}), send("bad", {}), send("w", {"x": 2})]
    )
    graph = builder.compile(checkpointer=runs.saver)
    thread = new_thread()

    fail(runs, graph, attempts, thread, durability=durability)
    result = runs.invoke(graph, None, thread, durability=durability)

    assert attempts.calls == {"a": 1, "w1": 1, "w2": 1, "bad": 2}
    assert result == {"x": 1, "log": ["a", "w1", "bad", "w2"]}


def test_a_thread_may_fail_many_times(runs: SyncRuns) -> None:
    attempts = Attempts()
    graph = wire(runs.engine, Log, "START bad END", bad=attempts.bad)
    graph = graph.compile(checkpointer=runs.saver)
    thread = new_thread()

    for given in ({"x": 1}, None, None):
        with pytest.raises(ValueError, match="broken"):
            runs.invoke(graph, given, thread)
    attempts.is_broken = False
    result = runs.invoke(graph, None, thread)

    assert attempts.calls == {"bad": 4}
    assert result == {"x": 1, "log": ["bad"]}


def test_finished_nodes_of_a_nested_graph_are_not_run_again(runs: SyncRuns) -> None:
    attempts = Attempts()
    inner = wire(
        runs.engine,
        Log,
        "START i bad j END",
        i=attempts.node("i"),
        bad=attempts.bad,
        j=attempts.node("j"),
    )
    outer = wire(
        runs.engine, Log, "START a sub END", a=attempts.node("a"), sub=inner.compile()
    ).compile(checkpointer=runs.saver)
    thread = new_thread()

    fail(runs, outer, attempts, thread)
    result = runs.invoke(outer, None, thread)

    assert attempts.calls == {"a": 1, "i": 1, "bad": 2, "j": 1}
    assert result == {"x": 1, "log": ["a", "a", "i", "bad", "j"]}


def test_new_input_discards_what_had_not_finished(runs: SyncRuns) -> None:
    attempts = Attempts()
    graph = wire(runs.engine, Log, "START a bad END", a=attempts.node("a"), bad=attempts.bad)
    graph = graph.compile(checkpointer=runs.saver)
    thread = new_thread()

    fail(runs, graph, attempts, thread)
    result = runs.invoke(graph, {"x": 2}, thread)

    assert attempts.calls == {"a": 2, "bad": 2}
    assert result == {"x": 2, "log": ["a", "a", "bad"]}
