"""A saver that fails makes the run fail with its error, whichever call it is."""

from __future__ import annotations

from typing import Any

import pytest

from differential.engines import CANDIDATE_ROOT, REFERENCE_ROOT
from differential.kit import Log, wire
from savers.backends import SyncRuns, new_thread

WRITING = ("put", "put_writes")
EXPECTED = {"x": 1, "log": ["a", "b", "c", "d"]}


class Broken(Exception):
    """What the saver raises."""


def diamond(runs: SyncRuns) -> Any:
    builder = wire(runs.engine, Log, "START a b d END", "a c d", a=..., b=..., c=..., d=...)
    return builder.compile(checkpointer=runs.saver)


def fail_at(runs: SyncRuns, name: str, wanted: int) -> None:
    """Let the call number `wanted` of a method of the saver, and all later ones, fail."""
    calls = 0

    def told(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > wanted:
            raise Broken(name, calls)

    runs.watch([name], told)


def count(runs: SyncRuns, graph: Any, name: str, durability: str) -> int:
    """Return how often one undisturbed run calls a method of the saver."""
    calls: list[Any] = []
    runs.watch([name], lambda *args: calls.append(args))
    assert runs.invoke(graph, {"x": 1}, new_thread(), durability=durability) == EXPECTED
    runs.unwatch()
    return len(calls)


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_failing_write_fails_the_run_and_the_thread_can_go_on(
    runs: SyncRuns, name: str, durability: str
) -> None:
    graph = diamond(runs)
    total = count(runs, graph, name, durability)

    for wanted in range(total):
        thread = new_thread()
        fail_at(runs, name, wanted)
        with pytest.raises(Broken, match=name):
            runs.invoke(graph, {"x": 1}, thread, durability=durability)
        runs.unwatch()
        # With nothing stored there is nothing to continue: the input is given again.
        given = None if runs.stored(thread) else {"x": 1}
        assert runs.invoke(graph, given, thread, durability=durability) == EXPECTED

    # A run that ends well has no task writes to keep beyond its only checkpoint.
    assert total > 0 or (name, durability) == ("put_writes", "exit")


def test_a_failing_read_fails_the_run_before_anything_runs(runs: SyncRuns) -> None:
    graph = diamond(runs)
    thread = new_thread()

    fail_at(runs, "get_tuple", 0)
    with pytest.raises(Broken):
        runs.invoke(graph, {"x": 1}, thread)
    runs.unwatch()

    assert runs.stored(thread) == []


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_stream_shows_the_error_of_the_saver(runs: SyncRuns, durability: str) -> None:
    graph = diamond(runs)

    fail_at(runs, "put", 0)

    with pytest.raises(Broken):
        runs.stream(graph, {"x": 1}, new_thread(), durability=durability)


@pytest.mark.skipif(
    CANDIDATE_ROOT == REFERENCE_ROOT, reason="the reference hides the error of the saver"
)
def test_the_error_of_a_node_stays_visible_when_the_saver_fails_too(runs: SyncRuns) -> None:
    def bad(state: Any) -> None:
        raise ValueError("broken")

    graph = wire(runs.engine, Log, "START bad END", bad=bad).compile(checkpointer=runs.saver)

    fail_at(runs, "put_writes", 1)  # the first is of START
    with pytest.raises(Broken) as caught:
        runs.invoke(graph, {"x": 1}, new_thread(), durability="sync")

    assert repr(caught.value.__context__) == "ValueError('broken')"
