"""Showing what is saved of a thread: a loaded checkpoint becomes a `StateSnapshot`.

A snapshot of one named checkpoint, and every one in a history, shows its superstep as it began.
Without a name it shows where the thread is now: what finished tasks wrote counts already, and only
the others are still to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from millstream.constants import ERROR, INTERRUPT
from millstream.core.amending import with_known_writes
from millstream.core.known import as_tuple, plain_writes
from millstream.core.machine import RunMachine
from millstream.core.protocol import Observer, RunLimits
from millstream.core.snapshot import Lineage
from millstream.drivers.clock import Stamps, new_id
from millstream.drivers.delta import new_log
from millstream.drivers.exchange import Load
from millstream.drivers.storing import next_version
from millstream.pregel.savers import with_map
from millstream.stream.modes import state_reader, task_result
from millstream.types import PregelTask, StateSnapshot

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.core.protocol import Write
    from millstream.core.tasks import Task
    from millstream.drivers.exchange import Steps
    from millstream.pregel.savers import Site

Nested = Mapping[str, StateSnapshot]
"""Task id -> the state of the graph it runs."""


def restore(
    site: Site,
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
        next_version=next_version(site.saver),
        parents=metadata.get("parents", {}),
        deltas=new_log(site.graph.spec, is_parent_shared=is_parent_shared),
    )
    if saved is not None:
        written = [name for _, name, _ in saved.pending_writes or ()]
        lineage.load(saved.checkpoint, metadata, written)
    return RunMachine(
        site.graph.spec,
        Observer(),
        RunLimits(0),
        new_id=new_id,
        ns=site.ns,
        lineage=lineage,
        saved_values=saved.checkpoint["channel_values"] if saved is not None else None,
        known_writes=(saved.pending_writes or ()) if saved is not None else (),
    )


def read_state(site: Site, *, with_nested: bool) -> Steps[StateSnapshot]:
    """Load what is saved at a site and show it, with the state of nested graphs if wanted."""
    saved: CheckpointTuple | None = yield Load(site.config, site.graph.spec)
    if saved is None:
        return _nothing(site)
    machine = restore(site, saved)
    machine.apply_known()
    tasks = machine.pending()
    nested: dict[str, StateSnapshot] = {}
    for task in tasks if with_nested else ():
        inside = site.inside(task)
        if inside is not None:
            nested[task.id] = yield from read_state(inside, with_nested=True)
    return _show(site, saved, machine, tasks, nested, is_live=not site.is_named)


def show_saved(site: Site, saved: CheckpointTuple) -> StateSnapshot:
    """Show one checkpoint of a history."""
    machine = restore(site.at(saved.config), saved)
    machine.apply_known()
    return _show(site, saved, machine, machine.pending(), {}, is_live=False)


def _nothing(site: Site) -> StateSnapshot:
    return StateSnapshot(
        values={},
        next=(),
        config=cast("RunnableConfig", site.config),
        metadata=None,
        created_at=None,
        parent_config=None,
        tasks=(),
        interrupts=(),
    )


def _show(
    site: Site,
    saved: CheckpointTuple,
    machine: RunMachine,
    tasks: Sequence[Task],
    nested: Nested,
    *,
    is_live: bool,
) -> StateSnapshot:
    done = [task for task in with_known_writes(machine, tasks) if task.writes and is_live]
    if done:
        machine.cells.end_step(done, None)
    shown = tuple(_show_task(site, task, nested, is_live=is_live) for task in tasks)
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


def _show_task(site: Site, task: Task, nested: Nested, *, is_live: bool) -> PregelTask:
    known = task.run.known_writes.get(task.id, ())
    finished = plain_writes(known)
    errors = [value for name, value in known if name == ERROR]
    asked = [q for name, value in known if name == INTERRUPT for q in as_tuple(value)]
    state: Any = nested.get(task.id)
    if state is None and task.node.has_subgraph:
        state = site.inside_config(task)
    return PregelTask(
        id=task.id,
        name=task.name,
        path=task.path,
        error=errors[-1] if errors else None,
        interrupts=() if is_live and finished else tuple(asked),
        state=state,
        result=_result(finished, task.run.spec.stream_keys) if finished else None,
    )


def _result(writes: Sequence[Write], keys: str | tuple[str, ...]) -> Any:
    """Return what a task wrote: a dict by key, or the bare value of a single key."""
    result = task_result(writes, keys)
    return result.get(keys) if isinstance(keys, str) else result
