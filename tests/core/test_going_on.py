"""Going on from a checkpoint: with answers, with commands, from the past."""

from __future__ import annotations

from typing import Any

import pytest

from core.builders import (
    begun,
    graph,
    log,
    names,
    new_lineage,
    new_machine,
    node,
    planned,
    recording,
    to,
)
from millstream._types.interrupts import interrupt_id
from millstream.constants import (
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    MISSING,
    NULL_TASK_ID,
    RESUME,
    TASKS,
)
from millstream.core.answers import Answers
from millstream.core.checkpoints import SaveCheckpoint
from millstream.core.machine import RunMachine
from millstream.core.pending_writes import ResumePoint
from millstream.core.spec import GraphSpec
from millstream.types import Interrupt, Send


def pair() -> GraphSpec:
    """Return a graph of two nodes that run side by side."""
    return graph([node("a"), node("b")], {"log": log()})


def started(spec: GraphSpec) -> SaveCheckpoint:
    """Return the checkpoint from which both nodes run."""
    machine = begun(spec, ("to:a", None), ("to:b", None), lineage=new_lineage())
    assert machine.save is not None
    return machine.save


def ids(spec: GraphSpec, save: SaveCheckpoint) -> dict[str, str]:
    """Return the ids of the superstep's tasks, by node."""
    machine = new_machine(spec, saved=save)
    machine.resume()
    return {task.name: task.id for task in planned(machine)}


def loaded(*writes: tuple[str, str, Any], source: str = "input") -> RunMachine:
    """Return a machine that is to go on; a write's task is given by its node."""
    spec = pair()
    save = started(spec)
    save.metadata["source"] = source
    known = ids(spec, save)
    stored = [(known.get(name, name), channel, value) for name, channel, value in writes]
    return new_machine(spec, saved=save, stored_writes=stored)


def question(count: int = 0) -> str:
    """Return the id of a question of `a`, asked after that many answers."""
    machine = loaded()
    machine.resume()
    return next(interrupt_id(task.ns, count) for task in planned(machine) if task.name == "a")


def test_a_task_gets_its_earlier_answers_back() -> None:
    """Without a new one it starts with these."""
    machine = loaded(("a", RESUME, ["one"]))

    machine.resume()

    assert [task.answers for task in planned(machine)] == [["one"], None]


def test_an_answer_goes_to_the_question_it_names() -> None:
    """After the answers its task had before."""
    machine = loaded(("a", INTERRUPT, (Interrupt("q", question(1)),)), ("a", RESUME, ["one"]))

    machine.resume(answers=Answers({question(1): "two"}), is_strict=True)

    assert [task.answers for task in planned(machine)] == [["one", "two"], None]


def test_a_refused_answer_changes_nothing() -> None:
    """The run has not begun: it can be given another."""
    first = Interrupt("q", question())
    machine = loaded(("a", INTERRUPT, (first,)), ("b", INTERRUPT, (Interrupt("q", "0" * 32),)))

    with pytest.raises(RuntimeError, match="multiple pending interrupts"):
        machine.resume([("log", ["x"])], answers=Answers("yes"))

    assert machine.cells.values == {"log": []}
    machine.resume(answers=Answers({first.id: "yes"}))
    assert names(planned(machine)) == ["a", "b"]


def test_the_tasks_that_answers_were_checked_against_are_those_that_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The superstep is planned once: what is wrong with it is said once."""
    spec = pair()
    first = begun(spec, *to("a"), (TASKS, Send("gone", 1)), lineage=new_lineage())
    machine = new_machine(spec, saved=first.save)

    machine.resume(answers=Answers("yes"))

    assert names(planned(machine)) == ["a"]
    assert caplog.messages == ["Ignoring unknown node name gone in pending sends"]


def test_an_update_that_triggers_nothing_lets_the_tasks_run_that_answers_were_checked_against(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They read what it wrote, though they were planned before."""
    spec = graph([node("a"), node("b")], {"log": log()})
    first = begun(spec, *to("a"), (TASKS, Send("gone", 1)), lineage=new_lineage())
    machine = new_machine(spec, saved=first.save)

    machine.resume([("log", ["told"])], answers=Answers("yes"))
    tasks = planned(machine)

    assert [(task.name, task.input) for task in tasks] == [("a", {"log": ["told"]})]
    assert caplog.messages == ["Ignoring unknown node name gone in pending sends"]


def test_a_command_that_sends_with_an_answer_adds_to_the_superstep() -> None:
    spec = pair()
    first = begun(spec, *to("a"), lineage=new_lineage())
    machine = new_machine(spec, saved=first.save)

    machine.resume([(TASKS, Send("b", 1))], answers=Answers("yes"))

    assert sorted(names(planned(machine))) == ["a", "b"]


def test_what_a_command_triggers_runs_beside_the_tasks_that_are_answered() -> None:
    spec = pair()
    first = begun(spec, *to("a"), lineage=new_lineage())
    machine = new_machine(spec, saved=first.save)

    machine.resume(to("b"), answers=Answers("yes"))

    assert names(planned(machine)) == ["a", "b"]


def test_a_bare_answer_does_not_outlive_its_superstep() -> None:
    """Whoever asks later asks a person."""
    machine = loaded()
    answers = Answers("yes")
    machine.resume(answers=answers)
    for task in planned(machine):
        machine.finish(task)

    machine.commit()

    assert answers.take([""]) is MISSING


def test_answers_of_the_enclosing_run_outlive_a_nested_superstep() -> None:
    """They are not this run's to forget."""
    answers = Answers("yes")
    spec = pair()
    machine = new_machine(spec, saved=started(spec), answers=answers)
    machine.resume()
    for task in planned(machine):
        machine.finish(task)

    machine.commit()

    assert answers.take([""]) == "yes"


def test_commands_are_applied_again_with_the_new_ones() -> None:
    """What an earlier command wrote to this checkpoint still counts."""
    machine = loaded((NULL_TASK_ID, "log", ["old"]), (NULL_TASK_ID, RESUME, "spent"))

    machine.resume([("log", ["new"])])

    assert machine.cells.values == {"log": ["old", "new"]}
    assert machine.commands == [("log", ["old"]), ("log", ["new"])]
    assert machine.save is None


@pytest.mark.parametrize(
    ("place", "source", "forks"),
    [
        (ResumePoint.LATEST, "input", False),
        (ResumePoint.NAMED, "input", True),
        (ResumePoint.NAMED, "fork", False),
        (ResumePoint.NAMED, "update", False),
        (ResumePoint.PAST, "update", True),
    ],
)
def test_a_named_checkpoint_starts_a_branch_unless_it_is_one(
    place: ResumePoint, source: str, forks: bool
) -> None:
    """And its finished tasks run anew."""
    machine = loaded(("a", "log", ["a"]), source=source)

    machine.resume(point=place)

    assert (machine.save is not None) is forks
    assert machine.is_travelling is (place is not ResumePoint.LATEST)
    assert names(machine.plan()) == (["b"] if place is ResumePoint.LATEST else ["a", "b"])
    if machine.save is not None:
        assert machine.save.metadata["source"] == "fork"
        assert machine.save.metadata["step"] == 0
        assert machine.step == 1


def test_an_answer_to_a_past_question_starts_no_branch() -> None:
    """Its task ids must stay, because the question belongs to one of them."""
    machine = loaded(("a", RESUME, ["one"]), ("b", "log", ["b"]))

    machine.resume(answers=Answers("two"), point=ResumePoint.PAST)

    assert machine.save is None
    assert [(task.name, task.answers) for task in planned(machine)] == [("a", ["one"]), ("b", [])]


def test_a_handler_that_had_not_finished_runs_again_without_the_node_that_failed() -> None:
    """What it is told is the error from before."""
    spec = graph([node("a", handler="h"), node("b"), node("h", "to:h")], {"log": log()})
    save = started(spec)
    failed = ids(spec, save)["a"]
    machine = new_machine(
        spec,
        saved=save,
        stored_writes=[(failed, ERROR, "no"), (failed, ERROR_SOURCE_NODE, "a")],
    )
    machine.resume()

    tasks = planned(machine)

    assert names(machine.tasks) == ["a", "b", "h"]
    assert names(tasks) == ["b", "h"]
    assert str(tasks[1].origin and tasks[1].origin.error) == "no"


def test_input_on_a_thread_keeps_what_commands_wrote_to_it() -> None:
    """Only the tasks that were left over are dropped."""
    machine = loaded((NULL_TASK_ID, "log", ["command"]))

    machine.begin([("log", ["input"])])

    assert machine.cells.values == {"log": ["command", "input"]}


def test_a_nested_run_that_asks_shows_no_state() -> None:
    """Its caller does."""
    spec = pair()
    for ns, shown in (("", 1), ("sub:1", 0)):
        observer, facts = recording()
        machine = begun(spec, ("to:a", None), ("to:b", None), observer=observer, ns=ns)
        first, second = planned(machine)
        machine.pause(first, ("q",))
        second.writes = [("log", ["b"])]
        machine.finish(second)
        machine.commit()
        assert len([fact for fact in facts if fact[0] == "state_changed"]) == shown


def test_a_checkpoint_is_handed_over_once() -> None:
    machine = begun(pair(), *to("a"), lineage=new_lineage())
    made = machine.save

    assert made is not None
    assert machine.take_save() is made
    assert machine.take_save() is None
