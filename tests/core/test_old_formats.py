"""What waited in a checkpoint of an older format waits in what becomes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from core.builders import graph, log, new_lineage, new_machine, node
from millstream.channels import NamedBarrierValue
from millstream.constants import SIGNAL_PREFIX, TASKS
from millstream.core.old_formats import is_current, modernized, modernized_writes
from millstream.core.spec import GraphSpec
from millstream.types import Send

PARENT = "1f1eb4a2-14b2-645b-8001-99a692f6d029"


def to(name: str) -> tuple[str, None]:
    return (SIGNAL_PREFIX + name, None)


def abc() -> GraphSpec:
    """Return a graph with edges from `a` to `b` and `c`, and one from `b` and `c` to `d`."""
    join = "join:b+c:d"
    nodes = [
        node("a", SIGNAL_PREFIX + "a", edges=(to("b"), to("c"))),
        node("b", SIGNAL_PREFIX + "b", edges=((join, "b"),)),
        node("c", SIGNAL_PREFIX + "c", edges=((join, "c"),)),
        node("d", SIGNAL_PREFIX + "d", join),
    ]
    return graph(nodes, {"log": log(), join: NamedBarrierValue(str, {"b", "c"})}, shown=("log",))


def old(values: dict[str, Any], versions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "id": PARENT,
        "channel_values": values,
        "channel_versions": versions,
        "versions_seen": {},
        **more,
    }


def old_id_of(text: str) -> str:
    data = bytes.fromhex(PARENT.replace("-", "")) + text.encode()
    made = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return f"{made[:8]}-{made[8:12]}-{made[12:16]}-{made[16:20]}-{made[20:32]}"


def waiting(checkpoint: dict[str, Any], known: Sequence[Any] = ()) -> list[Any]:
    """Return the tasks that wait, by name and id."""
    spec = abc()
    modern = modernized(checkpoint, spec)
    lineage = new_lineage()
    lineage.load(modern, {"step": 1})
    machine = new_machine(
        spec,
        lineage=lineage,
        saved_values=modern["channel_values"],
        stored_writes=modernized_writes(known, spec),
    )
    return machine.pending_tasks()


def names(checkpoint: dict[str, Any]) -> list[str]:
    return [task.name for task in waiting(checkpoint)]


def test_the_format_is_told_by_its_number() -> None:
    assert [is_current({"v": number}) for number in (1, 2, 3, 4, 5)] == [False] * 3 + [True] * 2
    assert is_current({})


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("start:a", ["a"]),
        ("a", ["b", "c"]),
        ("branch:a:condition:c", ["c"]),
        ("branch:a:condition:of:c", []),
        ("b", []),
        ("gone", []),
    ],
)
def test_a_node_waits_whatever_its_trigger_was_called(channel: str, expected: list[str]) -> None:
    assert names(old({"log": ["x"], channel: "x"}, {"log": 1, channel: 2})) == expected


def test_what_a_node_has_seen_does_not_trigger_it() -> None:
    seen = {"b": {"a": 2}, "c": {"a": 1}}

    assert names(old({"a": "a"}, {"a": 2}, versions_seen=seen)) == ["c"]


def test_a_signal_of_today_stays_as_it_is() -> None:
    signal = SIGNAL_PREFIX + "b"

    assert names(old({signal: "a", "a": "a"}, {signal: 2, "a": 2})) == ["b", "c"]


def test_a_channel_without_a_version_triggers_nothing() -> None:
    assert names(old({"a": "a"}, {})) == []


def test_sends_wait() -> None:
    checkpoint = old({}, {"log": 1}, v=3, pending_sends=[Send("b", 1), Send("c", 2)])

    assert names(checkpoint) == ["b", "c"]
    assert modernized(checkpoint, abc())["channel_versions"][TASKS] == 1


def test_old_names_are_gone() -> None:
    versions = {"log": 1, "a": 2, "start:a": 1, "branch:a:f:c": 2, "join:b+c:d": 1, "other": 1}

    modern = modernized(old({"a": "a", "other": 1}, versions), abc())

    assert sorted(modern["channel_versions"]) == [
        SIGNAL_PREFIX + "b",
        SIGNAL_PREFIX + "c",
        "join:b+c:d",
        "log",
        "other",
    ]
    assert modern["channel_values"]["other"] == 1


def test_the_first_checkpoint_of_today_stores_everything() -> None:
    lineage = new_lineage()
    lineage.load(modernized(old({"a": "a"}, {"a": 1, "log": 1}), abc()), {})

    assert lineage.unsaved == {"log", SIGNAL_PREFIX + "b", SIGNAL_PREFIX + "c"}


def test_writes_go_to_the_channels_of_today() -> None:
    writes = [
        ("1", "log", ["a"]),
        ("1", "a", "a"),
        ("2", "branch:b:f:d", "b"),
        ("2", "b", "b"),
        ("2", "join:b+c:d", "b"),
        ("3", "start:a", "__start__"),
    ]

    assert modernized_writes(writes, abc()) == [
        ("1", "log", ["a"]),
        ("1", *to("b")),
        ("1", *to("c")),
        ("2", *to("d")),
        ("2", "join:b+c:d", "b"),
        ("3", *to("a")),
    ]


@pytest.mark.parametrize("triggers", [("a",), ("a", f"{SIGNAL_PREFIX}b")])
def test_tasks_are_known_by_the_ids_they_had(triggers: Sequence[str]) -> None:
    id = old_id_of("b2b__pregel_pull" + "".join(triggers))

    tasks = waiting(old({"a": "a"}, {"a": 2}), [(id, "log", ["b"])])

    assert [(task.name, task.id == id) for task in tasks] == [("b", True), ("c", False)]


def test_a_send_is_known_by_the_id_it_had() -> None:
    id = old_id_of("b2b__pregel_push0")
    checkpoint = old({}, {}, v=2, pending_sends=[Send("b", 1), Send("b", 2)])

    first, second = waiting(checkpoint, [(id, "log", ["b"])])

    assert first.id == id != second.id


def test_a_task_that_is_known_by_its_own_id_keeps_it() -> None:
    checkpoint = old({SIGNAL_PREFIX + "b": None}, {SIGNAL_PREFIX + "b": 2}, v=3)
    (task,) = waiting(checkpoint)

    assert [known.id for known in waiting(checkpoint, [(task.id, "log", ["b"])])] == [task.id]
