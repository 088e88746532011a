"""Telling run streams of nested graphs: see `modes.subgraph_events`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from millstream.errors import GraphBubbleUp, NodeCancelledError
from millstream.modes.names import GRAPHS
from millstream.modes.subgraph_events import SubgraphEvent, cause_of, status_after

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext
    from millstream.drivers.run_scope import RunScope
    from millstream.modes.parts import Emit
    from millstream.modes.subgraph_events import SubgraphStatus

ENDINGS: Final = (GraphBubbleUp, GeneratorExit)
"""How a graph can end by itself besides returning and failing."""

EmitEnd = Callable[["BaseException | None"], None]


def emit_started(run: RunScope, parent: TaskContext, emits: Sequence[Emit]) -> EmitEnd:
    """Tell that a nested run starts; return the function that tells, once, how it ended."""
    agent: str | None = run.metadata.get("lc_agent_name")
    task = parent.task

    def emit_event(status: SubgraphStatus, error: BaseException | None = None) -> None:
        event = SubgraphEvent(
            status=status,
            namespace=run.namespace,
            within=parent.run.namespace,
            name=agent or task.name,
            task_id=task.id,
            cause=cause_of(task.input) if agent else None,
            error=error,
        )
        for emit in emits:
            emit((run.namespace, GRAPHS, event, None))

    def emit_end(error: BaseException | None) -> None:
        if error is not None and not isinstance(error, (*ENDINGS, Exception)):
            # A cancellation: by the run around it, or by code of the node, whose graph alone has
            # stopped.
            around = parent.run
            if around.has_failed or around.is_left or around.is_abandoned:
                return  # that is why, and its end is that of all graphs in it
            error = NodeCancelledError(
                task.name, f"The graph that node {task.name!r} called was cancelled"
            )
        emit_event(status_after(error), error)

    emit_event("started")
    return emit_end
