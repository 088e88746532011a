"""The state of threads: read and changed through their graphs, in the event loop of the graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from millstream.errors import FencedError, ThreadBusyError
from millstream.server.encoding import dumps
from millstream.server.errors import ApiError
from millstream.server.graphs import Access
from millstream.server.persistence import is_storage_error
from millstream.server.runs.calls import command_of
from millstream.server.storage import changes, threads
from millstream.types import StateUpdate

if TYPE_CHECKING:
    from millstream.server.service import Service

EMPTY: Mapping[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}
"""The state of a thread that no graph has worked on."""


class Thread(NamedTuple):
    """A thread whose graph is known, and who asks for it."""

    service: Service
    thread_id: str
    metadata: Mapping[str, Any]
    user: Any = None

    @property
    def graph_id(self) -> str | None:
        """The graph that works on it."""
        graph_id = self.metadata.get("graph_id")
        return graph_id if isinstance(graph_id, str) else None

    def config(self, place: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the config that names it, or a checkpoint of it."""
        chosen = {key: value for key, value in (place or {}).items() if value is not None}
        return {"configurable": {**chosen, "thread_id": self.thread_id}}

    def graph(self, access: Access) -> AbstractAsyncContextManager[Any]:
        """Give its graph."""
        if self.graph_id is None:
            raise ApiError(400, no_graph(self.thread_id))
        return self.service.catalog.open(
            self.graph_id, self.config(), access=access, user=self.user
        )


def no_graph(thread_id: str) -> str:
    """Return what is said of a thread that no graph has worked on."""
    return (
        f"Thread '{thread_id}' has no assigned graph ID. This usually occurs when no runs have "
        "been made on this particular thread. This operation requires a graph ID. Please ensure a "
        "run has been made for the thread or manually update the thread metadata (by setting the "
        "'graph_id' field) before running this operation."
    )


async def read(thread: Thread, place: Mapping[str, Any] | None, *, subgraphs: bool) -> bytes:
    """Return a state as JSON: the newest, or that of a checkpoint."""
    if thread.graph_id is None:
        return dumps(EMPTY)

    async def get() -> bytes:
        async with thread.graph("threads.read") as graph:
            found = await graph.aget_state(thread.config(place), subgraphs=subgraphs)
            return dumps(shown(found))

    return await thread.service.run_loop.call(get())


async def tell(service: Service, thread_id: str) -> None:
    """Tell those who read a thread its state, which was changed at another replica."""
    metadata = await service.db.read(threads.metadata_of, thread_id)
    found = await read(Thread(service, thread_id, metadata), None, subgraphs=False)
    told = {"state": orjson.Fragment(found), "thread_id": thread_id}
    service.logs.tell_state(thread_id, dumps(told))


async def history(
    thread: Thread,
    place: Mapping[str, Any] | None,
    *,
    limit: int,
    before: Mapping[str, Any] | None,
    metadata: Mapping[str, Any],
) -> bytes:
    """Return states as JSON, the newest first."""
    if thread.graph_id is None:
        return b"[]"

    async def get() -> bytes:
        async with thread.graph("threads.read") as graph:
            states = graph.aget_state_history(
                thread.config(place),
                filter=dict(metadata) or None,
                before=None if before is None else thread.config(before),
                limit=limit,
            )
            return dumps([shown(state) async for state in states])

    return await thread.service.run_loop.call(get())


class Updated(NamedTuple):
    """What an update has left."""

    config: Mapping[str, Any]
    values: Any
    interrupts: dict[str, list[Any]]
    told: bytes | None
    """The state as those who read the thread are told of it; None if nobody does."""


async def update(
    thread: Thread, place: Mapping[str, Any] | None, values: Any, as_node: str | None
) -> Updated:
    """Write to the state of a thread as a node would."""

    async def put() -> Updated:
        async with thread.graph("threads.update") as graph:
            config = await _tried(graph.aupdate_state(thread.config(place), values, as_node))
            return await _left(graph, thread, config)

    return await thread.service.run_loop.call(put())


async def write_supersteps(thread: Thread, supersteps: Sequence[Mapping[str, Any]]) -> Updated:
    """Write several steps to the state of a thread."""

    def of(given: Mapping[str, Any]) -> StateUpdate:
        command = given.get("command")
        values: Any = given.get("values") if command is None else command_of(command)
        return StateUpdate(values, given["as_node"])

    async def put() -> Updated:
        async with thread.graph("threads.update") as graph:
            steps = [[of(given) for given in step["updates"]] for step in supersteps]
            config = await _tried(graph.abulk_update_state(thread.config(), steps))
            return await _left(graph, thread, config)

    return await thread.service.run_loop.call(put())


def shown(state: Any) -> dict[str, Any]:
    """Return a state as clients see it."""
    checkpoint = place_of(state.config)
    if checkpoint is None or "checkpoint_id" not in checkpoint:
        checkpoint = None
    parent = place_of(state.parent_config)
    return {
        "values": state.values,
        "next": state.next,
        "tasks": [_shown_task(task) for task in state.tasks],
        "metadata": _shown_metadata(state.metadata, checkpoint),
        "created_at": state.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [shown_interrupt(interrupt) for interrupt in state.interrupts],
        "checkpoint_id": (checkpoint or {}).get("checkpoint_id"),
        "parent_checkpoint_id": (parent or {}).get("checkpoint_id"),
    }


def shown_interrupt(interrupt: Any) -> dict[str, Any]:
    """Return a question as clients see it in a state: they make an `Interrupt` of it."""
    told = {"id": interrupt.id, "value": interrupt.value}
    schema = interrupt.response_schema
    if schema is not None:
        told["response_schema"] = schema
    return told


def place_of(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the checkpoint that a config names, as clients name it."""
    configurable = (config or {}).get("configurable") or {}
    keys = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")
    found = {key: configurable[key] for key in keys if configurable.get(key) is not None}
    return found or None


def _shown_metadata(
    metadata: Mapping[str, Any] | None, checkpoint: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    # What a run has made names its thread beside it.
    if metadata is None or checkpoint is None or "run_id" not in metadata:
        return metadata
    return {**metadata, "thread_id": checkpoint["thread_id"]}


def _shown_task(task: Any) -> dict[str, Any]:
    state = task.state
    is_place = state is None or isinstance(state, dict)
    return {
        "id": task.id,
        "name": task.name,
        "path": task.path,
        "error": repr(task.error) if isinstance(task.error, BaseException) else task.error,
        "interrupts": [shown_interrupt(interrupt) for interrupt in task.interrupts],
        "checkpoint": place_of(state) if is_place else place_of(state.config),
        "state": None if is_place else shown(state),
        "result": task.result,
    }


async def _left(graph: Any, thread: Thread, config: Mapping[str, Any]) -> Updated:
    newest = await graph.aget_state(thread.config())
    interrupts = {
        task.id: [shown_interrupt(interrupt) for interrupt in task.interrupts]
        for task in newest.tasks
        if task.interrupts
    }
    # As text: it is made where the values are, and others are only given it.
    told = None
    if thread.service.logs.is_read(thread.thread_id):
        told = dumps({"state": shown(newest), "thread_id": thread.thread_id})
    return Updated(config, orjson.Fragment(dumps(newest.values)), interrupts, told)


async def _tried(update: Any) -> Mapping[str, Any]:
    try:
        config: Mapping[str, Any] = await update
    except ApiError:
        raise
    except ThreadBusyError as error:
        raise ApiError(409, str(error)) from error
    except FencedError as error:
        raise changes.taken_over(error.thread_id) from error
    except Exception as error:
        if is_storage_error(error):
            raise
        # The graph does not take what the client has sent: an unknown node, a value that a reducer
        # refuses.
        text = str(error) or type(error).__name__
        raise ApiError(400, text) from error
    return config
