"""Threads that older versions of LangGraph left, from what these had stored."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from interchange.old_threads import Programs, rows
from millstream.wire import wired
from savers.backends import SyncRuns

RECORDINGS: Final = {
    "langgraph-0.2.0": 1,
    "langgraph-0.2.76": 1,
    "langgraph-0.3.5": 2,
    "langgraph-0.3.20": 2,
    "langgraph-0.3.34": 3,
}
"""The format that each version stored."""
ASKING: Final = ("asks", "asks_beside", "asks_twice", "asks_inside")
WAITING: Final[Mapping[str, tuple[tuple[str, ...], list[str]]]] = {
    "edge": (("b",), ["a"]),
    "start": (("a",), []),
    "branch": (("b",), ["a"]),
    "first_branch": (("b",), []),
    "joined": (("c",), ["a", "b"]),
    "half_joined": (("b",), ["a", "m"]),
    "sends": (("w", "w"), ["a"]),
    "both": (("w", "b"), ["a"]),
    "after": (("b",), ["a"]),
    "done": ((), ["a", "b"]),
    "fails": (("bad",), ["a", "good"]),
    "fails_joined": (("bad",), ["good"]),
    "fails_branch": (("bad",), ["good"]),
    "asks": (("ask",), ["a"]),
    "asks_beside": (("ask",), ["good"]),
    "asks_twice": (("w", "w"), ["a"]),
    "asks_inside": (("sub",), ["a"]),
}
"""What runs next, and what has run."""
RESULTS: Final[Mapping[str, list[str]]] = {
    "edge": ["a", "b", "c"],
    "start": ["a", "b"],
    "branch": ["a", "b", "c"],
    "first_branch": ["b", "c"],
    "joined": ["a", "b", "c"],
    "half_joined": ["a", "m", "b", "c"],
    "sends": ["a", "w1", "w2", "z"],
    "both": ["a", "b", "w3", "z"],
    "after": ["a", "b"],
    "done": ["a", "b"],
    "fails": ["a", "bad", "good", "z"],
    "fails_joined": ["bad", "good", "z"],
    "fails_branch": ["bad", "good", "b", "z"],
    "asks": ["a", "yes", "z"],
    "asks_beside": ["yes", "good", "z"],
    "asks_twice": ["a", "yes", "no", "z"],
    "asks_inside": ["a", "a", "i", "yes"],
}
KNOWS_NO_WRITES: Final = "langgraph-0.2.0"
"""Its tasks are told apart in a way of its own: what waits beside a failed one runs again."""

recordings = pytest.mark.parametrize("recording", RECORDINGS)


def names_in(recording: str) -> list[str]:
    return [n for n in WAITING if recording != KNOWS_NO_WRITES or n not in ASKING]


def restore(runs: SyncRuns, recording: str, *names: str) -> Callable[[str], Any]:
    """Put what an old version stored of threads into the saver of the test, as that keeps it.

    Returns what makes the config of a recorded thread.
    """
    run = uuid.uuid4().hex
    with rows(recording) as connection:
        source = wired(SqliteSaver(connection))
        for name in names:
            for saved in reversed(list(source.list({"configurable": {"thread_id": name}}))):
                _put(runs, saved, f"{run}-{name}")
    connection.close()
    return lambda name: {"configurable": {"thread_id": f"{run}-{name}"}}


def _put(runs: SyncRuns, saved: Any, thread_id: str) -> None:
    checkpoint = dict(saved.checkpoint)
    if runs.kind == "postgres":
        # It finds the Sends in what the tasks before had written.
        checkpoint.pop("pending_sends", None)
    named = {**saved.config["configurable"], "thread_id": thread_id}
    parent = (saved.parent_config or {"configurable": {}})["configurable"].get("checkpoint_id")
    saver = wired(runs.saver)
    put, put_writes = (getattr(saver, runs.prefix + name) for name in ("put", "put_writes"))
    versions = checkpoint["channel_versions"]
    config = {"configurable": {**named, "checkpoint_id": parent}}
    runs.call(put, config, checkpoint, saved.metadata, versions)
    writes: dict[str, list[Any]] = {}
    for task_id, channel, value in saved.pending_writes or ():
        writes.setdefault(task_id, []).append((channel, value))
    for task_id, written in writes.items():
        runs.call(put_writes, {"configurable": named}, written, task_id)


def graphs(runs: SyncRuns, names: Iterable[str]) -> dict[str, Any]:
    programs = Programs(runs.engine.graph, runs.engine.types).all()
    return {name: programs[name](runs.saver) for name in names}


def graph_of(runs: SyncRuns, name: str) -> Any:
    return graphs(runs, [name])[name]


@recordings
def test_what_waits_is_known(runs: SyncRuns, recording: str) -> None:
    names = names_in(recording)
    thread = restore(runs, recording, *names)
    made = graphs(runs, names)

    states = {n: runs.get_state(made[n], thread(n)) for n in names}

    known = {name: (state.next, state.values["log"]) for name, state in states.items()}
    expected = {name: WAITING[name] for name in known}
    if recording == KNOWS_NO_WRITES:
        expected |= {
            "fails": (("bad", "good"), ["a"]),
            "fails_joined": (("bad", "good"), []),
            "fails_branch": (("bad", "good"), []),
        }
    assert known == expected
    assert {s.metadata["source"] for s in states.values()} == {"loop"}


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if r != KNOWS_NO_WRITES])
def test_a_nested_graph_is_found_as_it_waits(runs: SyncRuns, recording: str) -> None:
    thread = restore(runs, recording, "asks_inside")
    graph = graph_of(runs, "asks_inside")

    (task,) = runs.get_state(graph, thread("asks_inside"), subgraphs=True).tasks

    assert (task.state.next, task.state.values["log"]) == (("ask",), ["a", "i"])
    assert [question.value for question in task.interrupts] == ["?"]


@recordings
def test_the_thread_goes_on(runs: SyncRuns, recording: str) -> None:
    names = names_in(recording)
    thread = restore(runs, recording, *names)
    made = graphs(runs, names)
    results = {}

    for name in names:
        answer: Any = None
        if name == "asks_twice":
            asked = runs.get_state(made[name], thread(name)).interrupts
            answer = dict(zip([i.id for i in asked], ["yes", "no"], strict=True))
        elif name in ASKING:
            answer = "yes"
        given = runs.engine.types.Command(resume=answer) if answer else None
        results[name] = runs.invoke(made[name], given, thread(name))["log"]

    assert results == {name: RESULTS[name] for name in results}
    # What was gone on from is stored in today's format.
    ends = {n: runs.get_state(made[n], thread(n)) for n in results}
    assert {n: (s.next, s.values["log"]) for n, s in ends.items()} == {
        n: ((), log) for n, log in results.items()
    }


@recordings
def test_every_checkpoint_of_the_past_can_be_gone_on_from(runs: SyncRuns, recording: str) -> None:
    thread = restore(runs, recording, "sends")
    graph = graph_of(runs, "sends")
    past = runs.history(graph, thread("sends"))

    results = [runs.invoke(graph, None, found.config) for found in past[:-1]]

    assert [found.next for found in past] == [("w", "w"), ("a",), ("__start__",)]
    assert [result["log"] for result in results] == [["a", "w1", "w2", "z"], ["a"]]
    # The last of them waits before its Sends again.
    assert runs.invoke(graph, None, thread("sends"))["log"] == ["a", "w1", "w2", "z"]


@recordings
def test_an_update_keeps_what_waits(runs: SyncRuns, recording: str) -> None:
    thread = restore(runs, recording, "both")
    graph = graph_of(runs, "both")

    runs.update_state(graph, thread("both"), {"log": ["me"]}, as_node="z")

    state = runs.get_state(graph, thread("both"))
    assert (state.next, state.values["log"]) == ((), ["a", "me"])


@recordings
def test_a_copy_is_as_the_original(runs: SyncRuns, recording: str) -> None:
    thread = restore(runs, recording, "both")
    graph = graph_of(runs, "both")

    runs.update_state(graph, thread("both"), None, as_node="__copy__")

    assert runs.get_state(graph, thread("both")).next == ("w", "b")
    assert runs.invoke(graph, None, thread("both"))["log"] == RESULTS["both"]


@recordings
def test_new_input_starts_anew(runs: SyncRuns, recording: str) -> None:
    thread = restore(runs, recording, "joined")
    graph = graph_of(runs, "joined")

    result = runs.invoke(graph, {"log": ["new"]}, thread("joined"))

    assert result["log"] == ["a", "b", "new", "a", "b"]
    assert runs.get_state(graph, thread("joined")).next == ("c",)


def test_the_recordings_hold_the_formats_they_say() -> None:
    for recording, number in RECORDINGS.items():
        with rows(recording) as connection:
            saved = list(SqliteSaver(connection).list(None))
        connection.close()
        assert {found.checkpoint["v"] for found in saved} == {number}
