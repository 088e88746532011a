"""Changing a saved thread: updates in the name of nodes, skipped tasks, new input."""

from __future__ import annotations

from typing import Any

from core.builders import FIRST_ID, begun, graph, log, new_lineage, new_machine, node
from millstream.channels import LastValue, NamedBarrierValue
from millstream.constants import INTERRUPT, NULL_TASK_ID
from millstream.core.checkpoints import SaveCheckpoint
from millstream.core.machine import RunMachine
from millstream.core.spec import GraphSpec
from millstream.core.state_updates import (
    UpdateTask,
    apply_updates,
    give_input,
    last_writer,
    skip_tasks,
)


def two_nodes() -> GraphSpec:
    """Return a graph of a and b with a logged and a plain key."""
    return graph([node("a"), node("b")], {"log": log(), "x": LastValue(int)})


def stored(spec: GraphSpec, *writes: tuple[str, Any]) -> SaveCheckpoint:
    """Return the checkpoint of a run that was given its input and not started."""
    save = begun(spec, *writes, lineage=new_lineage()).save
    assert save is not None
    return save


def update(machine: RunMachine, *updates: tuple[str, str, Any]) -> SaveCheckpoint:
    """Amend with updates of one key each: (node, key, value)."""
    tasks = []
    for index, (name, key, value) in enumerate(updates):
        task = UpdateTask(machine, machine.spec.nodes[name], index, f"id {index}")
        task.writes = [(key, value)]
        tasks.append(task)
    return apply_updates(machine, tasks)


def test_updates_of_one_superstep_are_applied_in_their_order() -> None:
    """What was to run next is dropped, and nobody has seen anything new."""
    spec = two_nodes()
    machine = new_machine(spec, saved=stored(spec, ("to:a", None), ("log", ["input"])))

    save = update(machine, ("b", "log", ["b"]), ("a", "log", ["a"]))

    assert save.checkpoint["channel_values"] == {"log": ["input", "b", "a"]}
    assert save.checkpoint["channel_versions"] == {"to:a": 2, "log": 2}
    assert save.checkpoint["versions_seen"] == {"__input__": {}, "a": {}, "b": {}}
    assert save.checkpoint["updated_channels"] is None
    assert save.metadata == {"source": "update", "step": 0, "parents": {}}
    assert save.new_versions == {"to:a": 2, "log": 2}


def test_the_first_update_of_a_thread_is_superstep_0() -> None:
    """An update of nothing begins the thread."""
    machine = new_machine(two_nodes(), lineage=new_lineage())

    save = update(machine, ("a", "x", 1))

    assert save.metadata["step"] == 0
    assert save.parent_id is None
    assert save.checkpoint["channel_values"] == {"x": 1}


def test_an_amendment_is_a_task_with_an_id_of_its_own() -> None:
    """It has a place among the others, and uses up what triggers its node."""
    machine = new_machine(two_nodes(), lineage=new_lineage())

    task = UpdateTask(machine, machine.spec.nodes["a"], 3, "chosen")

    assert (task.id, task.path, task.is_pull) == ("chosen", (INTERRUPT, 3), True)


def test_an_update_empties_the_full_barrier_of_its_node() -> None:
    """The node need not run any more: the update says what it wrote."""
    waiting = node("c", "join")
    spec = graph(
        [node("a"), node("b"), waiting],
        {"log": log(), "join": NamedBarrierValue(str, {"a", "b"})},
        shown=["log"],
    )
    saved = stored(spec, ("join", "a"), ("join", "b"))

    save = update(new_machine(spec, saved=saved), ("c", "log", ["c"]))

    assert save.checkpoint["channel_values"] == {"log": ["c"], "join": set()}


def test_skipped_tasks_keep_what_was_finished_and_what_commands_wrote() -> None:
    """Commands first, then the finished tasks; all of them count as having run."""
    spec = two_nodes()
    saved = stored(spec, ("to:a", None), ("to:b", None))
    ids = {task.name: task.id for task in new_machine(spec, saved=saved).pending_tasks()}
    machine = new_machine(
        spec,
        saved=saved,
        stored_writes=[
            (ids["b"], "log", ["b"]),
            (ids["a"], INTERRUPT, ("question",)),
            (NULL_TASK_ID, "log", ["command"]),
        ],
    )

    save = skip_tasks(machine)

    assert save.checkpoint["channel_values"] == {"log": ["command", "b"]}
    assert save.checkpoint["versions_seen"] == {"__input__": {}, "a": {"to:a": 1}, "b": {"to:b": 1}}
    assert save.metadata["source"] == "update"


def test_skipping_without_tasks_repeats_the_state() -> None:
    """Signals nobody waits for are not ended by a superstep that has no tasks."""
    spec = two_nodes()
    machine = new_machine(spec, saved=stored(spec, ("x", 1)))

    save = skip_tasks(machine)

    assert save.checkpoint["channel_values"] == {"x": 1}
    assert save.new_versions == {}


def test_given_input_leaves_waiting_tasks_where_they_are() -> None:
    """They run together with what the input triggers."""
    spec = two_nodes()
    machine = new_machine(spec, saved=stored(spec, ("to:b", None)))

    save = give_input(machine, [("to:a", None)])

    assert save.checkpoint["channel_values"] == {"to:b": None, "to:a": None}
    assert save.checkpoint["channel_versions"] == {"to:b": 1, "to:a": 2}
    assert save.metadata == {"source": "input", "step": 0, "parents": {}}


def test_the_first_input_of_a_thread_is_superstep_minus_1() -> None:
    """As if a run had begun with it."""
    machine = new_machine(two_nodes(), lineage=new_lineage())

    assert give_input(machine, [("to:a", None)]).metadata["step"] == -1


def seen_by(spec: GraphSpec, **seen: dict[str, int]) -> RunMachine:
    """Return a machine of a thread in which the nodes have seen these versions."""
    lineage = new_lineage()
    lineage.seen = seen
    return new_machine(spec, lineage=lineage)


def test_the_last_writer_is_the_node_with_the_newest_sighting() -> None:
    """Reserved names and nodes that are gone do not count."""
    machine = seen_by(two_nodes(), a={"to:a": 2}, b={"to:b": 3}, gone={"x": 9}, __input__={})

    assert last_writer(machine, "a") == "b"


def test_the_only_node_with_a_sighting_is_the_last_writer() -> None:
    """There is nobody to confuse it with."""
    assert last_writer(seen_by(two_nodes(), b={"to:b": 3}, a={}), "a") == "b"


def test_the_last_writer_cannot_be_told_among_nodes_of_one_superstep() -> None:
    """Two newest sightings are as new as each other."""
    assert last_writer(seen_by(two_nodes(), a={"to:a": 3}, b={"to:b": 3}), "a") is None


def test_in_a_thread_without_sightings_the_node_of_the_input_writes_first() -> None:
    """If there is such a node."""
    machine = seen_by(two_nodes(), a={})

    assert (last_writer(machine, "a"), last_writer(machine, None)) == ("a", None)


def test_a_single_node_is_always_the_last_writer() -> None:
    """Whatever it has seen."""
    assert last_writer(seen_by(graph([node("a")])), None) == "a"


def test_pending_tasks_are_those_the_run_would_go_on_with() -> None:
    """Their ids are those the run would give them."""
    spec = two_nodes()
    saved = stored(spec, ("to:b", None), ("to:a", None))
    machine = new_machine(spec, saved=saved)

    pending = [(task.name, task.id) for task in machine.pending_tasks()]

    machine.resume()
    planned = machine.plan()
    assert planned is not None
    assert pending == [(task.name, task.id) for task in planned]
    assert saved.checkpoint["id"] != FIRST_ID
