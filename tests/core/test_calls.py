"""Calls: tasks that the code of a running task starts."""

from __future__ import annotations

from typing import Any

import pytest

from core.builders import (
    begun,
    graph,
    log,
    new_lineage,
    new_machine,
    node,
    planned,
    recording,
    to,
)
from millstream.constants import ERROR, INTERRUPT, PUSH, RESUME, RETURN
from millstream.core.machine import RunMachine
from millstream.core.spec import NodeSpec
from millstream.core.state import ProtocolError, RunStatus
from millstream.core.tasks import Task, task_path_text
from millstream.errors import GraphInterrupt


def work_graph() -> Any:
    """Return a graph of one node that runs once."""
    return graph([node("work")], {"log": log()})


def called(name: str = "call") -> NodeSpec:
    """Return a node that is in no graph."""
    return node(name, PUSH)


def working(**options: Any) -> tuple[RunMachine, Task]:
    """Return a machine in a superstep, and the one task of it."""
    machine = begun(work_graph(), *to("work"), **options)
    (task,) = planned(machine)
    return machine, task


def end(machine: RunMachine, task: Task, *writes: tuple[str, Any]) -> None:
    """Report that the task ran to its end."""
    task.writes = list(writes)
    machine.finish(task)


def recorded_caller(checkpoint: str, name: str) -> tuple[RunMachine, Task]:
    """Return the task of a workflow that langgraph ran from a checkpoint."""
    lineage = new_lineage()
    lineage.id = checkpoint
    spec = graph([node(name, "__start__")])
    machine = new_machine(spec, lineage=lineage)
    machine.step = 0
    machine.status = RunStatus.STEPPING
    return machine, Task(machine, spec.nodes[name], spec.nodes[name].path, ("__start__",))


def test_calls_have_the_ids_that_langgraph_gives_them() -> None:
    """Ids were recorded with langgraph 1.2.22: one caller, three calls."""
    machine, caller = recorded_caller("1f1e55da-45c8-6e7b-bfff-3e11bee0f3e8", "par")

    ids = [machine.call(caller, called(name), ((), {})).id for name in ("ask", "ask", "add")]

    assert caller.id == "05abd7d6-797b-b34c-e909-f743bb92eaf5"
    assert ids == [
        "4c3fbeb1-7aa1-169f-c886-8eb3079e3d6b",
        "454ab05b-e24b-34a3-a9ca-d08c711c0c3d",
        "66a4c5b5-1571-2063-c208-45082bf1fada",
    ]


def test_calls_of_calls_have_the_ids_that_langgraph_gives_them() -> None:
    """A call can be the caller of another, which is below it."""
    machine, caller = recorded_caller("1f1e55ca-9fb7-6574-bfff-c7da3032a7cc", "flaky")

    outer = machine.call(caller, called("nested"), ((1,), {}))
    inner = machine.call(outer, called("add"), ((1,), {}))

    assert outer.id == "61545e9c-e33d-fbfb-9a83-b66d4661db44"
    assert inner.id == "fc248acb-4465-9af5-d3e0-36c7e52ddc05"
    assert inner.ns == f"flaky:{caller.id}|nested:{outer.id}|add:{inner.id}"
    assert task_path_text(inner.path) == (
        "~__pregel_push, ~__pregel_push, ~__pregel_pull, flaky, 0000000000, 0000000001, "
        "0000000000, 0000000001"
    )


def test_a_call_is_announced_and_reported_like_any_task() -> None:
    """Whoever watches sees its start and its end in between those of its caller."""
    observer, facts = recording()
    machine, caller = working(observer=observer)
    facts.clear()

    call = machine.call(caller, called(), ((1,), {"k": 2}))
    end(machine, call, (RETURN, 3))
    end(machine, caller, ("log", [3]))
    machine.commit()

    assert call.input == ((1,), {"k": 2})
    assert facts == [
        ("tasks_planned", ["call"]),
        ("task_finished", "call"),
        ("task_finished", "work"),
        ("state_changed", ["log"]),
    ]


def test_nobody_need_watch() -> None:
    """Without an observer a call is a task all the same."""
    machine, caller = working()

    call = machine.call(caller, called(), None)
    end(machine, call, (RETURN, 3))
    end(machine, caller)
    machine.commit()

    assert machine.plan() is None
    assert machine.status is RunStatus.DONE


def test_a_result_changes_no_channel_but_other_writes_do() -> None:
    """Writes of calls come after those of the superstep's own tasks, in order of their paths."""
    machine, caller = working()

    first = machine.call(caller, called(), None)
    second = machine.call(caller, called(), None)
    nested = machine.call(first, called(), None)
    for task, name in ((nested, "nested"), (second, "second"), (first, "first")):
        end(machine, task, (RETURN, name), ("log", [name]))
    end(machine, caller, ("log", ["work"]))
    machine.commit()

    assert machine.cells.values == {"log": ["work", "first", "second", "nested"]}


def test_each_superstep_counts_its_calls_anew() -> None:
    """The first call of every superstep has the index 0."""
    machine, caller = working()
    machine.call(caller, called(), None)
    end(machine, caller, *to("work"))
    machine.commit()
    (again,) = planned(machine)

    call = machine.call(again, called(), None)

    assert call.path == (PUSH, again.path, 0, True)


def test_a_failed_call_does_not_fail_the_run() -> None:
    """Its caller may catch the error."""
    observer, facts = recording()
    machine, caller = working(observer=observer)
    facts.clear()
    error = ValueError("x")

    call = machine.call(caller, called(), None)
    handler = machine.fail(call, error)
    end(machine, caller)
    machine.commit()

    assert handler is None
    assert ("task_failed", ("call", error)) in facts
    assert machine.failure is None
    assert machine.status is RunStatus.READY


def test_a_question_of_a_call_is_told_once_by_its_caller() -> None:
    """The caller passes it on, and the run waits for the answer."""
    observer, facts = recording()
    machine, caller = working(observer=observer)
    facts.clear()

    call = machine.call(caller, called(), None)
    machine.pause(call, ("what?",))
    machine.pause(caller, ("what?",))
    machine.commit()

    assert [fact for fact in facts if fact[0] == "task_paused"] == [
        ("task_paused", ("work", ("what?",)))
    ]
    assert machine.questions == ["what?"]
    assert machine.status is RunStatus.PAUSED


def test_a_question_that_the_caller_ignores_stops_the_run_too() -> None:
    """The caller's writes are shown but not committed, and no breakpoint is told."""
    observer, facts = recording()
    machine, caller = working(observer=observer)
    facts.clear()

    call = machine.call(caller, called(), None)
    machine.pause(call, ("what?",))
    end(machine, caller, ("log", ["done"]))
    machine.commit()

    assert facts[-1] == ("state_changed", ["log"])
    assert machine.interrupts == ()
    assert machine.questions == ["what?"]
    assert machine.status is RunStatus.PAUSED


def test_a_signal_on_its_way_out_of_a_call_is_nobody_s_failure() -> None:
    """It is the caller that passes it on."""
    observer, facts = recording()
    machine, caller = working(observer=observer)
    facts.clear()

    machine.fail(machine.call(caller, called(), None), GraphInterrupt())

    assert [fact for fact, _ in facts] == ["tasks_planned"]
    assert machine.failure is None


@pytest.mark.parametrize(
    ("stored", "is_known"),
    [
        ([(RETURN, 3)], True),
        ([(RESUME, ["yes"]), (RETURN, 3)], True),
        ([(ERROR, "ValueError()")], False),
        ([(INTERRUPT, ("what?",))], False),
    ],
)
def test_a_call_that_had_finished_is_not_run_again(
    stored: list[tuple[str, Any]], is_known: bool
) -> None:
    """Its start is told, and its result is there; one that failed or asked is run anew."""
    first = begun(work_graph(), *to("work"), lineage=new_lineage())
    saved = first.save
    assert saved is not None
    (caller,) = planned(first)
    call_id = first.call(caller, called(), None).id
    observer, facts = recording()
    machine = new_machine(
        work_graph(),
        observer,
        saved=saved,
        stored_writes=[(call_id, channel, value) for channel, value in stored],
    )
    machine.resume()
    (again,) = planned(machine)
    facts.clear()

    call = machine.call(again, called(), None)

    assert call.is_done is is_known
    assert call.writes == ([(RETURN, 3)] if is_known else [])
    assert facts == [("tasks_planned", ["call"])]


def test_a_call_outside_a_superstep_is_a_bug_of_the_driver() -> None:
    """A task can only call while it runs."""
    machine, caller = working()
    end(machine, caller)
    machine.commit()

    with pytest.raises(ProtocolError, match=r"call\(\) is allowed while the run is 'stepping'"):
        machine.call(caller, called(), None)


def test_a_call_has_seen_what_its_caller_has() -> None:
    """Its name stands in the checkpoint like that of any task that ran."""
    machine, caller = working(lineage=new_lineage())

    end(machine, machine.call(caller, called("helper"), None), (RETURN, 1))
    end(machine, caller)
    machine.commit()

    assert machine.save is not None
    assert machine.save.checkpoint["versions_seen"]["helper"] == {}
