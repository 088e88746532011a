"""Telling run streams of nested graphs: see `stream.graphs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from millstream.errors import GraphBubbleUp, NodeCancelledError
from millstream.stream.graphs import MODE_OF_GRAPHS, GraphFact, cause_of, status_after

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext
    from millstream.drivers.run import Run
    from millstream.stream.graphs import SubgraphStatus
    from millstream.stream.parts import Put

ENDINGS: Final = (GraphBubbleUp, GeneratorExit)
"""How a graph can end by itself besides returning and failing."""

TellEnd = Callable[["BaseException | None"], None]


def tell_started(run: Run, parent: TaskContext, puts: Sequence[Put]) -> TellEnd:
    """Tell that a nested run starts; return the function that tells, once, how it ended."""
    agent: str | None = run.metadata.get("lc_agent_name")
    task = parent.task

    def tell(status: SubgraphStatus, error: BaseException | None = None) -> None:
        fact = GraphFact(
            status=status,
            namespace=run.namespace,
            within=parent.run.namespace,
            name=agent or task.name,
            task_id=task.id,
            cause=cause_of(task.input) if agent else None,
            error=error,
        )
        for put in puts:
            put((run.namespace, MODE_OF_GRAPHS, fact, None))

    def tell_end(error: BaseException | None) -> None:
        if error is not None and not isinstance(error, (*ENDINGS, Exception)):
            around = parent.run
            if around.has_failed or around.is_left or around.is_abandoned:
                return  # that is why, and its end is that of all graphs in it
            error = NodeCancelledError(
                task.name, f"The graph that node {task.name!r} called was cancelled"
            )
        tell(status_after(error), error)

    tell("started")
    return tell_end
