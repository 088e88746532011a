"""Changing what is saved of a thread: updates become task writes and a new checkpoint.

All that can be known to be wrong without looking at the thread is refused before anything is
stored, and every superstep is worked out before the first of its parts is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from langchain_core.runnables.config import var_child_runnable_config

from millstream._base.clock import Stamps
from millstream.constants import CONF, END, INPUT, INTERRUPT
from millstream.core.deltas import COUNTERS
from millstream.core.state_updates import (
    UpdateTask,
    apply_updates,
    give_input,
    last_writer,
    skip_tasks,
)
from millstream.core.tasks import task_path_text
from millstream.drivers import tracing
from millstream.drivers.loading import checkpoint_id
from millstream.drivers.requests import LoadCheckpoint
from millstream.drivers.run_request import Nesting, RunRequest
from millstream.drivers.update_results import UpdateScope, WriteResult
from millstream.errors import InvalidUpdateError
from millstream.modes.encoders import encoder
from millstream.modes.subscription import Subscription
from millstream.pregel._running.request import add_named, map_input
from millstream.pregel._saved_state.locations import with_map
from millstream.pregel._saved_state.snapshots import restore
from millstream.runtime import RunControl
from millstream.saving.containers import is_special, keep_containers
from millstream.saving.message_ids import with_message_ids
from millstream.saving.operations import PutCheckpoint, PutWrites
from millstream.saving.untracked import Untracked
from millstream.types import StateUpdate

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.core.checkpoints import SaveCheckpoint
    from millstream.core.machine import RunMachine
    from millstream.core.protocol import Write
    from millstream.core.spec import GraphSpec
    from millstream.drivers.requests import SaverGen
    from millstream.pregel._saved_state.locations import StateLocation

COPY: Final = "__copy__"
"""The `as_node` of an update that repeats the checkpoint before anything is changed."""

NOTHING: Final = Subscription(
    modes=frozenset(),
    encode=encoder("v1", is_labelled=False, has_subgraphs=False),
    output_keys=(),
    watched=frozenset(),
    read=lambda _: {},
)
"""What is seen of a run that never starts."""

Superstep = Sequence[StateUpdate]


def checked(spec: GraphSpec, supersteps: Sequence[Sequence[Any]]) -> list[Superstep]:
    """Return the supersteps of a bulk update, or raise for what can never be right."""
    if len(supersteps) == 0:
        raise ValueError("No supersteps provided")
    if any(len(updates) == 0 for updates in supersteps):
        raise ValueError("No updates provided")
    # By position: updates are named tuples, and those of LangGraph are taken too.
    steps: list[Superstep] = [[StateUpdate(*u) for u in updates] for updates in supersteps]
    for updates in steps:
        _check_superstep(spec, updates)
    return steps


def _check_superstep(spec: GraphSpec, updates: Superstep) -> None:
    first, is_single = updates[0], len(updates) == 1
    if _clears(first):
        _refuse_unless(is_single, "Cannot apply multiple updates when clearing state")
    elif first.as_node == INPUT:
        _refuse_unless(is_single, "Cannot apply multiple updates when updating as input")
    elif first.as_node == COPY:
        _refuse_unless(is_single, "Cannot copy checkpoint with multiple updates")
        if updates_of_copy := _updates_of_copy(first.values):
            _check_superstep(spec, updates_of_copy)
    else:
        for update in updates:
            if update.as_node is None:
                _refuse_unless(is_single, "as_node is required when applying multiple updates")
            elif update.as_node not in spec.nodes:
                raise InvalidUpdateError(f"Node {update.as_node} does not exist")


def _refuse_unless(is_allowed: bool, message: str) -> None:
    if not is_allowed:
        raise InvalidUpdateError(message)


def _clears(update: StateUpdate) -> bool:
    return update.values is None and update.as_node == END


def _updates_of_copy(values: Any) -> Superstep:
    """Return what is to be changed right after copying, grouped by node.

    It is given as a list of `(values, as_node)`; anything else changes nothing.
    """
    grouped: dict[Any, list[StateUpdate]] = {}
    for item in values if isinstance(values, list) else ():
        if not isinstance(item, Sequence) or len(item) < 2:
            raise InvalidUpdateError(
                f"Invalid update item: {item} when copying checkpoint\n"
                "Use pairs of values and the name of a node"
            )
        grouped.setdefault(item[1], []).append(StateUpdate(item[0], item[1]))
    return [update for updates in grouped.values() for update in updates]


def update_state(
    location: StateLocation, supersteps: Sequence[Superstep]
) -> SaverGen[RunnableConfig]:
    """Carry out checked updates one superstep after the other; return the last config."""
    is_newest, stamps = not location.is_named, Stamps()
    for updates in supersteps:
        # A copy stores what it was given: nothing is rebuilt or brought up to date.
        spec = None if updates[0].as_node == COPY else location.graph.spec
        saved: CheckpointTuple | None = yield LoadCheckpoint(location.config, spec)
        if not is_newest:
            newest_id = checkpoint_id((yield LoadCheckpoint(location.newest().config)))
            # The new checkpoint becomes the newest of the thread, and savers sort by id.
            stamps.see(newest_id)
            is_newest = newest_id == checkpoint_id(saved)
        if saved is not None:
            enclosing = (saved.metadata or {}).get("parents") or {}
            # Ids grow with time, and a checkpoint may be of a machine whose clock is ahead.
            stamps.see(saved.checkpoint["id"], *enclosing.values())
        if updates[0].as_node == COPY:
            config = yield from _copy(location, saved, stamps)
            if updates_of_copy := _updates_of_copy(updates[0].values):
                config = yield from update_state(location.at(config), (updates_of_copy,))
        else:
            config = yield from _amend(location, saved, updates, stamps, is_newest=is_newest)
        # The next superstep goes on from what this one has stored.
        location, is_newest = location.at(config), True
    return config


def _copy(
    location: StateLocation, saved: CheckpointTuple | None, stamps: Stamps
) -> SaverGen[RunnableConfig]:
    """Store the checkpoint once more, next to itself."""
    if saved is None:
        raise InvalidUpdateError("Cannot copy a non-existent checkpoint")
    metadata: Mapping[str, Any] = saved.metadata or {}
    step = metadata.get("step", -2) + 1
    id, ts = stamps.stamp(step)
    parent = saved.parent_config
    parent_id = None if parent is None else parent[CONF].get("checkpoint_id")
    named = {"thread_id": location.configurable["thread_id"], "checkpoint_ns": location.ns}
    # What is stored next to the parent counts for the copy as well: it has the same parent.
    counters = {COUNTERS: metadata[COUNTERS]} if COUNTERS in metadata else {}
    put = PutCheckpoint(
        {CONF: {**named, "checkpoint_id": parent_id}},
        {**saved.checkpoint, "id": id, "ts": ts, "updated_channels": None},
        {"source": "fork", "step": step, "parents": metadata.get("parents", {}), **counters},
        {},
    )
    return with_map((yield put), metadata)


def _amend(
    location: StateLocation,
    saved: CheckpointTuple | None,
    updates: Superstep,
    stamps: Stamps,
    *,
    is_newest: bool,
) -> SaverGen[RunnableConfig]:
    """Store one superstep of updates.

    Its writes are stored next to the thread's newest checkpoint as well, as if tasks had made
    them. A checkpoint that the thread has moved past keeps the writes it has.
    """
    machine = restore(location, saved, stamps, is_parent_shared=not is_newest)
    writes: list[PutWrites] = []
    config = _put_config(location, saved)
    if _clears(updates[0]):
        save = skip_tasks(machine)
    elif updates[0].as_node == INPUT:
        given = _input_writes(location, updates[0].values)
        id = str(uuid5(UUID(machine.checkpoint_id), INPUT))
        writes.append(PutWrites(config, given, id, ""))
        save = give_input(machine, given)
    else:
        tasks = _amendments(location, machine, updates)
        request = _request(location, machine)
        parents = {} if machine.lineage is None else dict(machine.lineage.parents)
        for task, update in zip(tasks, updates, strict=True):
            scope = UpdateScope(request, machine, parents)
            yield WriteResult(scope, task, update.values)
            path = task_path_text(task.path)
            writes.append(PutWrites(config, task.writes, task.id, path, task.name))
        save = apply_updates(machine, tasks)
    put = _put(config, save)
    # As in a run, where the recorder looks.
    values = [value for write in writes for _, value in write.writes]
    if any(map(is_special, [*values, *put.checkpoint["channel_values"].values()])):
        keep_containers(location.saver)
    if machine.spec.untracked:
        untracked = Untracked(machine.spec.untracked, machine.cells)
        for write in writes:
            write.writes = untracked.from_writes(write.writes)
        put.checkpoint = untracked.from_checkpoint(put.checkpoint)
    # Before the checkpoint, as a task's are.
    for write in writes if saved is not None and is_newest else ():
        if write.writes:
            yield write
    return with_map((yield put), save.metadata)


def _input_writes(location: StateLocation, values: Any) -> list[Write]:
    channels = location.graph.input_channels
    writes = list(with_message_ids(map_input(values, channels), location.graph.spec.deltas))
    if not writes:
        raise InvalidUpdateError(f"Received no input writes for {channels}")
    return writes


def _amendments(
    location: StateLocation, machine: RunMachine, updates: Superstep
) -> list[UpdateTask]:
    """Return one task for each update, in the place of the node's waiting tasks if it has any."""
    waiting: dict[str, list[str]] = {}
    for task in machine.pending_tasks():
        waiting.setdefault(task.name, []).append(task.id)
    channels = location.graph.input_channels
    entry = channels if isinstance(channels, str) and channels in machine.spec.nodes else None
    amendments = []
    for index, update in enumerate(updates):
        name = update.as_node
        if name is None:
            name = last_writer(machine, entry)
        if name is None:
            raise InvalidUpdateError("Ambiguous update, specify as_node")
        # The update takes the place of a task that waits: with its id, what it asked counts as
        # done.
        ids = waiting.get(name)
        id = update.task_id or (ids.pop(0) if ids else None)
        if id is None:
            # Derived like the ids of tasks; the index tells apart the updates of one superstep.
            place = f"{INTERRUPT}:{index}" if index else INTERRUPT
            id = str(uuid5(UUID(machine.checkpoint_id), place))
        amendments.append(UpdateTask(machine, machine.spec.nodes[name], index, id))
    return amendments


def _put_config(location: StateLocation, saved: CheckpointTuple | None) -> dict[str, Any]:
    """Return the config of what the update changes, with metadata for the new checkpoint."""
    ambient = var_child_runnable_config.get() or {}
    named = {**location.configurable, "checkpoint_ns": location.ns}
    if saved is not None:
        named["checkpoint_id"] = saved.checkpoint["id"]
    metadata = {**(ambient.get("metadata") or {}), **(location.config.get("metadata") or {})}
    add_named(metadata, location.config.get(CONF) or {})
    return {"metadata": metadata, CONF: named}


def _put(config: dict[str, Any], save: SaveCheckpoint) -> PutCheckpoint:
    return PutCheckpoint(config, save.checkpoint, save.metadata, save.new_versions)


def _request(location: StateLocation, machine: RunMachine) -> RunRequest:
    """Return what the conditional edges are given that are asked where to go."""
    callbacks = location.config.get("callbacks")
    private = ("callbacks", "metadata", CONF, "run_name", "run_id")
    return RunRequest(
        spec=machine.spec,
        name=location.graph.get_name(),
        shape=location.graph.shape,
        limits=machine.limits,
        control=RunControl(),
        subscription=NOTHING,
        result=NOTHING,
        config={key: value for key, value in location.config.items() if key not in private},
        configurable=location.configurable,
        metadata=_put_config(location, None)["metadata"],
        nesting=Nesting(ns=location.ns),
        store=location.graph.store,
        callbacks=callbacks,
        is_traced=tracing.is_observed(callbacks),
    )
