"""Reading, changing and forking the saved state of a thread."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from differential.kit import Log, say, wire
from savers.backends import SyncRuns, new_thread


def chain(runs: SyncRuns, **options: Any) -> Any:
    builder = wire(runs.engine, Log, "START a b c END", a=..., b=..., c=...)
    return builder.compile(checkpointer=runs.saver, **options)


def at_step(snapshots: list[Any], step: int) -> Any:
    """Return the newest snapshot of a superstep."""
    return next(found for found in snapshots if found.metadata["step"] == step)


def outline(snapshots: list[Any]) -> list[Any]:
    return [
        (found.metadata["source"], found.metadata["step"], found.values["log"], found.next)
        for found in snapshots
    ]


CHAIN = [
    ("loop", 3, ["a", "b", "c"], ()),
    ("loop", 2, ["a", "b"], ("c",)),
    ("loop", 1, ["a"], ("b",)),
    ("loop", 0, [], ("a",)),
    ("input", -1, [], ("__start__",)),
]


def test_the_state_of_an_unknown_thread_is_empty(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()

    state = runs.get_state(graph, thread)

    assert (state.values, state.next, state.tasks, state.metadata) == ({}, (), (), None)
    assert state.config == thread
    assert runs.history(graph, thread) == []
    assert runs.stored(thread) == []


def test_the_state_shows_what_runs_next(runs: SyncRuns) -> None:
    graph = chain(runs, interrupt_before=["b"])
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)

    state = runs.get_state(graph, thread)

    assert state.values == {"x": 1, "log": ["a"]}
    assert state.next == ("b",)
    assert state.metadata["step"] == 1
    assert [(task.name, task.error, task.interrupts) for task in state.tasks] == [("b", None, ())]
    assert state.interrupts == ()


def test_the_history_has_every_superstep(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)

    snapshots = runs.history(graph, thread)

    parents = [found.parent_config for found in snapshots]
    assert outline(snapshots) == CHAIN
    assert parents == [found.config for found in snapshots[1:]] + [None]
    assert [[(task.name, task.result) for task in found.tasks] for found in snapshots] == [
        [],
        [("c", {"log": ["c"]})],
        [("b", {"log": ["b"]})],
        [("a", {"log": ["a"]})],
        [("__start__", {"x": 1})],
    ]


def test_the_history_can_be_narrowed(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    before = at_step(runs.history(graph, thread), 1).config

    assert outline(runs.history(graph, thread, limit=2)) == CHAIN[:2]
    assert outline(runs.history(graph, thread, filter={"source": "input"})) == CHAIN[4:]
    assert outline(runs.history(graph, thread, before=before)) == CHAIN[3:]


def test_a_failed_superstep_shows_what_is_done_and_what_failed(runs: SyncRuns) -> None:
    def bad(state: Any) -> None:
        raise ValueError("broken")

    graph = wire(runs.engine, Log, "START a bad END", a=..., bad=bad)
    graph = graph.compile(checkpointer=runs.saver)
    thread = new_thread()
    with pytest.raises(ValueError, match="broken"):
        runs.invoke(graph, {"x": 1}, thread)

    state = runs.get_state(graph, thread)

    assert state.values == {"x": 1, "log": ["a"]}
    assert state.next == ("bad",)
    assert [(task.name, task.error) for task in state.tasks] == [("bad", "ValueError('broken')")]


def test_an_update_counts_as_a_node(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)

    config = runs.update_state(graph, thread, {"log": ["me"]}, as_node="b")

    state = runs.get_state(graph, thread)
    assert outline([state]) == [("update", 4, ["a", "b", "c", "me"], ("c",))]
    assert state.config == config
    assert runs.invoke(graph, None, thread) == {"x": 1, "log": ["a", "b", "c", "me", "c"]}


def test_an_update_may_begin_a_thread(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()

    runs.update_state(graph, thread, {"x": 7, "log": ["me"]}, as_node="b")

    assert runs.invoke(graph, None, thread) == {"x": 7, "log": ["me", "c"]}


def test_updates_of_several_supersteps_are_stored_one_by_one(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()
    update = runs.engine.types.StateUpdate

    runs.bulk_update_state(
        graph, thread, [[update({"log": ["A"], "x": 1}, "a")], [update({"log": ["B"]}, "b")]]
    )

    assert outline(runs.history(graph, thread)) == [
        ("update", 1, ["A", "B"], ("c",)),
        ("update", 0, ["A"], ("b",)),
    ]
    assert runs.invoke(graph, None, thread) == {"x": 1, "log": ["A", "B", "c"]}


def test_an_update_of_an_unknown_node_stores_nothing(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    before = [found.checkpoint["id"] for found in runs.stored(thread)]

    with pytest.raises(runs.engine.errors.InvalidUpdateError, match="nope"):
        runs.update_state(graph, thread, {"x": 2}, as_node="nope")

    assert [found.checkpoint["id"] for found in runs.stored(thread)] == before


def test_an_ambiguous_update_stores_nothing(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START a END", "START b END", a=..., b=...)
    graph = graph.compile(checkpointer=runs.saver)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    before = [found.checkpoint["id"] for found in runs.stored(thread)]

    with pytest.raises(runs.engine.errors.InvalidUpdateError, match="Ambiguous"):
        runs.update_state(graph, thread, {"x": 2})

    assert [found.checkpoint["id"] for found in runs.stored(thread)] == before


def test_a_run_from_the_past_forks_the_thread(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    original = runs.history(graph, thread)
    past = at_step(original, 1).config

    result = runs.invoke(graph, None, past)

    snapshots = runs.history(graph, thread)
    fork = snapshots[2]
    assert result == {"x": 1, "log": ["a", "b", "c"]}
    assert outline(snapshots) == [
        ("loop", 4, ["a", "b", "c"], ()),
        ("loop", 3, ["a", "b"], ("c",)),
        ("fork", 2, ["a"], ("b",)),
        *CHAIN,
    ]
    assert fork.parent_config == past
    assert outline(snapshots[3:]) == outline(original)


def test_an_update_of_the_past_makes_another_future(runs: SyncRuns) -> None:
    graph = chain(runs)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    past = at_step(runs.history(graph, thread), 1).config

    other = runs.update_state(graph, past, {"x": 9, "log": ["other"]})
    result = runs.invoke(graph, None, other)

    assert result == {"x": 9, "log": ["a", "other", "b", "c"]}
    assert runs.get_state(graph, thread).values == result
    assert runs.get_state(graph, past).values == {"x": 1, "log": ["a"]}


@pytest.mark.parametrize(
    ("kept", "logs"),
    [(None, [["i"], ["i"]]), (True, [["i"], ["i", "i"]])],
    ids=["with-the-call", "with-the-thread"],
)
def test_a_nested_graph_remembers_as_it_was_told(
    runs: SyncRuns, kept: bool | None, logs: list[Any]
) -> None:
    class Notes(TypedDict, total=False):
        x: int
        notes: Annotated[list[str], operator.add]

    seen: list[Any] = []

    def look(state: Any) -> None:
        seen.append(state["notes"])

    inner = wire(
        runs.engine, Notes, "START i look END", i=lambda state: {"notes": ["i"]}, look=look
    )
    outer = wire(runs.engine, Log, "START sub END", sub=inner.compile(checkpointer=kept))
    graph = outer.compile(checkpointer=runs.saver)
    thread = new_thread()

    for _ in range(2):
        runs.invoke(graph, {"x": 1}, thread)

    assert seen == logs


def test_the_state_of_a_nested_graph_can_be_read_while_it_waits(runs: SyncRuns) -> None:
    inner = wire(runs.engine, Log, "START i j END", i=say("i"), j=say("j"))
    outer = wire(runs.engine, Log, "START sub END", sub=inner.compile(interrupt_before=["j"]))
    graph = outer.compile(checkpointer=runs.saver)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)

    state = runs.get_state(graph, thread, subgraphs=True)

    (task,) = state.tasks
    assert (state.next, task.name) == (("sub",), "sub")
    assert (task.state.values, task.state.next) == ({"x": 1, "log": ["i"]}, ("j",))
    assert runs.get_state(graph, thread).tasks[0].state["configurable"]["checkpoint_ns"] == (
        f"sub:{task.id}"
    )
    assert runs.invoke(graph, None, thread) == {"x": 1, "log": ["i", "j"]}


def test_a_nested_graph_without_saving_leaves_nothing(runs: SyncRuns) -> None:
    inner = wire(runs.engine, Log, "START i END", i=say("i"))
    outer = wire(runs.engine, Log, "START sub END", sub=inner.compile(checkpointer=False))
    graph = outer.compile(checkpointer=runs.saver)
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread)

    assert {s.config["configurable"]["checkpoint_ns"] for s in runs.stored(thread)} == {""}
