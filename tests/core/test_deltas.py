"""Delta channels: which checkpoints store their whole value, and what the others count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from core.builders import (
    Asks,
    doing,
    graph,
    new_lineage,
    new_machine,
    node,
    perform,
    planned,
    run,
    to,
)
from millstream.channels import BaseChannel, DeltaChannel, LastValue
from millstream.constants import INTERRUPT, NULL_TASK_ID
from millstream.core.checkpoints import SaveCheckpoint
from millstream.core.deltas import COUNTERS, DeltaLog
from millstream.core.machine import RunMachine
from millstream.core.pending_writes import ResumePoint
from millstream.core.spec import GraphSpec
from millstream.types import Overwrite


def extend(value: list[Any], writes: Sequence[Any]) -> list[Any]:
    """Return the list with all that was written, in order."""
    return [*value, *(item for write in writes for item in write)]


def deltas(every: int = 100) -> BaseChannel[Any, Any, Any]:
    """Return a channel that shows in which order it was written."""
    return DeltaChannel(extend, list, snapshot_frequency=every)


def chain(every: int = 100, *names: str) -> GraphSpec:
    """Return a graph of nodes that read nothing, with a delta channel."""
    nodes = [node(name) for name in names or ("a", "b")]
    return graph(nodes, {"log": deltas(every), "x": LastValue(int)})


def logged(spec: GraphSpec, **options: Any) -> DeltaLog:
    """Return a log for the delta channels of a graph."""
    return DeltaLog(spec.deltas, options.pop("max_supersteps", 5000), **options)


def machine_of(
    spec: GraphSpec,
    saved: SaveCheckpoint | None = None,
    *,
    known: Sequence[tuple[str, str, Any]] = (),
    value: Any = None,
    is_saved_at_end: bool = False,
    **options: Any,
) -> RunMachine:
    """Return a machine that keeps the log; `value` is what was rebuilt for the channel."""
    lineage = new_lineage(is_saved_at_end=is_saved_at_end)
    lineage.deltas = logged(spec, is_sticky=is_saved_at_end, **options)
    values = {}
    if saved is not None:
        lineage.load(saved.checkpoint, saved.metadata, (name for _, name, _ in known))
        values = {"log": _DeltaSnapshot(value), **saved.checkpoint["channel_values"]}
    return new_machine(spec, lineage=lineage, saved_values=values, stored_writes=known)


def saves_of(machine: RunMachine, **outcomes: Any) -> list[SaveCheckpoint]:
    """Run to the end and return all checkpoints."""
    saves = [machine.save] if machine.save is not None else []

    def note(machine: RunMachine) -> None:
        assert machine.save is not None
        saves.append(machine.save)

    run(machine, doing(**outcomes), committed=note)
    return saves


def whole(save: SaveCheckpoint) -> Any:
    """Return the whole value a checkpoint stores, None if it stores none."""
    snapshot = save.checkpoint["channel_values"].get("log")
    return None if snapshot is None else snapshot.value


def count(save: SaveCheckpoint) -> Any:
    """Return (updates, supersteps) of a checkpoint's metadata."""
    return save.metadata.get(COUNTERS, {}).get("log")


def test_a_graph_knows_its_delta_channels() -> None:
    """They hold a value from the start, although their channel is empty."""
    spec = chain(7)

    assert (spec.deltas, spec.initial) == ({"log": 7}, ("log",))
    assert new_machine(spec).cells.values == {"log": []}


def test_checkpoints_count_instead_of_storing() -> None:
    """Updates and supersteps since the whole value was stored last."""
    machine = machine_of(chain())
    machine.begin([("x", 1), *to("a")])

    saves = saves_of(machine, a=[("log", ["a"]), *to("b")], b=[("x", 2)])

    assert [count(save) for save in saves] == [(0, 1), (1, 2), (1, 3)]
    assert [whole(save) for save in saves] == [None, None, None]
    assert [save.checkpoint["channel_values"].get("x") for save in saves] == [1, 1, 2]


def test_the_whole_value_is_stored_every_so_many_updates() -> None:
    """Counting starts anew then, and metadata say nothing."""
    machine = machine_of(chain(2, "a", "b", "c"))
    machine.begin(to("a"))

    saves = saves_of(
        machine,
        a=[("log", ["a"]), *to("b")],
        b=[("log", ["b"]), *to("c")],
        c=[("log", ["c"])],
    )

    assert [count(save) for save in saves] == [(0, 1), (1, 2), None, (1, 1)]
    assert [whole(save) for save in saves] == [None, None, ["a", "b"], None]
    assert [COUNTERS in save.metadata for save in saves] == [True, True, False, True]


def test_the_whole_value_is_stored_after_many_supersteps_without_updates() -> None:
    """It gets a new version to be stored under."""
    machine = machine_of(chain(100, "a", "b", "c"), max_supersteps=4)
    machine.begin(to("a"))

    saves = saves_of(machine, a=[("log", ["a"]), *to("b")], b=to("c"), c=[("x", 1)])
    old, new = (save.checkpoint["channel_versions"]["log"] for save in saves[2:])

    assert [whole(save) for save in saves] == [None, None, None, ["a"]]
    assert old < new
    assert saves[3].new_versions["log"] == new
    assert "log" not in saves[2].new_versions


def test_whoever_saw_the_value_has_seen_its_copy() -> None:
    """Others have not."""
    spec = chain()
    lineage = new_lineage()
    lineage.deltas = logged(spec, max_supersteps=2)
    machine = new_machine(spec, lineage=lineage)
    machine.begin(to("a"))
    saves_of(machine, a=[("log", ["a"])])
    version = lineage.versions["log"]
    lineage.seen |= {"up": {"log": version}, "behind": {"log": version - 1}, "blind": {}}
    lineage.deltas.counters = {"log": (0, 1)}

    lineage.record(machine.cells, "loop", 9, ())

    assert lineage.seen["up"] == {"log": lineage.versions["log"]} != {"log": version}
    assert (lineage.seen["behind"], lineage.seen["blind"]) == ({"log": version - 1}, {})


def test_a_channel_that_was_never_written_is_not_stored() -> None:
    """It has no version to be stored under."""
    machine = machine_of(chain(), max_supersteps=1)
    machine.begin([("x", 1), *to("a")])

    saves = saves_of(machine, a=[("x", 2)])

    assert [(whole(save), count(save)) for save in saves] == [(None, (0, 1)), (None, (0, 2))]


@pytest.mark.parametrize(
    "over", [Overwrite(["O"]), {"__overwrite__": ["O"]}], ids=["object", "dict"]
)
def test_a_replaced_value_is_stored_whole(over: Any) -> None:
    """Stored writes do not say which of them an Overwrite beat."""
    machine = machine_of(chain())
    machine.begin([*to("a"), *to("b")])

    saves = saves_of(machine, a=[("log", over)], b=[("log", ["b"]), *to("a")])

    assert [whole(save) for save in saves[:2]] == [None, ["O"]]


def test_what_no_task_wrote_is_stored_whole() -> None:
    """An input for a delta channel is stored nowhere else."""
    first = machine_of(chain())
    first.begin([("log", ["in"])])
    assert first.save is not None
    second = machine_of(chain(), first.save, value=["in"])
    second.begin([("x", 1)])
    third = machine_of(chain(), first.save, value=["in"])
    third.begin([("log", ["more"])])

    saves = [machine.save for machine in (first, second, third)]

    assert [whole(save) for save in saves if save] == [["in"], None, ["in", "more"]]
    assert [count(save) for save in saves if save] == [None, (0, 1), None]


def stopped() -> tuple[SaveCheckpoint, RunMachine]:
    """Return the last checkpoint of a run that stopped because `b` asked, and its machine.

    The log holds "first"; node `a` had finished, and wrote.
    """
    machine = machine_of(chain(100, "a", "b", "first"))
    machine.begin(to("first"))
    first = [("log", ["first"]), *to("a", "b")]
    save = saves_of(machine, first=first, a=[("log", ["a"])], b=Asks(("q",)))[1]
    return save, machine


def known_of(machine: RunMachine) -> list[tuple[str, str, Any]]:
    """Return what is stored of the finished tasks."""
    return [(task.id, name, value) for task in machine.tasks for name, value in task.writes]


def test_dropped_writes_make_a_new_input_store_the_whole_value() -> None:
    """Or else they would count when the value is rebuilt."""
    save, machine = stopped()

    asked = [(task.id, INTERRUPT, ("q",)) for task in machine.tasks if task.name == "b"]
    again = machine_of(chain(), save, known=[*known_of(machine), *asked], value=["first"])
    again.begin([("x", 1)], is_newest=True)
    keeping = machine_of(chain(), save, known=known_of(machine), value=["first"])
    keeping.begin([("x", 1)], is_newest=True)
    unrelated = machine_of(chain(), save, known=[("t", "x", 1)], value=["first"])
    unrelated.begin([("x", 1)])

    assert again.save is not None
    assert unrelated.save is not None
    assert keeping.save is not None
    assert (whole(keeping.save), count(keeping.save)) == (["first", "a"], None)
    assert (whole(again.save), count(again.save)) == (["first"], None)
    assert (whole(unrelated.save), count(unrelated.save)) == (None, (1, 3))


@pytest.mark.parametrize("source", ["fork", "update"])
def test_what_is_stored_next_to_a_checkpoint_does_not_reach_its_branches(source: str) -> None:
    """Also where the channel had never been written: the branch begins with its first value."""
    log = logged(chain(), is_parent_shared=source == "update")
    log.load({}, {}, ["log"])

    assert log.decide(source, {}) == {"log"}


def test_a_chain_that_moves_stores_the_whole_value() -> None:
    """Nothing that it could be rebuilt from is where the chain goes on."""
    lineage = new_lineage(deltas=logged(chain()))
    assert lineage.deltas is not None
    lineage.versions = {"log": 1}
    lineage.deltas.load({COUNTERS: {"log": [1, 1]}}, {"log": 1}, ())

    lineage.move()

    assert lineage.deltas.decide("loop", lineage.versions) == {"log"}


def test_finished_tasks_of_a_resumed_superstep_count_once() -> None:
    """Their writes are stored next to the checkpoint that the superstep starts from."""
    save, machine = stopped()
    again = machine_of(chain(), save, known=known_of(machine), value=["first"])
    again.resume()

    saves = saves_of(again, b=[("log", ["b"])])

    assert (whole(saves[0]), count(saves[0])) == (None, (2, 3))
    assert again.cells.values["log"] == ["first", "a", "b"]


def test_stored_writes_that_belong_to_no_task_are_not_trusted() -> None:
    """A run that was killed while it stored its only checkpoint leaves them behind."""
    save, machine = stopped()
    known = [*known_of(machine), ("nobody", "log", ["lost"]), ("nobody", "x", 1)]
    again = machine_of(chain(), save, known=known, value=["first"])
    again.resume()

    saves = saves_of(again, b=[("log", ["b"])])

    assert whole(saves[0]) == ["first", "a", "b"]


def test_what_commands_wrote_is_stored_like_the_writes_of_tasks() -> None:
    """Next to the checkpoint, so nothing has to be stored whole."""
    save, machine = stopped()
    known = [*known_of(machine), (NULL_TASK_ID, "log", ["earlier"])]
    again = machine_of(chain(), save, known=known, value=["first"])
    again.resume([("log", ["command"])])

    saves = saves_of(again, b=[("log", ["b"])])

    assert (whole(saves[0]), count(saves[0])) == (None, (2, 3))
    assert again.cells.values["log"] == ["first", "earlier", "command", "a", "b"]


def begun_again(place: ResumePoint, **options: Any) -> RunMachine:
    """Return a machine that goes on from a finished superstep that stored a write."""
    first = machine_of(chain())
    first.begin(to("a"))
    saves = saves_of(first, a=[("log", ["a"]), *to("b")], b=[("log", ["b"])])
    known = [("task of b", "log", ["b"])]
    again = machine_of(
        chain(), saves[1], known=known, value=["a"], is_parent_shared=True, **options
    )
    again.resume(point=place)
    return again


def test_a_branch_begins_with_the_whole_value() -> None:
    """What the other branch wrote is stored next to the same checkpoint."""
    machine = begun_again(ResumePoint.PAST)
    assert machine.save is not None
    fork = machine.save

    saves = saves_of(machine, b=[("log", ["B"])])

    assert (fork.metadata["source"], whole(fork)) == ("fork", ["a"])
    assert [(whole(save), count(save)) for save in saves[1:]] == [(None, (1, 1))]


def test_a_branch_without_a_fork_stores_the_whole_value_once() -> None:
    """Going on from a shared checkpoint as it is, the first new one stores it."""
    machine = begun_again(ResumePoint.LATEST)

    first = saves_of(machine, b=[*to("a")], a=[("log", ["A"])])

    assert [whole(save) for save in first] == [["a"], None]


def test_the_only_checkpoint_of_a_branch_stores_the_whole_value() -> None:
    """All its writes would have to be stored next to the shared checkpoint."""
    machine = begun_again(ResumePoint.LATEST, is_saved_at_end=True)
    machine.limits.steps = 9

    saves = saves_of(machine, b=[*to("a")], a=[("log", ["A"])])

    assert whole(saves[-1]) == ["a", "A"]


def test_what_was_due_stays_due_until_the_only_checkpoint() -> None:
    """Counters start after the last one, however long ago it became due."""
    machine = machine_of(chain(2, "a", "b", "c", "d"), is_saved_at_end=True)
    machine.begin(to("a"))

    saves = saves_of(
        machine,
        a=[("log", ["a"]), *to("b")],
        b=[("log", ["b"]), *to("c")],
        c=[("x", 1), *to("d")],
        d=[("log", ["d"])],
    )

    assert [whole(save) for save in saves[2:]] == [["a", "b"], ["a", "b"], ["a", "b", "d"]]
    assert [COUNTERS in save.metadata for save in saves[2:]] == [False, False, False]
    assert [save.new_versions["log"] for save in saves[2:4]] == [3, 3]


def test_stored_values_do_not_change_with_the_run() -> None:
    """A reducer may change its argument; a checkpoint may be stored later."""
    channel = DeltaChannel(lambda value, new: value.extend(new) or value, snapshot_frequency=1)
    spec = graph([node("a"), node("b")], {"log": channel})
    machine = machine_of(spec)
    machine.begin(to("a"))

    saves = saves_of(machine, a=[("log", "a"), *to("b")], b=[("log", "b")])

    assert [whole(save) for save in saves] == [None, ["a"], ["a", "b"]]


def test_counters_go_on_where_they_were() -> None:
    """Savers may have turned pairs into lists; a channel may be gone."""
    machine = machine_of(chain())
    machine.begin([("x", 1)])
    assert machine.save is not None
    save = machine.save
    save.metadata[COUNTERS] = {"log": [4, 9], "gone": [1, 1]}

    again = machine_of(chain(), save, value=[])
    again.begin(to("a"))
    assert again.save is not None

    assert again.save.metadata[COUNTERS] == {"log": (4, 10)}


def test_a_refused_update_leaves_the_run_failed() -> None:
    """As with any other channel."""
    over = Overwrite([1])
    machine = machine_of(chain())
    machine.begin([*to("a"), *to("b")])
    for task in planned(machine):
        perform(machine, task, doing(a=[("log", over)], b=[("log", over)]))

    with pytest.raises(Exception, match="only one Overwrite"):
        machine.commit()

    assert machine.status.value == "failed"
