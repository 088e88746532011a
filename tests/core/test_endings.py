"""How runs end early: failures and who handles them, questions, breakpoints."""

from __future__ import annotations

from typing import Any

import pytest

from core.builders import (
    Asks,
    Fails,
    begun,
    doing,
    graph,
    log,
    names,
    new_lineage,
    node,
    planned,
    recording,
    run,
    to,
)
from millstream.channels import NamedBarrierValue
from millstream.constants import PULL, PUSH, TASKS
from millstream.core.state import RunStatus
from millstream.core.tasks import Task
from millstream.errors import GraphBubbleUp, ParentCommand
from millstream.types import Command, Send

LOUD = doing(a=[("log", ["a"])], b=[("log", ["b"])], c=[("log", ["c"])])


def test_the_first_failure_ends_the_run_and_nothing_is_committed() -> None:
    """Later failures are remembered by their tasks, but no longer told."""
    observer, facts = recording()
    spec = graph([node("a"), node("b"), node("c")], {"log": log()})
    machine = begun(spec, *to("a", "b", "c"), observer=observer)
    first, second = ValueError("first"), ValueError("second")

    run(machine, doing(a=[("log", ["a"])], b=Fails(first), c=Fails(second)))

    assert machine.status is RunStatus.FAILED
    assert machine.failure is not None
    assert (machine.failure.name, machine.failure.error) == ("b", first)
    assert [task.error for task in machine.tasks] == [None, first, second]
    assert machine.cells.values == {"log": []}
    assert facts[2:] == [("task_finished", "a"), ("task_failed", ("b", first))]


def test_tasks_that_end_after_a_failure_are_not_told() -> None:
    """Consumers see nothing after the error that ends the run."""
    observer, facts = recording()
    machine = begun(graph([node("a"), node("b"), node("c")]), *to("a", "b", "c"), observer=observer)

    run(machine, doing(a=Fails(ValueError()), b=[], c=Asks(("why?",))))

    assert [fact for fact, _ in facts] == ["checkpoint_reached", "tasks_planned", "task_failed"]


def test_a_failed_task_writes_nothing() -> None:
    """What it wrote before it failed is dropped."""
    machine = begun(graph([node("a")], {"log": log()}), *to("a"))
    (task,) = planned(machine)
    task.writes = [("log", [1])]

    machine.fail(task, ValueError())

    assert task.writes == []


def test_a_signal_to_the_parent_ends_the_run_but_is_nobodys_failure() -> None:
    """No handler sees it and no consumer is told."""
    observer, facts = recording()
    spec = graph([node("a", handler="h"), node("h")])
    machine = begun(spec, *to("a"), observer=observer)
    signal = GraphBubbleUp()

    run(machine, doing(a=Fails(signal)))

    assert machine.status is RunStatus.FAILED
    assert machine.failure is not None
    assert machine.failure.error is signal
    assert facts[2:] == []


def leaving(graph: str, *log: str) -> Fails:
    """Return the end of a task that has a command for a graph around this one."""
    return Fails(ParentCommand(Command(graph=graph, update={"log": [*log]}, goto=log)))


def test_commands_for_the_same_parent_leave_together() -> None:
    """In the order of their tasks; nothing is committed, and no task is stopped for it."""
    machine = begun(graph([node("a"), node("b"), node("c")], {"log": log()}), *to("a", "b", "c"))
    tasks = planned(machine)
    signals = {
        "c": leaving("parent", "c").error,
        "b": leaving("elsewhere", "b").error,
        "a": leaving("parent", "a").error,
    }

    for task in reversed(tasks):
        machine.fail(task, signals[task.name])
        assert machine.failure is None
    machine.commit()

    assert machine.status is RunStatus.FAILED
    assert machine.failure is tasks[0]
    assert machine.failure.error is not None
    (command,) = machine.failure.error.args
    assert command.graph == "parent"
    assert (command.update, command.goto) == ([("log", ["a"]), ("log", ["c"])], ["a", "c"])
    assert machine.cells.values == {"log": []}


def test_a_command_for_the_parent_that_is_alone_leaves_as_it_is() -> None:
    """No copy is made of it."""
    machine = begun(graph([node("a"), node("b")], {"log": log()}), *to("a", "b"))
    signal = leaving("parent", "a")

    run(machine, doing(a=signal, b=[("log", ["b"])]))

    assert machine.failure is not None
    assert machine.failure.error is signal.error


def test_a_failure_counts_more_than_a_command_for_the_parent() -> None:
    """Whichever came first."""
    machine = begun(graph([node("a"), node("b")]), *to("a", "b"))
    error = ValueError()

    run(machine, doing(a=leaving("parent", "a"), b=Fails(error)))

    assert machine.failure is not None
    assert machine.failure.error is error


def test_an_error_that_ends_the_program_is_not_handled() -> None:
    """Handlers are for exceptions."""
    machine = begun(graph([node("a", handler="h"), node("h")]), *to("a"))

    run(machine, doing(a=Fails(KeyboardInterrupt())))

    assert machine.status is RunStatus.FAILED


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_handler_takes_the_failed_tasks_place(is_sent: bool) -> None:
    """It gets the failed task's input, runs in its superstep and writes where it would have."""
    spec = graph(
        [node("a"), node("b", handler="a_handler"), node("c"), node("a_handler")], {"log": log()}
    )
    cause = [(TASKS, [Send("a", 0), Send("b", 1), Send("c", 2)])] if is_sent else to(*"abc")
    machine = begun(spec, *cause)
    handled: list[Task] = []

    def behave(task: Task) -> Any:
        if task.name == "b":
            return Fails(ValueError("no"))
        if task.name == "a_handler":
            handled.append(task)
        return [("log", [task.name])]

    run(machine, behave)

    (handler,) = handled
    assert machine.cells.values == {"log": ["a", "a_handler", "c"]}
    assert handler.input == (1 if is_sent else {"log": []})
    assert handler.origin is not None
    assert (handler.origin.name, str(handler.origin.error)) == ("b", "no")
    assert handler.triggers == (PUSH,)
    assert handler.path == ((PUSH, 1, False) if is_sent else (PULL, "b")) + (
        "node_error_handler",
        False,
    )
    assert handler.ns == f"b:{handler.origin.id}|a_handler:{handler.id}"


def test_the_tasks_a_plan_returned_are_the_drivers() -> None:
    """Handlers join the superstep's tasks, not the list a driver is going through."""
    machine = begun(graph([node("a", handler="h"), node("h")]), *to("a"))
    tasks = planned(machine)

    machine.fail(tasks[0], ValueError())

    assert (names(tasks), names(machine.tasks)) == (["a"], ["a", "h"])


def test_a_handler_that_fails_fails_the_run() -> None:
    """Its own error counts, and both are told."""
    observer, facts = recording()
    machine = begun(graph([node("a", handler="h"), node("h")]), *to("a"), observer=observer)
    first, second = ValueError(1), ValueError(2)

    run(machine, doing(a=Fails(first), h=Fails(second)))

    assert machine.failure is not None
    assert machine.failure.error is second
    assert facts[2:] == [("task_failed", ("a", first)), ("task_failed", ("h", second))]


def test_a_handled_failure_consumes_what_triggered_it() -> None:
    """A waiting edge before a node that fails waits again, and can fire again."""
    spec = graph(
        [node("a"), node("b", "join", handler="h"), node("h")],
        {"join": NamedBarrierValue(str, {"a"}), "log": log()},
        shown=["log"],
    )
    lineage = new_lineage()
    machine = begun(spec, *to("a"), lineage=lineage)

    def behave(task: Task) -> Any:
        if task.name == "b":
            return Fails(ValueError())
        again = to("a") if task.name == "h" and len(task.input["log"]) < 3 else []
        return [("log", [task.name]), *([("join", "a")] if task.name == "a" else again)]

    run(machine, behave)

    assert machine.cells.values == {"log": ["a", "h", "a", "h"]}
    assert list(lineage.seen["b"]) == ["join"]


def test_questions_pause_the_run_and_show_what_the_others_wrote() -> None:
    """Finished siblings' writes are shown, but the superstep is not over."""
    observer, facts = recording()
    lineage = new_lineage()
    spec = graph([node("a"), node("b"), node("c"), node("d")], {"log": log()})
    machine = begun(spec, *to("a", "b", "c", "d"), observer=observer, lineage=lineage)
    saved = machine.save

    run(machine, doing(a=[("log", ["a"])], b=Asks(("who?", "why?")), c=Asks(("how?",)), d=[]))

    assert (machine.status, machine.step) == (RunStatus.PAUSED, 0)
    assert machine.interrupts == ["who?", "why?", "how?"]
    assert machine.cells.values == {"log": ["a"]}
    assert machine.save is saved
    assert facts[2:] == [
        ("task_finished", "a"),
        ("task_paused", ("b", ("who?", "why?"))),
        ("task_paused", ("c", ("how?",))),
        ("task_finished", "d"),
        ("state_changed", ["log"]),
    ]


def test_a_task_that_asked_writes_nothing() -> None:
    """It will run again from its start."""
    machine = begun(graph([node("a")], {"log": log()}), *to("a"))
    (task,) = planned(machine)
    task.writes = [("log", [1])]

    machine.pause(task, ("who?",))
    machine.commit()

    assert (task.interrupts, task.writes, machine.cells.values) == (("who?",), [], {"log": []})


def test_a_breakpoint_of_a_nested_run_stops_this_one() -> None:
    """Nobody was asked, so the run is at a breakpoint as well."""
    observer, facts = recording()
    machine = begun(graph([node("a")]), *to("a"), observer=observer)

    run(machine, doing(a=Asks()))

    assert machine.status is RunStatus.BREAKPOINT
    assert facts[2:] == [("state_changed", []), ("breakpoint_reached", None)]


def test_a_question_beats_a_nested_breakpoint() -> None:
    """The run waits for the answer."""
    observer, facts = recording()
    machine = begun(graph([node("a"), node("b")]), *to("a", "b"), observer=observer)

    run(machine, doing(a=Asks(), b=Asks(("who?",))))

    assert machine.status is RunStatus.PAUSED
    assert facts[2:] == [("task_paused", ("b", ("who?",))), ("state_changed", [])]


def test_a_run_stops_before_the_listed_nodes() -> None:
    """None of the superstep's tasks has started."""
    observer, facts = recording()
    spec = graph([node("a"), node("b")], {"log": log()})
    machine = begun(spec, *to("a", "b"), observer=observer, limits={"before": ["b"]})

    run(machine, LOUD)

    assert machine.status is RunStatus.BREAKPOINT
    assert facts == [("checkpoint_reached", ["a", "b"]), ("breakpoint_reached", None)]


def test_a_run_stops_after_the_listed_nodes() -> None:
    """Their superstep is committed and the next one is known."""
    observer, facts = recording()
    spec = graph([node("a"), node("b")], {"log": log()})
    machine = begun(spec, *to("a"), observer=observer, limits={"after": ["a"]})

    run(machine, doing(a=[("log", ["a"]), *to("b")]))

    assert (machine.status, machine.cells.values) == (RunStatus.BREAKPOINT, {"log": ["a"]})
    assert facts[3:] == [
        ("state_changed", ["log", "to:b"]),
        ("checkpoint_reached", ["b"]),
        ("breakpoint_reached", None),
    ]


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_run_at_a_breakpoint_knows_on_which_side_of_a_node_it_is(place: str) -> None:
    """Both kinds end it in the same status."""
    spec = graph([node("a"), node("b")], {"log": log()})
    machine = begun(spec, *to("a"), limits={place: ["a"]})

    run(machine, doing(a=to("b")))

    assert machine.status is RunStatus.BREAKPOINT
    assert machine.is_stopped_after is (place == "after")


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_breakpoint_at_another_node_does_not_stop_the_run(place: str) -> None:
    """Only the listed nodes count."""
    machine = begun(graph([node("a")], {"log": log()}), *to("a"), limits={place: ["z"]})

    run(machine, LOUD)

    assert (machine.status, machine.cells.values) == (RunStatus.DONE, {"log": ["a"]})


def test_a_superstep_is_complete_when_all_its_tasks_have_done_their_work() -> None:
    """Then it may be committed although the run was left."""
    machine = begun(graph([node("a", handler="h"), node("b"), node("h")]), *to("a", "b"))
    a, b = planned(machine)
    assert not machine.is_complete

    handler = machine.fail(a, ValueError())
    machine.finish(b)
    assert handler is not None
    assert not machine.is_complete

    machine.finish(handler)
    assert machine.is_complete


@pytest.mark.parametrize("questions", [("why?",), ()], ids=["question", "breakpoint"])
def test_a_superstep_that_failed_or_waits_is_not_complete(questions: Any) -> None:
    """It is not committed."""
    failing = begun(graph([node("a")]), *to("a"))
    failing.fail(planned(failing)[0], ValueError())
    assert not failing.is_complete

    waiting = begun(graph([node("a")]), *to("a"))
    waiting.pause(planned(waiting)[0], questions)
    assert not waiting.is_complete
