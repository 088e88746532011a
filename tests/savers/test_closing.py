"""A run leaves nothing open: no thread of its own is alive, the saver is free."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from differential.kit import Log, wire
from savers.backends import SyncRuns, new_thread

Durability = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


class Broken(Exception):
    """What a node or the saver raises."""


def parallel(runs: SyncRuns, last: Any = ...) -> Any:
    """Return a graph whose first superstep has two tasks, which need threads."""
    builder = wire(runs.engine, Log, "START a last END", "START b last", a=..., b=..., last=last)
    return builder.compile(checkpointer=runs.saver)


def alive(runs: SyncRuns) -> set[threading.Thread]:
    """Return the threads that are running, without those an event loop keeps for sync nodes."""
    kept = getattr(getattr(runs, "_loop", None), "_default_executor", None)
    return set(threading.enumerate()) - set(getattr(kept, "_threads", ()))


@Durability
def test_a_finished_run_leaves_no_thread(runs: SyncRuns, durability: str) -> None:
    graph = parallel(runs)
    before = alive(runs)

    runs.invoke(graph, {"x": 1}, new_thread(), durability=durability)

    assert alive(runs) - before == set()


@Durability
def test_a_failed_run_leaves_no_thread(runs: SyncRuns, durability: str) -> None:
    def bad(state: Any) -> None:
        raise Broken

    graph = parallel(runs, bad)
    before = alive(runs)

    with pytest.raises(Broken):
        runs.invoke(graph, {"x": 1}, new_thread(), durability=durability)

    assert alive(runs) - before == set()


@Durability
def test_a_failing_saver_leaves_no_thread(runs: SyncRuns, durability: str) -> None:
    def told(*args: Any) -> None:
        raise Broken

    graph = parallel(runs)
    before = alive(runs)
    runs.watch(["put"], told)

    with pytest.raises(Broken):
        runs.invoke(graph, {"x": 1}, new_thread(), durability=durability)

    assert alive(runs) - before == set()


@Durability
def test_a_reader_that_leaves_early_leaves_no_thread_and_a_thread_that_goes_on(
    runs: SyncRuns, durability: str
) -> None:
    class Left(Exception):
        """The reader leaves."""

    def leave(item: Any) -> None:
        if "a" in item:
            raise Left

    graph = parallel(runs)
    thread = new_thread()
    before = alive(runs)

    with pytest.raises(Left):
        runs.stream(
            graph,
            {"x": 1},
            thread,
            stream_mode="updates",
            durability=durability,
            see=leave,
        )

    assert alive(runs) - before == set()
    given = None if runs.stored(thread) else {"x": 1}
    assert runs.invoke(graph, given, thread) == {"x": 1, "log": ["a", "b", "last"]}
