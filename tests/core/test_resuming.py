"""Runs that continue from a checkpoint, or leave one."""

from __future__ import annotations

from typing import Any

import pytest

from core.builders import (
    Asks,
    begun,
    doing,
    graph,
    log,
    names,
    new_lineage,
    new_machine,
    node,
    perform,
    planned,
    recording,
    run,
    to,
)
from millstream.channels import NamedBarrierValue
from millstream.constants import ERROR, INTERRUPT, NO_WRITES, RESUME, TASKS
from millstream.core.answers import Answers
from millstream.core.checkpoints import SaveCheckpoint
from millstream.core.machine import RunMachine
from millstream.core.pending_writes import ResumePoint
from millstream.core.spec import GraphSpec
from millstream.core.state import RunStatus
from millstream.core.strands import stop_record
from millstream.types import Send

CHAIN = doing(
    a=[("log", ["a"]), ("to:b", None)], b=[("log", ["b"]), ("to:c", None)], c=[("log", ["c"])]
)


def chain() -> GraphSpec:
    """Return a graph that runs a, b and c."""
    return graph([node("a"), node("b"), node("c")], {"log": log()})


def saved_by(spec: GraphSpec, *writes: Any) -> list[SaveCheckpoint]:
    """Return the checkpoints of a whole run of the chain."""
    machine = begun(spec, *(writes or [("to:a", None)]), lineage=new_lineage())
    saves = [machine.save]
    run(machine, CHAIN, committed=lambda m: saves.append(m.save))
    return [save for save in saves if save is not None]


def forgetful(save: SaveCheckpoint) -> SaveCheckpoint:
    """Return the checkpoint as an older program wrote it: without the updated channels."""
    checkpoint = {k: v for k, v in save.checkpoint.items() if k != "updated_channels"}
    return SaveCheckpoint(checkpoint, save.metadata, save.parent_id, save.new_versions)


def test_a_checkpoint_is_made_of_the_input_and_of_every_superstep() -> None:
    """Their steps count from -1."""
    saves = saved_by(chain())

    made = [
        (s.metadata["source"], s.metadata["step"], s.checkpoint["channel_values"].get("log"))
        for s in saves
    ]

    assert made == [
        ("input", -1, None),
        ("loop", 0, ["a"]),
        ("loop", 1, ["a", "b"]),
        ("loop", 2, ["a", "b", "c"]),
    ]


@pytest.mark.parametrize("is_forgetful", [False, True])
def test_a_run_resumes_where_it_was_saved(is_forgetful: bool) -> None:
    """With the record of updated channels, or by versions alone."""
    spec = chain()
    save = saved_by(spec)[2]
    observer, facts = recording()
    machine = new_machine(spec, observer, saved=forgetful(save) if is_forgetful else save)

    machine.resume()
    run(machine, CHAIN)

    assert machine.cells.values == {"log": ["a", "b", "c"]}
    assert machine.step == 3
    assert facts[:3] == [
        ("state_changed", None),
        ("checkpoint_reached", ["c"]),
        ("tasks_planned", ["c"]),
    ]


def test_a_run_counts_its_own_supersteps() -> None:
    """The limit starts anew, and allows a resumed run two supersteps more than it says."""
    spec = chain()
    machine = new_machine(spec, saved=saved_by(spec)[0], steps=0)

    machine.resume()
    run(machine, CHAIN)

    assert machine.status is RunStatus.OUT_OF_STEPS
    assert machine.cells.values == {"log": ["a", "b"]}


@pytest.mark.parametrize("is_forgetful", [False, True])
def test_a_command_writes_before_the_run_continues(is_forgetful: bool) -> None:
    """What it triggers runs together with what was about to run."""
    spec = chain()
    save = saved_by(spec)[1]
    machine = new_machine(spec, saved=forgetful(save) if is_forgetful else save)

    machine.resume([("log", ["!"]), ("to:c", None)])

    assert names(machine.plan()) == ["b", "c"]
    assert machine.cells.values == {"log": ["a", "!"]}


def test_resuming_needs_no_observer() -> None:
    """Nobody is told that the run continues."""
    spec = chain()
    machine = new_machine(spec, saved=saved_by(spec)[2])

    machine.resume()

    assert names(machine.plan()) == ["c"]


def test_new_input_drops_the_tasks_that_were_left_over() -> None:
    """They count as having run: triggers are seen, barriers consumed, Sends gone."""
    spec = graph(
        [node("a"), node("b", "join"), node("c")],
        {"log": log(), "join": NamedBarrierValue(str, {"x"})},
        shown=["log"],
    )
    first = begun(spec, ("join", "x"), (TASKS, Send("c", 1)), lineage=new_lineage())
    assert first.save is not None
    machine = new_machine(spec, saved=first.save)

    machine.begin([("to:a", None)])

    assert names(machine.plan()) == ["a"]
    assert machine.cells.live["join"].checkpoint() == set()
    assert machine.lineage is not None
    assert machine.lineage.seen["b"] == {"join": 1}


def test_input_that_finds_nothing_left_over_is_no_superstep() -> None:
    """Values that live for one superstep are still there."""
    spec = chain()
    done = new_machine(spec, saved=saved_by(spec)[3])

    done.begin([("log", ["new"])])

    assert done.plan() is None
    assert done.cells.values == {"log": ["a", "b", "c", "new"]}
    assert done.save is not None
    assert done.save.metadata["step"] == 3


def with_known(*stored: tuple[str, str, Any]) -> tuple[RunMachine, list[Any]]:
    """Return a resumed run of a and b, with writes stored for the tasks named."""
    spec = graph([node("a"), node("b")], {"log": log()})
    first = begun(spec, ("to:a", None), ("to:b", None), lineage=new_lineage())
    assert first.save is not None
    ids = {task.name: task.id for task in planned(first)}
    observer, facts = recording()
    known = [(ids[name], channel, value) for name, channel, value in stored]
    machine = new_machine(spec, observer, saved=first.save, stored_writes=known)
    machine.resume()
    return machine, facts


def test_tasks_whose_writes_are_known_do_not_run_again() -> None:
    """Their stored writes are committed with those of the others."""
    machine, facts = with_known(("a", "log", ["stored"]), ("b", ERROR, "no"), ("b", RESUME, "me"))

    tasks = machine.plan()

    assert names(tasks) == ["b"]
    assert facts[1:] == [
        ("checkpoint_reached", ["a", "b"]),
        ("tasks_planned", ["a", "b"]),
        ("task_replayed", "a"),
    ]


def test_a_superstep_whose_writes_are_all_known_has_no_tasks_to_run() -> None:
    """An empty plan is committed at once; a task that wrote nothing ran as well."""
    machine, _ = with_known(("a", "log", ["stored"]), ("b", NO_WRITES, None))

    tasks = machine.plan()
    machine.commit()

    assert tasks == []
    assert machine.cells.values == {"log": ["stored"]}
    assert machine.pending_writes == {}
    assert machine.plan() is None


def test_new_input_forgets_known_writes() -> None:
    """They belong to a superstep that will not happen."""
    spec = chain()
    save = saved_by(spec)[1]
    machine = new_machine(spec, saved=save, stored_writes=[("t", "log", [1])])

    machine.begin([("to:a", None)])

    assert machine.pending_writes == {}


def test_a_task_can_be_replayed_in_silence() -> None:
    """Known writes need no observer."""
    machine, _ = with_known(("a", "log", ["stored"]), ("b", "log", ["too"]))
    machine.observer.task_replayed = None

    machine.plan()
    machine.commit()

    assert machine.cells.values == {"log": ["stored", "too"]}


SHOWN = [("the stop", *write) for write in stop_record()]


@pytest.mark.parametrize("point", [ResumePoint.LATEST, ResumePoint.NAMED])
@pytest.mark.parametrize("limits", [{"before": ["b"]}, {"after": ["a"]}], ids=str)
def test_a_run_stops_at_a_breakpoint_that_was_shown_to_nobody(
    limits: Any, point: ResumePoint
) -> None:
    spec = chain()
    ended = begun(spec, ("to:a", None), lineage=new_lineage(), limits=limits, steps=1)
    run(ended, CHAIN)
    assert ended.save is not None

    machine = new_machine(spec, saved=ended.save, limits=limits)
    machine.resume(point=point)

    assert machine.plan() is None
    assert (machine.status, machine.is_at_breakpoint) == (RunStatus.BREAKPOINT, True)
    assert machine.cells.values == {"log": ["a"]}


@pytest.mark.parametrize(
    ("resumed", "options"),
    [
        ({}, {"stored_writes": SHOWN}),
        ({"answers": Answers("yes")}, {}),
        ({"writes": [("log", ["more"])]}, {}),
        ({"point": ResumePoint.PAST}, {}),
    ],
    ids=["shown", "answered", "commanded", "past"],
)
@pytest.mark.parametrize("limits", [{"before": ["b"]}, {"after": ["a"]}], ids=str)
def test_who_has_seen_where_a_run_stopped_passes_the_breakpoint(
    limits: Any, resumed: Any, options: Any
) -> None:
    spec = chain()
    ended = begun(spec, ("to:a", None), lineage=new_lineage(), limits=limits)
    run(ended, CHAIN)
    assert ended.save is not None

    machine = new_machine(spec, saved=ended.save, limits=limits, **options)
    machine.resume(**resumed)

    assert names(machine.plan()) == ["b"]


def test_a_breakpoint_that_is_no_more_stops_nobody() -> None:
    spec = chain()
    ended = begun(spec, ("to:a", None), lineage=new_lineage(), limits={"after": ["a"]})
    run(ended, CHAIN)
    assert ended.save is not None

    machine = new_machine(spec, saved=ended.save)
    machine.resume()

    assert names(machine.plan()) == ["b"]


def test_a_resumed_run_does_not_stop_twice_at_one_breakpoint() -> None:
    """It stops again at the next one."""
    spec, ends = chain(), []
    stopped = begun(spec, ("to:a", None), lineage=new_lineage(), limits={"before": "*"})
    last = stopped.save
    for _ in range(4):
        run(stopped, CHAIN)
        ends.append((stopped.status.value, stopped.cells.values["log"]))
        last = stopped.save or last
        stopped = new_machine(spec, saved=last, limits={"before": "*"}, stored_writes=SHOWN)
        stopped.resume()

    assert ends == [
        ("breakpoint", []),
        ("breakpoint", ["a"]),
        ("breakpoint", ["a", "b"]),
        ("done", ["a", "b", "c"]),
    ]


@pytest.mark.parametrize("is_forgetful", [False, True])
def test_writes_of_a_resumed_superstep_are_applied_by_name(is_forgetful: bool) -> None:
    """Nodes planned by version are listed as they were added, but write in the same order."""
    spec = graph([node("b"), node("a")], {"log": log()})
    first = begun(spec, ("to:a", None), ("to:b", None), lineage=new_lineage())
    assert first.save is not None
    machine = new_machine(spec, saved=forgetful(first.save) if is_forgetful else first.save)

    machine.resume()
    tasks = planned(machine)
    for task in tasks:
        perform(machine, task, lambda task: [("log", [task.name])])
    machine.commit()

    assert names(tasks) == (["b", "a"] if is_forgetful else ["a", "b"])
    assert machine.cells.values == {"log": ["a", "b"]}


def test_a_paused_run_can_be_answered() -> None:
    """The task that asked runs again, from the same checkpoint and with the same id."""
    spec = chain()
    asked = begun(spec, ("to:a", None), lineage=new_lineage())
    assert asked.save is not None
    run(asked, doing(a=Asks(("who?",))))
    machine = new_machine(spec, saved=asked.save)

    machine.resume()
    (again,) = planned(machine)
    ids = [asked.tasks[0].id, again.id]
    perform(machine, again, CHAIN)
    machine.commit()
    run(machine, CHAIN)

    assert ids[0] == ids[1]
    assert machine.cells.values == {"log": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("known", "kept"),
    [
        ([("a", "log", ["a"])], ["old", "a", "new"]),
        ([("a", "log", ["a"]), ("b", "__no_writes__", None)], ["old", "a", "new"]),
        ([("a", "log", ["a"]), ("b", ERROR, "boom")], ["old", "new"]),
        ([("a", "log", ["a"]), ("b", INTERRUPT, ())], ["old", "new"]),
        ([("a", "log", 1)], ["old", "new"]),
        ([("c", "log", ["c"])], ["old", "new"]),
    ],
    ids=["stopped", "ended", "failed", "asking", "refused", "other"],
)
@pytest.mark.parametrize("is_newest", [True, False])
def test_new_input_keeps_what_was_written_beside_tasks_that_were_stopped(
    known: Any, kept: Any, is_newest: bool
) -> None:
    """Where the thread is; at a checkpoint of its past they have not run yet."""
    spec = graph([node("a"), node("b")], {"log": log()})
    left = begun(spec, ("log", ["old"]), *to("a", "b"), lineage=new_lineage())
    ids = {task.name: task.id for task in planned(left)}
    assert left.save is not None

    machine = new_machine(
        spec,
        saved=left.save,
        stored_writes=[(ids.get(name, name), *write) for name, *write in known],
    )
    machine.begin([("log", ["new"]), *to("a")], is_newest=is_newest)

    assert machine.cells.values == {"log": kept if is_newest else ["old", "new"]}
    assert names(machine.plan()) == ["a"]
