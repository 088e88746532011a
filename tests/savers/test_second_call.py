"""The state of each call of a graph that keeps its own, when one task calls it several times."""

from __future__ import annotations

from typing import Any

import pytest

from differential.kit import Log, say, wire
from savers.backends import SyncRuns, new_thread


def calling(runs: SyncRuns, name: str) -> Any:
    """Return a graph whose only node calls another graph twice; it asks each time."""

    def ask(state: Any) -> Any:
        return {"log": [runs.engine.types.interrupt("?")]}

    inner = wire(runs.engine, Log, "START i ask END", i=say("i"), ask=ask)
    kept = inner.compile(checkpointer=True)

    def call(state: Any) -> Any:
        results = [kept.invoke({"log": [text]}) for text in ("first", "second")]
        return {"log": [result["log"][-1] for result in results]}

    async def acall(state: Any) -> Any:
        results = [await kept.ainvoke({"log": [text]}) for text in ("first", "second")]
        return {"log": [result["log"][-1] for result in results]}

    node = acall if runs.driver == "async" else call
    outer = wire(runs.engine, Log, f"START {name} END", **{name: node})
    return outer.compile(checkpointer=runs.saver)


@pytest.mark.parametrize("name", ["node", "1"])
def test_each_call_has_a_state_that_can_be_read_and_changed(runs: SyncRuns, name: str) -> None:
    graph, thread = calling(runs, name), new_thread()
    answer = runs.engine.types.Command
    runs.invoke(graph, {"x": 1}, thread)
    runs.invoke(graph, answer(resume="one"), thread)
    (task,) = runs.get_state(graph, thread).tasks

    def at(ns: str) -> Any:
        return {"configurable": {**thread["configurable"], "checkpoint_ns": ns}}

    def log(ns: str) -> Any:
        return runs.get_state(graph, at(ns)).values["log"]

    first, second = ["first", "i", "one"], ["second", "i"]
    assert [log(ns) for ns in (name, f"{name}:{task.id}")] == [first, first]
    assert [log(ns) for ns in (f"{name}|1", f"{name}:{task.id}|1")] == [second, second]
    assert [len(runs.history(graph, at(ns))) for ns in (name, f"{name}|1")] == [4, 3]

    config = runs.update_state(graph, at(f"{name}|1"), {"log": ["me"]}, as_node="i")

    assert config["configurable"]["checkpoint_ns"] == f"{name}|1"
    assert (log(name), log(f"{name}|1")) == (first, [*second, "me"])
    assert runs.invoke(graph, answer(resume="two"), thread)["log"] == ["one", "two"]
