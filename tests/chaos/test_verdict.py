"""That the verdict of `make test-chaos` sees what is wrong: each thing that is must be found."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from chaos import verdict
from chaos.ledger import Entry
from chaos.records import Seen, Told, Turn, told
from chaos.verdict import Calm, Census

TASKS: Final = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(4)]
PLACES: Final = [f"{n:08x}-0000-6000-8000-000000000000" for n in range(4)]
NESTED: Final = f"inner:{TASKS[2]}"


def place(number: int) -> dict[str, Any]:
    return {
        "config": {"configurable": {"checkpoint_id": PLACES[number]}},
        "metadata": {"step": number, "source": "loop"},
        "values": {"seen": list(range(number))},
    }


def start(task: int) -> dict[str, Any]:
    return {"id": TASKS[task], "name": f"node{task}", "triggers": ["x"]}


def end(task: int) -> dict[str, Any]:
    return {"id": TASKS[task], "name": f"node{task}", "result": {"seen": [task]}}


STREAM: Final = [
    ("metadata", {"run_id": "r", "attempt": 1}),
    ("values", {"seen": []}),
    ("checkpoints", place(0)),
    ("tasks", start(0)),
    ("tasks", start(1)),
    ("custom", {"half": 1}),
    ("updates", {"node0": {"seen": [0]}}),
    ("tasks", end(0)),
    ("updates", {"node1": {"seen": [1]}}),
    ("tasks", end(1)),
    ("values", {"seen": [0, 1]}),
    ("checkpoints", place(1)),
    ("tasks", start(2)),
    (f"values|{NESTED}", {"seen": [7]}),
    (f"tasks|{NESTED}", start(3)),
    (f"custom|{NESTED}", {"half": 2}),
    (f"tasks|{NESTED}", end(3)),
    (f"values|{NESTED}", {"seen": [7, 3]}),
    ("updates", {"inner": {"seen": [2]}}),
    ("tasks", end(2)),
    ("values", {"seen": [0, 1, 2]}),
    ("checkpoints", place(2)),
]
AFTER_THE_FIRST_STATE: Final = 3
SAID: Final = 5


def conversation(stream: list[tuple[str, Any]]) -> Told:
    """Return a conversation with one run, that has said this."""
    seen = [
        Seen(float(number), f"17000000000{number:02}-{number + 1}", event, data)
        for number, (event, data) in enumerate(stream)
    ]
    turn = Turn("run", "success", seen)
    state = {"values": {"seen": [0, 1, 2]}, "next": []}
    return Told("py0", "py0-0", "nested", "sync", "thread", [turn], state)


def faults(stream: list[tuple[str, Any]]) -> list[str]:
    calm = Calm(conversation(STREAM))
    return [*verdict.of_conversation(conversation(stream), calm)]


def taken_over(at: int, repeated: int) -> list[tuple[str, Any]]:
    """Return the stream with another attempt at a place, which says again what was live before."""
    again = [one for one in STREAM[at - repeated : at] if one[0].startswith("custom")]
    return [*STREAM[:at], ("metadata", {"run_id": "r", "attempt": 2}), *again, *STREAM[at:]]


def test_an_undisturbed_stream_is_right() -> None:
    assert faults(STREAM) == []


def test_tasks_of_a_superstep_may_end_in_another_order() -> None:
    stream = [*STREAM]
    stream[6:8], stream[8:10] = STREAM[8:10], STREAM[6:8]

    assert faults(stream) == []


def test_another_attempt_may_say_again_what_is_live() -> None:
    assert faults(taken_over(SAID + 1, 1)) == []


def test_ids_of_another_run_do_not_matter() -> None:
    def other(data: Any) -> Any:
        text = repr(data)
        for id in (*TASKS, *PLACES):
            text = text.replace(id, f"ffff{id[4:]}")
        return eval(text)

    assert faults([(other(event), other(data)) for event, data in STREAM]) == []


@pytest.mark.parametrize("number", range(len(STREAM)))
def test_an_event_that_is_missing_is_found(number: int) -> None:
    assert faults(STREAM[:number] + STREAM[number + 1 :])


@pytest.mark.parametrize("number", range(len(STREAM)))
def test_an_event_that_comes_twice_is_found(number: int) -> None:
    assert faults(STREAM[: number + 1] + STREAM[number:])


@pytest.mark.parametrize("number", range(1, len(STREAM)))
def test_a_state_event_that_another_attempt_says_again_is_found(number: int) -> None:
    event = STREAM[number]
    stream = [*STREAM, ("metadata", {"run_id": "r", "attempt": 2}), event]

    assert bool(faults(stream)) != event[0].startswith("custom")


@pytest.mark.parametrize(("one", "other"), [(1, 10), (2, 11), (3, 7), (10, 20), (12, 19), (13, 17)])
def test_events_in_the_wrong_order_are_found(one: int, other: int) -> None:
    stream = [*STREAM]
    stream[one], stream[other] = stream[other], stream[one]

    assert faults(stream)


def test_what_a_nested_graph_says_after_its_end_is_found() -> None:
    stream = [*STREAM[:17], *STREAM[18:], STREAM[17]]

    assert any("comes after the end of task" in fault for fault in faults(stream))


def test_another_value_is_found() -> None:
    stream = deepcopy(STREAM)
    stream[10] = ("values", {"seen": [1, 0]})

    assert any("'at the root' event 8 is values" in fault for fault in faults(stream))


def test_an_attempt_that_goes_back_is_found() -> None:
    stream = taken_over(8, 0)
    stream[8] = ("metadata", {"run_id": "r", "attempt": 1})

    assert any("attempts are told as [1, 1]" in fault for fault in faults(stream))


def test_another_end_is_found() -> None:
    calm = Calm(conversation(STREAM))
    failed, unfinished, other = (conversation(STREAM) for _ in range(3))
    failed.turns[0].status = "error"
    unfinished.state = None
    other.state["values"]["seen"] = [0, 1]

    assert [*verdict.of_conversation(failed, calm)]
    assert [*verdict.of_conversation(unfinished, calm)]
    assert [*verdict.of_conversation(other, calm)]


def kept() -> dict[str, list[str]]:
    return {"run": [event.id or "" for event in conversation(STREAM).turns[0].seen]}


def without_last(ids: list[str]) -> list[str]:
    return ids[:-1]


def with_hole(ids: list[str]) -> list[str]:
    return [*ids[:3], *ids[4:]]


def with_other_time(ids: list[str]) -> list[str]:
    return [*ids[:-1], ids[-1].replace("17", "18", 1)]


def test_what_was_seen_is_what_is_stored() -> None:
    assert [*verdict.of_stored(conversation(STREAM), kept())] == []


@pytest.mark.parametrize("change", [without_last, with_hole, with_other_time])
def test_what_is_stored_otherwise_is_found(change: Callable[[list[str]], list[str]]) -> None:
    assert [*verdict.of_stored(conversation(STREAM), {"run": change(kept()["run"])})]


def test_numbers_that_are_left_out_are_counted() -> None:
    ids = kept()["run"]

    assert verdict.holes([]) == verdict.holes(ids) == 0
    assert verdict.holes([*ids[:3], *ids[5:]]) == 2


def history(*places: tuple[int, int | None]) -> list[dict[str, Any]]:
    return [
        {
            "checkpoint": {"checkpoint_id": PLACES[own]},
            "parent_checkpoint": None if parent is None else {"checkpoint_id": PLACES[parent]},
        }
        for own, parent in places
    ]


def test_the_stored_states_are_those_that_were_told() -> None:
    one_line = history((2, 1), (1, 0), (0, None))

    assert [*verdict.of_history(conversation(STREAM), one_line)] == []


@pytest.mark.parametrize(
    "found",
    [
        history((2, 1), (1, 0)),
        history((2, 0), (1, 0), (0, None)),
        history((3, 2), (2, 1), (1, 0), (0, None)),
    ],
    ids=["one is missing", "a fork", "one more"],
)
def test_other_stored_states_are_found(found: list[dict[str, Any]]) -> None:
    assert [*verdict.of_history(conversation(STREAM), found)]


def did(attempt: int, *steps: int, run: str = "run", namespace: str = "") -> list[Entry]:
    """Return that an attempt has done a task in each of some supersteps."""
    return [
        Entry(0.0, f"r{attempt}.1", "thread", run, attempt, namespace, step, f"task{step}", "node")
        for step in steps
    ]


@pytest.mark.parametrize(
    "entries",
    [
        did(1, 0, 1, 2),
        [*did(1, 0, 1, 2), *did(2, 2, 3)],
        [*did(1, 0, 1, 2), *did(2, 3, 4)],
        [*did(1, 0, 1), *did(2, 1, 2), *did(1, 1, run="other")],
        [*did(1, 0, 1), *did(2, 1, 2), *did(3, 2)],
        [*did(1, 5), *did(1, 0, namespace="inner:task5")],
    ],
    ids=["once", "in progress", "behind", "other run", "three attempts", "nested"],
)
def test_the_superstep_in_progress_may_be_repeated(entries: list[Entry]) -> None:
    assert [*verdict.of_ledger(entries)] == []


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([*did(1, 0, 1), *did(1, 1)], "has done node 2 times"),
        (did(1, 0, 1, 0), "comes after superstep 1"),
        ([*did(1, 0, 1, 2), *did(2, 1, 2)], "attempt 2 has done superstep 1 again"),
        ([*did(1, 0, 1), *did(2, 1), *did(1, 2)], "attempt 2 has done superstep 1 again"),
        ([*did(1, 0, 1, 2), *did(2, 2), *did(3, 1)], "attempt 3 has done superstep 1 again"),
    ],
    ids=["twice", "backwards", "finished", "zombie", "third"],
)
def test_what_is_done_too_often_is_found(entries: list[Entry], told: str) -> None:
    assert any(told in fault for fault in verdict.of_ledger(entries))


def test_what_was_repeated_is_counted() -> None:
    assert verdict.repeated([*did(1, 0, 1), *did(2, 1, 2)]) == 1


def census(**more: Any) -> Census:
    held: dict[str, Any] = {"tasks": {"serve": 3}, "threads": {"Main": 1}, "files": 20}
    return Census("r0.1", **{**held, "connections": 5, **more})


def test_what_replicas_hold_more_of_is_found() -> None:
    before = [census(), census(files=24)]

    assert [*verdict.of_census(before, [census(files=26)], slack=2)] == []
    for more in ({"tasks": {"read": 9}}, {"files": 40}, {"connections": 9}):
        assert len([*verdict.of_census(before, [census(**more)], slack=2)]) == 1


def test_records_are_read_as_they_are_written() -> None:
    has = {"client": "js1", "conversation": "js1-0", "at": 1.0}
    begun = {"name": "js1-0", "scenario": "asks-1", "durability": "sync", "thread_id": "t"}
    event = {"run": "r", "event": "values|a:1", "id": "5-1", "data": {}}

    found = told(
        [
            {**has, "kind": "begun", **begun},
            {**has, "kind": "created", "turn": 0, "run": "r"},
            {**has, "kind": "event", "turn": 0, **event},
            {**has, "kind": "joined", "turn": 0, "status": 200},
            {**has, "kind": "early", "turn": 0, "run": "r"},
            {**has, "kind": "failed", "turn": 0, "error": "gone"},
            {**has, "kind": "over", "turn": 0, "run": "r", "status": "interrupted"},
            {**has, "kind": "ended", "turn": 0, "state": {"values": {}}},
        ]
    )

    seen = [Seen(1.0, "5-1", "values|a:1", {})]
    turn = Turn("r", "interrupted", seen, joined=[1.0], early=1, failed=["gone"])
    assert found == Told("js1", **begun, turns=[turn], state={"values": {}})
    assert (seen[0].mode, seen[0].namespace) == ("values", "a:1")
