"""Projectors: what each stream mode shows of a run.

`observe` builds the `Observer` of one run from the modes somebody asked for. Payloads are built
only for those; the payload rules are one small function per mode. Where several modes watch one
fact the order is fixed: checkpoints before debug, updates before tasks before debug.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from millstream._base.texts import safe_repr
from millstream.constants import ERROR, INTERRUPT, RETURN
from millstream.core.observer import Observer
from millstream.core.pending_writes import as_tuple, plain_writes
from millstream.modes import names

if TYPE_CHECKING:
    from millstream._base.clock import Clock
    from millstream.core.cells import Cells
    from millstream.core.checkpoints import Lineage
    from millstream.core.machine import RunMachine
    from millstream.core.spec import GraphSpec
    from millstream.core.tasks import Task
    from millstream.modes.parts import Emit, Namespace, Shape

ReadState: TypeAlias = "Callable[[Cells], Any]"
"""Reads the shown state: a dict, or one key's bare value."""


class Watched(Protocol):
    """A run that somebody looks at."""

    spec: GraphSpec
    machine: RunMachine
    clock: Clock

    def user_metadata(self, task: Task) -> dict[str, Any]:
        """Return what the user said about a task; empty when there is nothing."""

    def checkpoint_config(self, checkpoint_id: str | None) -> dict[str, Any] | None:
        """Return the config that names a checkpoint."""


@dataclass(slots=True)
class RunView:
    """What the projectors need to know of a run."""

    run: Watched
    """It has no machine yet."""
    lineage: Lineage | None
    """The chain of checkpoints of a run that saves."""
    namespace: Namespace
    targets: Mapping[str, Sequence[Emit]]
    """Stream mode -> where its parts go; a mode nobody wants is absent."""
    output_keys: str | tuple[str, ...]
    """What `values` and `updates` show."""
    watched: frozenset[str]
    """The channels that these are."""
    read_state: ReadState
    """Reads what `values` shows."""
    shape: Shape | None
    is_root: bool = True

    def read(self) -> Any:
        """Return the state as `values` shows it."""
        return self.read_state(self.run.machine.cells)

    def emitter(self, mode: str) -> Callable[[Any], None] | None:
        """Return the function that sends a payload of this mode, None if nobody listens."""
        emits = self.targets.get(mode)
        if not emits:
            return None
        # Bound once, because this is called for every event of the run.
        namespace, shape = self.namespace, self.shape
        if len(emits) == 1:
            emit = emits[0]
            return lambda payload: emit((namespace, mode, payload, shape))

        def emit_payload(payload: Any) -> None:
            # One part for all: consumers may keep it, and nobody changes it.
            part = (namespace, mode, payload, shape)
            for emit in emits:
                emit(part)

        return emit_payload


def observe(view: RunView) -> Observer:
    """Build the observer for the modes that somebody listens to."""
    observer = Observer()
    values, updates = view.emitter(names.VALUES), view.emitter(names.UPDATES)
    if values is not None:
        observer.state_changed = _state_values(view, values)
    started, ended = _task_events(view)
    observer.tasks_planned = started
    show_update = _task_update(view, updates) if updates is not None else None
    observer.task_finished = both(show_update, ended)
    # A replayed task has an update to show, and no end: it did not run.
    observer.task_replayed = show_update
    observer.task_failed = ended
    observer.task_paused = _interrupts(view, values, updates, ended)
    observer.checkpoint_reached = _checkpoints(view)
    # A nested graph that stops at a breakpoint stops the graph above, which says so.
    if updates is not None and view.is_root:
        observer.breakpoint_reached = partial(_emit_breakpoint, updates)
    return observer


OnTask: TypeAlias = "Callable[[Task], None]"
FactT = TypeVar("FactT")


def both(
    first: Callable[[FactT], None] | None, second: Callable[[FactT], None] | None
) -> Callable[[FactT], None] | None:
    """Return what tells a fact to both, as far as they are there."""
    if first is None or second is None:
        return first or second

    def emit_event(fact: FactT) -> None:
        first(fact)
        second(fact)

    return emit_event


def _state_values(
    view: RunView, emit_payload: Callable[[Any], None]
) -> Callable[[Collection[str] | None], None]:
    watched, read = view.watched, view.read

    def state_changed(updated: Collection[str] | None) -> None:
        # A state in which nothing changed that is shown would be shown twice.
        if updated is None or not watched.isdisjoint(updated):
            emit_payload(read())

    return state_changed


def state_reader(spec: GraphSpec, keys: str | tuple[str, ...]) -> ReadState:
    """Return the function that reads these keys: a dict, or one key's bare value."""
    if isinstance(keys, str):
        return lambda cells: cells.get(keys)
    # Every shown key, which nearly all consumers ask for: `values` is that dict already.
    if len(keys) == len(spec.shown) and all(key in spec.shown for key in keys):
        return _read_all

    def read(cells: Cells) -> dict[str, Any]:
        values = cells.values
        return {key: values[key] for key in keys if key in values}

    return read


def _read_all(cells: Cells) -> dict[str, Any]:
    return cells.values.copy()


def _task_update(view: RunView, emit_payload: Callable[[Any], None]) -> OnTask:
    keys = view.output_keys
    shown = keys if isinstance(keys, str) else view.watched
    shows_all = _asks_if_among(keys)

    def show(task: Task) -> None:
        node, written = task.node, task.update
        if node.is_hidden:
            return
        if written is not None and shows_all(written):
            # A copy, because the superstep has yet to be committed.
            emit_payload({node.name: written.copy() or None})
            return
        update = {node.name: task_update(task.writes, shown)}
        if task.is_replayed:
            update["__metadata__"] = {"cached": True}
        emit_payload(update)

    return show


def _asks_if_among(keys: str | tuple[str, ...]) -> Callable[[dict[str, Any]], bool]:
    """Return what says whether a dict that a task wrote is shown as it is.

    Not for a single key, of which the bare value is shown.
    """
    return _never if isinstance(keys, str) else frozenset(keys).issuperset


def _never(_: object) -> bool:
    return False


def task_update(writes: Sequence[tuple[str, Any]], keys: str | frozenset[str]) -> Any:
    """Return what a task wrote to the shown keys, as `updates` shows it.

    A dict of its writes, a list of one-key dicts when it wrote a key more than once, None when
    there are none; for a single key the bare value.
    """
    update: Any = None
    for name, value in writes:
        # An entrypoint's result is shown as it is, whatever keys there are.
        if name == RETURN:
            return value
        if isinstance(keys, str):
            if name == keys:
                update = value
        elif name in keys:
            if update is None:
                update = {name: value}
            elif name in update:
                # A dict would lose all but the last of the writes.
                return [{n: v} for n, v in writes if n in keys]
            else:
                update[name] = value
    return update


def task_result(writes: Sequence[tuple[str, Any]], keys: str | tuple[str, ...]) -> dict[str, Any]:
    """Return what a task wrote, as `tasks` shows it; repeated keys under `$writes`."""
    shown = (keys,) if isinstance(keys, str) else keys
    result: dict[str, Any] = {}
    repeated: set[str] = set()
    for name, value in writes:
        if name not in shown and name != RETURN:
            continue
        if name not in result:
            result[name] = value
        elif name in repeated:
            result[name]["$writes"].append(value)
        else:
            result[name] = {"$writes": [result[name], value]}
            repeated.add(name)
    return result


def _task_events(view: RunView) -> tuple[Callable[[Any], None] | None, OnTask | None]:
    """Return the projectors of task starts and of task results, for `tasks` and `debug`."""
    tasks, debug = view.emitter(names.TASKS), view.emitter(names.DEBUG)
    if tasks is None and debug is None:
        return None, None
    emit_event, keys = _twin(view, tasks, debug), view.run.spec.stream_keys
    shows_all = _asks_if_among(keys)

    def started(planned: Sequence[Task]) -> None:
        for task in planned:
            if not task.node.is_hidden:
                emit_event("task", _task_start(task, view.run.user_metadata(task)), task.step)

    def ended(task: Task) -> None:
        if not task.node.is_hidden:
            written = task.update
            if written is not None and shows_all(written):
                result = written.copy()
            else:
                result = task_result(task.writes, keys)
            emit_event("task_result", _task_end(task, result), task.step)

    return started, ended


def _twin(
    view: RunView,
    plain: Callable[[Any], None] | None,
    debug: Callable[[Any], None] | None,
) -> Callable[[str, dict[str, Any], int], None]:
    """Send a payload plainly and then wrapped for `debug`, to whoever listens."""

    def emit_event(kind: str, payload: dict[str, Any], step: int) -> None:
        if plain is not None:
            plain(payload)
        if debug is not None:
            debug(
                {"step": step, "timestamp": view.run.clock.now(), "type": kind, "payload": payload}
            )

    return emit_event


def _task_start(task: Task, metadata: dict[str, Any]) -> dict[str, Any]:
    payload = {
        "id": task.id,
        "name": task.node.name,
        "input": task.input,
        "triggers": task.triggers,
    }
    if metadata:
        payload["metadata"] = metadata
    return payload


def _task_end(task: Task, result: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": task.id,
        "name": task.node.name,
        "error": task.error,
        "result": result,
        "interrupts": [as_dict(interrupt) for interrupt in task.interrupts],
    }


def as_dict(interrupt: Any) -> dict[str, Any]:
    """Return an `Interrupt` as the dict shown in `tasks` and `checkpoints`."""
    return {
        "value": interrupt.value,
        "id": interrupt.id,
        "response_schema": interrupt.response_schema,
    }


def _interrupts(
    view: RunView,
    values: Callable[[Any], None] | None,
    updates: Callable[[Any], None] | None,
    ended: OnTask | None,
) -> OnTask | None:
    if values is None and updates is None and ended is None:
        return None

    # Not closures, here and for breakpoints: few runs need them, and every run has them.
    return partial(_emit_interrupts, view, values, updates, ended)


def _emit_interrupts(
    view: RunView,
    values: Callable[[Any], None] | None,
    updates: Callable[[Any], None] | None,
    ended: OnTask | None,
    task: Task,
) -> None:
    if updates is not None:
        updates({INTERRUPT: task.interrupts})
    if values is not None:
        # A bare value has no room for the key of the questions.
        base = {} if isinstance(view.output_keys, str) else view.read()
        values({**base, INTERRUPT: task.interrupts})
    if ended is not None:
        ended(task)


def _emit_breakpoint(updates: Callable[[Any], None]) -> None:
    updates({INTERRUPT: ()})


def _checkpoints(view: RunView) -> Callable[[Sequence[Task]], None] | None:
    """Return the projector of checkpoints; runs that do not save have none."""
    checkpoints, debug = view.emitter(names.CHECKPOINTS), view.emitter(names.DEBUG)
    lineage = view.lineage
    # Without a saver there are no checkpoints to tell of.
    if lineage is None or (checkpoints is None and debug is None):
        return None
    emit_event = _twin(view, checkpoints, debug)
    read = state_reader(view.run.spec, view.run.spec.stream_keys)

    def reached(tasks: Sequence[Task]) -> None:
        payload = {
            "config": view.run.checkpoint_config(lineage.id),
            "parent_config": view.run.checkpoint_config(lineage.parent_id),
            "values": read(view.run.machine.cells),
            "metadata": lineage.metadata,
            "next": [task.node.name for task in tasks],
            "tasks": [_pending_task(view, task) for task in tasks],
        }
        emit_event("checkpoint", payload, lineage.metadata["step"])

    return reached


def _pending_task(view: RunView, task: Task) -> dict[str, Any]:
    pending = view.run.machine.pending_writes.get(task.id, ())
    shown: dict[str, Any] = {"id": task.id, "name": task.node.name}
    errors = [value for name, value in pending if name == ERROR]
    if errors:
        # The text of an error is what savers give back of it.
        shown["error"] = errors[-1] if isinstance(errors[-1], str) else safe_repr(errors[-1])
    else:
        asked = [i for name, value in pending if name == INTERRUPT for i in as_tuple(value)]
        if plain_writes(pending):
            keys = view.run.spec.stream_keys
            if isinstance(keys, str):
                shown["result"] = task_update(pending, keys)
            else:
                shown["result"] = task_result(pending, keys)
        shown["interrupts"] = tuple(as_dict(i) for i in asked)
    # Where the nested graph's state is found, not the state: to load it takes the saver.
    shown["state"] = _nested_config(view, task) if task.node.has_subgraph else None
    return shown


def _nested_config(view: RunView, task: Task) -> dict[str, Any]:
    config = view.run.checkpoint_config(view.run.machine.checkpoint_id) or {"configurable": {}}
    thread = config["configurable"].get("thread_id")
    return {"configurable": {"thread_id": thread, "checkpoint_ns": task.ns}}
