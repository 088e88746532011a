"""One run: what its machine decides at each input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    new_machine,
    node,
    perform,
    planned,
    recording,
    run,
    to,
)
from millstream.channels import LastValue, LastValueAfterFinish, NamedBarrierValue
from millstream.constants import ERROR, INTERRUPT, TASKS
from millstream.core.protocol import Write
from millstream.core.state import RunStatus
from millstream.core.tasks import Task
from millstream.types import Send

LOUD = doing(a=[("log", ["a"])], b=[("log", ["b"])], c=[("log", ["c"])])


@dataclass(slots=True)
class Control:
    """A drain request that a test can make."""

    drain_requested: bool = False


def test_a_run_without_tasks_is_done_at_once() -> None:
    """Input that triggers nothing changes the state and ends the run."""
    machine = begun(graph([node("a")], {"log": log()}), ("log", [1]))

    assert machine.plan() is None
    assert (machine.status, machine.cells.values) == (RunStatus.DONE, {"log": [1]})


def test_a_run_that_ended_stays_so() -> None:
    """Asking again gives the same answer."""
    machine = begun(graph([]))

    assert [machine.plan(), machine.plan()] == [None, None]
    assert machine.tasks == ()


def test_tasks_of_a_superstep_do_not_see_each_others_writes() -> None:
    """All read the state committed before; the next superstep reads the new one."""
    spec = graph([node("a"), node("b"), node("c")], {"log": log()})
    machine = begun(spec, *to("a", "b"), ("log", [0]))
    read: list[Any] = []

    def behave(task: Task) -> list[Write]:
        read.append((task.name, task.input))
        return [("log", [task.name]), *(to("c") if task.name == "a" else [])]

    run(machine, behave)

    assert read == [
        ("a", {"log": [0]}),
        ("b", {"log": [0]}),
        ("c", {"log": [0, "a", "b"]}),
    ]


def test_writes_are_applied_by_node_name_then_by_position_of_sends() -> None:
    """Triggered tasks come first, although Sends are listed first."""
    spec = graph([node("b"), node("a"), node("s")], {"log": log()})
    machine = begun(spec, *to("b", "a"), (TASKS, [Send("s", 2), Send("s", 1)]))

    tasks = planned(machine)
    for task in tasks:
        task.writes = [("log", [(task.name, task.path[1])])]
        machine.finish(task)
    machine.commit()

    assert names(tasks) == ["s", "s", "a", "b"]
    assert machine.cells.values["log"] == [("a", "a"), ("b", "b"), ("s", 0), ("s", 1)]


def test_a_barrier_starts_over_when_its_node_has_run() -> None:
    """A Send to the same node does not count as the barrier's run."""
    spec = graph(
        [node("c", "join", "to:c")],
        {"join": NamedBarrierValue(str, {"x", "y"}), "log": log()},
        shown=["log"],
    )
    machine = begun(spec, ("join", "x"), ("join", "y"))
    held = []

    run(
        machine,
        lambda task: [("log", [1]), ("join", "x"), (TASKS, Send("c", 1))][
            : 3 if task.is_pull else 1
        ],
        committed=lambda m: held.append(m.cells.live["join"].checkpoint()),
    )

    assert held == [{"x"}, {"x"}]


def test_a_deferred_node_runs_when_no_work_is_left() -> None:
    """Its channel shows the value only after the last superstep of the others."""
    spec = graph(
        [node("a"), node("b"), node("late", "wait")],
        {"log": log(), "wait": LastValueAfterFinish(Any)},
        shown=["log"],
    )
    machine = begun(spec, *to("a"))

    run(
        machine,
        doing(
            a=[("log", ["a"]), ("wait", 1), *to("b")],
            b=[("log", ["b"])],
            late=[("log", ["late"])],
        ),
    )

    assert machine.cells.values == {"log": ["a", "b", "late"]}


def test_the_limit_counts_supersteps() -> None:
    """A cycle runs as often as the limit says, after the superstep that takes the input."""
    machine = begun(graph([node("a")], {"log": log()}), *to("a"), steps=2)

    run(machine, doing(a=[("log", [1]), *to("a")]))

    assert machine.status is RunStatus.OUT_OF_STEPS
    assert machine.cells.values == {"log": [1, 1, 1]}


def test_input_beyond_the_limit_is_not_read() -> None:
    """Tasks that will not run need no input, and no input can fail."""

    def read(state: Any, scratchpad: Any) -> Any:
        raise AssertionError("read too far")

    observer, facts = recording()
    machine = begun(graph([node("a", read=read)]), *to("a"), steps=-1, observer=observer)

    assert machine.plan() is None
    assert facts == [("checkpoint_reached", ["a"])]


@pytest.mark.parametrize(("requested", "expected"), [(True, "drained"), (False, "done")])
def test_a_drain_stops_the_run_between_supersteps(requested: bool, expected: str) -> None:
    """The superstep in progress is committed, the next one does not start."""
    control = Control()
    machine = begun(
        graph([node("a"), node("b")], {"log": log()}),
        *to("a"),
        limits={"control": control},
    )

    def behave(task: Task) -> list[Write]:
        control.drain_requested = requested
        return [("log", [task.name]), *(to("b") if task.name == "a" else [])]

    run(machine, behave)

    assert machine.status.value == expected
    assert machine.cells.values == {"log": ["a"] if requested else ["a", "b"]}


def test_a_drain_before_a_breakpoint_stops_at_it() -> None:
    """Whoever goes on from there has been shown what comes next."""
    limits = {"control": Control(drain_requested=True), "before": ("a",)}
    machine = begun(graph([node("a")], {"log": log()}), *to("a"), limits=limits)

    assert machine.plan() is None

    assert machine.status is RunStatus.BREAKPOINT


def test_a_drain_of_a_run_without_work_is_no_drain() -> None:
    """A run that is done anyway ended well."""
    machine = begun(graph([]), limits={"control": Control(drain_requested=True)})

    machine.plan()

    assert machine.status is RunStatus.DONE


class Noted(Exception):
    """An error that takes notes on every Python."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def add_note(self, note: str) -> None:
        """Keep the note."""
        self.notes.append(note)


class Bare(Exception):
    """An error that takes no notes, as all of Python 3.10."""

    @property
    def add_note(self) -> None:
        """Pretend not to be here."""
        raise AttributeError("add_note")


@pytest.mark.parametrize("error", [Noted(), Bare()])
def test_an_error_while_reading_passes_through_and_names_the_task(error: Exception) -> None:
    """The note says before which task it happened; an error without notes passes as it is."""

    def read(state: Any, scratchpad: Any) -> Any:
        raise error

    machine = begun(graph([node("a", read=read)]), *to("a"))

    with pytest.raises(type(error)) as caught:
        machine.plan()

    assert caught.value is error
    assert getattr(error, "notes", None) in (
        None,
        ["Before task with name 'a' and path '('__pregel_pull', 'a')'"],
    )


def test_a_run_that_saves_nothing_draws_one_id() -> None:
    """Only when somebody looks at it."""
    drawn: list[str] = []

    def new_id() -> str:
        drawn.append(f"{len(drawn):032x}")
        return drawn[-1]

    machine = begun(graph([]))
    machine.new_id = new_id

    before = list(drawn)
    seen = [machine.checkpoint_id, machine.checkpoint_id]

    assert (before, seen) == ([], [f"{0:032x}"] * 2)


def test_a_run_that_saves_has_the_id_of_its_last_checkpoint() -> None:
    """Before the first one is recorded, an id is drawn."""
    machine = new_machine(graph([node("a")]), lineage=new_lineage())
    seen = [machine.checkpoint_id]

    machine.begin(to("a"))
    seen.append(machine.checkpoint_id)
    run(machine, doing())
    seen.append(machine.checkpoint_id)

    assert seen == [f"{number:032x}" for number in (0, 1, 2)]


def test_a_run_without_an_observer_tells_nobody() -> None:
    """Every decision is made in silence as well."""
    spec = graph([node("a"), node("b"), node("h")], {"last": LastValue(int)})
    endings: list[tuple[Sequence[Write], Any]] = [
        (to("a"), doing(a=Fails(ValueError()))),
        (to("a", "b"), doing(a=Asks(("who?",)), b=Asks())),
        (to("a"), doing(a=Asks())),
        (to("a"), doing(a=[("last", 1)])),
    ]

    ends = []
    for writes, behave in endings:
        machine = begun(spec, *writes)
        run(machine, behave)
        ends.append(machine.status.value)

    assert ends == ["failed", "paused", "breakpoint", "done"]


def test_known_writes_are_kept_by_task() -> None:
    """The writes stored with a checkpoint, in the order in which they were stored."""
    known = [("t1", "log", [1]), ("t2", ERROR, "no"), ("t1", INTERRUPT, "who?")]

    machine = new_machine(graph([]), stored_writes=known)

    assert machine.pending_writes == {
        "t1": [("log", [1]), (INTERRUPT, "who?")],
        "t2": [(ERROR, "no")],
    }


def test_a_task_can_be_replayed_by_the_driver() -> None:
    """Writes found in a cache count like those of a run, and are told apart."""
    observer, facts = recording()
    machine = begun(graph([node("a"), node("b")], {"log": log()}), *to("a", "b"), observer=observer)
    cached, fresh = planned(machine)

    machine.replay(cached, iter([("log", ["cached"])]))
    perform(machine, fresh, LOUD)
    machine.commit()

    assert machine.cells.values == {"log": ["cached", "b"]}
    assert [cached.is_replayed, fresh.is_replayed] == [True, False]
    assert facts[2:4] == [("task_replayed", "a"), ("task_finished", "b")]
