"""The boundary: the rhythm, and an observer that hears only what it asked for."""

from __future__ import annotations

from dataclasses import fields

from core.builders import begun, doing, graph, log, new_machine, node, recording, run
from millstream.core.observer import Observer
from millstream.core.state import RunStatus


def test_an_observer_wants_to_hear_nothing_unless_told() -> None:
    """A fact nobody asked for is None, so that the machine need not build it.

    Only facts may stand in an `Observer`: what else a listener needs goes to whoever makes it.
    """
    observer = Observer()

    heard = [fact.name for fact in fields(observer) if getattr(observer, fact.name) is not None]

    assert heard == []


def test_the_documented_rhythm_runs_a_graph_to_its_end() -> None:
    """begin, then plan, finish and commit until plan has no answer."""
    machine = new_machine(graph([node("a"), node("b")], {"log": log()}))
    rhythm = []

    machine.begin([("to:a", None)])
    while (tasks := machine.plan()) is not None:
        for task in tasks:
            rhythm.append(task.name)
            task.writes = [("log", [task.name]), *([("to:b", None)] if task.name == "a" else [])]
            machine.finish(task)
        machine.commit()

    assert rhythm == ["a", "b"]
    assert machine.cells.values == {"log": ["a", "b"]}
    assert machine.status is RunStatus.DONE


def test_facts_arrive_in_the_order_in_which_consumers_see_them() -> None:
    """The coming superstep first, then its start, its tasks and the new state."""
    observer, facts = recording()
    machine = begun(graph([node("a")], {"log": log()}), ("to:a", None), observer=observer)

    run(machine, doing(a=[("log", ["x"])]))

    assert facts == [
        ("checkpoint_reached", ["a"]),
        ("tasks_planned", ["a"]),
        ("task_finished", "a"),
        ("state_changed", ["log"]),
        ("checkpoint_reached", []),
    ]


def test_a_machine_that_is_closed_tells_nobody_of_what_it_does_after_that() -> None:
    observer, facts = recording()
    machine = begun(graph([node("a")], {"log": log()}), ("to:a", None), observer=observer)

    machine.close()
    run(machine, doing(a=[("log", ["x"])]))

    assert facts == []
    assert machine.status is RunStatus.DONE
