"""What holds for every graph, every order and every input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.builders import (
    Asks,
    Behaviour,
    Channels,
    Fails,
    begun,
    doing,
    graph,
    log,
    new_lineage,
    new_machine,
    node,
    recording,
    run,
)
from millstream.channels import (
    AnyValue,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
    Topic,
    UntrackedValue,
)
from millstream.constants import TASKS
from millstream.core.cells import Cells
from millstream.core.checkpoints import SaveCheckpoint
from millstream.core.machine import RunMachine
from millstream.core.protocol import Write
from millstream.core.spec import GraphSpec
from millstream.core.state import ALLOWED, ENDED, ProtocolError, RunStatus
from millstream.core.tasks import Task
from millstream.errors import InvalidUpdateError
from millstream.types import Send

LONGEST: Final = 4
"""From this superstep on, tasks write nothing, so that every run ends."""
TARGETS: Final = ("n0", "n1", "n2", "n3", "deferred", "late", "joined")


def state_channels() -> Channels:
    """Return one channel of every kind that a checkpoint keeps."""
    return {
        "gone": EphemeralValue(Any, guard=False),
        "last": LastValue(Any),
        "any": AnyValue(Any),
        "log": log(),
        "topic": Topic(Any),
        "all": Topic(Any, accumulate=True),
        "after": LastValueAfterFinish(Any),
    }


def hidden_channels() -> Channels:
    """Return the channels of waiting and deferred edges."""
    return {
        "join": NamedBarrierValue(str, {"x", "y"}),
        "wait": LastValueAfterFinish(Any),
        "join late": NamedBarrierValueAfterFinish(str, {"x", "y"}),
    }


def compiled(*, idle: int = 0, has_signals: bool = True) -> GraphSpec:
    """Return a graph with every kind of trigger, and nodes that nothing ever triggers."""
    state = state_channels()
    return graph(
        [
            node("n3"),
            node("n0"),
            node("n2", "to:n2", "log"),
            node("n1", handler="cure"),
            node("cure"),
            node("joined", "join", "to:joined"),
            node("deferred", "wait"),
            node("late", "join late"),
            *(node(f"idle {number}") for number in range(idle)),
        ],
        {**state, **hidden_channels(), **{f"unused {n}": LastValue(int) for n in range(idle)}},
        shown=tuple(state),
        has_signals=has_signals,
    )


def state_writes() -> st.SearchStrategy[Write]:
    """Return writes that every superstep accepts: "last" may be written once only."""
    numbers = st.integers(0, 9)
    return st.one_of(
        st.tuples(st.sampled_from(["gone", "any", "topic", "all", "after", "wait"]), numbers),
        st.tuples(st.just("log"), st.lists(numbers, min_size=1, max_size=2)),
        st.tuples(st.just("topic"), st.just([])),
        st.tuples(st.sampled_from(["join", "join late"]), st.sampled_from("xy")),
    )


def steering_writes() -> st.SearchStrategy[Write]:
    """Return writes that trigger a node or send it something."""
    sends = st.builds(Send, st.sampled_from(TARGETS), st.integers(0, 9))
    return st.one_of(
        st.sampled_from([(f"to:n{number}", None) for number in range(4)]),
        st.tuples(st.just(TASKS), sends),
    )


@dataclass
class Program:
    """What each node writes, whatever it is given; node n1 may fail and be handled."""

    input: list[Write]
    writes: dict[str, list[Write]]
    is_failing: bool = False
    has_conflicts: bool = False

    def __call__(self, task: Task) -> Any:
        """Return the writes of a task, one of which shows what the task was given."""
        if self.is_failing and task.name == "n1":
            return Fails(ValueError(task.id))
        if task.machine.step >= LONGEST:
            return ()
        given = [("log", [(task.name, task.id, repr(task.input))])]
        conflicting = [("last", task.name)] if self.has_conflicts or task.name == "n0" else []
        return [*self.writes.get(task.name, ()), *given, *conflicting]


def programs(*, has_conflicts: bool = False) -> st.SearchStrategy[Program]:
    """Return random programs for the compiled graph."""
    some = st.lists(st.one_of(state_writes(), steering_writes()), max_size=3)
    steering = st.lists(steering_writes(), min_size=1, max_size=3)
    return st.builds(
        Program,
        input=st.tuples(st.lists(state_writes(), max_size=3), steering).map(lambda p: p[0] + p[1]),
        writes=st.fixed_dictionaries(dict.fromkeys((*TARGETS, "cure"), some)),
        is_failing=st.booleans(),
        has_conflicts=st.just(has_conflicts),
    )


@dataclass
class Story:
    """Everything a run committed."""

    steps: list[Any] = field(default_factory=list)
    saves: list[SaveCheckpoint] = field(default_factory=list)
    end: Any = None
    live: list[str] = field(default_factory=list)

    def note(self, machine: RunMachine) -> None:
        """Note the state after a superstep, and who wrote what in which order."""
        tasks = machine.tasks
        self.steps.append(
            (
                machine.step,
                list(machine.cells.values.items()),
                [(task.id, task.name, task.path, task.writes) for task in tasks],
            )
        )
        if machine.save is not None:
            self.saves.append(machine.save)


def story_of(
    machine: RunMachine,
    behave: Behaviour,
    *,
    order: Callable[[Sequence[Task]], Iterable[Task]] = lambda tasks: tasks,
) -> Story:
    """Run the machine to its end, or to the conflict that stops it."""
    story = Story(saves=[] if machine.save is None else [machine.save])
    try:
        run(machine, behave, order=order, committed=story.note)
        story.end = machine.status
    except InvalidUpdateError as error:
        story.end = str(error)
    story.live = sorted(machine.cells.live)
    return story


@settings(max_examples=60)
@given(program=st.booleans().flatmap(lambda b: programs(has_conflicts=b)), data=st.data())
def test_completion_order_changes_nothing(program: Program, data: st.DataObject) -> None:
    """Tasks of one superstep may finish in any order: values, checkpoints and errors agree."""

    def told(order: Callable[[Sequence[Task]], Iterable[Task]]) -> Story:
        machine = begun(compiled(), *program.input, lineage=new_lineage())
        return story_of(machine, program, order=order)

    straight = told(lambda tasks: tasks)
    shuffled = told(lambda tasks: data.draw(st.permutations(list(tasks))))

    assert by_path(shuffled.steps) == by_path(straight.steps)
    assert (shuffled.saves, shuffled.end) == (straight.saves, straight.end)


def by_path(steps: list[Any]) -> list[Any]:
    """Return the steps with their tasks by place: handlers join in the order of failing."""
    return [(step, values, sorted(tasks, key=lambda t: t[2])) for step, values, tasks in steps]


@settings(max_examples=60)
@given(program=programs(), data=st.data())
def test_replay_from_any_checkpoint_gives_the_same_rest(
    program: Program, data: st.DataObject
) -> None:
    """A run continues from each of its checkpoints as if it had never stopped.

    So it does from the checkpoints of older programs, which know versions but no updated channels.
    """
    spec = compiled()
    whole = story_of(begun(spec, *program.input, lineage=new_lineage()), program)
    index = data.draw(st.integers(0, len(whole.saves) - 1), label="checkpoint")
    save = whole.saves[index]
    is_forgetful = data.draw(st.booleans(), label="is_forgetful")
    if is_forgetful:
        old = {k: v for k, v in save.checkpoint.items() if k != "updated_channels"}
        save = SaveCheckpoint(old, save.metadata, save.parent_id, save.new_versions)

    machine = new_machine(spec, saved=save)
    machine.resume()
    rest = story_of(machine, program)

    assert by_path(rest.steps) == by_path(whole.steps[index:])
    assert [loose(s) for s in rest.saves] == [loose(s) for s in whole.saves[index + 1 :]]
    assert rest.end == whole.end


def loose(save: SaveCheckpoint) -> SaveCheckpoint:
    """Return the checkpoint without what says that the run was resumed."""
    seen = {k: v for k, v in save.checkpoint["versions_seen"].items() if k != "__interrupt__"}
    checkpoint = {**save.checkpoint, "versions_seen": seen}
    return SaveCheckpoint(checkpoint, save.metadata, save.parent_id, save.new_versions)


@settings(max_examples=40)
@given(program=programs(), idle=st.integers(1, 60))
def test_idle_nodes_and_keys_cost_nothing(program: Program, idle: int) -> None:
    """The channels a run touches are those of the nodes that run."""
    small, large = (
        story_of(begun(compiled(idle=number), *program.input), program) for number in (0, idle)
    )

    assert large.live == small.live
    assert by_path(large.steps) == by_path(small.steps)


@settings(max_examples=40)
@given(program=programs())
def test_signals_do_what_channels_would(program: Program) -> None:
    """A trigger without a channel object behaves, and is saved, like an ephemeral value."""

    def told(*, has_signals: bool) -> Story:
        spec = compiled(has_signals=has_signals)
        return story_of(begun(spec, *program.input, lineage=new_lineage()), program)

    with_signals, without = told(has_signals=True), told(has_signals=False)

    assert with_signals.steps == without.steps
    assert with_signals.saves == without.saves


def machine_that_is(status: RunStatus) -> RunMachine:
    """Return a run of two tasks with the given status."""
    endings: dict[RunStatus, tuple[Behaviour, dict[str, Any]]] = {
        RunStatus.DONE: (doing(), {}),
        RunStatus.BREAKPOINT: (doing(), {"limits": {"before": "*"}}),
        RunStatus.PAUSED: (doing(a=Asks(("who?",))), {}),
        RunStatus.DRAINED: (doing(), {"limits": {"control": Draining()}}),
        RunStatus.OUT_OF_STEPS: (doing(), {"steps": -1}),
        RunStatus.FAILED: (doing(a=Fails(ValueError())), {}),
    }
    behave, options = endings.get(status, (doing(), {}))
    spec = graph([node("a"), node("b")], {"log": log(), "gone": EphemeralValue(int)})
    observer, _ = recording()
    machine = new_machine(spec, observer, lineage=new_lineage(), **options)
    if status is not RunStatus.CREATED:
        machine.begin([("to:a", None), ("to:b", None), ("gone", 1)])
    if status is RunStatus.STEPPING:
        machine.plan()
    if status in ENDED:
        run(machine, behave)
    return machine


class Draining:
    """A request to stop, made before the run began."""

    drain_requested = True


def send_input(machine: RunMachine, received: str) -> Any:
    """Call the input with plausible arguments."""
    spec = machine.spec.nodes["a"]
    task = machine.tasks[0] if machine.tasks else Task(machine, spec, spec.path, spec.triggers)
    arguments: dict[str, tuple[Any, ...]] = {
        "begin": ([("log", [1])],),
        "resume": ([("log", [1])],),
        "call": (task, spec, ((), {})),
        "finish": (task,),
        "replay": (task, [("log", [1])]),
        "fail": (task, ValueError()),
        "pause": (task, ("who?",)),
    }
    return getattr(machine, received)(*arguments.get(received, ()))


def state_of(machine: RunMachine) -> dict[str, Any]:
    """Return all that a run consists of, in a form that does not change with it."""
    cells, lineage = machine.cells, machine.lineage
    assert lineage is not None
    lists = ("tasks", "interrupts")
    return {
        **{name: getattr(machine, name) for name in ("status", "step", "stop", "failure", "save")},
        **{name: list(getattr(machine, name)) for name in lists},
        "known": dict(machine.pending_writes),
        "calls": [task.path for task in machine._calls.tasks] if machine._calls else [],
        "values": dict(cells.values),
        "live": {name: channel.checkpoint() for name, channel in cells.live.items()},
        "lit": cells.saved_values(cells._spec.signals),
        "head": (lineage.id, dict(lineage.versions), repr(lineage.seen)),
        "of tasks": [(list(t.writes), t.is_done, t.error, t.interrupts) for t in machine.tasks],
    }


@settings(max_examples=300)
@given(status=st.sampled_from(RunStatus), received=st.sampled_from(sorted(ALLOWED)))
def test_every_input_is_handled_or_refused_unchanged(status: RunStatus, received: str) -> None:
    """A pair that the table does not list raises, and the run is as it was."""
    machine = machine_that_is(status)
    before = state_of(machine)
    assert machine.status is status

    if ALLOWED[received] is status:
        send_input(machine, received)

        assert state_of(machine) != before
    elif received == "plan" and status in ENDED:
        assert machine.plan() is None
        assert state_of(machine) == before
    else:
        with pytest.raises(ProtocolError) as caught:
            send_input(machine, received)

        assert (caught.value.received, caught.value.status) == (received, status)
        assert state_of(machine) == before


def every_channel() -> Channels:
    """Return channels of all kinds, those that come and go around those that stay."""
    return {
        "gone": EphemeralValue(Any, guard=False),
        "last": LastValue(Any),
        "join": NamedBarrierValue(str, {"x", "y"}),
        "any": AnyValue(Any),
        "log": log(),
        "topic": Topic(Any),
        "untracked": UntrackedValue(Any, guard=False),
        "after": LastValueAfterFinish(Any),
        "all": Topic(Any, accumulate=True),
        "join late": NamedBarrierValueAfterFinish(str, {"x", "y"}),
        "sight": EphemeralValue(Any, guard=False),
    }


def superstep_writes() -> st.SearchStrategy[list[Write]]:
    """Return writes of one superstep that all channels accept."""
    names = ["gone", "any", "untracked", "after", "topic", "all", "sight"]
    single: st.SearchStrategy[Any] = st.one_of(
        st.tuples(st.sampled_from(names), st.integers(0, 9)),
        st.tuples(st.just("log"), st.lists(st.integers(0, 9), max_size=2)),
        st.tuples(st.sampled_from(["topic", "all"]), st.just([])),
        st.tuples(st.sampled_from(["join", "join late"]), st.sampled_from("xy")),
    )
    once = st.lists(st.tuples(st.just("last"), st.integers(0, 9)), max_size=1)
    return st.tuples(st.lists(single, max_size=6), once).map(lambda parts: parts[0] + parts[1])


Operation = tuple[str, Any]


def operations() -> st.SearchStrategy[Operation]:
    """Return what can happen to a run's channels."""
    return st.one_of(
        st.tuples(st.sampled_from(["superstep", "input"]), superstep_writes()),
        st.tuples(st.just("consume"), st.sets(st.sampled_from(sorted(every_channel())))),
        st.tuples(st.sampled_from(["finish", "reload"]), st.none()),
    )


def happened(cells: Cells, operation: Operation, spec: GraphSpec) -> Cells:
    """Carry out the operation; return the channels the run has now."""
    name, argument = operation
    if name == "consume":
        cells.consume(sorted(argument), None)
    elif name == "finish":
        cells.finish(None)
    elif name == "reload":
        return Cells(spec, cells.saved_values(list(spec.channels)))
    else:
        cells.apply(argument, is_step=name == "superstep")
    return cells


def read_one_by_one(cells: Cells, spec: GraphSpec) -> list[tuple[str, Any]]:
    """Return the shown channels' values as the channels themselves give them."""
    return [
        (name, cells.live[name].get())
        for name in spec.shown
        if name in cells.live and cells.live[name].is_available()
    ]


class KeptLastValue(LastValue[Any]):
    """One that is no plain channel, because nobody can know what its class does."""


@settings(max_examples=300)
@given(history=st.lists(operations(), max_size=8))
def test_values_are_what_every_shown_channel_gives(history: list[Operation]) -> None:
    """In declaration order, after whatever happened to the channels, with objects or without."""
    channels = every_channel()
    shown = [name for name in channels if name != "sight"]
    spec = graph([], channels, shown=shown)
    kept = graph([], {**channels, "last": KeptLastValue(Any)}, shown=shown)
    assert (spec.plain, kept.plain) == ({"last"}, set())
    cells, as_kept = Cells(spec), Cells(kept)

    for operation in history:
        cells = happened(cells, operation, spec)
        as_kept = happened(as_kept, operation, kept)

        assert list(as_kept.values.items()) == read_one_by_one(as_kept, kept)
        assert list(cells.values.items()) == list(as_kept.values.items())
        names = list(channels)
        assert cells.saved_values(names) == as_kept.saved_values(names)
        assert [cells.is_available(n) for n in names] == [as_kept.is_available(n) for n in names]


@settings(max_examples=200)
@given(history=st.lists(operations(), max_size=6), writes=superstep_writes())
def test_a_preview_is_what_the_superstep_would_show(
    history: list[Operation], writes: list[Write]
) -> None:
    """Previewing writes and applying them give the same values."""
    spec = graph([], every_channel())
    cells = Cells(spec)
    for operation in history:
        cells = happened(cells, operation, spec)
    before = list(cells.values.items())

    seen = cells.preview(writes)

    assert list(cells.values.items()) == before
    cells.apply(writes)
    assert seen == cells.values
