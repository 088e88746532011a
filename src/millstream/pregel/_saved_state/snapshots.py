"""Showing what is saved of a thread: a loaded checkpoint becomes a `StateSnapshot`.

A snapshot of one named checkpoint, and every one in a history, shows its superstep as it began.
Without a name it shows where the thread is now: what finished tasks wrote counts already, and only
the others are still to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from millstream._base.clock import Stamps, current
from millstream.constants import ERROR, INTERRUPT
from millstream.core.checkpoints import Lineage
from millstream.core.machine import RunMachine
from millstream.core.observer import Observer
from millstream.core.pending_writes import as_tuple, plain_writes
from millstream.core.protocol import RunLimits
from millstream.core.resuming import with_pending_writes
from millstream.drivers.requests import LoadCheckpoint
from millstream.modes.projectors import state_reader, task_result
from millstream.pregel._saved_state.locations import with_map
from millstream.saving.capabilities import next_version
from millstream.saving.delta_history import new_log
from millstream.types import PregelTask, StateSnapshot

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.core.protocol import Write
    from millstream.core.tasks import Task
    from millstream.drivers.requests import SaverGen
    from millstream.pregel._saved_state.locations import StateLocation

Nested = Mapping[str, StateSnapshot]
"""Task id -> the state of the graph it runs."""


def restore(
    location: StateLocation,
    saved: CheckpointTuple | None,
    stamps: Stamps | None = None,
    *,
    is_parent_shared: bool = False,
) -> RunMachine:
    """Return the machine of a run that could go on from the checkpoint, not started.

    `stamps` are for a machine that makes a new one. The parent is shared when the thread has moved
    past it.
    """
    metadata: Mapping[str, Any] = (saved.metadata or {}) if saved is not None else {}
    lineage = Lineage(
        stamp=(stamps or Stamps()).stamp,
        next_version=next_version(location.saver),
        parents=metadata.get("parents", {}),
        deltas=new_log(location.graph.spec, is_parent_shared=is_parent_shared),
    )
    if saved is not None:
        written = [name for _, name, _ in saved.pending_writes or ()]
        lineage.load(saved.checkpoint, metadata, written)
    return RunMachine(
        location.graph.spec,
        Observer(),
        RunLimits(0),
        new_id=current().new_id,
        ns=location.ns,
        lineage=lineage,
        saved_values=saved.checkpoint["channel_values"] if saved is not None else None,
        stored_writes=(saved.pending_writes or ()) if saved is not None else (),
    )


def read_state(location: StateLocation, *, with_nested: bool) -> SaverGen[StateSnapshot]:
    """Load what is saved at a site and show it, with the state of nested graphs if wanted."""
    saved: CheckpointTuple | None = yield LoadCheckpoint(location.config, location.graph.spec)
    if saved is None:
        return _nothing(location)
    machine = restore(location, saved)
    machine.apply_pending_commands()
    tasks = machine.pending_tasks()
    nested: dict[str, StateSnapshot] = {}
    for task in tasks if with_nested else ():
        inside = location.inside(task)
        if inside is not None:
            nested[task.id] = yield from read_state(inside, with_nested=True)
    is_live = not location.is_named
    if is_live and not _apply_finished(machine, tasks):
        # The superstep has failed, and is to be done again: it is shown as it began.
        is_live, machine = False, restore(location, saved)
        machine.apply_pending_commands()
        tasks = machine.pending_tasks()
    return _show(location, saved, machine, tasks, nested, is_live=is_live)


def show_saved(location: StateLocation, saved: CheckpointTuple) -> StateSnapshot:
    """Show one checkpoint of a history."""
    machine = restore(location.at(saved.config), saved)
    machine.apply_pending_commands()
    return _show(location, saved, machine, machine.pending_tasks(), {}, is_live=False)


def _nothing(location: StateLocation) -> StateSnapshot:
    return StateSnapshot(
        values={},
        next=(),
        config=cast("RunnableConfig", location.config),
        metadata=None,
        created_at=None,
        parent_config=None,
        tasks=(),
        interrupts=(),
    )


def _apply_finished(machine: RunMachine, tasks: Sequence[Task]) -> bool:
    """Have what finished tasks wrote count; return whether it fits together."""
    done = [task for task in with_pending_writes(machine, tasks) if task.writes]
    try:
        if done:
            machine.cells.end_step(done, None)
    except Exception:  # a channel's, or whatever a reducer raises
        return False
    return True


def _show(
    location: StateLocation,
    saved: CheckpointTuple,
    machine: RunMachine,
    tasks: Sequence[Task],
    nested: Nested,
    *,
    is_live: bool,
) -> StateSnapshot:
    shown = tuple(_show_task(location, task, nested, is_live=is_live) for task in tasks)
    metadata = saved.metadata
    parent = saved.parent_config
    return StateSnapshot(
        values=state_reader(machine.spec, machine.spec.stream_keys)(machine.cells),
        next=tuple(task.name for task in tasks if not (is_live and task.writes)),
        config=with_map(saved.config, metadata),
        metadata=metadata,
        created_at=saved.checkpoint.get("ts"),
        parent_config=None if parent is None else with_map(parent, metadata),
        tasks=shown,
        interrupts=tuple(question for task in shown for question in task.interrupts),
    )


def _show_task(location: StateLocation, task: Task, nested: Nested, *, is_live: bool) -> PregelTask:
    known = task.machine.pending_writes.get(task.id, ())
    finished = plain_writes(known)
    errors = [value for name, value in known if name == ERROR]
    asked = [q for name, value in known if name == INTERRUPT for q in as_tuple(value)]
    state: Any = nested.get(task.id)
    if state is None and task.node.has_subgraph:
        state = location.inside_config(task)
    return PregelTask(
        id=task.id,
        name=task.name,
        path=task.path,
        error=errors[-1] if errors else None,
        interrupts=() if is_live and finished else tuple(asked),
        state=state,
        result=_result(finished, task.machine.spec.stream_keys) if finished else None,
    )


def _result(writes: Sequence[Write], keys: str | tuple[str, ...]) -> Any:
    """Return what a task wrote: a dict by key, or the bare value of a single key."""
    result = task_result(writes, keys)
    return result.get(keys) if isinstance(keys, str) else result
