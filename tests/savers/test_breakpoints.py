"""A run stops where it is told to and goes on from there."""

from __future__ import annotations

from typing import Any

import pytest

from differential.kit import Log, wire
from savers.backends import SyncRuns, new_thread


def chain(runs: SyncRuns, **options: Any) -> Any:
    builder = wire(runs.engine, Log, "START a b c END", a=..., b=..., c=...)
    return builder.compile(checkpointer=runs.saver, **options)


@pytest.mark.parametrize(
    ("options", "stops"),
    [
        ({"interrupt_before": ["b"]}, [["a"], ["a", "b", "c"]]),
        ({"interrupt_after": ["b"]}, [["a", "b"], ["a", "b", "c"]]),
        ({"interrupt_before": ["b"], "interrupt_after": ["b"]}, [["a"], ["a", "b"], [*"abc"]]),
        ({"interrupt_before": "*"}, [None, ["a"], ["a", "b"], ["a", "b", "c"]]),
        ({"interrupt_after": "*"}, [["a"], ["a", "b"], ["a", "b", "c"]]),
    ],
    ids=["before", "after", "both", "before-all", "after-all"],
)
@pytest.mark.parametrize("named_by", ["compile", "call"])
def test_a_run_goes_on_from_each_breakpoint(
    runs: SyncRuns, options: dict[str, Any], stops: list[Any], named_by: str
) -> None:
    graph = chain(runs, **(options if named_by == "compile" else {}))
    given = {} if named_by == "compile" else options
    thread = new_thread()

    results = [runs.invoke(graph, {"x": 1}, thread, **given)]
    while len(results) < len(stops):
        results.append(runs.invoke(graph, None, thread, **given))

    logs = [result.get("log") or None for result in results]
    assert logs == stops


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_breakpoint_is_kept_with_every_durability(runs: SyncRuns, durability: str) -> None:
    graph = chain(runs, interrupt_before=["c"])
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread, durability=durability)
    runs.close()
    runs.open()
    graph.checkpointer = runs.saver
    result = runs.invoke(graph, None, thread, durability=durability)

    assert result == {"x": 1, "log": ["a", "b", "c"]}


def test_new_input_at_a_breakpoint_starts_again(runs: SyncRuns) -> None:
    graph = chain(runs, interrupt_before=["b"])
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread)
    result = runs.invoke(graph, {"x": 2}, thread)

    assert result == {"x": 2, "log": ["a", "a"]}
