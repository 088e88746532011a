"""Checkpoints that a program changed and put back into its saver."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base.id import uuid6

from differential.kit import Log, wire
from savers.backends import SyncRuns, new_thread

Change = Callable[[dict[str, Any]], None]


def version(number: Any) -> Change:
    """Return what replaces a value and its version."""

    def change(checkpoint: dict[str, Any]) -> None:
        checkpoint["channel_values"]["log"] = ["by hand"]
        checkpoint["channel_versions"]["log"] = number

    return change


def renumber(checkpoint: dict[str, Any]) -> None:
    """Give all channels versions of another type than the nodes have seen."""
    checkpoint["channel_values"]["log"] = ["by hand"]
    names = checkpoint["channel_versions"]
    checkpoint["channel_versions"] = dict.fromkeys(names, 90)


def strip(checkpoint: dict[str, Any]) -> None:
    """Leave what a checkpoint cannot do without."""
    checkpoint["channel_values"]["log"] = ["by hand"]
    checkpoint["channel_versions"]["log"] = 1
    for name in ("versions_seen", "updated_channels", "ts"):
        checkpoint.pop(name)


CHANGES = {
    "number": version(1),
    "fraction": version(9.5),
    "text": version("00000000000000000000000000000009.5"),
    "renumbered": renumber,
    "stripped": strip,
}


@pytest.fixture(params=CHANGES)
def changed(request: pytest.FixtureRequest, runs: SyncRuns) -> tuple[Any, Any]:
    """Give a graph that waits before its second node, and a thread with a changed checkpoint."""
    graph = wire(runs.engine, Log, "START a b END", a=..., b=...)
    graph = graph.compile(checkpointer=runs.saver, interrupt_before=["b"])
    thread = new_thread(checkpoint_ns="")
    runs.invoke(graph, {"x": 1}, thread)
    saved = runs.stored(thread)[0]
    checkpoint = copy.deepcopy(saved.checkpoint)
    checkpoint["id"] = str(uuid6(clock_seq=5))
    CHANGES[request.param](checkpoint)
    put = getattr(runs.saver, runs.prefix + "put")
    versions = checkpoint["channel_versions"]
    runs.call(put, saved.config, checkpoint, {"step": 1}, versions)
    return graph, thread


def test_they_are_read(runs: SyncRuns, changed: tuple[Any, Any]) -> None:
    graph, thread = changed

    state = runs.get_state(graph, thread)

    assert (state.values, state.next) == ({"x": 1, "log": ["by hand"]}, ("b",))
    assert state.metadata["step"] == 1
    assert [found.values["log"] for found in runs.history(graph, thread)] == [
        ["by hand"],
        ["a"],
        [],
        [],
    ]


def test_the_thread_goes_on_from_them(runs: SyncRuns, changed: tuple[Any, Any]) -> None:
    graph, thread = changed

    runs.invoke(graph, None, thread)
    runs.invoke(graph, {"x": 2}, thread)

    assert runs.get_state(graph, thread).values == {"x": 2, "log": ["by hand", "b", "a"]}


def test_they_can_be_updated(runs: SyncRuns, changed: tuple[Any, Any]) -> None:
    graph, thread = changed

    runs.update_state(graph, thread, {"log": ["me"]}, as_node="a")

    assert runs.get_state(graph, thread).values["log"] == ["by hand", "me"]
    assert runs.invoke(graph, None, thread)["log"] == ["by hand", "me", "b"]
