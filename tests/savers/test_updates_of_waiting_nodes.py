"""An update in the name of a node that waits for several edges, or for the end, triggers it."""

from __future__ import annotations

from typing import Any

import pytest

from differential.kit import Log, say, wire
from savers.backends import SyncRuns, new_thread

KINDS = ["edges", "waiting edge", "deferred", "deferred behind a waiting edge"]


def diamond(runs: SyncRuns, kind: str) -> Any:
    """Return a graph in which `c` comes after `a` and `b`, and stops before it."""
    c = (say("c"), {"defer": True}) if "deferred" in kind else say("c")
    builder = wire(runs.engine, Log, "START a", "START b", "c d END", a=..., b=..., c=c, d=...)
    if "waiting" in kind:
        builder.add_edge(["a", "b"], "c")
    else:
        builder.add_edge("a", "c").add_edge("b", "c")
    return builder.compile(checkpointer=runs.saver, interrupt_before=["c"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_node_has_run(runs: SyncRuns, kind: str) -> None:
    graph, thread = diamond(runs, kind), new_thread()
    runs.invoke(graph, {"x": 1}, thread)

    runs.update_state(graph, thread, {"log": ["C"]}, as_node="c")

    assert runs.get_state(graph, thread).next == ("d",)
    assert runs.invoke(graph, None, thread)["log"] == ["a", "b", "C", "d"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_waits_again_in_the_next_turn(runs: SyncRuns, kind: str) -> None:
    graph, thread = diamond(runs, kind), new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    runs.update_state(graph, thread, {"log": ["C"]}, as_node="c")
    runs.invoke(graph, None, thread)

    runs.invoke(graph, {"x": 2}, thread)

    assert runs.get_state(graph, thread).next == ("c",)
    assert runs.invoke(graph, None, thread)["log"] == ["a", "b", "C", "d", "a", "b", "c", "d"]


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_bulk_update_too(runs: SyncRuns, kind: str) -> None:
    graph, thread = diamond(runs, kind), new_thread()
    update = runs.engine.types.StateUpdate

    before = [update({"log": ["A"]}, "a"), update({"log": ["B"]}, "b")]
    runs.bulk_update_state(graph, thread, [before, [update({"log": ["C"]}, "c")]])

    assert runs.get_state(graph, thread).next == ("d",)
    assert runs.invoke(graph, None, thread)["log"] == ["A", "B", "C", "d"]


def test_who_waits_for_more_goes_on_waiting(runs: SyncRuns) -> None:
    """What has come in for a node that did not wait to run is not used up."""
    builder = wire(
        runs.engine, Log, "START a", "START m b", "c d END", **dict.fromkeys("ambcd", ...)
    )
    builder.add_edge(["a", "b"], "c")
    graph = builder.compile(checkpointer=runs.saver, interrupt_before=["b"])
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)

    runs.update_state(graph, thread, {"log": ["C"]}, as_node="c")
    runs.update_state(graph, thread, {"log": ["B"]}, as_node="b")

    assert runs.get_state(graph, thread).next == ("c",)
    assert runs.invoke(graph, None, thread)["log"] == ["a", "m", "C", "B", "c", "d"]
