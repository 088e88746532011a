"""Tasks: their identity, and the input they are given."""

from __future__ import annotations

from typing import Any

import pytest

from core.builders import begun, graph, log, new_lineage, new_machine, node
from millstream.channels import LastValue
from millstream.constants import PULL, PUSH
from millstream.core.machine import RunMachine
from millstream.core.spec import Read
from millstream.core.tasks import Task, preview, reader, task_path_text
from millstream.core.written import PUSH_TRIGGERS
from millstream.managed.is_last_step import IsLastStepManager, RemainingStepsManager

NEST = "nest:cbec1e14-2e79-b10f-77db-2d9d50b6727f"
CHECKPOINTS = {
    "root -1": "1f1e549d-1a77-6adc-bfff-b9f788ecd10a",
    "root 0": "1f1e549d-1a7b-6441-8000-2aebd7ada654",
    "root 1": "1f1e549d-1a80-6097-8001-468c215574bd",
    "root 2": "1f1e549d-1a82-675c-8002-96a17483295c",
    "root 3": "1f1e549d-1a85-6c4f-8003-9282c4e3b89d",
    "root 4": "1f1e549d-1a8e-64f3-8004-ed3a716fab0c",
    "nest 0": "1f1e549d-1a8a-6179-8000-3bb6db640c2b",
}
RECORDED = [
    ("root -1", "", 0, "__start__", ("__start__",), "26ae92e9-3c59-4c7e-ea8b-754ee30f9472"),
    ("root 0", "", 1, "a", ("branch:to:a",), "1961592f-c348-6c40-b254-724edec67884"),
    ("root 0", "", 1, "b", ("branch:to:b",), "c920bc2a-26d7-f9b0-52e3-f9321428b809"),
    (
        "root 1",
        "",
        2,
        "joined",
        ("join:a+b:joined", "branch:to:joined"),
        "98b37020-f352-749a-7af6-90c943097c99",
    ),
    ("root 2", "", 3, "work", 0, "6627d767-bf3c-50a8-260f-c8b73b987fb7"),
    ("root 2", "", 3, "work", 1, "91524fd8-b3ed-ec42-12ef-553dae3244be"),
    ("root 3", "", 4, "nest", ("branch:to:nest",), NEST.partition(":")[2]),
    ("nest 0", NEST, 1, "leaf", ("branch:to:leaf",), "f41a418c-bfa9-7f56-64a5-dcbe25eed496"),
    ("root 4", "", 5, "weak", ("branch:to:weak",), "ef850262-17b1-a361-4ac0-5842c856d1b2"),
]
"""(checkpoint, namespace, step, node, triggers or position of the Send, id), as langgraph 1.2.22
made them."""


def recorded_task(
    checkpoint: str, ns: str, step: int, name: str, cause: tuple[str, ...] | int
) -> Task:
    """Return a task with the place in a run that a recorded one had."""
    triggers = () if isinstance(cause, int) else cause
    spec = graph([node(name, *triggers)])
    lineage = new_lineage()
    lineage.id = CHECKPOINTS[checkpoint]
    machine = new_machine(spec, lineage=lineage, ns=ns)
    machine.step = step
    one = spec.nodes[name]
    if isinstance(cause, int):
        return Task(machine, one, (PUSH, cause, False), PUSH_TRIGGERS)
    return Task(machine, one, one.path, one.triggers)


@pytest.mark.parametrize(
    ("checkpoint", "ns", "step", "name", "cause", "expected"),
    RECORDED,
    ids=lambda value: str(value).replace(NEST, "nested") or "root",
)
def test_task_ids_are_those_of_langgraph(
    checkpoint: str, ns: str, step: int, name: str, cause: Any, expected: str
) -> None:
    """Threads can change engines in the middle of a superstep."""
    task = recorded_task(checkpoint, ns, step, name, cause)

    assert task.id == expected


def test_the_id_of_a_handler_depends_on_the_failed_task() -> None:
    """Recorded in langgraph 1.2.22 as well: the failed task is part of the handler's place."""
    failed = recorded_task("root 4", "", 5, "weak", ("branch:to:weak",))
    handler = Task(failed.machine, node("__error_handler__weak"), failed.path, failed.triggers)
    handler.origin = failed

    assert handler.id == "ba050351-03e4-68c1-a6c6-96ba5f376d5a"


def test_an_id_is_worked_out_once() -> None:
    """A task keeps its id when the run moves on."""
    task = recorded_task("root 0", "", 1, "a", ("branch:to:a",))
    first = task.id

    task.machine.step += 1

    assert task.id == first


@pytest.mark.parametrize(("ns", "prefix"), [("", ""), ("outer:1|mid:2", "outer:1|mid:2|")])
def test_a_namespace_names_the_node_below_its_parents(ns: str, prefix: str) -> None:
    """The task's own id comes last, and can be left out."""
    machine = new_machine(graph([node("a")]), ns=ns)
    task = Task(machine, machine.spec.nodes["a"], (PULL, "a"), ("to:a",))

    names = [task.name_ns, task.ns]

    assert names == [f"{prefix}a", f"{prefix}a:{task.id}"]


def test_sorting_path_texts_sorts_the_tasks() -> None:
    """Numbers sort as numbers, triggered tasks before Sends."""
    paths = [(PULL, "a"), (PULL, "b"), (PUSH, 2, False), (PUSH, 10, False)]

    texts = [task_path_text(path) for path in paths]

    assert texts == [
        "~__pregel_pull, a",
        "~__pregel_pull, b",
        "~__pregel_push, 0000000002, 0000000000",
        "~__pregel_push, 0000000010, 0000000000",
    ]
    assert texts == sorted(texts)


SHOWN = {"x": 0, "y": 1, "z": 2}
MANAGED = {"left": RemainingStepsManager, "is_last": IsLastStepManager}


def read_in(machine: RunMachine, read: Read) -> Any:
    """Return the input that a node reads."""
    return read(machine.cells, machine)


def started() -> RunMachine:
    """Return a run whose state holds x and y, but not z."""
    spec = graph([], {name: LastValue(int) for name in SHOWN})
    return begun(spec, ("y", 2), ("x", 1), steps=3)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param("y", 2, id="one-channel"),
        pytest.param("z", None, id="one-empty-channel"),
        pytest.param(("y", "z"), {"y": 2}, id="some"),
        pytest.param(("x", "y", "z"), {"x": 1, "y": 2}, id="all"),
        pytest.param(("y", "left"), {"y": 2, "left": 3}, id="some-and-managed"),
        pytest.param(
            ("x", "y", "z", "is_last"), {"x": 1, "y": 2, "is_last": False}, id="all-and-managed"
        ),
    ],
)
def test_a_node_reads_the_keys_it_asked_for(
    keys: str | tuple[str, ...], expected: dict[str, Any]
) -> None:
    """A single key gives the bare value, several give those that have one."""
    read = reader(keys, shown=SHOWN, managed=MANAGED)

    assert read_in(started(), read) == expected


def test_a_node_reads_keys_in_declaration_order() -> None:
    """The order of writing does not show."""
    read = reader(("x", "y", "z"), shown=SHOWN, managed={})

    assert list(read_in(started(), read)) == ["x", "y"]


def test_changing_what_was_read_does_not_change_the_state() -> None:
    """Every read gives its own dict."""
    machine = started()

    for keys in (("x", "y", "z"), ("x",), ("x", "left")):
        read_in(machine, reader(keys, shown=SHOWN, managed=MANAGED))["x"] = 99

    assert machine.cells.values == {"x": 1, "y": 2}


def test_several_keys_become_an_instance_of_the_state_class() -> None:
    """The given function makes it; a single key is never coerced."""

    def coerce(values: dict[str, Any]) -> Any:
        return ("state", values)

    reads = [reader(keys, shown=SHOWN, managed={}, coerce=coerce) for keys in (("x",), "x")]

    assert [read_in(started(), read) for read in reads] == [("state", {"x": 1}), 1]


def test_a_preview_has_the_values_that_are_computed_from_the_run() -> None:
    """Conditional edges see them as nodes do."""
    spec = graph([node("a")], {"log": log()})
    spec.managed = {"last": IsLastStepManager}
    machine = begun(spec, ("to:a", None))

    assert preview(machine, [("log", ["x"])]) == {"log": ["x"], "last": False}
