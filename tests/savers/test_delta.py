"""Delta channels on every saver: going back, and keys that are or were of another kind."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from differential.kit import wire
from millstream.channels import DeltaChannel
from savers.backends import SyncRuns, new_thread


def extend(value: list[Any], writes: Sequence[Any]) -> list[Any]:
    """Return the list with all that was written, in order."""
    return [*value, *(item for write in writes for item in write)]


class Delta(TypedDict, total=False):
    """A list of which checkpoints hold only what is new."""

    x: int
    log: Annotated[list[Any], DeltaChannel(extend)]


class Snapshots(TypedDict, total=False):
    """The same, stored as a whole every time."""

    x: int
    log: Annotated[list[Any], DeltaChannel(extend, snapshot_frequency=1)]


class Plain(TypedDict, total=False):
    """A list of which every checkpoint holds everything."""

    x: int
    log: Annotated[list[Any], operator.add]


DURABILITIES = pytest.mark.parametrize("durability", ["async", "exit"])


def counting(runs: SyncRuns, schema: Any, **options: Any) -> Any:
    """Return a graph whose last node writes w1, then w2, and so on."""
    names = iter(["w1", "w2", "w3", "w4"])
    builder = wire(
        runs.engine,
        schema,
        "START before w END",
        before=lambda state: {"x": 1},
        w=lambda state: {"log": [next(names)]},
    )
    return builder.compile(checkpointer=runs.saver, **options)


@DURABILITIES
@pytest.mark.parametrize("how", ["none", "input", "update", "bulk"])
@pytest.mark.parametrize("waiting", ["before", "w"])
def test_going_back_to_before_the_first_write(
    runs: SyncRuns, waiting: str, how: str, durability: str
) -> None:
    graph, here = counting(runs, Delta), new_thread()
    runs.invoke(graph, {"x": 0}, here)
    (past,) = (s.config for s in runs.history(graph, here) if s.next == (waiting,))
    update = runs.engine.types.StateUpdate
    before = []

    if how == "update":
        runs.update_state(graph, past, {"log": ["u"]}, as_node="before")
        before = ["u"]
    elif how == "bulk":
        steps = [[update({"log": [name]}, "before")] for name in ("u", "v")]
        runs.bulk_update_state(graph, past, steps)
        before = ["u", "v"]
    given = {"x": 2} if how == "input" else None
    place = here if before else past
    live = runs.invoke(graph, given, place, durability=durability)

    assert live["log"] == [*before, "w2"]
    assert runs.get_state(graph, here).values == live
    old = [s.values.get("log") for s in runs.history(graph, here)][-4:]
    assert old == [["w1"], [], [], []]
    assert runs.invoke(graph, {"x": 3}, here)["log"] == [*before, "w2", "w3"]


@DURABILITIES
@pytest.mark.parametrize(
    ("first", "second"),
    [(Delta, Plain), (Snapshots, Plain), (Plain, Delta), (Plain, Snapshots)],
    ids=["delta-plain", "snapshots-plain", "plain-delta", "plain-snapshots"],
)
def test_a_key_may_become_another_kind(
    runs: SyncRuns, first: Any, second: Any, durability: str
) -> None:
    here, log = new_thread(), ["in", "w1"]
    runs.invoke(counting(runs, first), {"log": ["in"]}, here, durability=durability)

    for schema in (second, first, second):
        assert runs.get_state(counting(runs, schema), here).values["log"] == log
        result = runs.invoke(counting(runs, schema), {"x": 2}, here, durability=durability)
        log = [*log, "w1"]
        assert result["log"] == log

    assert runs.get_state(counting(runs, first), here).values["log"] == log
    histories = [
        [s.values.get("log") for s in runs.history(counting(runs, schema), here)]
        for schema in (first, second)
    ]
    assert histories[0] == histories[1]


@DURABILITIES
def test_a_thread_that_waits_may_become_plain(runs: SyncRuns, durability: str) -> None:
    here = new_thread()
    graph = counting(runs, Delta, interrupt_before=["w"])
    runs.invoke(graph, {"log": ["in"]}, here, durability=durability)

    result = runs.invoke(counting(runs, Plain), None, here, durability=durability)

    assert result["log"] == ["in", "w1"]
    assert runs.get_state(counting(runs, Plain), here).values["log"] == ["in", "w1"]


def test_what_was_a_list_of_deltas_is_shown_bare(runs: SyncRuns) -> None:
    """Without a reducer too: a stored whole value is no value of the key."""

    class Bare(TypedDict, total=False):
        x: int
        log: list[Any]

    here = new_thread()
    runs.invoke(counting(runs, Snapshots), {"log": ["in"]}, here)

    assert runs.get_state(counting(runs, Bare), here).values["log"] == ["in", "w1"]


def test_a_nested_graph_that_cannot_be_found_is_read_as_it_is(runs: SyncRuns) -> None:
    """Its state is then shown through the schema of the graph around it."""

    def ask(state: Any) -> Any:
        return {"log": [runs.engine.types.interrupt("?")]}

    i = {"i": lambda state: {"log": ["i"]}}
    hidden = [wire(runs.engine, Delta, "START i ask END", ask=ask, **i).compile()]

    def call(state: Any) -> Any:
        return hidden[0].invoke({"log": ["in"]})

    async def acall(state: Any) -> Any:
        return await hidden[0].ainvoke({"log": ["in"]})

    node = acall if runs.driver == "async" else call
    graph = wire(runs.engine, Plain, "START call END", call=node)
    graph = graph.compile(checkpointer=runs.saver)
    here = new_thread()
    runs.invoke(graph, {"x": 1}, here)
    (task,) = runs.get_state(graph, here).tasks

    inside = {"configurable": {**here["configurable"], "checkpoint_ns": f"call:{task.id}"}}

    assert runs.get_state(graph, inside).values["log"] == ["in", "i"]


@DURABILITIES
def test_a_command_belongs_to_what_follows(runs: SyncRuns, durability: str) -> None:
    graph, here = counting(runs, Delta), new_thread()
    runs.update_state(graph, here, {"log": ["in"], "x": 1}, as_node="__input__")

    command = runs.engine.types.Command(update={"log": ["cmd"]})
    result = runs.invoke(graph, command, here, durability=durability)

    history = [s.values.get("log") for s in runs.history(graph, here)]
    assert result["log"] == ["cmd", "in", "w1"]
    assert runs.get_state(graph, here).values == result
    # What a command writes shows at the checkpoint next to which it is stored.
    assert history[-1] == ([] if durability == "exit" else ["cmd"])
